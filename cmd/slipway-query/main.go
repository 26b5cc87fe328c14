// Command slipway-query is the query worker of a slipway that was built without
// cgo: it stands beside that binary and is started by it.
package main

import (
	"os"

	"github.com/slipway-ml/slipway/internal/kit/query"
)

func main() { os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr)) }
