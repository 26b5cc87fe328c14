package mlflow_test

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
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
