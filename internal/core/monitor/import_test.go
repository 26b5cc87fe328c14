package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// command runs one command line against a server in this process.
func (w *world) command(args ...string) (string, error) {
	w.t.Helper()
	api := web.NewAPI("test")
	w.Routes(api)
	var out, errs bytes.Buffer
	e := &cli.Env{IO: &term.IO{Out: &out, Err: &errs}, Dir: w.t.TempDir(), Getenv: func(string) string { return "" }, ProjectFlag: "flights",
		Client: func(context.Context) (web.Client, error) {
			return web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: slipway.Writer}), nil
		}}
	for _, c := range Commands(e) {
		if c.Name() == args[0] {
			if args[len(args)-1] == "--json" {
				e.IO.JSON, args = true, args[:len(args)-1]
			}
			c.SetArgs(args[1:])
			c.SilenceUsage, c.SilenceErrors = true, true
			c.SetErr(&errs)
			err := c.ExecuteContext(w.t.Context())
			return out.String(), err
		}
	}
	w.t.Fatalf("no command %s", args[0])
	return "", nil
}

func sqlite(t *testing.T) *db.DB {
	return dbtest.Open(t, filepath.Join(t.TempDir(), "monitor.db"), db.Options{Migrations: []db.Migration{Migration}})
}

func TestCommandsTellWhatIsWrong(t *testing.T) {
	p := newProduction(t, sqlite(t))
	if out, err := p.command("monitor"); err != nil || !strings.Contains(out, "no predictions were logged yet") {
		t.Errorf("%s %v", out, err)
	}
	if _, err := p.command("monitor", "drift"); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("drift of nothing: %v", err)
	}
	p.run(3)
	p.life.shift = 4
	p.run(4)
	for command, want := range map[string][]string{
		"monitor":                      {"delay", "1 feature drifted: x", "alarm", "labels for 100 %", "every feed brings news"},
		"monitor drift":                {"carrier", "!!", "windows of 1 day"},
		"monitor quality":              {"roc_auc", "not enough data", "100 %"},
		"monitor feature x":            {"above", "TRAINING", "drifted: js"},
		"monitor feature carrier":      {"AA", "B6"},
		"alerts":                       {"firing", "drift"},
		"alerts --sent":                {"waiting", "webhook $ALERT_WEBHOOK", "x of delay drifted"},
		"monitor drift delay --days 2": {"2013-04-06 to 2013-04-07"},
	} {
		out, err := p.command(strings.Fields(command)...)
		if err != nil {
			t.Errorf("%s: %v", command, err)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s does not say %q:\n%s", command, w, out)
			}
		}
	}
	out, err := p.command("monitor", "drift", "--json")
	var h HeatMap
	if err != nil || json.Unmarshal([]byte(out), &h) != nil || len(h.Days) != 7 || len(h.Features) != 4 || len(h.Features[0].Cells) != 7 {
		t.Errorf("as JSON: %v %+v", err, h)
	}
	for _, bad := range [][]string{{"monitor", "drift", "nobody"}, {"monitor", "feature", "nothing"}} {
		if _, err := p.command(bad...); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestLabelsFromAFile(t *testing.T) {
	p := newProduction(t, sqlite(t))
	p.run(1)
	p.due = nil
	path := filepath.Join(t.TempDir(), "outcomes.csv")
	text := "flight,late,known\nF0,1,2013-04-02 12:00:00\nF1,0,2013-04-02 12:00:00\nF2,,2013-04-02 12:00:00\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"labels", "add", path, "--endpoint", "delay", "--key", "flight", "--value", "late", "--time", "known"}
	for i, want := range []string{"2 new", "2 known already"} {
		out, err := p.command(args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("time %d: %s %v", i+1, out, err)
		}
	}
	p.tick(p.at)
	if got := must(p.Prediction(t.Context(), "flights", p.ids[0])); got.Label != 1.0 {
		t.Errorf("the label is %v", got.Label)
	}
	if _, err := p.command("labels", "add", path, "--value", "late"); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("labels of nothing: %v", err)
	}
	if _, err := p.command("labels", "add", path, "--id", "flight", "--value", "delayed"); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "delayed") {
		t.Errorf("a column that is not there: %v", err)
	}
}

// TestImport looks at the log of a service that knows nothing of Slipway.
func TestImport(t *testing.T) {
	w := newWorld(t, sqlite(t), yaml)
	engine := query.New(query.Options{})
	t.Cleanup(engine.Close)
	w.o.Query = engine
	r := rand.New(rand.NewPCG(3, 3))
	var log strings.Builder
	log.WriteString("at,x,plan,score,churned\n")
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for d := range 40 {
		level := 0.3 * r.NormFloat64()
		for i := range 60 {
			x := level + r.NormFloat64()
			if d >= 34 {
				x += 5
			}
			score := r.Float64()
			fmt.Fprintf(&log, "%s,%.4f,%s,%.4f,%t\n", begin.AddDate(0, 0, d).Add(time.Duration(i)*20*time.Minute).Format("2006-01-02 15:04:05"),
				x, []string{"free", "pro"}[r.IntN(2)], score, r.Float64() < score)
		}
	}
	path := filepath.Join(t.TempDir(), "requests.csv")
	if err := os.WriteFile(path, []byte(log.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"monitor", "import", path, "--time", "at", "--prediction", "score", "--label", "churned"}
	for range 2 { // the second import replaces the first
		out, err := w.command(append(args, "--json")...)
		if err != nil {
			t.Fatal(err)
		}
		var report ImportReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		if report.Rows != 20*60 || report.Reference != 20*60 || report.Labels != 20*60 || len(report.Features) != 2 {
			t.Fatalf("%+v", report)
		}
		x := report.Features[0]
		if x.Feature != "x" || x.Drifted < 5 || x.Windows != 20 || x.First.Format(time.DateOnly) != "2024-02-04" || report.Features[1].Drifted != 0 {
			t.Errorf("%+v", report.Features)
		}
		if len(report.Quality) == 0 || report.Quality[0].Coverage != 1 {
			t.Errorf("%+v", report.Quality)
		}
	}
	out, err := w.command(args...)
	if err != nil || !strings.Contains(out, "1 of 2 features drifted") {
		t.Errorf("%s %v", out, err)
	}
	if out, err := w.command("monitor", "drift", "requests"); err != nil || !strings.Contains(out, "!!!!") {
		t.Errorf("%s %v", out, err)
	}
	// What was imported raises no alarm and is not decided again.
	w.tick(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	if alarms := must(w.Alarms(t.Context(), "flights", "", 10)); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
	for _, bad := range [][]string{
		{"monitor", "import", path, "--time", "when"},
		{"monitor", "import", path, "--time", "plan"},
		{"monitor", "import", path, "--time", "at", "--prediction", "plan"},
		{"monitor", "import", path, "--time", "at", "--window", "soon"},
	} {
		if _, err := w.command(bad...); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%v: %v", bad[3:], err)
		}
	}
}
