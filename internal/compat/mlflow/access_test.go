package mlflow_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// shared is a server that several projects use, each by tokens: a secret is the
// role, a dash and the project.
type shared struct {
	*httptest.Server
	t   *testing.T
	api *mlflow.Server
}

func newShared(t *testing.T, h *house) *shared {
	t.Helper()
	s := &shared{t: t, api: mlflow.New(mlflow.Options{Tracking: h.runs, Registry: &mlflow.Registry{Models: h.models, Tracking: h.runs, Content: h.content, Deploy: h}})}
	a := web.NewAPI("test")
	h.runs.Routes(a)
	s.api.Routes(a)
	door := &web.Door{Refuse: mlflow.Refuse, Token: func(_ *http.Request, secret string) (slipway.Principal, error) {
		role, project, ok := strings.Cut(secret, "-")
		if !ok || !slipway.Role(role).Valid() {
			return slipway.Principal{}, slipway.Errorf(slipway.Unauthenticated, "no such token")
		}
		return slipway.Principal{Name: secret, Role: slipway.Role(role), Project: project}, nil
	}}
	s.Server = httptest.NewServer(door.Wrap(a.Mux, false))
	t.Cleanup(s.Close)
	return s
}

// ask sends a request with a token, "" for none.
func (s *shared) ask(token, method, path string, body any) (int, string) {
	s.t.Helper()
	raw, ok := body.(string)
	if !ok && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		raw = string(b)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(raw))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.SetBasicAuth("anybody", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

// must asks with a token, wants 200 and decodes the answer.
func (s *shared) must(token, method, path string, body any) object {
	s.t.Helper()
	status, text := s.ask(token, method, path, body)
	out := object{}
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return out
}

// secretOf stands in everything that a project writes and a request does not
// repeat.
func secretOf(project string) string { return "zeta-secret-of-" + project }

// belongings are the ids of one project's things.
type belongings struct{ experiment, run, model, name, webhook string }

// furnish fills a project.
func (s *shared) furnish(project string) (b belongings) {
	s.t.Helper()
	token, secret := "writer-"+project, secretOf(project)
	tag := []object{{"key": "t", "value": secret}}
	b.name = "name-" + project
	b.experiment = s.must(token, "POST", api+"experiments/create", object{"name": "exp-" + project, "tags": tag})["experiment_id"].(string)
	b.run = s.must(token, "POST", api+"runs/create", object{"experiment_id": b.experiment, "run_name": secret, "tags": tag})["run"].(object)["info"].(object)["run_id"].(string)
	s.must(token, "POST", api+"runs/log-batch", object{"run_id": b.run, "params": []object{{"key": "p", "value": secret}}, "metrics": []object{{"key": "m", "value": 0.123454321, "timestamp": 1}}})
	s.must(token, "POST", api+"runs/log-inputs", object{"run_id": b.run, "datasets": []object{{"dataset": object{"name": secret, "digest": "d", "source_type": "local", "source": secret}}}})
	b.model = s.must(token, "POST", api+"logged-models", object{"experiment_id": b.experiment, "name": secret, "source_run_id": b.run, "tags": tag})["model"].(object)["info"].(object)["model_id"].(string)
	for _, place := range []string{b.run + "/artifacts/a.txt", "models/" + b.model + "/artifacts/a.txt"} {
		s.must(token, "PUT", "/api/2.0/mlflow-artifacts/artifacts/"+b.experiment+"/"+place, secret)
	}
	s.must(token, "PATCH", api+"logged-models/"+b.model, object{"status": "LOGGED_MODEL_READY"})
	s.must(token, "POST", api+"registered-models/create", object{"name": b.name, "description": secret, "tags": tag})
	s.must(token, "POST", api+"model-versions/create", object{"name": b.name, "source": "models:/" + b.model, "run_id": b.run, "description": secret})
	s.must(token, "POST", api+"registered-models/alias", object{"name": b.name, "alias": "best", "version": "1"})
	b.webhook = s.must(token, "POST", api+"webhooks", object{"name": "hook", "url": "http://127.0.0.1:9/" + secret, "description": secret,
		"events": []object{{"entity": "MODEL_VERSION", "action": "CREATED"}}})["webhook"].(object)["webhook_id"].(string)
	return b
}

// state is what a project's own writer sees of its things.
func (s *shared) state(project string, b belongings) string {
	s.t.Helper()
	var out strings.Builder
	for _, path := range []string{"experiments/get?experiment_id=" + b.experiment, "runs/get?run_id=" + b.run, "metrics/get-history?metric_key=m&run_id=" + b.run,
		"logged-models/" + b.model, "registered-models/get?name=" + b.name, "model-versions/get?version=1&name=" + b.name, "registered-models/alias?alias=best&name=" + b.name,
		"webhooks/" + b.webhook, "artifacts/list?run_id=" + b.run, "logged-models/" + b.model + "/artifacts/directories"} {
		status, text := s.ask("writer-"+project, "GET", api+path, nil)
		fmt.Fprintln(&out, path, status, text)
	}
	return out.String()
}

// requests are all that can be asked about a project's things: a body that fits
// every endpoint of the tables, and those that move bytes by hand.
func (s *shared) requests(b belongings) (out []request) {
	body := object{"experiment_id": b.experiment, "experiment_ids": []string{b.experiment}, "experiment_name": "exp-a", "run_id": b.run, "run_uuid": b.run, "run_ids": []string{b.run},
		"name": b.name, "new_name": "taken", "key": "k", "value": "1", "timestamp": 5, "metric_key": "m", "version": "1", "alias": "best", "stage": "Staging",
		"source": "models:/" + b.model, "model_id": b.model, "description": "taken", "url": "http://127.0.0.1:9/taken", "events": []object{{"entity": "MODEL_VERSION", "action": "CREATED"}},
		"view_type": "ALL", "run_view_type": "ALL", "path": "a.txt", "tags": []object{{"key": "t", "value": "taken"}}, "params": []object{{"key": "q", "value": "1"}},
		"datasets": []object{{"dataset": object{"name": "d", "digest": "d", "source_type": "l", "source": "s"}}}, "models": []object{{"model_id": b.model, "step": 0}}}
	query := url.Values{}
	for k, v := range body {
		switch v := v.(type) {
		case string:
			query.Set(k, v)
		case []string:
			query[k] = v
		}
	}
	query.Del("path")
	for _, r := range s.api.AllRoutes() {
		method, path := r[0], strings.NewReplacer("{key}", "t").Replace(r[1])
		id := b.model
		if strings.HasPrefix(path, "webhooks") {
			id = b.webhook
		}
		one := request{method: method, path: api + strings.ReplaceAll(path, "{id}", id), pattern: r[1], reads: method == "GET" || strings.HasSuffix(path, "search") || strings.HasSuffix(path, "search-datasets") || strings.HasSuffix(path, "get-latest-versions")}
		if method == "GET" {
			one.path += "?" + query.Encode()
		} else {
			one.body = bodyFor(r[1], body)
		}
		out = append(out, one)
	}
	proxy := "/api/2.0/mlflow-artifacts/"
	for _, root := range []string{b.experiment + "/" + b.run + "/artifacts", b.experiment + "/models/" + b.model + "/artifacts", "registry/a/" + b.name + "/1"} {
		out = append(out, request{method: "GET", path: proxy + "artifacts?path=" + root, reads: true}, request{method: "GET", path: proxy + "artifacts/" + root + "/a.txt", reads: true})
		if !strings.HasPrefix(root, "registry") {
			out = append(out, request{method: "PUT", path: proxy + "artifacts/" + root + "/a.txt", body: "taken"}, request{method: "DELETE", path: proxy + "artifacts/" + root + "/a.txt"},
				request{method: "POST", path: proxy + "mpu/create/" + root, body: object{"path": "a.txt", "num_parts": 1}},
				request{method: "PUT", path: proxy + "mpu/part/u/1/" + root + "/a.txt", body: "taken"},
				request{method: "POST", path: proxy + "mpu/complete/" + root, body: object{"path": "a.txt", "upload_id": "u", "parts": []object{{"part_number": 1, "etag": strings.Repeat("0", 64)}}}},
				request{method: "POST", path: proxy + "mpu/abort/" + root, body: object{"path": "a.txt", "upload_id": "u"}})
		}
	}
	for _, text := range []string{`{mlflowGetExperiment(input:{experimentId:"` + b.experiment + `"}){experiment{name tags{value}}}}`, `{mlflowGetRun(input:{runId:"` + b.run + `"}){run{info{runName} data{params{value}}}}}`,
		`{mlflowListArtifacts(input:{runId:"` + b.run + `"}){files{path}}}`} {
		out = append(out, request{method: "POST", path: "/graphql", body: object{"query": text}, reads: true})
	}
	ajax := "/ajax-api/2.0/mlflow/"
	return append(out, request{method: "GET", path: "/get-artifact?path=a.txt&run_id=" + b.run, reads: true}, request{method: "GET", path: ajax + "get-artifact?path=a.txt&run_id=" + b.run, reads: true},
		request{method: "POST", path: ajax + "upload-artifact?path=a.txt&run_uuid=" + b.run, body: "taken"},
		request{method: "GET", path: ajax + "logged-models/" + b.model + "/artifacts/files?artifact_file_path=a.txt", reads: true},
		request{method: "GET", path: "/model-versions/get-artifact?path=a.txt&version=1&name=" + b.name, reads: true})
}

type request struct {
	method, path, pattern string
	body                  any
	reads                 bool
}

// bodyFor leaves out of a body, or changes, what an endpoint reads as another
// type.
func bodyFor(pattern string, body object) object {
	out := object{}
	for k, v := range body {
		out[k] = v
	}
	switch {
	case pattern == "logged-models/{id}":
		out["status"] = "LOGGED_MODEL_READY"
	case pattern == "runs/update":
		out["status"] = "FAILED"
	case pattern == "runs/log-model":
		out["model_json"] = `{"artifact_path":"m","run_id":"x","utc_time_created":"y","flavors":{}}`
	case strings.HasPrefix(pattern, "runs/log-metric"):
		delete(out, "model_id")
	}
	return out
}

// TestWhoMayDoWhat asks everything about the things of project a: with a token of
// project b nothing is told and nothing changes, a reader of a is told and
// changes nothing, and without a token nobody is told anything.
func TestWhoMayDoWhat(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		s := newShared(t, newHouse(t, dsn))
		a, b := s.furnish("a"), s.furnish("b")
		if before := s.state("a", a); strings.Count(before, secretOf("a")) < 10 {
			t.Fatalf("there is little to tell: %s", before)
		}
		before := s.state("a", a)
		for _, r := range s.requests(a) {
			what := r.method + " " + r.path
			if status, text := s.ask("", r.method, r.path, r.body); status != 401 && r.path != "/graphql" || strings.Contains(text, secretOf("a")) {
				t.Errorf("nobody: %s: %d %.300s", what, status, text)
			}
			status, text := s.ask("admin-b", r.method, r.path, r.body)
			if strings.Contains(text, secretOf("a")) || status >= 500 {
				t.Errorf("another project's admin: %s: %d %.300s", what, status, text)
			}
			status, text = s.ask("reader-a", r.method, r.path, r.body)
			hidden := strings.HasPrefix(r.pattern, "webhooks")
			switch {
			case !r.reads || hidden:
				if status != 403 || !strings.Contains(text, `"error_code":"PERMISSION_DENIED"`) {
					t.Errorf("a reader: %s: %d %.300s; want 403 PERMISSION_DENIED", what, status, text)
				}
			case status != 200:
				t.Errorf("a reader: %s: %d %.300s", what, status, text)
			}
			if after := s.state("a", a); after != before {
				t.Fatalf("%s changed\n%s to\n%s", what, before, after)
			}
		}
		s.across(a, b)
		if after := s.state("a", a); after != before {
			t.Errorf("what b said of its own things changed\n%s to\n%s", before, after)
		}
	})
}

