package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// runOptions are the flags of `slipway run`.
type runOptions struct {
	params        []string
	force, dryRun bool
	revision      int
	latest        bool
	from, to      string
}

// window is the event time of the rows to read, instead of slipway.yaml's.
func (o runOptions) window(zone *time.Location) (w slipway.Window, err error) {
	for text, into := range map[string]*time.Time{o.from: &w.From, o.to: &w.To} {
		if text == "" {
			continue
		}
		at, err := time.ParseInLocation(time.DateOnly, text, zone)
		if err != nil {
			if at, err = time.Parse(time.RFC3339, text); err != nil {
				return w, slipway.Errorf(slipway.Invalid, "%q is not a time", text).WithHint("write 2013-04-01 or 2013-04-01T06:00:00Z")
			}
		}
		*into = at.UTC()
	}
	return w, nil
}

// RunReport is what `slipway run --json` prints.
type RunReport struct {
	Run     Run                           `json:"run"`
	Applied *Applied                      `json:"applied,omitempty"`
	Metrics map[string]map[string]float64 `json:"metrics,omitempty"` // by step
	Files   *Returned                     `json:"files,omitempty"`
}

func runCommand(e *cli.Env, lock Lock) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [STEP…]",
		Short: "Bring the pipeline up to date: run the steps whose inputs changed",
		Long: `Bring the pipeline, or the named steps and those before them, up to date. A step
runs when something that its result depends on has changed: the content of its
inputs, a param, its command, the project's code that the command reaches, or the
environment. Otherwise its earlier result stands. The code is applied first.

Data is read in the versions that slipway.lock names, else in the newest.
Outputs are written back beside the code; files that you edited stay.

Exit status: 0 when all is up to date, 1 when a step failed, 2 when the request
or slipway.yaml is wrong, 3 when the model that was made does not pass its
gates, 5 when a step or a version does not exist, 130 after
Ctrl-C, which ends the steps that run.`,
		Example: `  slipway run
  slipway run train --param train.learning_rate=0.1
  slipway run --dry-run
  slipway run --from 2013-07-01 --to 2013-10-01     only these rows
  slipway run --force --json`,
		RunE: func(cmd *cobra.Command, steps []string) error {
			p, err := e.Project()
			if err != nil {
				return err
			}
			r := Request{Steps: steps, Force: o.force, DryRun: o.dryRun, Revision: o.revision}
			if r.Window, err = o.window(p.Location()); err != nil {
				return err
			}
			if r.Params, err = parseParams(o.params); err != nil {
				return err
			}
			if r.Data, err = pinned(p, lock, o.latest); err != nil {
				return err
			}
			return run(cmd.Context(), e, p, r)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.params, "param", "p", nil, "STEP.NAME=VALUE for this run, instead of slipway.yaml's (may be repeated)")
	f.BoolVar(&o.force, "force", false, "run every step, whatever is known")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "only say what would run, and why")
	f.IntVar(&o.revision, "revision", 0, "run an earlier revision instead of the working tree")
	f.StringVar(&o.from, "from", "", "read only rows from this event time on: a date, or RFC 3339")
	f.StringVar(&o.to, "to", "", "read only rows before this event time")
	f.BoolVar(&o.latest, "latest", false, "read the newest version of all data, whatever slipway.lock says")
	return cmd
}

// pinned is the data versions to read.
func pinned(p *project.Project, lock Lock, latest bool) (map[string]int, error) {
	if latest || lock == nil {
		return nil, nil
	}
	all, err := lock(p.Dir)
	maps.DeleteFunc(all, func(name string, _ int) bool { _, ok := p.Data[name]; return !ok })
	return all, err
}

// parseParams reads STEP.NAME=VALUE; values are read as YAML, so that 0.1 is a
// number and "0.1" text.
func parseParams(texts []string) (map[string]map[string]any, error) {
	var out map[string]map[string]any
	for _, t := range texts {
		place, value, ok := strings.Cut(t, "=")
		step, name, dot := strings.Cut(place, ".")
		if !ok || !dot || step == "" || name == "" {
			return nil, slipway.Errorf(slipway.Invalid, "%q is no param", t).WithHint("write --param train.learning_rate=0.1")
		}
		var v any
		if err := yaml.Unmarshal([]byte(value), &v); err != nil {
			v = value
		}
		// Numbers take the form that slipway.yaml's have.
		b, err := json.Marshal(v)
		if err != nil {
			v = value
		} else if err := json.Unmarshal(b, &v); err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]map[string]any{}
		}
		if out[step] == nil {
			out[step] = map[string]any{}
		}
		out[step][name] = v
	}
	return out, nil
}

