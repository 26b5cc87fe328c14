package inference

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
)

// KServe's protocol V1 (docs: "V1 Inference Protocol"): the rows are instances,
// and the verb stands behind a colon.

// v1 answers below /v1/models/.
func (h *handler) v1(w http.ResponseWriter, r *http.Request, rest string) error {
	if strings.Contains(r.URL.RawPath, "%") {
		rest = strings.TrimPrefix(r.URL.EscapedPath(), "/v1/models/")
	}
	name, verb, called := strings.Cut(rest, ":")
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	need, method := slipway.Reader, http.MethodGet
	if called {
		need, method = slipway.Writer, http.MethodPost
	}
	if called && verb != "predict" && verb != "explain" {
		return slipway.Errorf(slipway.NotFound, "there is nothing at %s", r.URL.Path).WithHint("predictions are at POST /v1/models/%s:predict", name)
	}
	if r.Method != method {
		return errMethod
	}
	e, err := h.s.Find(name, "")
	if err != nil {
		return err
	}
	defer e.Close()
	if err := slipway.Allow(r.Context(), need, e.Project()); err != nil {
		return err
	}
	if !called {
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
		return nil
	}
	return h.rows(w, r, e, verb == "explain")
}

// v1List answers /v1/models: the names of what can be asked.
func (h *handler) v1List(w http.ResponseWriter, r *http.Request) {
	names := []string{}
	for _, e := range h.s.Endpoints("") {
		if e.Ready && slipway.Allow(r.Context(), slipway.Reader, e.Project) == nil {
			names = append(names, e.Name)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": names})
}
