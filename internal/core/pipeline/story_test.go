package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

const shellProject = `project: demo
data:
  rows: {path: data/, time: at}
pipeline:
  prepare: {run: sh prepare.sh, in: [rows], out: [features.txt]}
  train:
    run: sh train.sh
    in: [features.txt]
    out: {model: model.txt, report: report/}
    params: {leaves: 31}
  evaluate: {run: sh evaluate.sh, in: [train.model], out: [score.txt]}
model: {name: m, from: train.model, task: regression}
`

var shellCode = map[string]string{
	"slipway.yaml": shellProject,
	"prepare.sh":   "cat data/*.csv > features.txt\necho prepared\n",
	"train.sh":     ". ./lib.sh\n{ train; echo \"$SLIPWAY_PARAMS\"; } > model.txt\necho fine > report/a.txt\n",
	"lib.sh":       "train() { wc -c < features.txt; }\n",
	"evaluate.sh":  "cat model.txt > score.txt\n",
	"README.md":    "# Demo\n",
}

// The whole of a data scientist's afternoon: a first run, a second that has
// nothing to do, and changes that rerun what depends on them and say why.
func TestStory(t *testing.T) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		h := newHouse(t, d, nil)
		h.write(shellCode)
		h.dataset("rows", map[string]string{"a.csv": "at,x\n2013-01-01,1\n"})

		first := h.mustRun(Request{})
		if got := states(first); got != "prepare:succeeded train:succeeded evaluate:succeeded" {
			t.Fatal(got)
		}
		if got := h.read(first, "train", "model"); !strings.Contains(got, `{"leaves":31}`) {
			t.Errorf("the model holds %q", got)
		}
		if o := first.task("train").Output["report"]; !o.Tree {
			t.Errorf("a folder is a tree: %+v", o)
		}
		var log strings.Builder
		if err := h.s.WriteLog(t.Context(), &log, "demo", first.ID, "prepare", false); err != nil || log.String() != "prepared\n" {
			t.Errorf("log = %q, %v", log.String(), err)
		}
		run, step := h.track.get(first.ID), h.track.get(first.task("train").Run)
		if run.Status != "FINISHED" || step.Status != "FINISHED" || step.Parent != first.ID || step.Params["leaves"] != "31" {
			t.Errorf("tracked: %+v, %+v", run, step)
		}
		checkEvents(t, d, first)

		second := h.mustRun(Request{})
		if !second.Nothing || states(second) != "prepare:reused train:reused evaluate:reused" {
			t.Fatalf("a second run has nothing to do: %s", dump(second))
		}

		third := h.mustRun(Request{Params: map[string]map[string]any{"train": {"leaves": 63}}})
		if got := states(third); got != "prepare:reused train:succeeded evaluate:succeeded" {
			t.Fatal(got)
		}
		if why := third.task("train").Why.Reason; why != "param leaves changed from 31 to 63" {
			t.Errorf("why = %q", why)
		}
		if why := third.task("evaluate").Why.Reason; !strings.HasPrefix(why, "input train.model changed from ") {
			t.Errorf("why = %q", why)
		}

		h.write(map[string]string{"lib.sh": "train() { wc -c < features.txt; } # tidy\n", "README.md": "# Other\n"})
		fourth := h.mustRun(Request{})
		if got := states(fourth); got != "prepare:reused train:succeeded evaluate:reused" {
			t.Fatalf("a helper that changes nothing in the model stops at train: %s", got)
		}
		if why := fourth.task("train").Why.Change; len(why) != 2 || why[0].What != "code lib.sh" || why[1].What != "param leaves" {
			t.Errorf("why = %+v", why)
		}

		h.dataset("rows", map[string]string{"a.csv": "at,x\n2013-01-01,1\n", "b.csv": "2013-02-01,2\n"})
		fifth := h.mustRun(Request{})
		if got := states(fifth); got != "prepare:succeeded train:succeeded evaluate:succeeded" {
			t.Fatal(got)
		}
		if why := fifth.task("prepare").Why.Reason; !strings.HasPrefix(why, "input rows changed") {
			t.Errorf("why = %q", why)
		}
		pinned := h.mustRun(Request{Data: map[string]int{"rows": 1}})
		if !pinned.Nothing {
			t.Errorf("version 1 was run before: %s", dump(pinned))
		}
		if forced := h.mustRun(Request{Force: true, Steps: []string{"train"}}); states(forced) != "prepare:succeeded train:succeeded" {
			t.Error(states(forced))
		}
	})
}

