package project

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/slipway-ml/slipway"
)

func parsed(t testing.TB, text string) *Project {
	t.Helper()
	p, err := Parse("/home/ann/flights/slipway.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFlights reads the project that the design and the tour show.
func TestFlights(t *testing.T) {
	p := parsed(t, good(t)["flights.yaml"])
	if p.Name != "flights" || p.Location().String() != "America/New_York" || p.Dir != "/home/ann/flights" {
		t.Errorf("%s %s %s", p.Name, p.Location(), p.Dir)
	}
	want := Step{
		Name:   "train",
		Run:    Command{Shell: "python train.py"},
		In:     Inputs{{Text: "features.parquet", Step: "prepare", Output: "features.parquet"}},
		Out:    Outputs{{Name: "model", Path: "model.txt"}},
		Params: Params{"learning_rate": 0.05, "leaves": int64(63)},
	}
	if diff := cmp.Diff(want, *p.Pipeline.Step("train")); diff != "" {
		t.Error(diff)
	}
	data := Input{Text: "prepare.features.parquet[test]", Step: "prepare", Output: "features.parquet", Split: "test"}
	if diff := cmp.Diff(data, p.Gates.Data); diff != "" {
		t.Error(diff)
	}
	rollout := &Rollout{
		Shadow: 14 * day, Canary: []int{5, 25, 100}, Hold: day, MinRequests: 2000,
		Abort: p.Deploy.Environment("production").Rollout.Abort, Decide: &Decide{28 * day, "keep"},
	}
	if diff := cmp.Diff(rollout, p.Deploy.Environment("production").Rollout); diff != "" {
		t.Error(diff)
	}
	if p.Monitor.Alerts[0].Slack != "SLACK_WEBHOOK" || !p.Retrain.On[4].Commit || p.Gates.Latency.Repeats != 3 {
		t.Errorf("%+v %+v %+v", p.Monitor.Alerts, p.Retrain.On, p.Gates.Latency)
	}
}

// TestForms reads every other way of writing a value.
func TestForms(t *testing.T) {
	p := parsed(t, good(t)["forms.yaml"])
	split := p.Pipeline.Step("split")
	want := Params{
		"rate": 0.001, "whole": 5.0, "count": int64(5), "big": uint64(1<<64 - 1), "text": "1e-3", "nothing": nil,
		"list": []any{int64(1), map[string]any{"deep": []any{true}}},
	}
	if diff := cmp.Diff(want, split.Params); diff != "" {
		t.Error(diff)
	}
	want["count"] = int64(6)
	if diff := cmp.Diff(want, p.Pipeline.Step("again").Params); diff != "" {
		t.Error("merged", diff)
	}
	if split.Timeout.D() != 90*time.Minute || split.Resources.Memory != 1_500_000_000 {
		t.Errorf("%v %v", split.Timeout, split.Resources)
	}
	report := p.Pipeline.Step("report")
	if diff := cmp.Diff([]string{"python", "-m", "report", "--all"}, report.Run.Argv()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"split", "evaluate"}, report.Needs()); diff != "" {
		t.Error(diff)
	}
	evaluate := p.Pipeline.Step("evaluate")
	if diff := cmp.Diff(Env{"OMP_NUM_THREADS": "1", "TOKEN": "$TOKEN"}, evaluate.Env); diff != "" {
		t.Error(diff)
	}
	if got := evaluate.Run.Argv(); got[2] != "set -e\npython evaluate.py" {
		t.Errorf("%q", got)
	}
	if diff := cmp.Diff(MetricTrigger{"rmse", ">=", 3}, *p.Retrain.On[2].Metric); diff != "" {
		t.Error(diff)
	}
	if p.Retrain.Window != (TrainWindow{Last, 14 * day}) || p.Data["readings"].Time.Order[1] != "number" {
		t.Errorf("%+v", p.Retrain.Window)
	}
}

// TestWindows includes both ends, in the project's zone, across the hour that
// New York leaves out in March.
func TestWindows(t *testing.T) {
	for text, want := range map[string][2]string{
		"2013":                   {"2013-01-01T05:00:00Z", "2014-01-01T05:00:00Z"},
		"2013-01..2013-03":       {"2013-01-01T05:00:00Z", "2013-04-01T04:00:00Z"},
		"2013-03-10":             {"2013-03-10T05:00:00Z", "2013-03-11T04:00:00Z"},
		"2013-04-01..":           {"2013-04-01T04:00:00Z", ""},
		"..2013-03":              {"", "2013-04-01T04:00:00Z"},
		"2013-01-01T10..2013-02": {"2013-01-01T15:00:00Z", "2013-03-01T05:00:00Z"},
	} {
		p := parsed(t, fmt.Sprintf("pipeline: {a: {run: x, in: 'f[%s]'}}\ndata: {f: {path: x, time: t}}\ntimezone: America/New_York", text))
		got := [2]string{}
		for i, at := range []time.Time{p.Pipeline[0].In[0].Window.From, p.Pipeline[0].In[0].Window.To} {
			if !at.IsZero() {
				got[i] = at.Format(time.RFC3339)
			}
		}
		if got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestOrder holds for any pipeline without a cycle: every step comes after
// those it reads.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "steps")
		shuffled := rapid.Permutation(make([]int, n)).Draw(t, "any")
		rank := map[string]int{}
		var p Pipeline
		for i := range shuffled {
			s := Step{Name: fmt.Sprint("s", i)}
			rank[s.Name] = rapid.IntRange(0, 5).Draw(t, "rank")
			p = append(p, s)
		}
		for i := range p {
			for j := range p {
				if rank[p[j].Name] < rank[p[i].Name] && rapid.Bool().Draw(t, "reads") {
					p[i].In = append(p[i].In, Input{Step: p[j].Name}, Input{Step: p[j].Name})
				}
			}
		}
		order, err := p.Order()
		if err != nil || len(order) != n {
			t.Fatal(order, err)
		}
		done := map[string]bool{}
		for _, s := range order {
			for _, need := range s.Needs() {
				if !done[need] {
					t.Fatalf("%s runs before %s", s.Name, need)
				}
			}
			done[s.Name] = true
		}
	})
	loop := Pipeline{{Name: "a", In: Inputs{{Step: "b"}}}, {Name: "b", In: Inputs{{Step: "a"}}}}
	if _, err := loop.Order(); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "a -> b -> a") {
		t.Error(err)
	}
}

