package tracking

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/guptarohit/asciigraph"
	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
)

// Commands are `slipway runs`, below which other capabilities add commands, and
// `slipway import`.
func Commands(e *cli.Env) []*cobra.Command {
	var in FindRuns
	var deleted bool
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "Find, show and compare runs",
		Example: `  slipway runs --filter "metrics.auc > 0.7 AND params.leaves = '63'" --order "metrics.auc DESC"
  slipway runs show 3f2a
  slipway runs compare 3f2a 91bc
  slipway runs curve 3f2a loss`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if deleted {
				in.View = DeletedOnly
			}
			return listRuns(e, cmd, in)
		},
	}
	ls := &cobra.Command{Use: "ls", Short: "Runs, newest first: the same as `slipway runs`", Args: cobra.NoArgs, RunE: cmd.RunE,
		Example: "  slipway runs ls --limit 5"}
	cmd.AddCommand(ls, showCommand(e), compareCommand(e), curveCommand(e))
	for _, c := range []*cobra.Command{cmd, ls} {
		listFlags(c, &in, &deleted)
	}
	return []*cobra.Command{cmd, importCommand(e)}
}

func listFlags(cmd *cobra.Command, in *FindRuns, deleted *bool) {
	f := cmd.Flags()
	f.StringVar(&in.Filter, "filter", "", "conditions joined by AND, on metrics.X, params.X, tags.X, datasets.X and attributes")
	f.StringArrayVar(&in.Order, "order", nil, "such as \"metrics.auc DESC\"; may be repeated (default: newest first)")
	f.StringVar(&in.Experiment, "experiment", "", "runs of one experiment, by name")
	f.IntVar(&in.Limit, "limit", 20, "at most so many runs")
	f.StringVar(&in.Page, "page", "", "the token that the page before ended with")
	f.BoolVar(deleted, "deleted", false, "deleted runs instead")
}

func listRuns(e *cli.Env, cmd *cobra.Command, in FindRuns) error {
	c, project, err := e.Connect(cmd)
	if err != nil {
		return err
	}
	in.Project = project
	page, err := OpRuns.Call(cmd.Context(), c, in)
	if err != nil {
		return err
	}
	return e.Print(page, func(w io.Writer) {
		if len(page.Runs) == 0 {
			fmt.Fprintf(w, "no runs in project %s\n", project)
			return
		}
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		columns := headline(page.Runs)
		fmt.Fprintln(t, "RUN\tNAME\tSTATUS\tSTARTED\tTOOK\t"+strings.ToUpper(strings.Join(columns, "\t")))
		for _, r := range page.Runs {
			row := []string{r.ID[:8], r.Name, strings.ToLower(string(r.Status)), r.Start.Format("2006-01-02 15:04:05"), took(r)}
			for _, key := range columns {
				row = append(row, latest(r, key))
			}
			fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t"))
		}
		t.Flush()
		if page.Next != "" && !e.IO.Quiet {
			fmt.Fprintf(e.IO.Err, "more: --page %s\n", page.Next)
		}
	})
}

// headline picks the metrics that a list shows: the first four keys.
func headline(runs []*Run) []string {
	var keys []string
	seen := map[string]bool{}
	for _, r := range runs {
		for _, m := range r.Metrics {
			if !seen[m.Key] && len(keys) < 4 {
				seen[m.Key] = true
				keys = append(keys, m.Key)
			}
		}
	}
	return keys
}

func latest(r *Run, key string) string {
	for _, m := range r.Metrics {
		if m.Key == key {
			return brief(m.Value)
		}
	}
	return ""
}

func brief(v Number) string { return strconv.FormatFloat(float64(v), 'g', 5, 64) }

func took(r *Run) string {
	if r.End.IsZero() {
		return ""
	}
	return r.End.Sub(r.Start).Round(time.Millisecond).String()
}

func showCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show RUN", Short: "Everything a run logged", Args: cobra.ExactArgs(1), Example: "  slipway runs show 3f2a",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			named := NamedRun{Project: project, Run: args[0]}
			r, err := OpRun.Call(cmd.Context(), c, named)
			if err != nil {
				return err
			}
			files, err := OpArtifacts.Call(cmd.Context(), c, ArtifactsOf{NamedRun: named})
			if err != nil {
				return err
			}
			return e.Print(struct {
				*Run
				Artifacts []Artifact `json:"artifacts"`
			}{r, files}, func(w io.Writer) { showRun(w, r, files) })
		},
	}
}

