package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// server is an MLflow server for a test; anyone may write.
func server(t testing.TB, dsn string, registry *mlflow.Registry) *httptest.Server {
	t.Helper()
	d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{tracking.Migration}})
	store, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	service := tracking.New(tracking.Options{DB: d, Content: store})
	api := web.NewAPI("test")
	service.Routes(api)
	mlflow.New(mlflow.Options{Tracking: service, Registry: registry}).Routes(api)
	door := &web.Door{Anyone: slipway.Principal{Name: "anyone", Role: slipway.Writer}}
	srv := httptest.NewServer(door.Wrap(api.Mux, false))
	t.Cleanup(srv.Close)
	return srv
}

// script runs a program of testdata with the MLflow that the interpreter which
// SLIPWAY_TEST_PYTHON names has installed.
func script(t *testing.T, name, dsn string) {
	t.Helper()
	python := os.Getenv("SLIPWAY_TEST_PYTHON")
	if python == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with MLflow; `make test` makes one")
	}
	srv := server(t, dsn, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, filepath.Join("testdata", name))
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+srv.URL, "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet",
		"MLFLOW_HTTP_REQUEST_MAX_RETRIES=1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestUnmodifiedClient runs testdata/client.py on each database.
func TestUnmodifiedClient(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) { script(t, "client.py", dsn) })
}

// TestUnmodifiedClientOfModels runs testdata/models.py.
func TestUnmodifiedClientOfModels(t *testing.T) {
	t.Parallel()
	script(t, "models.py", filepath.Join(t.TempDir(), "test.db"))
}

// say sends a request and returns status and decoded body.
func say(t *testing.T, srv *httptest.Server, method, path, body string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, raw)
	}
	return resp.StatusCode, out
}

const api = "/api/2.0/mlflow/"

func newRun(t *testing.T, srv *httptest.Server) string {
	t.Helper()
	status, out := say(t, srv, "POST", api+"runs/create", `{"experiment_id":0,"start_time":"1700000000000","tags":[{"key":"mlflow.user","value":"ana"}],"unknown":1}`)
	if status != 200 {
		t.Fatal(status, out)
	}
	return out["run"].(map[string]any)["info"].(map[string]any)["run_id"].(string)
}