// across has project b speak of its own things and of those of a at once.
func (s *shared) across(a, b belongings) {
	s.t.Helper()
	for path, body := range map[string]object{
		"runs/log-metric":       {"run_id": b.run, "key": "m", "value": 1, "timestamp": 1, "model_id": a.model},
		"runs/log-batch":        {"run_id": b.run, "metrics": []object{{"key": "m", "value": 1, "timestamp": 1, "model_id": a.model}}},
		"runs/outputs":          {"run_id": b.run, "models": []object{{"model_id": a.model, "step": 0}}},
		"runs/log-inputs":       {"run_id": b.run, "models": []object{{"model_id": a.model}}},
		"model-versions/create": {"name": b.name, "source": "models:/" + a.model},
		"experiments/create":    {"name": "mine", "tags": []object{{"key": "slipway.project", "value": "a"}}},
	} {
		if status, text := s.ask("admin-b", "POST", api+path, body); status < 400 || status >= 500 {
			s.t.Errorf("%s with things of another project: %d %.300s", path, status, text)
		}
	}
	for _, search := range []string{"experiments/search", "runs/search", "logged-models/search"} {
		out := s.must("reader-b", "POST", api+search, object{"experiment_ids": []string{a.experiment, b.experiment}, "max_results": 100})
		text := fmt.Sprint(out)
		if strings.Contains(text, a.run) || strings.Contains(text, a.model) || strings.Contains(text, "exp-a") {
			s.t.Errorf("%s finds things of another project: %s", search, text)
		}
		if !strings.Contains(text, b.run) && !strings.Contains(text, b.model) && !strings.Contains(text, "exp-b") {
			s.t.Errorf("%s does not find its own: %s", search, text)
		}
	}
}

// TestTokensOfTheClient has the unmodified client come with a token, and with
// user and password (testdata/tokens.py).
func TestTokensOfTheClient(t *testing.T) {
	python := os.Getenv("SLIPWAY_TEST_PYTHON")
	if python == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with MLflow; `make test` makes one")
	}
	s := newShared(t, newHouse(t, filepath.Join(t.TempDir(), "test.db")))
	s.furnish("a")
	s.furnish("b")
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "tokens.py"))
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_DISABLE_TELEMETRY=true", "GIT_PYTHON_REFRESH=quiet", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
