package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// options are the flags of `slipway replay`.
type options struct {
	plan                     Plan
	from, to                 string
	delay, tick, pause, zone string
}

// Commands is `slipway replay`.
func Commands(e *cli.Env) []*cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "replay FILE...",
		Short: "Send recorded rows as real requests, faster than they happened",
		Long: `Send rows to an endpoint as HTTP requests, in the order of their event time, with
the labels that became known later. In a workspace that follows event time
(slipway up --replay) the clock moves with the rows, and stands still until the
server has settled what follows: windows, alarms, rollouts, retraining.`,
		Example: `  slipway replay requests.parquet --endpoint flight-delay --time departed_at --key flight_id \
      --label delayed --label-delay 1d --from 2013-04-01 --to 2013-05-01
  slipway replay requests.csv --endpoint churn --time at --tick 0     only load, no clock`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), cmd, e, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.plan.Endpoint, "endpoint", "", "endpoint to send to")
	f.StringVar(&o.plan.Inference, "inference", "", "address of the endpoints (default http://127.0.0.1:7071)")
	f.StringVar(&o.plan.Time, "time", "", "column of event time")
	f.StringVar(&o.plan.Key, "key", "", "column that names a row; labels are joined by it")
	f.StringVar(&o.plan.Label, "label", "", "column of the truth; rows without it get no label")
	f.StringVar(&o.delay, "label-delay", "1d", "event time from a row to its label")
	f.StringVar(&o.from, "from", "", "first event time (a date, or RFC 3339)")
	f.StringVar(&o.to, "to", "", "end of event time, not included")
	f.StringVar(&o.zone, "timezone", "", "time zone of --from and --to (default: slipway.yaml's, else UTC)")
	f.StringVar(&o.tick, "tick", "6h", "event time between moves of the clock; 0 leaves the clock alone")
	f.StringVar(&o.pause, "pause", "0s", "least time between ticks, to watch")
	f.IntVar(&o.plan.Workers, "concurrency", 16, "requests at once")
	_ = cmd.MarkFlagRequired("endpoint")
	_ = cmd.MarkFlagRequired("time")
	return []*cobra.Command{cmd}
}

func (o *options) run(ctx context.Context, cmd *cobra.Command, e *cli.Env, args []string) error {
	api, project, err := e.Connect(cmd)
	if err != nil {
		return err
	}
	o.plan.Project = project
	if err := o.parse(e); err != nil {
		return err
	}
	if o.plan.Input, err = inputs(ctx, o.plan.Inference, o.plan.Endpoint); err != nil {
		return err
	}
	files, err := expand(e, args)
	if err != nil {
		return err
	}
	engine := query.New(query.Options{})
	defer engine.Close()
	total, request, err := o.source(ctx, engine, files)
	if err != nil {
		return err
	}
	bar := e.IO.Progress("replay", total, term.Count)
	result, err := Run(ctx, o.plan, api, engine.Batches(ctx, request, 8192), total, func(p Progress) {
		bar.Set(p.Done)
	})
	bar.Done()
	if err != nil {
		return err
	}
	return e.Print(result, func(w io.Writer) { show(w, result) })
}

// source is the query that gives the wanted rows in order, and their number.
func (o *options) source(ctx context.Context, engine *query.Engine, files []string) (int64, query.Request, error) {
	column := `"` + o.plan.Time + `"`
	where, params := " WHERE "+column+" IS NOT NULL", []any{}
	if !o.plan.From.IsZero() {
		from := o.plan.From
		if o.plan.Label != "" {
			from = from.Add(-o.plan.LabelDelay)
		}
		where, params = where+" AND "+column+" >= ?", append(params, from)
	}
	if !o.plan.To.IsZero() {
		where, params = where+" AND "+column+" < ?", append(params, o.plan.To)
	}
	r := query.Request{Tables: []query.Table{{Name: "rows", Files: files}}, Params: params}
	r.SQL = "SELECT COUNT(*) FROM rows" + where
	counted, err := engine.Run(ctx, r)
	if err != nil {
		return 0, r, err
	}
	r.SQL = "SELECT * FROM rows" + where + " ORDER BY " + column
	return counted.Rows[0][0].(int64), r, nil
}

// parse reads the flags that are not plain text.
func (o *options) parse(e *cli.Env) (err error) {
	if o.plan.Inference == "" {
		o.plan.Inference = e.Getenv("SLIPWAY_INFERENCE")
	}
	o.plan.Inference = address(o.plan.Inference)
	for text, into := range map[*string]*time.Duration{&o.delay: &o.plan.LabelDelay, &o.tick: &o.plan.Tick, &o.pause: &o.plan.Pause} {
		if *text == "0" {
			continue
		}
		if *into, err = slipway.ParseDuration(*text); err != nil {
			return err
		}
	}
	zone, err := o.location(e)
	if err != nil {
		return err
	}
	if o.plan.From, err = when(o.from, zone); err != nil {
		return err
	}
	if o.plan.To, err = when(o.to, zone); err != nil {
		return err
	}
	if o.plan.Workers < 1 || o.plan.Workers > 1024 {
		return slipway.Errorf(slipway.Invalid, "--concurrency is %d; it must be from 1 to 1024", o.plan.Workers)
	}
	return nil
}

func (o *options) location(e *cli.Env) (*time.Location, error) {
	if o.zone == "" {
		p, err := e.Project()
		if err != nil {
			return time.UTC, nil // outside a project: times are UTC
		}
		return p.Location(), nil
	}
	zone, err := time.LoadLocation(o.zone)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%q is not a time zone", o.zone).WithHint("write a name such as America/New_York")
	}
	return zone, nil
}

// address makes a URL of what may be a host and port alone.
func address(s string) string {
	switch {
	case s == "":
		return "http://127.0.0.1:7071"
	case len(s) > 4 && s[:4] == "http":
		return s
	}
	return "http://" + s
}

// when reads a date or an instant; "" is the zero time.
func when(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly, "2006-01"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, slipway.Errorf(slipway.Invalid, "%q is not a time", s).WithHint("write 2013-04-01 or 2013-04-01T06:00:00Z")
}

// expand finds the files that arguments name: patterns and folders too.
func expand(e *cli.Env, args []string) ([]string, error) {
	var out []string
	for _, a := range args {
		path := e.Path(a)
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, "*")
		}
		found, err := filepath.Glob(path)
		if err != nil || len(found) == 0 {
			return nil, slipway.Errorf(slipway.NotFound, "there is no file %s", a)
		}
		out = append(out, found...)
	}
	slices.Sort(out)
	return out, nil
}

// show prints what a replay did.
func show(w io.Writer, r Result) {
	rate := float64(r.Sent) / max(r.Elapsed.Seconds(), 1e-9)
	fmt.Fprintf(w, "%d requests in %s (%.0f/s, p50 %s, p99 %s), %d refused, %d labels\n",
		r.Sent, r.Elapsed.Round(time.Millisecond), rate, r.P50.Round(time.Microsecond), r.P99.Round(time.Microsecond), r.Failed, r.Labels)
	for message, n := range r.Failure {
		fmt.Fprintln(w, "  "+strconv.FormatInt(n, 10)+" x "+message)
	}
}
