// Command machine says where benchmarks run, and how busy it is.
package main

import (
	"os"

	"github.com/slipway-ml/slipway/bench/measure"
)

func main() { measure.Machine(os.Stdout) }