func showRun(w io.Writer, r *Run, files []Artifact) {
	fmt.Fprintf(w, "run %s  %s\n%s, %s, started %s", r.ID, r.Name, strings.ToLower(string(r.Status)), r.Kind, r.Start.Format(time.RFC3339))
	if t := took(r); t != "" {
		fmt.Fprintf(w, ", took %s", t)
	}
	fmt.Fprintln(w)
	section := func(title string, n int, row func(t io.Writer, i int)) {
		if n == 0 {
			return
		}
		fmt.Fprintf(w, "\n%s\n", title)
		t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for i := range n {
			row(t, i)
		}
		t.Flush()
	}
	section("params", len(r.Params), func(t io.Writer, i int) { fmt.Fprintf(t, "  %s\t%s\n", r.Params[i].Key, r.Params[i].Value) })
	section("metrics", len(r.Metrics), func(t io.Writer, i int) {
		fmt.Fprintf(t, "  %s\t%s\tstep %d\n", r.Metrics[i].Key, brief(r.Metrics[i].Value), r.Metrics[i].Step)
	})
	section("tags", len(r.Tags), func(t io.Writer, i int) {
		fmt.Fprintf(t, "  %s\t%s\n", r.Tags[i].Key, cut(strings.ReplaceAll(r.Tags[i].Value, "\n", " "), 100))
	})
	section("datasets", len(r.Datasets), func(t io.Writer, i int) { fmt.Fprintf(t, "  %s\t%s\n", r.Datasets[i].Name, r.Datasets[i].Digest) })
	section("artifacts", len(files), func(t io.Writer, i int) {
		if files[i].Folder {
			fmt.Fprintf(t, "  %s/\t\n", files[i].Path)
			return
		}
		fmt.Fprintf(t, "  %s\t%d bytes\n", files[i].Path, files[i].Size)
	})
}

func compareCommand(e *cli.Env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "compare RUN RUN…", Short: "How runs differ in params and metrics", Args: cobra.MinimumNArgs(2), Example: "  slipway runs compare 3f2a 91bc",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			got, err := OpCompare.Call(cmd.Context(), c, CompareRuns{Project: project, Run: args})
			if err != nil {
				return err
			}
			return e.Print(got, func(w io.Writer) { showComparison(w, got, all) })
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show what is equal too")
	return cmd
}

func showComparison(w io.Writer, c Comparison, all bool) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "\t")
	for _, r := range c.Runs {
		fmt.Fprintf(t, "%s %s\t", r.ID[:8], r.Name)
	}
	fmt.Fprintln(t)
	equal := 0
	for _, part := range []struct {
		of   string
		rows []Row
	}{{"params.", c.Params}, {"metrics.", c.Metrics}} {
		for _, row := range part.rows {
			if !row.Different && !all {
				equal++
				continue
			}
			fmt.Fprintf(t, "%s%s\t", part.of, row.Key)
			for _, v := range row.Value {
				if v == "" {
					v = "-"
				}
				fmt.Fprintf(t, "%s\t", v)
			}
			fmt.Fprintln(t)
		}
	}
	t.Flush()
	if equal > 0 {
		fmt.Fprintf(w, "%d params and metrics are equal; --all shows them\n", equal)
	}
}

func curveCommand(e *cli.Env) *cobra.Command {
	in := CurveOf{}
	cmd := &cobra.Command{
		Use: "curve RUN METRIC", Short: "Draw the history of a metric", Args: cobra.ExactArgs(2), Example: "  slipway runs curve 3f2a loss",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Run, in.Key = project, args[0], args[1]
			got, err := OpCurve.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(got, func(w io.Writer) {
				values := make([]float64, len(got.Points))
				for i, p := range got.Points {
					values[i] = float64(p.Value)
				}
				first, last := got.Points[0], got.Points[len(got.Points)-1]
				fmt.Fprintln(w, asciigraph.Plot(values, asciigraph.Height(15), asciigraph.Width(min(70, max(2, len(values)))),
					asciigraph.Caption(fmt.Sprintf("%s, steps %d to %d, %d points, last %s", got.Key, first.Step, last.Step, got.Total, brief(last.Value)))))
			})
		},
	}
	cmd.Flags().IntVar(&in.Points, "points", 1000, "thin a longer history to about so many")
	return cmd
}
