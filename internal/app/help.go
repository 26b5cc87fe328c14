package app

import (
	"strings"

	"github.com/spf13/cobra"
)

// groups are the headings of `slipway --help`, in its order, with the commands
// below each.
var groups = []struct{ id, title, commands string }{
	{"data", "Data:", "data query"},
	{"pipeline", "Pipeline:", "init apply run exec runs logs cancel"},
	{"models", "Models:", "model gate deploy release rollout rollback"},
	{"serving", "Serving:", "serve gateway endpoints predict explain"},
	{"watching", "Watching:", "monitor alerts labels retrain backtest replay"},
	{"house", "House:", "up wait trace audit token import export gc content config completion help"},
}

// group puts every command under its heading. Cobra adds help and completion
// only when it executes, so they are made first: whoever looks for a command
// by its name finds them too.
func group(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	of := map[string]string{}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for name := range strings.FieldsSeq(g.commands) {
			of[name] = g.id
		}
	}
	for _, c := range root.Commands() {
		c.GroupID = of[c.Name()]
		switch c.Name() {
		case "help":
			c.Example = "  slipway help run"
		case "completion":
			c.Short = "Write the script with which a shell completes commands"
			for _, shell := range c.Commands() {
				shell.Example = "  slipway completion " + shell.Name()
			}
		}
	}
}