var same = []cmp.Option{cmpopts.IgnoreUnexported(Project{}), cmpopts.IgnoreFields(Project{}, "Source")}

// TestNormalForm reads back to the same project, and does not see layout.
func TestNormalForm(t *testing.T) {
	for name, text := range good(t) {
		p := parsed(t, text)
		normal, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again := parsed(t, string(normal))
		if diff := cmp.Diff(p, again, same...); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		a, _ := p.Digest()
		b, _ := again.Digest()
		if a != b || a == "" {
			t.Errorf("%s: digests %s and %s", name, a, b)
		}
	}
	digest := func(text string) slipway.Digest {
		d, err := parsed(t, text).Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	base := digest("pipeline: {a: {run: x, out: [y], params: {p: 5}}}")
	for text, equal := range map[string]bool{
		"# why\nproject: flights\ntimezone: UTC\npipeline:\n  a:\n    run: x\n    out: ./y\n    params: {p: 5}\n    retries: 0\n": true,
		"pipeline: {a: {run: x, out: [y], params: {p: 5.0}}}":                                                                     false,
		"pipeline: {a: {run: x, out: [z], params: {p: 5}}}":                                                                       false,
	} {
		if (digest(text) == base) != equal {
			t.Errorf("%s: the same digest should be %v", text, equal)
		}
	}
}

// TestFind stops at the nearest file above, and says when there is none.
func TestFind(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "a", "b", "c")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(deep); !slipway.IsCode(err, slipway.NotFound) {
		t.Error(err)
	}
	for _, dir := range []string{root, filepath.Join(root, "a")} {
		if err := os.WriteFile(filepath.Join(dir, FileName), []byte("timezone: Europe/Berlin\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A folder of that name is no project.
	if err := os.Mkdir(filepath.Join(root, "a", "b", FileName), 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := Find(deep)
	if err != nil || path != filepath.Join(root, "a", FileName) {
		t.Fatal(path, err)
	}
	p, err := Load(path)
	if err != nil || p.Name != "a" || p.Location().String() != "Europe/Berlin" || p.Dir != filepath.Dir(path) {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := Load(filepath.Join(root, "none.yaml")); !slipway.IsCode(err, slipway.NotFound) {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(root, "a")); !slipway.IsCode(err, slipway.Invalid) {
		t.Error(err)
	}
}

// TestFault lets another package point into the file.
func TestFault(t *testing.T) {
	p := parsed(t, good(t)["flights.yaml"])
	err := p.Fault("gates.metrics[1].metric", "did you mean \"log_loss\"?", "unknown metric %q", "logloss")
	if want := "slipway.yaml:20:16: unknown metric \"logloss\""; err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
	if !slipway.IsCode(fmt.Errorf("gate: %w", err), slipway.Invalid) {
		t.Error("the code is lost")
	}
	if at := p.Position("gates.latency.repeats"); at.Line != 22 {
		t.Errorf("a default is placed at %v", at)
	}
	var faults *Error
	if _, err := Parse("x.yaml", []byte("a: 1\nb: 2")); !errors.As(err, &faults) || len(faults.Faults) != 2 || faults.Faults[1].Path != "b" {
		t.Errorf("%+v", faults)
	}
}

func TestDurationsAndSizes(t *testing.T) {
	for text, want := range map[string]string{
		"90d": "90d", "2w": "14d", "36h": "36h", "90m": "1h30m", "15s": "15s", "0s": "0s", "1.5d": "36h", "100ms": "100ms",
		"1e3d": "", "-1d": "", "NaNd": "", "Infw": "", "d": "", "": "", "7": "", "7 days": "", "99999999w": "", "0x1d": "",
	} {
		d, err := ParseDuration(text)
		if (err == nil) != (want != "") || err == nil && d.String() != want {
			t.Errorf("%q: %v %v", text, d, err)
		}
	}
	for text, want := range map[string]string{
		"512MB": "512MB", "2GiB": "2GiB", "1.5GB": "1500MB", "10 KB": "10KB", "0B": "0B", "1024KiB": "1MiB",
		"4G": "", "MB": "", "-1MB": "", "1e9B": "", "99999999TB": "", "1.2.3MB": "", "NaNB": "",
	} {
		s, err := ParseSize(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("%q: %v %v", text, s, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, int64(30000*day)).Draw(t, "length"))
		if back, err := ParseDuration(d.String()); err != nil || back != d {
			t.Fatalf("%s reads as %s: %v", d, back, err)
		}
	})
}

// TestLargePipeline keeps reading far from the time of a run of a thousand
// steps: it must not grow with the square of their number.
func TestLargePipeline(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("pipeline:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  s%d: {run: x, out: [o%d]", i, i)
		if i > 0 {
			fmt.Fprintf(&b, ", in: [o%d, s%d.o%d]", i-1, i/2, i/2)
		}
		b.WriteString("}\n")
	}
	p := parsed(t, b.String())
	order, err := p.Pipeline.Order()
	if err != nil || len(order) != 1000 || order[999].Name != "s999" {
		t.Fatal(len(order), err)
	}
}

// FuzzParse looks for a panic, an error without a code, and a file whose
// normal form reads differently.
func FuzzParse(f *testing.F) {
	for _, text := range good(f) {
		f.Add([]byte(text))
	}
	b, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(b), "\n=== ")[1:] {
		_, source, _ := strings.Cut(c, "\n")
		source, _, _ = strings.Cut(source, ">>>\n")
		f.Add([]byte(source))
	}
	f.Add([]byte(bomb()))
	f.Fuzz(func(t *testing.T, source []byte) {
		p, err := Parse("/x/slipway.yaml", source)
		if err != nil {
			if !slipway.IsCode(err, slipway.Invalid) || err.Error() == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		normal, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse("/x/slipway.yaml", normal)
		if err != nil {
			t.Fatalf("the normal form is refused: %v\n%s", err, normal)
		}
		if diff := cmp.Diff(p, again, append(same, cmpopts.EquateEmpty())...); diff != "" {
			t.Fatal(diff)
		}
	})
}
