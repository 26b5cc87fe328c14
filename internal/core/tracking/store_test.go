package tracking_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	. "github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// world is a store and someone who may write in it.
type world struct {
	*Service
	t   *testing.T
	ctx context.Context
	db  *db.DB
	exp int64
}

func each(t *testing.T, fn func(w *world)) {
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		store, err := content.Open(t.TempDir(), content.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		w := &world{New(Options{DB: d, Content: store}), t, as(t.Context(), slipway.Writer, ""), d, 0}
		e, err := w.CreateExperiment(w.ctx, NewExperiment{Name: "flights"})
		if err != nil {
			t.Fatal(err)
		}
		w.exp = e.ID
		fn(w)
	})
}

func as(ctx context.Context, role slipway.Role, project string) context.Context {
	return slipway.WithPrincipal(ctx, slipway.Principal{Name: "ana", Role: role, Project: project})
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run starts a run that began n seconds after the epoch.
func (w *world) run(name string, n int) *Run {
	w.t.Helper()
	r, err := w.CreateRun(w.ctx, NewRun{Experiment: w.exp, Name: name, Start: epoch.Add(time.Duration(n) * time.Second)})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) log(run *Run, b Batch) {
	w.t.Helper()
	if err := w.Log(w.ctx, run.ID, b); err != nil {
		w.t.Fatal(err)
	}
}

func metric(key string, step, at int64, value float64) Metric {
	return Metric{Key: key, Point: Point{Step: step, Time: at, Value: Number(value)}}
}

// search returns the names of the runs found.
func (w *world) search(q Search) []string {
	w.t.Helper()
	names := []string{}
	q.Experiments = []int64{w.exp}
	for {
		runs, next, err := w.SearchRuns(w.ctx, q)
		if err != nil {
			w.t.Fatalf("%+v: %v", q, err)
		}
		for _, r := range runs {
			names = append(names, r.Name)
		}
		if next == "" {
			return names
		}
		q.Page = next
	}
}

func TestARunAsAClientTellsIt(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("first", 0)
		w.log(r, Batch{Params: []Pair{{"leaves", "63"}}, Tags: []Pair{{"team", "ops"}}})
		w.log(r, Batch{Metrics: []Metric{metric("loss", 0, 10, 0.9), metric("loss", 2, 30, 0.4), metric("loss", 1, 40, 0.6)}})
		w.log(r, Batch{Metrics: []Metric{metric("loss", 1, 40, 0.6)}}) // said twice
		got, err := w.Run(w.ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]Metric{metric("loss", 2, 30, 0.4)}, got.Metrics); d != "" {
			t.Errorf("the latest metric is that of the highest step: %s", d)
		}
		if d := cmp.Diff([]Pair{{"leaves", "63"}}, got.Params); d != "" {
			t.Error(d)
		}
		history, err := w.History(w.ctx, r.ID, "loss", EveryStep)
		if err != nil {
			t.Fatal(err)
		}
		want := []Point{{0, 10, 0.9}, {2, 30, 0.4}, {1, 40, 0.6}}
		if d := cmp.Diff(want, history); d != "" {
			t.Errorf("a history goes by time and holds a point once: %s", d)
		}

		w.log(r, Batch{Params: []Pair{{"leaves", "63"}}}) // the same again is no error
		err = w.Log(w.ctx, r.ID, Batch{Params: []Pair{{"leaves", "31"}}, Tags: []Pair{{"team", "other"}}})
		if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "Changing param values is not allowed") {
			t.Errorf("another value of a param: %v", err)
		}
		got, _ = w.Run(w.ctx, r.ID)
		if !slices.Contains(got.Tags, Pair{"team", "ops"}) {
			t.Errorf("a refused batch changed a tag: %v", got.Tags)
		}

		ended, err := w.UpdateRun(w.ctx, r.ID, Change{Status: Finished, End: epoch.Add(time.Hour), Name: "renamed"})
		if err != nil {
			t.Fatal(err)
		}
		if ended.Status != Finished || !ended.End.Equal(epoch.Add(time.Hour)) || ended.Name != "renamed" || !slices.Contains(ended.Tags, Pair{"mlflow.runName", "renamed"}) {
			t.Errorf("the ended run is %+v", ended)
		}
		events, err := w.db.Events(w.ctx, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		verbs := []string{}
		for _, e := range events {
			verbs = append(verbs, e.Verb)
		}
		if d := cmp.Diff([]string{"run.started", "run.finished"}, verbs); d != "" {
			t.Error(d)
		}
	})
}

