package registry_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// world is a registry whose rows stand in memory.
type world struct {
	*registry.Service
	t       *testing.T
	db      *db.DB
	content *content.Store
	frame   *slipway.Frame // what every file of rows holds
	yaml    string
	needed  string // why a version is in use
}

const yaml = `
project: p
data: {flights: {path: data/, time: at, key: id}}
pipeline:
  prepare: {run: python prepare.py, in: [flights], out: {rows: rows.parquet}}
  train: {run: python train.py, in: [prepare.rows], out: {model: model.txt}}
model: {name: late, from: train.model, task: binary, target: late}
`

func each(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	dbtest.Each(t, []db.Migration{registry.Migration}, func(t *testing.T, d *db.DB) {
		store, err := content.Open(t.TempDir(), content.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		w := &world{t: t, db: d, content: store, yaml: yaml}
		files := &registry.Files{Content: store, Dir: filepath.Join(t.TempDir(), "model"), Safe: []predictor.Loader{trees.Loader{}}, Execute: []predictor.Loader{pickle{}}}
		w.Service = registry.New(registry.Options{DB: d, Content: store, Loader: files, Rows: w, Applied: w, InUse: w})
		fn(t, w)
	})
}

func (w *world) Project(context.Context, string) (*project.Project, error) {
	return project.Parse("slipway.yaml", []byte(w.yaml))
}

func (w *world) InUse(context.Context, string, slipway.Ref) (string, error) { return w.needed, nil }

func (w *world) Read(_ context.Context, _ []string, _ query.Format, columns []string, _ string) (*slipway.Frame, error) {
	if columns == nil {
		return w.frame, nil
	}
	return w.frame.Select(columns), nil
}

func (w *world) ctx(role slipway.Role) context.Context {
	return slipway.WithPrincipal(w.t.Context(), slipway.Principal{Name: "ana", Role: role})
}

func (w *world) put(raw []byte) slipway.Artifact {
	w.t.Helper()
	d, n, err := w.content.Put(w.t.Context(), bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	return slipway.Artifact{Digest: d, Size: n}
}

// tree keeps a folder of one file.
func (w *world) tree(name, text string) slipway.Digest {
	w.t.Helper()
	file := w.put([]byte(text))
	tree, err := content.NewTree([]content.Entry{{Path: name, Digest: file.Digest, Size: file.Size}})
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := w.content.PutTree(w.t.Context(), tree)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) finish(id string, made bool, model slipway.Artifact, status string) {
	w.t.Helper()
	data := map[string]any{"kind": "pipeline", "status": status, "outputs": map[string]any{"train.model": model, "prepare.rows": w.put([]byte("rows"))}}
	if made {
		data["model"] = "train.model"
	}
	raw, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	e := slipway.Event{ID: id, Project: "p", Actor: "ana", Verb: "run.finished", Subject: slipway.NewRef(slipway.KindRun, id), Data: raw}
	for range 2 { // events may come twice
		if err := w.Handle(w.ctx(slipway.Operator), e); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) versions() int {
	w.t.Helper()
	list, err := w.List(w.t.Context(), "p")
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list) == 0 {
		return 0
	}
	return len(list[0].Version)
}

// lateFlights is a LightGBM model of "air time", carrier, hour and gate, whose
// file says air_time and keeps the gates' numbers as categories.
func lateFlights(t *testing.T) []byte {
	t.Helper()
	raw, err := os.ReadFile("../../backend/predictor/trees/testdata/binary.txt")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func rows() *slipway.Frame {
	return &slipway.Frame{Rows: 3, Series: []slipway.Series{
		{Name: "id", Type: slipway.Text, Text: []string{"a", "b", "c"}},
		{Name: "at", Type: slipway.Time, Float: []float64{1, 2, 3}},
		{Name: "air time", Type: slipway.Float, Float: []float64{90.5, math.NaN(), 200}},
		{Name: "carrier", Type: slipway.Text, Text: []string{"AA", "DL", "UA"}},
		{Name: "hour", Type: slipway.Int, Float: []float64{7, 22, 9}},
		{Name: "gate", Type: slipway.Int, Float: []float64{10, 20, 10}},
		{Name: "late", Type: slipway.Int, Float: []float64{0, 1, 0}},
	}}
}

// TestSignatureJoinsFileAndRows takes names and categories from the file, and
// types and names with spaces from the rows.
func TestSignatureJoinsFileAndRows(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.frame = rows()
		w.finish("r1", true, w.put(lateFlights(t)), "succeeded")
		v, err := w.Find(t.Context(), "p", "late@v1")
		if err != nil {
			t.Fatal(err)
		}
		want := slipway.Schema{
			{Name: "air time", Type: slipway.Float, Nullable: true},
			{Name: "carrier", Type: slipway.Text, Nullable: true, Categories: []string{"AA", "DL", "UA", "WN"}},
			{Name: "hour", Type: slipway.Int, Nullable: true},
			{Name: "gate", Type: slipway.Int, Nullable: true, Categories: []string{"10", "20", "30", "40"}},
		}
		if diff := cmp.Diff(want, v.Signature.Input); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]slipway.Range{{Feature: "air time", Min: 90.5, Max: 200}, {Feature: "hour", Min: 7, Max: 22}}, v.Range); diff != "" {
			t.Error(diff)
		}
		if v.Rows != 3 || v.Actor != "ana" || v.Source != slipway.FromPipeline || v.State != slipway.ModelRegistered {
			t.Errorf("%+v", v)
		}
	})
}

