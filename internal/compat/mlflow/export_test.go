package mlflow_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// filled is a house into which what a real MLflow wrote was imported, its
// registered models too.
func filled(t *testing.T, dsn string) (*house, tracking.Imported) {
	t.Helper()
	dir, _ := realMLflow(t)
	h := newHouse(t, dsn)
	ctx := asWriter(t.Context())
	file := source(t, "sqlite:///"+filepath.Join(dir, "mlflow.db"), filepath.Join(dir, "artifacts"))
	got, err := h.runs.Import(ctx, tracking.DefaultProject, file, false, quiet)
	if err == nil {
		err = mlflow.CopyRegistered(ctx, web.Client{URL: h.URL, HTTP: http.DefaultClient}, file, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h, got
}

// export writes all that a house holds.
func (h *house) export(o mlflow.ExportOptions) (mlflow.Exported, error) {
	h.t.Helper()
	var err error
	if o.Experiments, _, err = h.runs.SearchExperiments(asWriter(h.t.Context()), tracking.Search{View: tracking.All}); err != nil {
		h.t.Fatal(err)
	}
	o.Registered, o.Say = map[string]bool{"net": true}, func(int64) {}
	from, err := mlflow.Dial(web.Client{URL: h.URL, HTTP: http.DefaultClient})
	if err != nil {
		h.t.Fatal(err)
	}
	return mlflow.Export(h.t.Context(), from, o)
}

// TestImportRegistered: versions come with their numbers though one before them
// was deleted, with stage, alias, tags and files; and a second import changes
// nothing.
func TestImportRegistered(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		h, got := filled(t, dsn)
		if got.Registered != 1 || got.Versions != 2 || len(got.Skipped) != 0 {
			t.Errorf("imported %+v", got)
		}
		for n, stage := range map[string]string{"1": "Production", "3": "None"} {
			status, _, out := h.say("GET", api+"model-versions/get?name=net&version="+n, "")
			if status != 200 {
				t.Fatalf("version %s: %d %v", n, status, out)
			}
			v := out["model_version"].(object)
			if v["current_stage"] != stage || v["description"] != "version "+n || !strings.HasPrefix(v["source"].(string), "models:/m-") || v["run_id"] == "" {
				t.Errorf("version %s: %v", n, v)
			}
		}
		if status, _, out := h.say("GET", api+"model-versions/get?name=net&version=2", ""); status != 404 {
			t.Errorf("the deleted version: %d %v", status, out)
		}
		status, _, out := h.say("GET", api+"registered-models/alias?name=net&alias=best", "")
		if status != 200 || out["model_version"].(object)["version"] != "3" {
			t.Errorf("alias: %d %v", status, out)
		}
		_, _, out = h.say("GET", api+"registered-models/get?name=net", "")
		if m := out["registered_model"].(object); m["description"] != "a small net" || m["tags"].([]any)[0].(object)["value"] != "ada" {
			t.Errorf("registered model: %v", m)
		}
		_, _, out = h.say("GET", api+"model-versions/get-download-uri?name=net&version=3", "")
		uri, _ := out["artifact_uri"].(string)
		_, _, out = h.say("GET", "/api/2.0/mlflow-artifacts/artifacts?path="+strings.TrimPrefix(uri, "mlflow-artifacts:/"), "")
		if files, _ := out["files"].([]any); len(files) != 1 || files[0].(object)["path"] != "weights.bin" {
			t.Errorf("files of version 3 at %s: %v", uri, out)
		}
	})
}

