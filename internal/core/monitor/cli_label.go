package monitor

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// labelFile is the flags of `slipway labels add`.
type labelFile struct {
	endpoint, key, id, value, time string
}

func labelsCommand(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{Use: "labels", Short: "Tell what really happened, once it is known"}
	var l labelFile
	add := &cobra.Command{
		Use: "add FILE", Short: "Send labels from a CSV, JSON or Parquet file", Args: cobra.MinimumNArgs(1),
		Long: `Send labels from files. A row names its prediction by id, or by the key that came
with the request; then it belongs to the latest prediction for that key before
the label's time. Rows without a value are passed over. Sending a file again
does no harm, and another value for the same row is a correction.`,
		Example: "  slipway labels add outcomes.csv --endpoint flight-delay --key flight_id --value delayed --time known_at\n  slipway labels add outcomes.parquet --id prediction_id --value churned",
		RunE:    func(cmd *cobra.Command, args []string) error { return l.run(cmd, e, args) },
	}
	f := add.Flags()
	f.StringVar(&l.endpoint, "endpoint", "", "endpoint whose predictions they are about (with --key)")
	f.StringVar(&l.key, "key", "", "column of the key that came with the request")
	f.StringVar(&l.id, "id", "", "column of prediction ids")
	f.StringVar(&l.value, "value", "", "column of the truth: a class or a number")
	f.StringVar(&l.time, "time", "", "column of when it became known (default: now)")
	_ = add.MarkFlagRequired("value")
	cmd.AddCommand(add)
	return cmd
}

func (l *labelFile) run(cmd *cobra.Command, e *cli.Env, args []string) error {
	if (l.id == "") == (l.endpoint == "" || l.key == "") {
		return slipway.Errorf(slipway.Invalid, "labels name a prediction by --id, or by --endpoint and --key")
	}
	c, project, err := e.Connect(cmd)
	if err != nil {
		return err
	}
	files := make([]string, len(args))
	for i, a := range args {
		files[i] = e.Path(a)
	}
	engine := query.New(query.Options{})
	defer engine.Close()
	request := query.Request{Tables: []query.Table{{Name: "labels", Files: files}}, SQL: "SELECT * FROM labels"}
	bar := e.IO.Progress("labels", 0, term.Count)
	var sum LabelCount
	for frame, err := range engine.Batches(cmd.Context(), request, 10_000) {
		if err != nil {
			bar.Stop()
			return err
		}
		in := SendLabels{Project: project}
		if in.Body.Labels, err = l.labels(frame); err == nil && len(in.Body.Labels) > 0 {
			var n LabelCount
			n, err = OpLabels.Call(cmd.Context(), c, in)
			sum = LabelCount{sum.Received + n.Received, sum.New + n.New, sum.Corrected + n.Corrected, sum.Unchanged + n.Unchanged}
		}
		if err != nil {
			bar.Stop()
			return err
		}
		bar.Add(int64(frame.Rows))
	}
	bar.Done()
	return e.Print(sum, func(w io.Writer) {
		fmt.Fprintf(w, "%s labels: %s new, %s corrected, %s known already\n", term.Count(int64(sum.Received)), term.Count(int64(sum.New)), term.Count(int64(sum.Corrected)), term.Count(int64(sum.Unchanged)))
	})
}

// labels makes labels of a frame's rows.
func (l *labelFile) labels(f *slipway.Frame) ([]SentLabel, error) {
	find := func(name string) (*slipway.Series, error) {
		if name == "" {
			return nil, nil
		}
		s := f.Column(name)
		if s == nil {
			return nil, slipway.Errorf(slipway.Invalid, "the file has no column %s", name).WithHint("it has %v", f.Schema().Names())
		}
		return s, nil
	}
	value, err := find(l.value)
	if err != nil {
		return nil, err
	}
	id, err := find(l.id)
	if err != nil {
		return nil, err
	}
	key, err := find(l.key)
	if err != nil {
		return nil, err
	}
	at, err := find(l.time)
	if err != nil {
		return nil, err
	}
	if at != nil && at.Type != slipway.Time && at.Type != slipway.Date {
		return nil, slipway.Errorf(slipway.Invalid, "the column %s holds no times", l.time)
	}
	var out []SentLabel
	for i := range f.Rows {
		if value.Missing(i) || at != nil && at.Missing(i) {
			continue
		}
		var one SentLabel
		if id != nil {
			one.Prediction = cell(id, i)
		} else {
			one.Endpoint, one.Key = l.endpoint, cell(key, i)
		}
		switch {
		case value.Text != nil:
			one.Value = value.Text[i]
		case value.Type == slipway.Bool:
			one.Value = value.Float[i] != 0
		default:
			one.Value = value.Float[i]
		}
		if at != nil {
			one.Time = time.UnixMicro(int64(at.Float[i])).UTC()
		}
		out = append(out, one)
	}
	return out, nil
}