// TestWhatARunRegisters tells new models from ones that are known.
func TestWhatARunRegisters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.frame = rows()
		first := w.put(lateFlights(t))
		second := w.put(append(lateFlights(t), '\n'))
		for _, c := range []struct {
			what   string
			made   bool
			model  slipway.Artifact
			status string
			want   int
		}{
			{"a run that failed", true, first, "failed", 0},
			{"the next one, which reuses its model", false, first, "succeeded", 1},
			{"a run that changes nothing", false, first, "succeeded", 1},
			{"a run that makes the same again", true, first, "succeeded", 1},
			{"a new model", true, second, "succeeded", 2},
			{"an older one, reused", false, first, "succeeded", 2},
			{"an older one, made again", true, first, "succeeded", 3},
		} {
			w.finish(c.what, c.made, c.model, c.status)
			if n := w.versions(); n != c.want {
				t.Fatalf("after %s: %d versions; want %d", c.what, n, c.want)
			}
		}
		if _, err := w.Delete(w.ctx(slipway.Operator), "p", "late", 3); err != nil {
			t.Fatal(err)
		}
		w.finish("after a deletion", true, first, "succeeded")
		if v, err := w.Find(t.Context(), "p", "late"); err != nil || v.Version != 4 {
			t.Errorf("version %d, %v; a number is never given twice", v.Version, err)
		}
		w.needed = "production answers with it"
		if _, err := w.Delete(w.ctx(slipway.Operator), "p", "late", 4); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("deleting the champion = %v", err)
		}
	})
}

// TestTrainingRowsOfAFileWithSplits reads the split "train" alone.
func TestTrainingRowsOfAFileWithSplits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.frame = rows()
		w.frame.Series = append(w.frame.Series, slipway.Series{Name: "split", Type: slipway.Text, Text: []string{"train", "test", "train"}})
		w.finish("r1", true, w.put(lateFlights(t)), "succeeded")
		v, err := w.Find(t.Context(), "p", "late")
		if err != nil || v.Rows != 2 {
			t.Fatalf("%d rows, %v", v.Rows, err)
		}
		in := project.Input{Text: "prepare.rows[test]", Step: "prepare", Output: "rows", Split: "test"}
		f, err := w.Input(t.Context(), v, in, []string{"id"})
		if err != nil || f.Rows != 1 || f.Column("id").Text[0] != "b" {
			t.Errorf("%+v %v", f, err)
		}
		w.frame = rows()
		if _, err := w.Input(t.Context(), v, in, nil); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("without a column split: %v", err)
		}
	})
}

// pickle stands for a loader whose files execute code when they are opened.
type pickle struct{}

func (pickle) Name() string            { return "pickle" }
func (pickle) Detect(path string) bool { return strings.HasSuffix(path, ".pkl") }
func (pickle) Load(context.Context, predictor.Spec) (predictor.Model, error) {
	return opened{}, nil
}

type opened struct{ predictor.Model }

func (opened) Signature() slipway.Signature { return slipway.Signature{Task: slipway.Regression} }
func (opened) Close() error                 { return nil }

// TestWritersExecuteNothing registers a pickle: a writer's is kept unopened.
func TestWritersExecuteNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for role, task := range map[slipway.Role]slipway.Task{slipway.Writer: "", slipway.Operator: slipway.Regression} {
			d := w.tree("model.pkl", "pickle of "+string(role))
			v, err := w.Register(w.ctx(role), slipway.ModelVersion{Project: "p", Name: "m", Content: d}, nil)
			if err != nil || v.Signature.Task != task {
				t.Errorf("%s: %v, task %q; want %q", role, err, v.Signature.Task, task)
			}
		}
	})
}