// TestExport: what is written is read back by this program's own import to the
// same store, by Parquet to the same points, and has the same bytes.
func TestExport(t *testing.T) {
	h, _ := filled(t, filepath.Join(t.TempDir(), "x.db"))
	dir := filepath.Join(t.TempDir(), "out", "export")
	got, err := h.export(mlflow.ExportOptions{Dir: dir})
	if err != nil || len(got.Skipped) != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	before := snapshot(t, h.runs)
	points := 0
	for _, p := range before.Points {
		points += len(p)
	}
	if got.Runs != int64(len(before.Runs)) || got.Points != int64(points) || got.Versions != 2 || got.Files != int64(len(before.Files)+2) {
		t.Errorf("exported %+v of %d runs, %d points, %d files", got, len(before.Runs), points, len(before.Files))
	}
	again := newHouse(t, filepath.Join(t.TempDir(), "again.db"))
	file := source(t, "sqlite:///"+filepath.Join(dir, "mlflow.db"), filepath.Join(dir, "artifacts"))
	back, err := again.runs.Import(asWriter(t.Context()), tracking.DefaultProject, file, false, quiet)
	if err == nil {
		err = mlflow.CopyRegistered(asWriter(t.Context()), web.Client{URL: again.URL, HTTP: http.DefaultClient}, file, &back)
	}
	if err != nil || len(back.Skipped) != 0 || back.Versions != 2 {
		t.Fatalf("read back %+v, %v", back, err)
	}
	if diff := cmp.Diff(before, snapshot(t, again.runs), cmp.Comparer(sameNumber)); diff != "" {
		t.Error(diff)
	}
	rows, err := parquet.ReadFile[struct {
		Run   string  `parquet:"run_id"`
		Key   string  `parquet:"key"`
		Step  int64   `parquet:"step"`
		Time  int64   `parquet:"time"`
		Value float64 `parquet:"value"`
	}](filepath.Join(dir, "parquet", "metrics.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	read := map[string][]tracking.Point{}
	for _, r := range rows {
		key := r.Run + " " + r.Key
		read[key] = append(read[key], tracking.Point{Step: r.Step, Time: r.Time, Value: tracking.Number(r.Value)})
	}
	if diff := cmp.Diff(before.Points, read, cmp.Comparer(sameNumber)); diff != "" {
		t.Error(diff)
	}
	files, err := parquet.ReadFile[struct {
		Owner  string `parquet:"owner"`
		File   string `parquet:"file"`
		Digest string `parquet:"sha256"`
	}](filepath.Join(dir, "parquet", "artifacts.parquet"))
	if err != nil || int64(len(files)) != got.Files {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.File))
		sum := sha256.Sum256(b)
		if err != nil || hex.EncodeToString(sum[:]) != f.Digest {
			t.Errorf("%s: %v", f.File, err)
		}
	}
}

// TestExportRefuses: an export overwrites nothing, and one that breaks off leaves
// nothing.
func TestExportRefuses(t *testing.T) {
	h, _ := filled(t, filepath.Join(t.TempDir(), "x.db"))
	dir := t.TempDir()
	note := filepath.Join(dir, "note")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.export(mlflow.ExportOptions{Dir: dir}); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("over a file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	from, err := mlflow.Dial(web.Client{URL: h.URL, HTTP: http.DefaultClient})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := h.runs.SearchExperiments(asWriter(t.Context()), tracking.Search{View: tracking.All})
	if err != nil {
		t.Fatal(err)
	}
	o := mlflow.ExportOptions{Dir: filepath.Join(dir, "new"), Experiments: all, Say: func(int64) { cancel() }}
	if _, err := mlflow.Export(ctx, from, o); err == nil {
		t.Error("a cancelled export came through")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestExportIsReadByMLflow has the real client read an export (testdata/exported.py).
func TestExportIsReadByMLflow(t *testing.T) {
	python := os.Getenv("SLIPWAY_TEST_PYTHON")
	if python == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with MLflow; `make test` makes one")
	}
	h, _ := filled(t, filepath.Join(t.TempDir(), "x.db"))
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := h.export(mlflow.ExportOptions{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "exported.py"), dir).Output()
	if err != nil {
		text := ""
		if e, ok := err.(*exec.ExitError); ok {
			text = string(e.Stderr)
		}
		t.Fatalf("%v\n%s", err, text)
	}
	var read struct {
		Params   map[string]map[string]string
		Points   map[string][][3]float64 // step, time, value; NaN is -1e307
		Files    map[string]string
		Versions map[string][2]string // version: stage, digest of its file
		Alias    string
	}
	if err := json.Unmarshal(out, &read); err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, h.runs)
	if len(read.Params) != len(want.Runs) {
		t.Errorf("MLflow reads %d runs of %d", len(read.Params), len(want.Runs))
	}
	for id, r := range want.Runs {
		for _, p := range r.Params {
			if read.Params[id][p.Key] != p.Value {
				t.Errorf("%s: param %s is %q, want %q", r.Name, p.Key, read.Params[id][p.Key], p.Value)
			}
		}
	}
	points := map[string][]tracking.Point{}
	for key, all := range read.Points {
		for _, p := range all {
			v := p[2]
			if v == -1e307 {
				v = math.NaN()
			}
			points[key] = append(points[key], tracking.Point{Step: int64(p[0]), Time: int64(p[1]), Value: tracking.Number(v)})
		}
	}
	if diff := cmp.Diff(want.Points, points, cmp.Comparer(sameNumber)); diff != "" {
		t.Error(diff)
	}
	for name, d := range want.Files {
		digest, _, _ := strings.Cut(d, " ")
		if read.Files[name] != digest {
			t.Errorf("%s: MLflow reads %s, want %s", name, read.Files[name], digest)
		}
	}
	weights := ""
	for name, d := range want.Files {
		if strings.HasSuffix(name, "weights.bin") {
			weights, _, _ = strings.Cut(d, " ")
		}
	}
	if diff := cmp.Diff(map[string][2]string{"1": {"Production", weights}, "3": {"None", weights}}, read.Versions); diff != "" || read.Alias != "3" {
		t.Errorf("versions: %s alias %s", diff, read.Alias)
	}
}
