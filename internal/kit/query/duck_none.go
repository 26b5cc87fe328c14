//go:build !cgo

package query

import (
	"context"

	slipway "github.com/slipway-ml/slipway"
)

// linked says that this binary cannot be its own query worker: it was built
// without cgo, so another one, slipway-query, must stand beside it.
const linked = false

// duck has the methods of the real one, none of which is ever reached, since
// openDuck gives none.
type duck struct{}

var errNotLinked = slipway.Errorf(slipway.Unavailable, "this build has no query engine").WithHint("%s", howToGet)

func openDuck(map[string]string) (*duck, error) { return nil, errNotLinked }

func (*duck) close()                                               {}
func (*duck) exec(string, ...Param) (int64, error)                 { return 0, errNotLinked }
func (*duck) describe(string, []Param) ([]column, error)           { return nil, errNotLinked }
func (*duck) types(string, []Param) ([]column, error)              { return nil, errNotLinked }
func (*duck) strings(string, int) ([][]string, error)              { return nil, errNotLinked }
func (*duck) watchProgress(context.Context, func(percent float64)) {}
func (*duck) stream(string, []Param, []slipway.Type, func(int, []vector) error) error {
	return errNotLinked
}