func run(ctx context.Context, e *cli.Env, p *project.Project, r Request) error {
	c, err := e.Client(ctx)
	if err != nil {
		return err
	}
	state := LoadTreeState(stateFile(e, p))
	var report RunReport
	view := newView(e.IO)
	if r.Revision == 0 {
		a, err := apply(ctx, c, p, state)
		if err != nil {
			return err
		}
		if !e.IO.JSON && !e.IO.Quiet {
			tellApplied(e.IO.Err, a, false)
		}
		r.Revision, a.Revision.YAML = a.Revision.Number, ""
		report.Applied = &a
	}
	job, err := OpRun.Call(ctx, c, startIn{Project: p.Name, Body: r})
	if err != nil {
		return err
	}
	job, err = web.Follow(ctx, c, job.ID, view.see)
	view.end()
	if ctx.Err() != nil && view.run != "" {
		// The steps are ended before the command is, so that nothing runs on.
		_, _ = OpCancelRun.Call(context.WithoutCancel(ctx), c, runIn{Project: p.Name, Run: view.run})
		return ctx.Err()
	}
	if len(job.Result) > 0 {
		if jerr := json.Unmarshal(job.Result, &report.Run); jerr != nil {
			return jerr
		}
	}
	if report.Run.Project == "" || r.DryRun && err != nil {
		return err
	}
	return finishRun(ctx, e, c, p, state, report, r, err)
}

// finishRun returns outputs, and tells how the run ended.
func finishRun(ctx context.Context, e *cli.Env, c web.Client, p *project.Project, state *TreeState, report RunReport, r Request, failure error) error {
	if !r.DryRun {
		files, err := Return(ctx, c, p.Dir, report.Run, state)
		if err != nil {
			return err
		}
		report.Files = &files
		if !report.Run.Nothing {
			if report.Metrics, err = OpMetrics.Call(ctx, c, runIn{Project: p.Name, Run: report.Run.ID}); err != nil {
				return err
			}
		}
	}
	if err := state.Save(stateFile(e, p)); err != nil {
		return err
	}
	err := e.Print(report, func(w io.Writer) { summarise(e.IO, w, report, r.DryRun) })
	if failure != nil {
		return failure
	}
	return err
}

// summarise is the end of `slipway run` for people.
func summarise(t *term.IO, w io.Writer, report RunReport, dry bool) {
	r := report.Run
	switch {
	case r.Nothing:
		fmt.Fprintf(w, "nothing to do: %d step%s up to date (inputs, params, code and environment are those of earlier runs)\n", len(r.Task), plural(len(r.Task)))
	case len(r.Task) > 0:
		table := t.Table("STEP", "STATE", "TIME", "WHY", "METRICS")
		for _, k := range r.Task {
			table.Row(k.Step, term.Cell{Role: stateRole(k.State, k.Why), Value: stateText(k, dry)}, taskTime(k), whyText(k), metricText(report.Metrics[k.Step]))
		}
		_ = table.Write(w)
		if !dry {
			fmt.Fprintf(w, "run %s  %s\n", short(r.ID), r.State)
			if j := r.Judgement; j != nil && j.refusal() == nil {
				fmt.Fprintf(w, "%s  %s\n", j.Model, verdictText[j.Verdict])
			}
		}
	}
	if report.Files != nil {
		for _, path := range report.Files.Kept {
			fmt.Fprintf(w, "%s %s was edited and stays as it is; delete it and run again to get the run's own\n", t.Paint(term.Warn, "kept"), path)
		}
	}
}

var verdictText = map[slipway.Verdict]string{slipway.Pass: "passed its gates", slipway.Ungated: "is registered; no gates are declared"}

func plural(n int) string {
	if n == 1 {
		return " is"
	}
	return "s are"
}

func stateRole(s State, why Why) term.Role {
	switch s {
	case Succeeded, Reused:
		return term.OK
	case Failed:
		return term.Bad
	case Cancelled, Skipped:
		return term.Warn
	}
	return term.Plain
}

func stateText(k Task, dry bool) string {
	switch {
	case k.State == Reused:
		return "unchanged"
	case dry && k.Why.Verdict == verdictWait:
		return "may run"
	case dry:
		return "would run"
	case k.State == Succeeded:
		return "done"
	}
	return string(k.State)
}

func taskTime(k Task) any {
	if k.Started.IsZero() || k.Ended.IsZero() {
		return nil
	}
	return k.Ended.Sub(k.Started).Round(time.Millisecond)
}

func whyText(k Task) string {
	if k.Message != "" {
		return k.Message
	}
	return k.Why.Reason
}

func metricText(m map[string]float64) string {
	const most = 4
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if len(parts) == most {
			parts = append(parts, fmt.Sprintf("+%d", len(m)-most))
			break
		}
		parts = append(parts, name+" "+term.Float(m[name]))
	}
	return strings.Join(parts, "  ")
}
