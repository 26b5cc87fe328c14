package mlflow_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// house is a server with a registry, and what stands behind it.
type house struct {
	*httptest.Server
	t       *testing.T
	models  *registry.Service
	runs    *tracking.Service
	content *content.Store
	refused string // why nothing may be released; "" releases
	role    slipway.Role
}

func newHouse(t *testing.T, dsn string) *house {
	t.Helper()
	d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{tracking.Migration, registry.Migration}})
	store, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h := &house{t: t, content: store, role: slipway.Writer}
	h.runs = tracking.New(tracking.Options{DB: d, Content: store})
	h.models = registry.New(registry.Options{DB: d, Content: store, Loader: unread{}, Rows: norows{}, Applied: h, Artifacts: h.runs,
		Webhook: registry.WebhookOptions{Key: []byte("key of the test"), Private: true}})
	api := web.NewAPI("test")
	h.runs.Routes(api)
	mlflow.New(mlflow.Options{Tracking: h.runs, Registry: &mlflow.Registry{Models: h.models, Tracking: h.runs, Content: store, Deploy: h}}).Routes(api)
	door := &web.Door{Anyone: slipway.Principal{Name: "anyone", Role: slipway.Writer}}
	h.Server = httptest.NewServer(door.Wrap(api.Mux, false))
	t.Cleanup(h.Close)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.models.Loop(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// unread is a loader that opens nothing.
type unread struct{}

func (unread) Load(context.Context, string, slipway.Digest, *slipway.Signature) (predictor.Model, error) {
	return nil, slipway.Errorf(slipway.Denied, "nothing is opened here")
}
func (unread) Read(context.Context, slipway.Digest, *slipway.Signature) (predictor.Model, error) {
	return nil, nil
}

type norows struct{}

func (norows) Read(context.Context, []string, query.Format, []string, string) (*slipway.Frame, error) {
	return nil, slipway.Errorf(slipway.NotFound, "no rows")
}

func (h *house) Project(context.Context, string) (*project.Project, error) {
	return nil, slipway.Errorf(slipway.NotFound, "no project was applied")
}

// Home and Release: the project flights deploys the model deployed.
func (h *house) Home(_ context.Context, model string) (string, error) {
	if model == "deployed" {
		return "flights", nil
	}
	return "", nil
}

func (h *house) Release(_ context.Context, project, version, _ string) (bool, bool, error) {
	if project != "flights" {
		return false, false, nil
	}
	if h.refused != "" {
		return true, false, slipway.Errorf(slipway.Refused, "%s", h.refused)
	}
	return true, true, nil
}

// python runs a script of testdata against the server.
func (h *house) python(script string, args ...string) {
	h.t.Helper()
	interpreter := os.Getenv("SLIPWAY_TEST_PYTHON")
	if interpreter == "" {
		h.t.Skip("SLIPWAY_TEST_PYTHON names no Python with MLflow; `make test` makes one")
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, append([]string{filepath.Join("testdata", script)}, args...)...)
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+h.URL, "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet",
		"MLFLOW_HTTP_REQUEST_MAX_RETRIES=1", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
}

// TestUnmodifiedRegistryClient runs testdata/registry.py.
func TestUnmodifiedRegistryClient(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) { newHouse(t, dsn).python("registry.py") })
}

// say sends a request and returns status, error code and decoded body.
func (h *house) say(method, path, body string) (int, string, map[string]any) {
	h.t.Helper()
	status, out := say(h.t, h.Server, method, path, body)
	code, _ := out["error_code"].(string)
	return status, code, out
}

// TestAStageOfADeployedModelIsARelease moves a version of a model that a
// project deploys, and one of a model that none does.
func TestAStageOfADeployedModelIsARelease(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		h := newHouse(t, dsn)
		for _, name := range []string{"deployed", "free"} {
			h.say("POST", api+"registered-models/create", `{"name":"`+name+`"}`)
			if status, code, out := h.say("POST", api+"model-versions/create", `{"name":"`+name+`","source":"s3://bucket/m"}`); status != 200 {
				t.Fatal(status, code, out)
			}
		}
		if homes, err := h.models.Homes(t.Context(), "deployed"); err != nil || len(homes) != 1 || homes[0] != "flights" {
			t.Errorf("a model that slipway.yaml names is in %v, %v", homes, err)
		}
		move := func(name, stage string) (string, string) {
			_, code, out := h.say("POST", api+"model-versions/transition-stage", `{"name":"`+name+`","version":"1","stage":"`+stage+`"}`)
			if code != "" {
				return code, out["message"].(string)
			}
			return "", out["model_version"].(map[string]any)["current_stage"].(string)
		}
		h.refused = "no gate has judged deployed@v1"
		if code, message := move("deployed", "production"); code != "INVALID_PARAMETER_VALUE" || !strings.Contains(message, h.refused) {
			t.Errorf("without a certificate: %s %s", code, message)
		}
		if code, stage := move("free", "production"); code != "" || stage != "Production" {
			t.Errorf("a label: %s %s", code, stage)
		}
		h.refused = ""
		if code, stage := move("deployed", "Production"); code != "" || stage != "Production" {
			t.Errorf("with one: %s %s", code, stage)
		}
	})
}