// TestImportanceIsReadAndNeverExecuted asks as a reader: a tree's file tells,
// a pickle is not opened for it.
func TestImportanceIsReadAndNeverExecuted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.frame = rows()
		w.finish("r1", true, w.put(lateFlights(t)), "succeeded")
		pickled, err := w.Register(w.ctx(slipway.Operator), slipway.ModelVersion{Project: "p", Name: "m", Content: w.tree("model.pkl", "pickle")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		api := web.NewAPI("test")
		w.Routes(api)
		c := web.InProcess(api.Mux, slipway.Principal{Name: "ben", Role: slipway.Reader})
		told, err := registry.OpImportance.Call(t.Context(), c, registry.NamedModel{Project: "p", Model: "late@v1"})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for i, f := range told {
			names[f.Feature] = true
			if i > 0 && f.Gain > told[i-1].Gain {
				t.Errorf("%+v stands after %+v", f, told[i-1])
			}
		}
		if diff := cmp.Diff(map[string]bool{"air time": true, "carrier": true, "hour": true, "gate": true}, names); diff != "" || told[0].Gain <= 0 {
			t.Errorf("%+v\n%s", told, diff)
		}
		none, err := registry.OpImportance.Call(t.Context(), c, registry.NamedModel{Project: "p", Model: pickled.ID()})
		if err != nil || none == nil || len(none) != 0 {
			t.Errorf("a pickle: %+v, %v", none, err)
		}
		if _, err := registry.OpImportance.Call(t.Context(), c, registry.NamedModel{Project: "p", Model: "late@v9"}); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("a version that is not there: %v", err)
		}
	})
}

// stump is a LightGBM model of one split.
const stump = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n" +
	"feature_names=age\nfeature_infos=[0:9]\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=4.5\n" +
	"decision_type=2\nleft_child=-1\nright_child=-2\nleaf_value=10 20\nleaf_count=3 1\ninternal_count=4\n\nend of trees\n"

// TestExport writes a version in ONNX; one that ONNX cannot say, or that only
// Python opens, is refused with the reason.
func TestExport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.frame = rows()
		w.finish("r1", true, w.put(lateFlights(t)), "succeeded")
		register := func(name, file, text string) string {
			v, err := w.Register(w.ctx(slipway.Operator), slipway.ModelVersion{Project: "p", Name: name, Content: w.tree(file, text)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return v.ID()
		}
		one, pickled := register("one", "model.txt", stump), register("m", "model.pkl", "pickle")
		api := web.NewAPI("test")
		w.Routes(api)
		c := web.InProcess(api.Mux, slipway.Principal{Name: "ben", Role: slipway.Reader})
		file, err := registry.OpExport.Call(t.Context(), c, registry.ExportVersion{Project: "p", Model: one, Format: registry.ONNX})
		if err != nil || !bytes.Contains(file.Content, []byte("TreeEnsembleRegressor")) || cmp.Diff([]string{"age"}, file.Feature) != "" {
			t.Errorf("the exported model is %q with features %v: %v", file.Content, file.Feature, err)
		}
		for model, says := range map[string]string{"late@v1": "categories", pickled: "Python only"} {
			_, err := registry.OpExport.Call(t.Context(), c, registry.ExportVersion{Project: "p", Model: model, Format: registry.ONNX})
			if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v, want Invalid: %s", model, err, says)
			}
		}
	})
}

// TestUploads sends what a hostile or broken client may send.
func TestUploads(t *testing.T) {
	pack := func(headers ...tar.Header) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			h.Mode = 0o644
			if h.Typeflag == tar.TypeReg {
				h.Size = 4
			}
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if h.Size > 0 {
				_, _ = w.Write([]byte("tree"))
			}
		}
		_ = w.Close()
		return b.Bytes()
	}
	whole := pack(tar.Header{Typeflag: tar.TypeReg, Name: "model.txt"})
	each(t, func(t *testing.T, w *world) {
		api := web.NewAPI("test")
		w.Routes(api)
		c := web.InProcess(api.Mux, slipway.Principal{Name: "ana", Role: slipway.Writer})
		for what, body := range map[string][]byte{
			"nothing":             {},
			"no tar":              []byte("hello"),
			"a stream cut off":    whole[:514],
			"a path that escapes": pack(tar.Header{Typeflag: tar.TypeReg, Name: "../../etc/passwd"}),
			"an absolute path":    pack(tar.Header{Typeflag: tar.TypeReg, Name: "/etc/passwd"}),
			"a link":              pack(tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc/passwd"}),
			"a name twice":        pack(tar.Header{Typeflag: tar.TypeReg, Name: "a"}, tar.Header{Typeflag: tar.TypeReg, Name: "a"}),
			"no model":            whole,
		} {
			_, err := c.Stream(t.Context(), "POST", "/api/v1/projects/p/models/m/upload", bytes.NewReader(body))
			if !slipway.IsCode(err, slipway.Invalid) {
				t.Errorf("%s: %v; want invalid", what, err)
			}
		}
		if n := w.versions(); n != 0 {
			t.Errorf("%d versions were registered", n)
		}
	})
}