func TestDeletedRunsRefuseChangesUntilRestored(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("r", 0)
		if err := w.DeleteRun(w.ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.Log(w.ctx, r.ID, Batch{Tags: []Pair{{"a", "b"}}}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("logging to a deleted run: %v", err)
		}
		if got := w.search(Search{}); len(got) != 0 {
			t.Errorf("a search found the deleted run: %v", got)
		}
		if got := w.search(Search{View: DeletedOnly}); len(got) != 1 {
			t.Errorf("a search for deleted runs found %v", got)
		}
		if err := w.RestoreRun(w.ctx, r.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.DeleteExperiment(w.ctx, w.exp); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Run(w.ctx, r.ID); err != nil || got.Stage != Deleted {
			t.Errorf("a run of a deleted experiment: %v, %v", got, err)
		}
		if _, err := w.CreateExperiment(w.ctx, NewExperiment{Name: "flights"}); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("a deleted experiment keeps its name: %v", err)
		}
		if err := w.RestoreExperiment(w.ctx, w.exp); err != nil {
			t.Fatal(err)
		}
		w.log(r, Batch{Tags: []Pair{{"a", "b"}}})
	})
}

func TestProjectsAreApart(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("r", 0) // in project default
		for name, ctx := range map[string]context.Context{"limited": as(t.Context(), slipway.Writer, "other"), "nobody": t.Context(), "reader": as(t.Context(), slipway.Reader, "")} {
			if err := w.Log(ctx, r.ID, Batch{Tags: []Pair{{"a", "b"}}}); slipway.AsError(err).Code != slipway.Denied && slipway.AsError(err).Code != slipway.Unauthenticated {
				t.Errorf("%s wrote: %v", name, err)
			}
		}
		other := as(t.Context(), slipway.Writer, "other")
		if _, err := w.Run(other, r.ID); !slipway.IsCode(err, slipway.Denied) {
			t.Errorf("a run of another project was read: %v", err)
		}
		if runs, _, err := w.SearchRuns(other, Search{}); err != nil || len(runs) != 0 {
			t.Errorf("a search saw another project: %v, %v", runs, err)
		}
		e, err := w.CreateExperiment(other, NewExperiment{Name: "flights"})
		if err != nil || e.Project != "other" {
			t.Fatalf("the same name in another project: %+v, %v", e, err)
		}
		if found, err := w.ExperimentByName(other, "", "flights"); err != nil || found.ID != e.ID {
			t.Errorf("by name: %+v, %v", found, err)
		}
		if found, err := w.ExperimentByName(w.ctx, "", "flights"); err != nil || found.ID != w.exp {
			t.Errorf("by name, without a project: %+v, %v", found, err)
		}
		tagged, err := w.CreateExperiment(w.ctx, NewExperiment{Name: "tagged", Tags: []Pair{{ProjectTag, "third"}}})
		if err != nil || tagged.Project != "third" {
			t.Errorf("a tag names the project: %+v, %v", tagged, err)
		}
		if zero, err := w.Experiment(w.ctx, 0); err != nil || zero.Name != "Default" {
			t.Errorf("experiment 0: %+v, %v", zero, err)
		}
	})
}