// TestWhatThePipelineRegistersLoads registers bare files, as a pipeline does,
// and has the unmodified client load them.
func TestWhatThePipelineRegistersLoads(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "test.db"))
	dir := t.TempDir()
	h.python("native.py", "make", dir)
	for _, file := range []string{"model.txt", "model.json", "model.ubj", "model.pkl"} {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		d, n, err := h.content.Put(t.Context(), f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		tree, err := h.models.Tree(t.Context(), slipway.Artifact{Path: file, Digest: d, Size: n})
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ReplaceAll(file, ".", "-")
		if _, err := h.models.Register(t.Context(), slipway.ModelVersion{Project: "a project", Name: name, Content: tree}, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.python("native.py", "load", dir)
	if status, _, out := h.say("GET", "/api/2.0/mlflow-artifacts/artifacts?path=registry/other/none/1", ""); status != 404 {
		t.Errorf("files of no version: %d %v", status, out)
	}
}

// TestWhoMayReadARegistry asks with a token of another project.
func TestWhoMayReadARegistry(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "test.db"))
	h.say("POST", api+"registered-models/create", `{"name":"deployed"}`)
	h.say("POST", api+"model-versions/create", `{"name":"deployed","source":"s3://bucket/m"}`)
	r := &mlflow.Registry{Models: h.models, Tracking: h.runs, Content: h.content, Deploy: h}
	mux := web.NewAPI("test")
	mlflow.New(mlflow.Options{Tracking: h.runs, Registry: r}).Routes(mux)
	for _, c := range []struct {
		who          slipway.Principal
		method, path string
		status       int
	}{
		{slipway.Principal{Name: "a", Role: slipway.Reader, Project: "flights"}, "GET", "model-versions/get?name=deployed&version=1", 200},
		{slipway.Principal{Name: "b", Role: slipway.Reader, Project: "other"}, "GET", "model-versions/get?name=deployed&version=1", 404},
		{slipway.Principal{Name: "b", Role: slipway.Reader, Project: "flights"}, "DELETE", "registered-models/delete?name=deployed", 403},
		{slipway.Principal{Name: "b", Role: slipway.Reader, Project: "flights"}, "GET", "webhooks", 403},
		{slipway.Principal{}, "GET", "registered-models/search", 401},
	} {
		door := &web.Door{Anyone: c.who}
		srv := httptest.NewServer(door.Wrap(mux.Mux, false))
		if status, out := say(t, srv, c.method, api+c.path, ""); status != c.status {
			t.Errorf("%+v %s: %d %v; want %d", c.who, c.path, status, out, c.status)
		}
		srv.Close()
	}
}

// TestSourcesThatAreRefused gives addresses that mean the server's own disk, or
// climb out of what they name.
func TestSourcesThatAreRefused(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "test.db"))
	h.say("POST", api+"registered-models/create", `{"name":"m"}`)
	for source, status := range map[string]int{
		"/etc": 400, "file:///etc": 400, "etc/passwd": 400, "": 400, "mlflow-artifacts:/a/../../etc": 400, "http://h/a/..%252f..%252fb": 400,
		"s3://b/a%00": 400, "dbfs:/a/b%3f/../..": 400, "models:/none/1": 400, "models:/m-none": 400, "models:/m@none": 400, "models:/": 400, "runs:/none/model": 200,
		"s3://bucket/a..b": 200, "mlflow-artifacts:/registry/x/y/1": 200, "mlflow-artifacts:/models///": 200, "mlflow-artifacts://host:1/..../a": 200, "gs://a/b?c=d": 200,
	} {
		got, code, out := h.say("POST", api+"model-versions/create", `{"name":"m","source":"`+source+`"}`)
		if got != status || got == 400 && code != "INVALID_PARAMETER_VALUE" {
			t.Errorf("%q: %d %v; want %d", source, got, out, status)
		}
	}
}
