package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/stat"
)

func compareCommand(e *cli.Env) *cobra.Command {
	var in AskVersion
	cmd := &cobra.Command{
		Use: "compare --with MODEL@vN", Short: "What the answers were worth, had another version given them", Args: cobra.NoArgs,
		Long: `Score the logged requests with another version, and compare its answers with
those that callers got, on every request whose label is known. The gain is the
paired difference, signed so that more is better; its 95 % interval counts days.
better means that the whole interval is above 0, worse that it is below, and
same that the other version gave every answer itself.`,
		Example: `  slipway monitor compare --with flight-delay@v1               had version 1 stayed
  slipway monitor compare --with flight-delay@v3 --by week --metric log_loss --from 2013-09-01`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in.Body.With == "" {
				return slipway.Errorf(slipway.Invalid, "nothing to compare with was named").WithHint("name a version, as --with model@v1")
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = project
			if in.Body.Endpoint == "" {
				if in.Body.Endpoint, err = endpointOf(cmd, c, project, nil); err != nil {
					return err
				}
			}
			v, err := runComparison(cmd, e, c, in)
			if err != nil {
				return err
			}
			return e.Print(v, func(w io.Writer) { showComparison(w, e.IO, v) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.Body.With, "with", "", "the version to compare with: NAME@vN, NAME@ALIAS, or NAME for the newest")
	f.StringVar(&in.Body.Endpoint, "endpoint", "", "endpoint (default: the busiest)")
	f.StringVar(&in.Body.By, "by", "month", "month, week or day, in the project's time zone")
	f.StringArrayVar(&in.Body.Metric, "metric", nil, "a metric; may be repeated (default: the declared one and the task's first two)")
	f.StringVar(&in.Body.From, "from", "", "first day, as 2013-09-01")
	f.StringVar(&in.Body.To, "to", "", "day after the last")
	return cmd
}

// runComparison starts the job and follows it.
func runComparison(cmd *cobra.Command, e *cli.Env, c web.Client, in AskVersion) (v VersionComparison, err error) {
	job, err := OpCompare.Call(cmd.Context(), c, in)
	if err != nil {
		return v, err
	}
	var bar *term.Progress
	job, err = web.Follow(cmd.Context(), c, job.ID, func(p web.Progress) {
		if p.Total == 0 {
			return
		}
		if bar == nil {
			bar = e.IO.Progress("score with "+in.Body.With+", days", p.Total, term.Count)
		}
		bar.Set(p.Done)
	})
	if bar != nil {
		bar.Stop()
	}
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(job.Result, &v)
}

// showComparison writes a table a metric: a line a period, and one for all.
func showComparison(w io.Writer, tio *term.IO, v VersionComparison) {
	name, _, _ := strings.Cut(v.With, "@")
	short := func(model string) string { return strings.TrimPrefix(model, name+"@") }
	for k, m := range v.Total.Metrics {
		t := tio.Table(strings.ToUpper(v.By), "ROWS", "MODELS", strings.ToUpper(m.Metric)+" SERVED", strings.ToUpper(short(v.With)), "GAIN", "VERDICT")
		for _, p := range v.Periods {
			p.row(t, p.label(v.By, v.Zone), k, short)
		}
		v.Total.row(t, "all", k, short)
		_ = t.Write(w)
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s against %s on the same requests; 95 %% intervals by day (%s); gain is signed so that more is better\n", v.Endpoint, v.With, v.Zone)
	if missing := v.Total.Answers - v.Total.Rows; missing > 0 {
		fmt.Fprintf(w, "%s of %s answers have no label and do not count\n", term.Count(int64(missing)), term.Count(int64(v.Total.Answers)))
	}
}

// label names a period: 2013-09, or its first day.
func (p *PeriodComparison) label(by, zone string) string {
	at := p.Start
	if z, err := time.LoadLocation(zone); err == nil {
		at = at.In(z)
	}
	if by == "month" {
		return at.Format("2006-01")
	}
	return at.Format(time.DateOnly)
}

func (p *PeriodComparison) row(t *term.Table, label string, metric int, short func(string) string) {
	m := p.Metrics[metric]
	var models []string
	for _, s := range p.Served {
		models = append(models, short(s.Model))
	}
	role := map[Worth]term.Role{Better: term.OK, Worse: term.Bad, Undecided: term.Warn, Same: term.Dim}[m.Verdict]
	t.Row(label, p.Rows, strings.Join(models, ", "), bounded(m.Served, "%.4f"), bounded(m.Other, "%.4f"), bounded(m.Gain, "%+.4f"), term.Cell{Role: role, Value: string(m.Verdict)})
}

// bounded writes an estimate with its bounds where they are known. Every line
// has the same digits after the point, so that they are easily compared.
func bounded(e stat.Estimate, format string) string {
	switch {
	case math.IsNaN(e.Value):
		return "-"
	case !e.Known():
		return fmt.Sprintf(format, e.Value)
	}
	return fmt.Sprintf(format+" ["+format+", "+format+"]", e.Value, e.Low, e.High)
}