func TestSearch(t *testing.T) {
	each(t, func(w *world) {
		nan := math.NaN()
		for i, v := range []float64{0.5, 0.9, nan, 0.7, 0.9} {
			r := w.run(fmt.Sprintf("r%d", i), i)
			w.log(r, Batch{Metrics: []Metric{metric("auc", 0, 1, v)}, Params: []Pair{{"model", []string{"lgbm", "xgb"}[i%2]}, {"path", `a\b_%`}},
				Tags: []Pair{{"nr", fmt.Sprint(i)}}})
		}
		none := w.run("r5", 5)
		w.log(none, Batch{Tags: []Pair{{"odd key", "Yes"}}})
		if err := w.LogInputs(w.ctx, none.ID, []DatasetInput{{Dataset{Name: "jan", Digest: "abc"}, []Pair{{"mlflow.data.context", "train"}}}}, nil); err != nil {
			t.Fatal(err)
		}
		at := epoch.Add(2 * time.Second).UnixMilli()
		for _, c := range []struct {
			filter string
			order  []string
			want   string
		}{
			{"", nil, "r5 r4 r3 r2 r1 r0"},
			{"metrics.auc > 0.6", nil, "r4 r3 r1"},
			{"metric.auc >= 0.9 AND params.model = 'xgb'", nil, "r1"},
			{"metrics.auc != 0.9", nil, "r3 r0"},
			{"params.model LIKE 'LG%'", nil, ""},
			{"params.model ILIKE 'LG%'", nil, "r4 r2 r0"},
			{`params.path LIKE 'a\b%'`, nil, "r4 r3 r2 r1 r0"},
			{"params.model IS NULL", nil, "r5"},
			{"tags.nr IS NOT NULL AND tags.nr != '3'", nil, "r4 r2 r1 r0"},
			{"tags.`odd key` = \"Yes\"", nil, "r5"},
			{"attributes.run_name = 'r3'", nil, "r3"},
			{"run_id IN ('" + none.ID + "', 'x')", nil, "r5"},
			{"run_id NOT IN ('" + none.ID + "')", nil, "r4 r3 r2 r1 r0"},
			{fmt.Sprintf("start_time > %d", at), nil, "r5 r4 r3"},
			{fmt.Sprintf("attribute.start_time <= %d", at), nil, "r2 r1 r0"},
			{"end_time > 0", nil, ""},
			{"status = 'RUNNING' and artifact_uri LIKE '%/" + none.ID + "/artifacts'", nil, "r5"},
			{"dataset.name = 'jan' AND datasets.context IN ('train')", nil, "r5"},
			{"dataset.digest LIKE 'x%'", nil, ""},
			{"", []string{"metrics.auc"}, "r0 r3 r4 r1 r2 r5"},
			{"", []string{"metrics.auc DESC"}, "r4 r1 r3 r0 r2 r5"},
			{"tags.nr IS NOT NULL", []string{"metrics.`auc` ASC"}, "r0 r3 r4 r1 r2"},
			{"", []string{"metrics.auc DESC", "start_time ASC"}, "r1 r4 r3 r0 r2 r5"},
			{"", []string{"params.model", "attributes.start_time ASC"}, "r0 r2 r4 r1 r3 r5"},
			{"", []string{"run_name DESC"}, "r5 r4 r3 r2 r1 r0"},
		} {
			for _, limit := range []int{0, 1, 2} {
				got := strings.Join(w.search(Search{Filter: c.filter, Order: c.order, Limit: limit}), " ")
				if got != c.want {
					t.Errorf("%s order %v limit %d: %s; want %s", c.filter, c.order, limit, got, c.want)
				}
			}
		}
	})
}

func TestSearchRefusesWhatItDoesNotUnderstand(t *testing.T) {
	each(t, func(w *world) {
		for _, q := range []Search{
			{Filter: "metrics.auc > 'a'"}, {Filter: "metrics.auc >"}, {Filter: "params.a > 3"}, {Filter: "params.a > '3'"}, {Filter: "params.a = 3"}, {Filter: "metrics.auc > 1 OR metrics.auc < 0"},
			{Filter: "foo.bar = 'a'"}, {Filter: "nothing = 'a'"}, {Filter: "params.a = 'b' AND"}, {Filter: "params.a IN ('b')"},
			{Filter: "metrics.a IS NULL"}, {Filter: "params.a = 'b"}, {Filter: "run_id IN ()"}, {Filter: "dataset.x = 'a'"}, {Filter: "; DROP TABLE run"},
			{Order: []string{"metrics.a up"}}, {Order: []string{"metrics.a", "metrics.a DESC"}}, {Order: []string{"dataset.name"}},
			{Limit: -1}, {Limit: 50001}, {Page: "???"}, {Page: "e30"},
		} {
			if _, _, err := w.SearchRuns(w.ctx, q); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%+v: %v; want invalid", q, err)
			}
		}
	})
}