// checkEvents looks at what the audit log says of a run.
func checkEvents(t *testing.T, d *db.DB, r Run) {
	t.Helper()
	events, err := d.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	var last slipway.Event
	for _, e := range events {
		verbs = append(verbs, e.Verb)
		last = e
	}
	want := []string{"revision.applied", "run.started", "run.started", "run.finished", "run.started", "run.finished", "run.started", "run.finished", "run.finished"}
	if diff := cmp.Diff(want, verbs); diff != "" {
		t.Fatal(diff)
	}
	if last.Subject.ID != r.ID || !strings.Contains(string(last.Data), `"kind":"pipeline"`) || !strings.Contains(string(last.Data), `"model":"train.model"`) {
		t.Errorf("the last event is %s %s", last.Subject, last.Data)
	}
	found := map[slipway.Kind]bool{}
	for _, l := range last.Link {
		found[l.Ref.Kind] = true
	}
	for _, kind := range []slipway.Kind{slipway.KindCommit, slipway.KindDataset, slipway.KindArtifact} {
		if !found[kind] {
			t.Errorf("no link to a %s in %v", kind, last.Link)
		}
	}
}

// Undeclared files are invisible; what a step may need is in its environment.
func TestStepSeesOnlyWhatIsDeclared(t *testing.T) {
	h := onSQLite(t)
	t.Setenv("SLIPWAY_TEST_HIDDEN", "no")
	h.write(map[string]string{
		"slipway.yaml": `project: demo
data: {rows: {path: data/rows/, time: at}, other: {path: data/other/}}
pipeline:
  look:
    run: "find . -type f > $TMPDIR/list; sort $TMPDIR/list > seen.txt; env | sort > env.txt"
    in: ["rows[2013-01]"]
    out: [seen.txt, env.txt]
    env: {MODE: fast, KEY: $KNOWN}
`,
		"lib/code.sh": "true\n", "data/other/x.csv": "1\n", "seen.txt": "an old output\n", "secret.csv": "x\n",
	})
	h.dataset("rows", map[string]string{"a.csv": "at,x\n2013-01-05,1\n2013-02-05,2\n"})
	r := h.mustRun(Request{})
	if got, want := h.read(r, "look", "seen.txt"), "./data/rows/rows.parquet\n./lib/code.sh\n./secret.csv\n./slipway.yaml\n"; got != want {
		t.Errorf("the step saw\n%s, want\n%s", got, want)
	}
	env := h.read(r, "look", "env.txt")
	for _, want := range []string{"MODE=fast\n", "KEY=s3cret\n", "SLIPWAY_PROJECT=demo\n", "SLIPWAY_RUN_ID=" + r.task("look").Run, "MLFLOW_TRACKING_URI=http://127.0.0.1:"} {
		if !strings.Contains(env, want) {
			t.Errorf("the environment lacks %q", want)
		}
	}
	if strings.Contains(env, "SLIPWAY_TEST_HIDDEN") || strings.Contains(env, "SLIPWAY_LEASE=") {
		t.Error("the environment shows what it should hide")
	}
	if m := r.task("look").Material; m["env KEY"] != "secret $KNOWN" {
		t.Errorf("a secret counts by its name: %v", m)
	}
}

// A step that reads a window does not care about rows outside it.
func TestWindowsCutOff(t *testing.T) {
	h := onSQLite(t)
	h.write(map[string]string{"slipway.yaml": `project: demo
timezone: America/New_York
data: {rows: {path: data/, time: at}}
pipeline:
  use: {run: cp data/rows.parquet out.parquet, in: ["rows[2013-01..2013-02]"], out: [out.parquet]}
`})
	csv := "at,x\n2013-01-01 00:30:00,1\n2013-02-28 23:00:00,2\n"
	h.dataset("rows", map[string]string{"a.csv": csv})
	first := h.mustRun(Request{})
	h.dataset("rows", map[string]string{"a.csv": csv, "b.csv": "at,x\n2013-03-01 00:00:00,3\n"})
	if r := h.mustRun(Request{}); !r.Nothing {
		t.Errorf("March changes nothing for January to February: %s", dump(r))
	}
	h.dataset("rows", map[string]string{"a.csv": csv, "b.csv": "at,x\n2013-02-03 00:00:00,4\n"})
	r := h.mustRun(Request{})
	if r.Nothing || r.task("use").Output["out.parquet"].Digest == first.task("use").Output["out.parquet"].Digest {
		t.Error("a row inside the window counts")
	}
	h.dataset("rows", map[string]string{"a.csv": "at,x\n2014-01-01,1\n"})
	if _, err := h.run(Request{}); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "no rows") {
		t.Errorf("an empty window is refused: %v", err)
	}
}

