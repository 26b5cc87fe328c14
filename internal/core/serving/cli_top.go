package serving

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// pulse is what one variant did between two looks.
type pulse struct {
	Endpoint  string              `json:"endpoint"`
	Model     string              `json:"model"`
	Role      slipway.VariantRole `json:"role"`
	Requests  float64             `json:"requests_per_second"`
	Rows      float64             `json:"rows_per_second"`
	Failed    float64             `json:"failed_per_second"`
	Refused   float64             `json:"refused_per_second"`
	Explained float64             `json:"explained_per_second"`
	P50       float64             `json:"predict_p50_us"` // since the process began
	P99       float64             `json:"predict_p99_us"`
	State     string              `json:"state"`
}

func topCommand(e *cli.Env) *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the endpoints: requests, failures and latency, as they happen",
		Long: `Watch what each variant is asked, second by second, until Ctrl-C. In a terminal the
table is drawn over itself; elsewhere one follows the other, and with --json each
is a line. Rates are of the last interval, latencies since the server began.`,
		Example: "  slipway endpoints top\n  slipway endpoints top --every 5s --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return slipway.Errorf(slipway.Invalid, "--every is %s; it must be 100ms or more", every)
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			return watch(cmd.Context(), e, c, project, every)
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	return cmd
}

func watch(ctx context.Context, e *cli.Env, c web.Client, project string, every time.Duration) error {
	look := time.NewTicker(every)
	defer look.Stop()
	var before EndpointList
	var at time.Time
	lines := 0
	for first := true; ; first = false {
		now, err := OpEndpoints.Call(ctx, c, ListEndpoints{Project: project})
		if ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		if err != nil {
			return err
		}
		if !first {
			if lines, err = draw(e, pulses(before, now, time.Since(at)), lines); err != nil {
				return err
			}
		}
		before, at = now, time.Now()
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// pulses compares two looks at the endpoints. A process that began again counts
// from nothing.
func pulses(before, now EndpointList, took time.Duration) []pulse {
	old := map[string]VariantStatus{}
	for _, ep := range before.Endpoint {
		for _, v := range ep.Variant {
			old[ep.Name+"/"+v.Release+"/"+v.Model] = v
		}
	}
	out := []pulse{}
	for _, ep := range now.Endpoint {
		for _, v := range ep.Variant {
			was := old[ep.Name+"/"+v.Release+"/"+v.Model]
			if was.Requests > v.Requests {
				was = VariantStatus{}
			}
			each := func(a, b int64) float64 { return max(0, float64(b-a)) / took.Seconds() }
			out = append(out, pulse{Endpoint: ep.Name, Model: v.Model, Role: v.Role, Requests: each(was.Requests, v.Requests), Rows: each(was.Rows, v.Rows),
				Failed: each(was.Failed, v.Failed), Refused: each(was.Refused, v.Refused), Explained: each(was.Explained, v.Explained),
				P50: v.Latency["predict"].P50, P99: v.Latency["predict"].P99, State: v.state(ep)})
		}
	}
	return out
}

// draw shows the pulses over those drawn before, and gives how many lines they
// took.
func draw(e *cli.Env, list []pulse, lines int) (int, error) {
	if e.IO.JSON {
		return 0, e.IO.PrintJSON(list)
	}
	var b bytes.Buffer
	if e.IO.TTY && lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", lines) // up, and clear to the end
	}
	from := b.Len()
	t := e.IO.Table("endpoint", "model", "role", "requests/s", "rows/s", "failed/s", "refused/s", "predict p50", "p99", "state")
	rate := func(v float64) string { return fmt.Sprintf("%.1f", v) }
	for _, p := range list {
		t.Row(p.Endpoint, p.Model, string(p.Role), rate(p.Requests), rate(p.Rows), rate(p.Failed), rate(p.Refused), micros(p.P50), micros(p.P99), p.State)
	}
	if err := t.Write(&b); err != nil {
		return 0, err
	}
	_, err := e.IO.Out.Write(b.Bytes())
	return bytes.Count(b.Bytes()[from:], []byte{'\n'}), err
}
