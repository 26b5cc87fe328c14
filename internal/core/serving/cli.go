package serving

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// Commands is `slipway serve`, `gateway`, `predict`, `explain` and `endpoints`.
func Commands(e *cli.Env, local Local) []*cobra.Command {
	return []*cobra.Command{serveCommand(e, local), gatewayCommand(e, local), predictCommand(e, local), explainCommand(e), endpointsCommand(e)}
}

// predictOptions are the flags of `slipway predict`.
type predictOptions struct {
	row, data, out, model, time string
}

func predictCommand(e *cli.Env, local Local) *cobra.Command {
	var o predictOptions
	cmd := &cobra.Command{
		Use:   "predict [ENDPOINT[@VERSION]]",
		Short: "Ask an endpoint about a row, or score a file",
		Long: `Ask the endpoint that answers at SLIPWAY_INFERENCE (default 127.0.0.1:7071). A row
is a JSON object of its columns; -d - reads it from standard input.

With --data it scores every row of a file and writes the file again with the
answers beside the columns; with --model PATH by a model file, without a server.`,
		Example: `  slipway predict flight-delay -d '{"carrier": "UA", "hour": 17}'
  cat rows.json | slipway predict flight-delay -d -
  slipway predict flight-delay --data flights.parquet --out scored.parquet
  slipway predict --model model.txt --data flights.csv --out scored.parquet`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			endpoint := strings.Join(args, "")
			if o.data != "" {
				return o.batch(cmd.Context(), e, local, endpoint)
			}
			if o.out != "" || o.model != "" {
				return slipway.Errorf(slipway.Invalid, "--out and --model go with --data")
			}
			return o.single(cmd.Context(), e, endpoint)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.row, "row", "d", "", "row or rows in JSON; - reads standard input")
	f.StringVar(&o.data, "data", "", "file to score: Parquet, CSV or JSON, or a dataset version such as flights@v3")
	f.StringVar(&o.out, "out", "", "file to write: .parquet or .csv")
	f.StringVar(&o.model, "model", "", "model file or folder to score with, instead of an endpoint")
	f.StringVar(&o.time, "timezone", "", "time zone of times without one in --data (default UTC)")
	return cmd
}

// typed is the row of a flag, or standard input for "-".
func typed(e *cli.Env, row string) ([]byte, error) {
	switch row {
	case "":
		return nil, slipway.Errorf(slipway.Invalid, "there is no row").WithHint(`give it with -d '{"column": value, …}', or -d - for standard input`)
	case "-":
		return io.ReadAll(e.IO.In)
	}
	return []byte(row), nil
}

func (o *predictOptions) single(ctx context.Context, e *cli.Env, endpoint string) error {
	raw, err := typed(e, o.row)
	if err != nil {
		return err
	}
	r, err := ask(ctx, e, endpoint, raw, "infer")
	if err != nil {
		return err
	}
	return e.Print(r, func(w io.Writer) {
		heading := []string{"prediction"}
		for _, out := range r.Outputs {
			heading = append(heading, out.Name)
		}
		t := e.IO.Table(append(heading, "model", "variant")...)
		for i, id := range r.Parameters.Prediction {
			row := []any{id}
			for _, out := range r.Outputs {
				row = append(row, out.Data[i])
			}
			t.Row(append(row, r.Parameters.Model, r.Parameters.Variant)...)
		}
		_ = t.Write(w)
	})
}

func ask(ctx context.Context, e *cli.Env, endpoint string, raw []byte, verb string) (reply, error) {
	body, err := requestOf(raw)
	if err != nil {
		return reply{}, err
	}
	c := newClient(e.Getenv)
	if endpoint, err = c.endpoint(ctx, endpoint); err != nil {
		return reply{}, err
	}
	r, _, err := c.ask(ctx, endpoint, verb, body)
	return r, err
}