// Two steps read two parts of a split: every row once, and by the group whole.
func TestPartsOfASplit(t *testing.T) {
	h := onSQLite(t)
	h.write(map[string]string{"slipway.yaml": `project: demo
data: {rows: {path: data/, time: at, split: {by: group, on: who, parts: [train 50%, test 50%]}}}
pipeline:
  train: {run: cp data/rows.parquet train.parquet, in: ["rows[train]"], out: [train.parquet]}
  test: {run: cp data/rows.parquet test.parquet, in: ["rows[2013, test]"], out: [test.parquet]}
`})
	csv := "at,who,x\n"
	for i := range 40 {
		csv += fmt.Sprintf("2013-01-01,w%d,%d\n", i%8, i)
	}
	h.dataset("rows", map[string]string{"a.csv": csv})
	r := h.mustRun(Request{})
	train, test := r.task("train").Output["train.parquet"], r.task("test").Output["test.parquet"]
	if train.Digest == "" || test.Digest == "" || train.Digest == test.Digest {
		t.Errorf("parts %v and %v", train, test)
	}
	if r := h.mustRun(Request{}); !r.Nothing {
		t.Errorf("the same part is cut again: %s", dump(r))
	}
	h.dataset("rows", map[string]string{"a.csv": csv, "b.csv": "at,who,x\n2014-01-01,w1,99\n2014-01-01,w2,99\n2014-01-01,w3,99\n"})
	if again := h.mustRun(Request{}); again.task("test").Output["test.parquet"].Digest != test.Digest {
		t.Error("rows outside the window changed its part")
	}
}

// What goes wrong in a step is told in the words of its pipeline.
func TestBadSteps(t *testing.T) {
	for name, c := range map[string]struct{ step, want, states string }{
		"a failing step":         {`{run: "echo no >&2; exit 3", out: [a.txt]}`, "step bad failed: it ended with status 3", "bad:failed after:skipped"},
		"no output":              {`{run: "true", out: [a.txt]}`, "it ended well but did not write a.txt", "bad:failed after:skipped"},
		"an empty folder":        {`{run: "true", out: {a: a/}}`, "wrote nothing to the folder a/", "bad:failed after:skipped"},
		"a hanging step":         {`{run: "sleep 600 & wait", out: [a.txt], timeout: 200ms}`, "it took longer than 200ms", "bad:failed after:skipped"},
		"one that ignores TERM":  {`{run: "trap '' TERM; sleep 600", out: [a.txt], timeout: 200ms}`, "it took longer than 200ms", "bad:failed after:skipped"},
		"an unknown program":     {`{run: [no-such-program], out: [a.txt]}`, "the program no-such-program is not found", "bad:failed after:skipped"},
		"killed from outside":    {`{run: "kill -9 $$", out: [a.txt]}`, "it was ended by killed", "bad:failed after:skipped"},
		"a link instead of file": {`{run: "ln -s /etc/hosts a.txt", out: [a.txt]}`, "neither a file nor a folder", "bad:failed after:skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			h := onSQLite(t)
			in := "a.txt"
			if strings.Contains(c.step, "a: a/") {
				in = "bad.a"
			}
			h.write(map[string]string{"slipway.yaml": "project: demo\npipeline:\n  bad: " + c.step + "\n  after: {run: 'true', in: [" + in + "], out: [b.txt]}\n"})
			r, err := h.run(Request{})
			if !slipway.IsCode(err, slipway.Failed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if slipway.AsError(err).Code.ExitCode() != 1 {
				t.Errorf("exit code %d", slipway.AsError(err).Code.ExitCode())
			}
			if got := states(r); got != c.states {
				t.Errorf("states %s, want %s", got, c.states)
			}
			if s := h.track.get(r.task("bad").Run).Status; s != "FAILED" {
				t.Errorf("tracked as %q", s)
			}
			left, _ := os.ReadDir(filepath.Join(h.dir, "pipeline", "scratch"))
			if len(left) != 0 {
				t.Errorf("scratch folders are left: %v", left)
			}
		})
	}
}

// What is wrong before any step runs is refused with a hint.
func TestRefusals(t *testing.T) {
	h := onSQLite(t)
	h.write(map[string]string{"slipway.yaml": `project: demo
data: {rows: {path: data/}}
pipeline:
  a: {run: "true", in: [rows], out: [a.txt], params: {x: 1}}
  big: {run: "true", out: [b.txt], resources: {cpu: 1000}}
  secret: {run: "true", out: [c.txt], env: {K: $UNKNOWN}}
`})
	for name, c := range map[string]struct {
		request Request
		code    slipway.Code
		want    string
	}{
		"an unknown step":     {Request{Steps: []string{"x"}}, slipway.NotFound, `no step "x"`},
		"an unknown param":    {Request{Steps: []string{"a"}, Params: map[string]map[string]any{"a": {"y": 1}}}, slipway.Invalid, `no param "y"`},
		"a param of no step":  {Request{Steps: []string{"a"}, Params: map[string]map[string]any{"z": {"y": 1}}}, slipway.NotFound, `no step "z"`},
		"no version of data":  {Request{Steps: []string{"a"}}, slipway.NotFound, "dataset rows has no version"},
		"too large a step":    {Request{Steps: []string{"big"}}, slipway.Invalid, "needs 1000 cores"},
		"an unknown secret":   {Request{Steps: []string{"secret"}}, slipway.Invalid, "$UNKNOWN"},
		"an unknown revision": {Request{Revision: 99}, slipway.NotFound, "no revision 99"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.run(c.request)
			if !slipway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s: %s", err, c.code, c.want)
			}
		})
	}
}
