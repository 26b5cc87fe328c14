package template

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// initOptions are the flags of `slipway init`.
type initOptions struct {
	template, from string
	task           string
	yes            bool
	answers        Answers
}

// Report is what `slipway init --json` prints.
type Report struct {
	Dir     string   `json:"dir"`
	Files   []string `json:"files"`
	Plan    *Plan    `json:"plan"`
	Assumed []string `json:"assumed,omitempty"`
	Next    []string `json:"next"`
}

// Commands is `slipway init`.
func Commands(e *cli.Env) []*cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a first project that runs at once, or one around a data file",
		Long: `Write a first project into DIR, by default into this folder: slipway.yaml, a
contract for the data, and small, ordinary Python that prepares rows, trains a
model and judges it. No file is overwritten.

With --from the project is made around a CSV, Parquet or JSON file: slipway looks
at it and proposes what to predict, when rows happened and what tells them apart.
In a terminal it asks, and Enter takes what is proposed; in a pipe or with --yes
it takes that by itself and lists what it assumed.

Exit status: 0 when the project is written, 2 when the file or an answer cannot
be used, 5 when the file does not exist, 6 when files are there already.`,
		Example: `  slipway init first --template regression
  slipway init churn --from customers.csv --target churned
  slipway init census --from adult.csv --columns age,workclass,income --yes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := e.Dir
			if len(args) == 1 {
				dir = e.Path(args[0])
			}
			o.answers.Task = slipway.Task(o.task)
			if o.from == "" {
				return initTemplate(cmd, e, o, dir)
			}
			return initFrom(cmd.Context(), e, o, dir)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.template, "template", "", "what to begin with: "+strings.Join(Names, ", "))
	f.StringVar(&o.from, "from", "", "data file to make the project around")
	f.StringVar(&o.answers.Target, "target", "", "column to predict")
	f.StringVar(&o.answers.Positive, "positive", "", "of two classes, the one whose probability is predicted")
	f.StringVar(&o.task, "task", "", "binary, multiclass or regression")
	f.StringVar(&o.answers.Time, "time", "", "when a row happened: a column, order:COLUMNS or none")
	f.StringVar(&o.answers.Timezone, "timezone", "", "of times that name none, such as Europe/Berlin (default UTC)")
	f.StringVar(&o.answers.Key, "key", "", "column that tells one row from all others, or none")
	f.StringSliceVar(&o.answers.Columns, "columns", nil, "names of the columns of a file without a header")
	f.BoolVarP(&o.yes, "yes", "y", false, "take what is proposed without asking")
	cmd.MarkFlagsMutuallyExclusive("template", "from")
	return []*cobra.Command{cmd}
}

// initTemplate writes one of the templates.
func initTemplate(cmd *cobra.Command, e *cli.Env, o initOptions, dir string) error {
	for _, flag := range []string{"target", "positive", "task", "time", "timezone", "key", "columns"} {
		if cmd.Flags().Changed(flag) {
			return slipway.Errorf(slipway.Invalid, "--%s is about a data file, and none is given", flag).WithHint("add --from FILE")
		}
	}
	name := o.template
	if name == "" {
		name = Names[0]
		if p := newPrompt(e, o.yes); p != nil {
			var err error
			if name, err = p.ask("Template: "+strings.Join(Names, ", "), name, func(s string) error {
				_, _, err := Preset(s)
				return err
			}); err != nil {
				return err
			}
		}
	}
	plan, data, err := Preset(name)
	if err != nil {
		return err
	}
	plan.Project = projectName(dir)
	files, err := plan.Files()
	if err != nil {
		return err
	}
	files = append(data, files...)
	if err := Write(dir, files, nil); err != nil {
		return err
	}
	return report(e, dir, plan, files)
}

// initFrom writes a project around a data file.
func initFrom(ctx context.Context, e *cli.Env, o initOptions, dir string) error {
	engine := query.New(query.Options{})
	defer engine.Close()
	from := e.Path(o.from)
	look, err := Examine(ctx, engine, from, o.answers.Columns)
	if err != nil {
		return err
	}
	prompt := newPrompt(e, o.yes)
	var ask Ask
	if prompt != nil {
		prompt.describe(look)
		ask = prompt.ask
	}
	unnamed := !look.Header && len(o.answers.Columns) == 0
	if unnamed && prompt != nil {
		if look, err = prompt.names(ctx, engine, from, look); err != nil {
			return err
		}
		unnamed = look.Column[0].Name == "col1"
	}
	plan, err := look.Propose(ctx, o.answers, ask)
	if err != nil {
		return err
	}
	if unnamed {
		note := fmt.Sprintf("the file has no header; its columns are called col1 to col%d (--columns names them)", len(look.Column))
		plan.Assumed = append([]string{note}, plan.Assumed...)
	}
	plan.Project, plan.Dataset = projectName(dir), DatasetName(from)
	var source Source
	source, plan.Path = place(dir, from, plan.Dataset)
	files, err := plan.Files()
	if err != nil {
		return err
	}
	if err := Write(dir, files, []Source{source}); err != nil {
		return err
	}
	if source.Path != "" {
		files = append([]File{{Path: source.Path}}, files...)
	}
	return report(e, dir, plan, files)
}

// projectName is a project's name after its folder.
func projectName(dir string) string { return safeName(filepath.Base(dir), "project") }

// report tells what was written, what was assumed and what comes next.
func report(e *cli.Env, dir string, p *Plan, files []File) error {
	r := Report{Dir: dir, Plan: p, Assumed: p.Assumed, Next: p.Next()}
	for _, f := range files {
		r.Files = append(r.Files, f.Path)
	}
	shown, err := filepath.Rel(e.Dir, dir)
	if err != nil || strings.HasPrefix(shown, "..") {
		shown = dir
	}
	if shown != "." {
		r.Next = append([]string{"cd " + shellWord(shown)}, r.Next...)
	}
	return e.Print(r, func(w io.Writer) { printReport(w, e, r) })
}

func shellWord(s string) string {
	if plainYAML.MatchString(s) || strings.HasPrefix(s, "/") && plainYAML.MatchString(s[1:]) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
