// Command slipway takes a model from a data scientist's computer to production
// and keeps it healthy there.
package main

import "github.com/slipway-ml/slipway/internal/app"

func main() { app.Main() }
