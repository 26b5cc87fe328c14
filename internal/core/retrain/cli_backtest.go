package retrain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func backtestCommand(e *cli.Env) *cobra.Command {
	var in StartBacktest
	var from, to string
	var last, params []string
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Score retraining policies on history before one is switched on",
		Long: `Train at every cut of the history on every window, by running the applied pipeline,
and compare what each policy would have lived through: never retraining, everything
so far, the last days; at every cut, or when the features drift. All policies answer
the same rows, so differences are paired, by day. What was run before is not run
again. A policy that is not shown to win is called undecided.`,
		Example: `  slipway backtest --from 2013-04-01 --to 2014-01-01 --last 90d
  slipway backtest --from 2013-04-01 --to 2014-01-01 --last 90d --param prepare.test_days=31`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Body.Last = project, last
			zone := time.UTC
			if p, err := e.Project(); err == nil {
				zone = p.Location()
			}
			if in.Body.From, err = parseDay(from, zone); err != nil {
				return err
			}
			if in.Body.To, err = parseDay(to, zone); err != nil {
				return err
			}
			if in.Body.Params, err = parseParams(params); err != nil {
				return err
			}
			job, err := OpBacktest.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			if job, err = follow(cmd, e, c, job, "backtest"); err != nil {
				return err
			}
			var r Report
			if err := json.Unmarshal(job.Result, &r); err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) { printReport(w, e, r) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "time of the first training (a date)")
	f.StringVar(&to, "to", "", "end of the history (a date)")
	f.StringVar(&in.Body.Every, "every", "month", "time between trainings: month, or a length such as 7d")
	f.StringSliceVar(&last, "last", []string{"90d"}, "lengths of windows to try beside everything so far")
	f.StringVar(&in.Body.Metric, "metric", "", "metric to compare by (default: the first of the gates)")
	f.StringArrayVar(&params, "param", nil, "step.name=value for the runs that only make rows to score")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

func parseDay(s string, zone *time.Location) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339, "2006-01"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, slipway.Errorf(slipway.Invalid, "%q is not a date", s).WithHint("write 2013-04-01")
}

// parseParams reads step.name=value; values are JSON where they parse, else text.
func parseParams(list []string) (map[string]map[string]any, error) {
	out := map[string]map[string]any{}
	for _, text := range list {
		place, value, ok := strings.Cut(text, "=")
		step, name, dotted := strings.Cut(place, ".")
		if !ok || !dotted || step == "" || name == "" {
			return nil, slipway.Errorf(slipway.Invalid, "%q is not a param", text).WithHint("write step.name=value")
		}
		if out[step] == nil {
			out[step] = map[string]any{}
		}
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			v = value
		}
		out[step][name] = v
	}
	return out, nil
}

// printReport writes a backtest as two tables and a sentence.
func printReport(w io.Writer, e *cli.Env, r Report) {
	t := e.IO.Table("POLICY", strings.ToUpper(r.Metric), "95 % BY DAY", "TRAINED", "AGAINST NEVER", "REGRET", "VERDICT")
	for _, p := range append(r.Policy, r.Oracle) {
		gain := ""
		if p.Gain != nil && p.Gain.Known() {
			gain = fmt.Sprintf("%+.4f [%+.4f, %+.4f]", p.Gain.Value, p.Gain.Low, p.Gain.High)
		}
		if p.Name == r.Policy[0].Name || p.Name == r.Oracle.Name {
			gain, p.Verdict = "", ""
		}
		t.Row(p.Name, fmt.Sprintf("%.4f", p.Value.Value), fmt.Sprintf("%.4f-%.4f", p.Value.Low, p.Value.High), p.Trained, gain, fmt.Sprintf("%.4f", p.Regret), p.Verdict)
	}
	_ = t.Write(w)
	fmt.Fprintln(w)
	heading := []string{r.Metric}
	for _, at := range r.Batch {
		heading = append(heading, at.Format("Jan 02"))
	}
	by := e.IO.Table(heading...)
	for _, p := range r.Policy {
		row := []any{p.Name}
		for _, v := range p.ByBatch {
			row = append(row, fmt.Sprintf("%.3f", v))
		}
		by.Row(row...)
	}
	_ = by.Write(w)
	fmt.Fprintf(w, "\n%s\n", e.IO.Paint(term.Bold, r.Verdict))
}