func TestWhatClientsGetWrong(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		srv := server(t, dsn, nil)
		run := newRun(t, srv)
		many := strings.Repeat(`{"key":"a","value":1,"timestamp":1,"step":1},`, 1000)
		for _, c := range []struct {
			method, path, body string
			status             int
			code               string
		}{
			{"POST", "runs/log-metric", `{"run_id":"R","key":"a","value":"NaN","timestamp":"5","step":1.0}`, 200, ""},
			{"POST", "runs/log-metric", `{"run_uuid":"R","key":"a","value":"-Infinity","timestamp":5}`, 200, ""},
			{"POST", "runs/log-metric", `{"run_id":"R","key":"a","timestamp":5}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-metric", `{"run_id":"R","key":"a","value":true,"timestamp":5}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-metric", `{"run_id":"R","key":"../a","value":1,"timestamp":5}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-metric", `{"run_id":"R","key":"a","value":1,"timestamp":-5}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-metric", `{"run_id":"none","key":"a","value":1,"timestamp":5}`, 404, "RESOURCE_DOES_NOT_EXIST"},
			{"POST", "runs/log-metric", `{"key":"a","value":1,"timestamp":5}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-metric", `{`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-parameter", `{"run_id":"R","key":"p","value":"3"}`, 200, ""},
			{"POST", "runs/log-parameter", `{"run_id":"R","key":"p","value":"4"}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-parameter", `{"run_id":"R","key":"q","value":3}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-batch", `{"run_id":"R","metrics":[` + many + `{"key":"a","value":1,"timestamp":1,"step":1}]}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-batch", `{"run_id":"R","params":[{"key":"q","value":"1"},{"key":"q","value":"1"}]}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-batch", `{"run_id":"R","tags":[{"key":"a\u0000b","value":"1"}]}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/log-batch", `{"run_id":"R","tags":[{"key":"t","value":"` + strings.Repeat("x", 1_000_000) + `"}]}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/search", `{"experiment_ids":["0"],"filter":"metrics.a >"}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/search", `{"experiment_ids":["x"]}`, 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "runs/search", `{}`, 200, ""},
			{"POST", "runs/delete-tag", `{"run_id":"R","key":"none"}`, 404, "RESOURCE_DOES_NOT_EXIST"},
			{"POST", "runs/update", `{"run_id":"R","status":"SLEEPING"}`, 400, "INVALID_PARAMETER_VALUE"},
			{"GET", "experiments/get?experiment_id=77", "", 404, "RESOURCE_DOES_NOT_EXIST"},
			{"GET", "experiments/get", "", 400, "INVALID_PARAMETER_VALUE"},
			{"POST", "experiments/create", `{"name":"Default"}`, 400, "RESOURCE_ALREADY_EXISTS"},
			{"POST", "experiments/create", `{"name":7}`, 400, "INVALID_PARAMETER_VALUE"},
			{"GET", "metrics/get-history?run_id=R&metric_key=none", "", 200, ""},
			{"GET", "metrics/get-history?run_id=R&metric_key=a&page_token=!!", "", 400, "INVALID_PARAMETER_VALUE"},
			{"GET", "logged-models/m-none", "", 404, "RESOURCE_DOES_NOT_EXIST"},
			{"PATCH", "logged-models/m-none", `{"status":"LOGGED_MODEL_READY"}`, 404, "RESOURCE_DOES_NOT_EXIST"},
			{"POST", "registered-models/create", `{"name":"m"}`, 404, "ENDPOINT_NOT_FOUND"},
			{"POST", "traces", `{}`, 404, "ENDPOINT_NOT_FOUND"},
		} {
			status, out := say(t, srv, c.method, api+strings.ReplaceAll(c.path, "=R&", "="+run+"&"), strings.ReplaceAll(c.body, `"R"`, `"`+run+`"`))
			code, _ := out["error_code"].(string)
			if status != c.status || code != c.code {
				t.Errorf("%s %s %.100s: %d %.300v; want %d %s", c.method, c.path, c.body, status, out, c.status, c.code)
			}
		}
		if status, out := say(t, srv, "POST", "/api/3.0/mlflow/traces", "{}"); status != 404 || out["error_code"] != "ENDPOINT_NOT_FOUND" {
			t.Errorf("a trace: %d %v", status, out)
		}
	})
}

func TestArtifactProxyKeepsToItsRoot(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	root := "/api/2.0/mlflow-artifacts/artifacts"
	body := strings.Repeat("0123456789", 200_000)
	if status, out := say(t, srv, "PUT", root+"/0/"+run+"/artifacts/a%20b/big.txt", body); status != 200 {
		t.Fatal(status, out)
	}
	get := func(path, byteRange string) (int, string, http.Header) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
		if byteRange != "" {
			req.Header.Set("Range", byteRange)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), resp.Header
	}
	path := root + "/0/" + run + "/artifacts/a%20b/big.txt"
	if status, got, h := get(path, ""); status != 200 || got != body || h.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("whole file: %d, %d bytes, %v", status, len(got), h)
	}
	if status, got, _ := get(path, "bytes=1000005-1000009"); status != 206 || got != "56789" {
		t.Errorf("a part: %d %q", status, got)
	}
	if _, out := say(t, srv, "GET", root+"?path=0/"+run+"/artifacts", ""); len(out["files"].([]any)) != 1 {
		t.Errorf("list: %v", out)
	}
	for _, p := range []string{"/0/" + run + "/artifacts/..%2F..%2Fx", "/0/" + run + "/artifacts/a%2F%2Fb", "/%2E%2E/x", "/0/" + run + "/artifacts/%2Fetc%2Fpasswd"} {
		if status, out := say(t, srv, "PUT", root+p, "x"); status != 400 || out["error_code"] != "INVALID_PARAMETER_VALUE" {
			t.Errorf("PUT %s: %d %v", p, status, out)
		}
	}
	if status, out := say(t, srv, "GET", root+"/0/"+run+"/artifacts/none", ""); status != 404 || out["error_code"] != "RESOURCE_DOES_NOT_EXIST" {
		t.Errorf("no such file: %d %v", status, out)
	}
	if status, _ := say(t, srv, "DELETE", root+"/0/"+run+"/artifacts/a%20b", ""); status != 200 {
		t.Errorf("delete: %d", status)
	}
	if status, _, _ := get(path, ""); status != 404 {
		t.Errorf("deleted file: %d", status)
	}
}

func TestPagesOfAHistory(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	var b bytes.Buffer
	b.WriteString(`{"run_id":"` + run + `","metrics":[`)
	for i := range 100 {
		if i > 0 {
			b.WriteByte(',')
		}
		_ = json.NewEncoder(&b).Encode(map[string]any{"key": "loss", "value": 1.5, "timestamp": i, "step": i})
	}
	b.WriteString(`]}`)
	if status, out := say(t, srv, "POST", api+"runs/log-batch", b.String()); status != 200 {
		t.Fatal(status, out)
	}
	n, token := 0, ""
	for pages := 1; ; pages++ {
		_, out := say(t, srv, "GET", api+"metrics/get-history?metric_key=loss&max_results=30&run_id="+run+"&page_token="+token, "")
		n += len(out["metrics"].([]any))
		if token, _ = out["next_page_token"].(string); token == "" {
			if n != 100 || pages != 4 {
				t.Errorf("%d points in %d pages", n, pages)
			}
			break
		}
	}
	_, out := say(t, srv, "GET", api+"metrics/get-history?metric_key=loss&run_id="+run, "")
	if len(out["metrics"].([]any)) != 100 || out["next_page_token"] != nil {
		t.Errorf("without max_results everything comes: %d", len(out["metrics"].([]any)))
	}
	_, out = say(t, srv, "GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?metric_key=loss&max_results=10&run_ids="+run, "")
	got := out["metrics"].([]any)
	if len(got) != 11 || got[0].(map[string]any)["step"] != 0.0 || got[10].(map[string]any)["step"] != 99.0 {
		t.Errorf("a spread of 10 keeps both ends: %d, %v", len(got), got)
	}
}
