package app

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// TestHelp asks of every command that a person can choose: a heading of
// `slipway --help` above it, one line about it without a full stop, and an
// example that shows the command itself.
func TestHelp(t *testing.T) {
	getenv := func(string) string { return "" }
	tio := term.New(strings.NewReader(""), &strings.Builder{}, &strings.Builder{}, getenv)
	root := rootCommand(&cli.Env{IO: tio, Getenv: getenv, Dir: t.TempDir()}, testConfig(t), &session{})
	for _, c := range root.Commands() {
		if c.GroupID == "" && !c.Hidden {
			t.Errorf("%s stands under no heading", c.CommandPath())
		}
	}
	eachCommand(root, func(c *cobra.Command) {
		if c == root || c.Hidden {
			return
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s says %q about itself", c.CommandPath(), c.Short)
		}
		if c.Runnable() && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s has no example", c.CommandPath())
		}
	})
}
