package app

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

//go:generate go test . -run TestCommandReference -update

var update = flag.Bool("update", false, "write the reference instead of comparing it")

// TestCommandReference keeps docs/reference/cli.md as fresh as the commands.
func TestCommandReference(t *testing.T) {
	want := commandReference(referenceRoot(t))
	path := filepath.Join("..", "..", "docs", "reference", "cli.md")
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is stale; run go generate ./internal/app\n%s", path, diff)
	}
}

// TestEveryCommandIsExplained keeps the reference, and --help, without blanks.
func TestEveryCommandIsExplained(t *testing.T) {
	eachShown(referenceRoot(t), func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s has no one-line description", cmd.CommandPath())
		}
		if cmd.HasParent() && cmd.Parent().Name() == "completion" {
			return // cobra's own, each explained at length
		}
		if cmd.Runnable() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s is not explained", cmd.CommandPath(), f.Name)
			}
		})
	})
}

// referenceRoot is the command tree as it is on every machine.
func referenceRoot(t *testing.T) *cobra.Command {
	t.Helper()
	none := func(string) string { return "" }
	env := &cli.Env{IO: term.New(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, none), Getenv: none, Dir: "."}
	return rootCommand(env, testConfig(t), &session{})
}

// eachShown visits the commands that help shows, parents first.
func eachShown(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			eachShown(c, visit)
		}
	}
}

const referenceIntro = `# The command line

Generated from the commands themselves by ` + "`go generate ./internal/app`" + `; ` + "`slipway COMMAND --help`" + ` says the same.
Every command works against the server that ` + "`SLIPWAY_SERVER`" + ` names, else against the owner of this machine's
workspace, else in its own process.
`

// exits says what a command's exit status tells, for codes that a user meets.
var exits = []struct {
	code  slipway.Code
	means string
}{
	{slipway.Failed, "something broke: a step, a run, or Slipway itself"},
	{slipway.Invalid, "the request, a file or `slipway.yaml` is wrong"},
	{slipway.Refused, "a gate or a contract said no"},
	{slipway.Denied, "not allowed, or nobody knows who asks"},
	{slipway.NotFound, "there is no such thing"},
	{slipway.Conflict, "it exists already, or changed meanwhile"},
	{slipway.Unavailable, "the server, or something behind it, is away"},
	{slipway.Interrupted, "Ctrl-C"},
}

func commandReference(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString(referenceIntro)
	b.WriteString("\n| exit status | means |\n| --- | --- |\n| 0 | done |\n")
	for _, e := range exits {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code.ExitCode(), e.means)
	}
	b.WriteString("\n| command | does |\n| --- | --- |\n")
	eachShown(root, func(cmd *cobra.Command) {
		if cmd.Runnable() {
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
		}
	})
	b.WriteString("\nEvery command takes these:\n\n")
	flagTable(&b, root.PersistentFlags())
	eachShown(root, func(cmd *cobra.Command) {
		if cmd.Runnable() {
			commandSection(&b, cmd)
		}
	})
	return b.Bytes()
}

func commandSection(b *bytes.Buffer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), strings.TrimSpace(text), cmd.UseLine())
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", strings.Trim(cmd.Example, "\n"))
	}
	if cmd.LocalNonPersistentFlags().HasAvailableFlags() {
		b.WriteByte('\n')
		flagTable(b, cmd.LocalNonPersistentFlags())
	}
}

func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	b.WriteString("| flag | default | means |\n| --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + kind)
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value := f.DefValue
		if value == "false" || value == "0" || value == "0s" || value == "[]" {
			value = ""
		}
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, cell(value), cell(usage))
	})
}

// cell keeps a text inside its table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