// TestMergingKeepsEveryPoint logs a long curve in every way and merges it.
func TestMergingKeepsEveryPoint(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("long", 0)
		var want []Point
		add := func(n int) {
			batch := Batch{}
			for range n {
				i := int64(len(want))
				p := Point{Step: i, Time: 1000 + i, Value: Number(math.Sin(float64(i)))}
				want = append(want, p)
				batch.Metrics = append(batch.Metrics, Metric{Key: "loss", Point: p})
			}
			w.log(r, batch)
		}
		for range 12 {
			add(200)
			add(3)
			add(1)
		}
		w.log(r, Batch{Metrics: []Metric{{Key: "loss", Point: want[7]}}}) // a duplicate in another form
		check := func(when string) {
			got, err := w.History(w.ctx, r.ID, "loss", EveryStep)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s: %s", when, d)
			}
			got, err = w.History(w.ctx, r.ID, "loss", Range{100, 300})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[100:301], got); d != "" {
				t.Errorf("%s, part: %s", when, d)
			}
		}
		check("before")
		for range 20 {
			add(1)
			add(100)
		}
		if err := w.Tick(w.ctx, epoch); err != nil {
			t.Fatal(err)
		}
		check("merged")
		var tail, chunks int
		err := w.db.Read(w.ctx, func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT COUNT(*) FROM metric_tail`).Scan(&tail); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT COUNT(*) FROM metric_chunk`).Scan(&chunks)
		})
		if err != nil || tail != 0 || chunks > 2 {
			t.Errorf("merging left %d points in the tail and %d chunks, %v", tail, chunks, err)
		}
		add(5)
		check("after")
	})
}

func TestValuesThatAreNoNumbers(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("r", 0)
		w.log(r, Batch{Metrics: []Metric{metric("up", 0, 1, math.Inf(1)), metric("down", 0, 1, math.Inf(-1)), metric("nan", 0, 1, math.NaN())}})
		got, err := w.Run(w.ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if v := got.Metrics; v[0].Value != -math.MaxFloat64 || !math.IsNaN(float64(v[1].Value)) || v[2].Value != math.MaxFloat64 {
			t.Errorf("latest values: %v", v)
		}
		h, err := w.History(w.ctx, r.ID, "nan", EveryStep)
		if err != nil || len(h) != 1 || !math.IsNaN(float64(h[0].Value)) {
			t.Errorf("history of NaN: %v, %v", h, err)
		}
	})
}

func TestArtifactsOfARun(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("r", 0)
		for path, text := range map[string]string{"plot.png": "png", "model/MLmodel": "flavors", "model/data/x.txt": "x", "model-2/y": "y"} {
			if _, err := w.PutArtifact(w.ctx, Place{r.ID, path}, strings.NewReader(text)); err != nil {
				t.Fatal(err)
			}
		}
		for dir, want := range map[string]string{"": "model-2/ model/ plot.png", "model": "model/MLmodel model/data/", "plot.png": "", "none": ""} {
			files, err := w.ListArtifacts(w.ctx, Place{r.ID, dir})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, f := range files {
				if f.Folder {
					f.Path += "/"
				}
				got = append(got, f.Path)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("list %q: %v; want %s", dir, got, want)
			}
		}
		tree, err := w.ArtifactTree(w.ctx, r.ID, "model")
		if err != nil || len(tree) != 2 || tree[0].Path != "MLmodel" {
			t.Errorf("tree: %+v, %v", tree, err)
		}
		for _, path := range []string{"../x", "/x", "a/../b", "", "a//b"} {
			if _, err := w.PutArtifact(w.ctx, Place{r.ID, path}, strings.NewReader("")); !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("path %q: %v", path, err)
			}
		}
		if err := w.DeleteArtifact(w.ctx, Place{r.ID, "model"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Artifact(w.ctx, "default", r.ID, "model/MLmodel"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("deleted: %v", err)
		}
		if _, err := w.Artifact(w.ctx, "default", r.ID, "model-2/y"); err != nil {
			t.Errorf("its neighbour: %v", err)
		}
		if _, err := w.PutArtifact(w.ctx, Place{"nobody", "x"}, strings.NewReader("")); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("of nobody: %v", err)
		}
	})
}