func explainCommand(e *cli.Env) *cobra.Command {
	var row, endpoint string
	var top int
	cmd := &cobra.Command{
		Use:   "explain [PREDICTION_ID]",
		Short: "Say which features made a prediction what it is (exact SHAP)",
		Example: `  slipway explain 0f3a5c…                      a prediction that was made, by the version that made it
  slipway explain --endpoint flight-delay --row '{"carrier": "UA", "hour": 17}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (row != "") {
				return slipway.Errorf(slipway.Invalid, "give a prediction's id, or a row with --row")
			}
			var x LoggedExplanation
			var err error
			if row != "" {
				x, err = explainRow(cmd.Context(), e, endpoint, row)
			} else {
				x, err = explainID(cmd, e, args[0])
			}
			if err != nil {
				return err
			}
			return e.Print(x, func(w io.Writer) { x.show(e.IO, w, top) })
		},
	}
	cmd.Flags().StringVarP(&row, "row", "d", "", "a row in JSON, instead of a logged prediction; - reads standard input")
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "endpoint that explains --row (default: the only one)")
	cmd.Flags().IntVar(&top, "top", 15, "how many features to show; 0 shows all")
	return cmd
}

func explainID(cmd *cobra.Command, e *cli.Env, id string) (LoggedExplanation, error) {
	c, project, err := e.Connect(cmd)
	if err != nil {
		return LoggedExplanation{}, err
	}
	return OpExplain.Call(cmd.Context(), c, ExplainPrediction{Project: project, ID: id})
}

func explainRow(ctx context.Context, e *cli.Env, endpoint, row string) (LoggedExplanation, error) {
	raw, err := typed(e, row)
	if err != nil {
		return LoggedExplanation{}, err
	}
	r, err := ask(ctx, e, endpoint, raw, "explain")
	if err != nil {
		return LoggedExplanation{}, err
	}
	sent := firstRow(raw)
	about := r.Parameters.Explanation
	out := LoggedExplanation{Model: r.Parameters.Model, Output: map[string]any{}, Space: about.Space, Method: about.Method}
	var values, base []any
	for _, t := range r.Outputs {
		switch {
		case t.Name == "shap_values":
			values = t.Data
		case t.Name == "shap_base":
			base = t.Data
		case len(t.Data) > 0:
			out.Output[t.Name] = t.Data[0]
		}
	}
	if len(base) != len(about.Output) || len(values) < len(about.Output)*len(about.Feature) {
		return out, slipway.Errorf(slipway.Unavailable, "the explanation is not understood")
	}
	for o, name := range about.Output {
		x := ExplainedOutput{Output: name}
		x.Base, _ = base[o].(float64)
		for f, feature := range about.Feature {
			v, _ := values[o*len(about.Feature)+f].(float64)
			x.Feature = append(x.Feature, ExplainedFeature{Name: feature, Sent: sent[feature], Value: v})
		}
		x.sort()
		out.Explained = append(out.Explained, x)
	}
	return out, nil
}

// show draws each output's features as bars, the strongest first.
func (x LoggedExplanation) show(t *term.IO, w io.Writer, top int) {
	fmt.Fprintf(w, "%s\n", x.Model)
	for _, o := range x.Explained {
		fmt.Fprintf(w, "\n%s (%s, base %.4g)\n", o.Output, x.Space, o.Base)
		largest := 0.0
		for _, f := range o.Feature {
			largest = max(largest, math.Abs(f.Value))
		}
		table := t.Table("feature", "sent", "moved by", "")
		for i, f := range o.Feature {
			if top > 0 && i == top {
				break
			}
			bar := ""
			if largest > 0 {
				bar = term.Bar(math.Abs(f.Value)/largest, 20)
			}
			table.Row(f.Name, f.Sent, f.Value, bar)
		}
		_ = table.Write(w)
	}
}

func endpointsCommand(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "endpoints",
		Aliases: []string{"endpoint"},
		Short:   "Show who answers: variants, traffic, rates, latency, failures",
		Example: "  slipway endpoints\n  slipway endpoints --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			list, err := OpEndpoints.Call(cmd.Context(), c, ListEndpoints{Project: project})
			if err != nil {
				return err
			}
			return e.Print(list, func(w io.Writer) {
				if len(list.Endpoint) == 0 {
					fmt.Fprintf(w, "no endpoints in project %s: `slipway deploy MODEL@vN` makes one\n", project)
					return
				}
				t := e.IO.Table("endpoint", "model", "role", "traffic", "requests", "failed", "per second", "predict p50", "p99", "state")
				for _, ep := range list.Endpoint {
					for _, v := range ep.Variant {
						t.Row(ep.Name, v.Model, string(v.Role), fmt.Sprintf("%d%%", v.Weight), v.Requests, v.Failed, math.Round(10*v.Rate)/10,
							micros(v.Latency["predict"].P50), micros(v.Latency["predict"].P99), v.state(ep))
					}
				}
				_ = t.Write(w)
			})
		},
	}
	cmd.AddCommand(topCommand(e))
	return cmd
}

func micros(us float64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f µs", us)
}

func (v VariantStatus) state(e EndpointStatus) string {
	switch {
	case v.Tripped != "":
		return "cut off: " + v.Tripped
	case !v.Ready && e.Failure != "":
		return "not ready: " + e.Failure
	case !v.Ready:
		return "not ready"
	}
	return "answers"
}
