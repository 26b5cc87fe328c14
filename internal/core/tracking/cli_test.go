package tracking_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	. "github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// command runs a command line against the world's operations.
func (w *world) command(args ...string) (string, error) {
	w.t.Helper()
	api := web.NewAPI("test")
	w.Routes(api)
	var out, errs bytes.Buffer
	env := &cli.Env{IO: &term.IO{Out: &out, Err: &errs}, Dir: w.t.TempDir(), Client: func(context.Context) (web.Client, error) {
		return web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: slipway.Operator}), nil
	}}
	cmd := Commands(env)[0]
	cmd.PersistentFlags().BoolVar(&env.IO.JSON, "json", false, "")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(w.t.Context())
	return out.String(), err
}

func TestRunsOnTheCommandLine(t *testing.T) {
	each(t, func(w *world) {
		var ids []string
		for i, leaves := range []string{"31", "63"} {
			r := w.run("run-"+leaves, i)
			ids = append(ids, r.ID[:10])
			w.log(r, Batch{Params: []Pair{{"leaves", leaves}, {"seed", "1"}}, Metrics: []Metric{metric("auc", 0, 1, 0.5), metric("auc", 1, 2, []float64{0.7, 0.8}[i])}})
			if _, err := w.PutArtifact(w.ctx, Place{r.ID, "model/model.txt"}, strings.NewReader("tree")); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			args []string
			want []string // parts of the output, in this order
			not  string
		}{
			{[]string{}, []string{"AUC", "run-63", "0.8", "run-31", "0.7"}, ""},
			{[]string{"--filter", "metrics.auc > 0.75"}, []string{"run-63"}, "run-31"},
			{[]string{"--order", "metrics.auc", "--limit", "1"}, []string{"run-31"}, "run-63"},
			{[]string{"--experiment", "flights", "--json"}, []string{`"runs"`, `"params"`}, ""},
			{[]string{"show", ids[0]}, []string{"run-31", "leaves", "31", "auc", "0.7", "model/"}, ""},
			{[]string{"show", ids[0], "--json"}, []string{`"id"`, `"artifacts"`}, ""},
			{[]string{"compare", ids[0], ids[1]}, []string{"params.leaves", "31", "63", "metrics.auc", "0.7", "0.8", "1 params and metrics are equal"}, "seed"},
			{[]string{"compare", "--all", ids[0], ids[1]}, []string{"params.seed"}, ""},
			{[]string{"curve", ids[0], "auc"}, []string{"0.70", "0.50", "auc, steps 0 to 1, 2 points, last 0.7"}, ""},
		} {
			out, err := w.command(c.args...)
			if err != nil {
				t.Errorf("%v: %v", c.args, err)
			}
			rest := out
			for _, part := range c.want {
				i := strings.Index(rest, part)
				if i < 0 {
					t.Errorf("%v: no %q in order in\n%s", c.args, part, out)
					break
				}
				rest = rest[i+len(part):]
			}
			if c.not != "" && strings.Contains(out, c.not) {
				t.Errorf("%v: %q in\n%s", c.args, c.not, out)
			}
		}
		for code, args := range map[slipway.Code][]string{slipway.NotFound: {"show", "feedbeef"}, slipway.Invalid: {"--filter", "nonsense"}} {
			if _, err := w.command(args...); !slipway.IsCode(err, code) {
				t.Errorf("%v: %v; want %s", args, err, code)
			}
		}
		if _, err := w.command("curve", ids[0], "loss"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("the curve of no metric: %v", err)
		}
	})
}

func TestAShortIDMustBeClear(t *testing.T) {
	each(t, func(w *world) {
		for _, end := range []string{"1", "2"} {
			if _, err := w.CreateRun(w.ctx, NewRun{Experiment: w.exp, ID: strings.Repeat("a", 31) + end}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.command("show", "aaaa"); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("an id that two runs share: %v", err)
		}
	})
}