func TestPipelineRunsAreTheSameRuns(t *testing.T) {
	each(t, func(w *world) {
		ctx := t.Context() // nobody: the caller is this process
		id := strings.Repeat("ab", 16)
		start := Start{ID: id, Project: "flights", Experiment: "flights", Name: "train", Kind: KindStep, Parent: "p", Params: map[string]string{"leaves": "63"}}
		for range 2 {
			if got, err := w.StartRun(ctx, start); err != nil || got != id {
				t.Fatal(got, err)
			}
		}
		if err := w.LogRun(ctx, id, Batch{Metrics: []Metric{metric("auc", 0, 1, 0.7)}}); err != nil {
			t.Fatal(err)
		}
		for _, status := range []Status{Failed, Finished, Finished} { // the last word counts
			if err := w.FinishRun(ctx, id, status, epoch); err != nil {
				t.Fatal(err)
			}
		}
		r, err := w.Run(as(ctx, slipway.Reader, "flights"), id)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status != Finished || r.Kind != KindStep || r.Parent() != "p" || !r.End.Equal(epoch) || r.Project != "flights" {
			t.Errorf("%+v", r)
		}
		if m, err := w.Metrics(ctx, id); err != nil || m["auc"] != 0.7 {
			t.Error(m, err)
		}
		if n, _ := w.db.LastEvent(ctx); n != 0 {
			t.Errorf("%d events: the pipeline tells its own", n)
		}
	})
}

func TestLoggedModels(t *testing.T) {
	each(t, func(w *world) {
		r := w.run("r", 0)
		m, err := w.CreateModel(w.ctx, NewModel{Experiment: w.exp, Run: r.ID, Name: "delay", Params: []Pair{{"leaves", "63"}}, Tags: []Pair{{"a", "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.PutArtifact(w.ctx, Place{m.ID, "MLmodel"}, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		if m, err = w.FinalizeModel(w.ctx, m.ID, ModelReady); err != nil || m.Status != ModelReady || len(m.Params) != 1 {
			t.Fatal(m, err)
		}
		if err := w.LogInputs(w.ctx, r.ID, nil, []ModelLink{{Model: m.ID, Output: true, Step: 3}}); err != nil {
			t.Fatal(err)
		}
		judged := metric("auc", 0, 1, 0.8)
		judged.Model, judged.Dataset, judged.Digest = m.ID, "jan", "abc"
		w.log(r, Batch{Metrics: []Metric{judged}})
		m, err = w.Model(w.ctx, m.ID, false)
		if err != nil || len(m.Metrics) != 1 || m.Metrics[0].Run != r.ID || m.Metrics[0].Dataset != "jan" {
			t.Errorf("%+v, %v", m, err)
		}
		other, err := w.CreateModel(w.ctx, NewModel{Experiment: w.exp})
		if err != nil || other.Name == "" {
			t.Fatal(other, err)
		}
		for filter, want := range map[string]int{"": 2, "metrics.auc > 0.7": 1, "params.leaves = '63' AND tags.a = '1'": 1, "name = 'delay'": 1, "status = 'PENDING'": 1, "metrics.auc > 0.9": 0} {
			got, _, err := w.SearchModels(w.ctx, Search{Filter: filter, Order: []string{"metrics.auc DESC"}}, nil)
			if err != nil || len(got) != want {
				t.Errorf("%s: %d models, %v; want %d", filter, len(got), err, want)
			}
		}
		if got, _, err := w.SearchModels(w.ctx, Search{Filter: "metrics.auc > 0.7"}, MetricScope{{Name: "feb"}}); err != nil || len(got) != 0 {
			t.Errorf("on another dataset: %v, %v", got, err)
		}
		if _, err := w.UpdateRun(w.ctx, r.ID, Change{Status: Finished}); err != nil {
			t.Fatal(err)
		}
		events, _ := w.db.Events(w.ctx, 0, 10)
		last := events[len(events)-1]
		if last.Verb != "run.finished" || len(last.Link) != 1 || last.Link[0].Ref.Kind != slipway.KindArtifact {
			t.Errorf("the end of a run links its model: %+v", last)
		}
		found, err := w.Artifact(w.ctx, "default", r.ID, "delay")
		if err != nil || !found.Tree || string(found.Digest) != last.Link[0].Ref.ID {
			t.Errorf("the model by its name: %+v, %v", found, err)
		}
		if _, err := w.Artifact(w.ctx, "other", r.ID, "delay"); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("the model in another project: %v", err)
		}
		if err := w.DeleteModel(w.ctx, m.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Model(w.ctx, m.ID, false); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}
