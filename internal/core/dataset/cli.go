package dataset

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/project"
)

// Commands is `slipway data`. open opens the bucket that an address names.
func Commands(e *cli.Env, open func(address string) (blob.Bucket, error)) []*cobra.Command {
	cmd := &cobra.Command{Use: "data", Short: "Versions of data, what they look like, and what they must look like"}
	cmd.AddCommand(addCommand(e, open), listCommand(e), logCommand(e), checkCommand(e), quarantineCommand(e), contractCommand(e),
		statusCommand(e), diffCommand(e), checkoutCommand(e), showCommand(e), splitCommand(e), profileCommand(e), sqlCommand(e), releaseCommand(e), catCommand(e), tagCommand(e),
		removeCommand(e), renameCommand(e), pushCommand(e), pullCommand(e), gcCommand(e), fsckCommand(e), importDVCCommand(e))
	return []*cobra.Command{cmd}
}

// projectOf is the nearest slipway.yaml, nil when there is none.
func projectOf(e *cli.Env) (*project.Project, error) {
	p, err := e.Project()
	if slipway.IsCode(err, slipway.NotFound) {
		return nil, nil
	}
	return p, err
}

// scanner remembers digests where this user's caches are.
func scanner(e *cli.Env) Scanner {
	dir := e.Getenv("XDG_CACHE_HOME")
	if dir == "" && e.Getenv("HOME") != "" {
		dir = filepath.Join(e.Getenv("HOME"), ".cache")
	}
	if dir != "" {
		dir = filepath.Join(dir, "slipway", "scan")
	}
	return Scanner{Cache: dir, Now: time.Now}
}

// parseVersion reads name, name@v3, name@3 or name@latest.
func parseVersion(text string) (name string, n int, err error) {
	name, v, ok := strings.Cut(text, "@")
	if err := checkName(name); err != nil {
		return "", 0, err
	}
	if !ok || v == "latest" {
		return name, 0, nil
	}
	n, perr := strconv.Atoi(strings.TrimPrefix(v, "v"))
	if perr != nil || n < 1 {
		return "", 0, slipway.Errorf(slipway.Invalid, "%q names no version", text).WithHint("write %s@v3, or %s for the newest", name, name)
	}
	return name, n, nil
}

func listCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "ls [NAME[@vN] [PATH…]]", Short: "Datasets and their newest versions, or the files of a version", Example: "  slipway data ls\n  slipway data ls flights@v2 '2013-0*'",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return listFiles(e, cmd, args)
			}
			c, name, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			versions, err := OpList.Call(cmd.Context(), c, OfProject{Project: name})
			if err != nil {
				return err
			}
			return e.Print(versions, func(io.Writer) {
				t := e.IO.Table("dataset", "rows", "files", "bytes", "from", "to", "contract", "created")
				for _, v := range versions {
					t.Row(v.ID(), v.Rows, v.Files, term.Bytes(v.Bytes), day(v.Covers.From), day(last(v.Covers)), verdict(e, v.Verdict), v.Created)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
			})
		},
	}
}

func logCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "log NAME", Short: "Versions of a dataset, newest first", Args: cobra.ExactArgs(1), Example: "  slipway data log flights",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, name, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			versions, err := OpLog.Call(cmd.Context(), c, OfDataset{Project: name, Name: args[0]})
			if err != nil {
				return err
			}
			return e.Print(versions, func(io.Writer) {
				t := e.IO.Table("version", "rows", "change", "bytes", "files", "from", "to", "contract", "by", "created", "commit", "run", "message")
				for _, v := range versions {
					t.Row("v"+strconv.Itoa(v.Number), v.Rows, signed(v.Change.Rows), signedBytes(v.Change.Bytes), filesChanged(v.Change), day(v.Covers.From), day(last(v.Covers)),
						verdict(e, v.Verdict), v.Actor, v.Created, short7(v.Commit), short7(v.Run), v.Message)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
			})
		},
	}
}

// last is the time of the last row in a window.
func last(w slipway.Window) time.Time {
	if w.To.IsZero() {
		return w.To
	}
	return w.To.Add(-time.Microsecond)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func verdict(e *cli.Env, v Verdict) term.Cell {
	switch v {
	case Passed:
		return term.Cell{Role: term.OK, Value: "pass"}
	case Warned:
		return term.Cell{Role: term.Warn, Value: "warn"}
	case Refused:
		return term.Cell{Role: term.Bad, Value: "refused"}
	}
	return term.Cell{Role: term.Dim, Value: "none"}
}

func signed(n int64) string {
	if n > 0 {
		return "+" + strconv.FormatInt(n, 10)
	}
	return strconv.FormatInt(n, 10)
}

func signedBytes(n int64) string {
	if n < 0 {
		return "-" + term.Bytes(-n)
	}
	return "+" + term.Bytes(n)
}

func filesChanged(c Change) string {
	var parts []string
	for _, p := range []struct {
		n    int
		mark string
	}{{c.Added, "+"}, {c.Removed, "-"}, {c.Changed, "~"}} {
		if p.n > 0 {
			parts = append(parts, p.mark+strconv.Itoa(p.n))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, " ")
}

// summary writes what a version is on one screen.
func summary(e *cli.Env, w io.Writer, out Outcome) {
	v := out.Version
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "  %s %s\n", e.IO.Paint(term.Dim, fmt.Sprintf("%-9s", label)), fmt.Sprintf(format, args...))
	}
	what := fmt.Sprintf("%s, %s", plural(int64(v.Files), "file"), term.Bytes(v.Bytes))
	if v.Table() {
		what = fmt.Sprintf("%s × %s in %s", plural(v.Rows, "row"), plural(int64(len(v.Schema)), "column"), what)
	}
	title := e.IO.Paint(term.Bold, v.ID())
	if out.Unchanged {
		fmt.Fprintf(w, "%s has exactly these files already: no new version\n", title)
		return
	}
	fmt.Fprintf(w, "%s  %s\n", title, what)
	if v.Change.From > 0 {
		change := []string{"files " + filesChanged(v.Change)}
		if v.Table() {
			change = append(change, "rows "+signed(v.Change.Rows))
		}
		line("change", "%s since v%d", strings.Join(change, ", "), v.Change.From)
	}
	if !v.Covers.From.IsZero() {
		guess := ""
		if v.Spec.Guessed {
			guess = e.IO.Paint(term.Dim, "  (found out; say time in slipway.yaml if it is another)")
		}
		line("time", "%s from %s to %s UTC%s", strings.Trim(v.Spec.Time, `"`), v.Covers.From.UTC().Format("2006-01-02 15:04"), last(v.Covers).UTC().Format("2006-01-02 15:04"), guess)
	}
	if len(v.Spec.Key) > 0 {
		line("key", "%s", strings.Join(v.Spec.Key, ", "))
	}
	if v.Table() {
		line("columns", "%s", some(v.Schema.Names(), 12))
	}
	for _, odd := range v.Odd {
		line("look at", "%s", e.IO.Paint(term.Warn, odd))
	}
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return term.Count(n) + " " + noun + "s"
}
