package inference

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// Triton's model repository: every variant with its state, and endpoints that
// are taken out of memory and back (docs/protocol/extension_model_repository.md).

type repositoryRow struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`
}

// repository lists what the caller may read.
func repository(ctx context.Context, s *serving.Service, ready bool) []repositoryRow {
	out := []repositoryRow{}
	for _, e := range s.Endpoints("") {
		if slipway.Allow(ctx, slipway.Reader, e.Project) != nil {
			continue
		}
		for _, v := range e.Variant {
			at := repositoryRow{Name: e.Name, Version: serving.Version(v.Model), State: "READY", Reason: string(v.Role)}
			if !v.Ready {
				at.State, at.Reason = "UNAVAILABLE", e.Failure
			}
			if v.Ready || !ready {
				out = append(out, at)
			}
		}
	}
	return out
}

// control loads an endpoint that was unloaded, or unloads it. Both need the
// role operator: they decide what answers.
func control(ctx context.Context, s *serving.Service, name string, load bool) error {
	project, err := s.Owner(name)
	if err != nil {
		return err
	}
	if err := slipway.Allow(ctx, slipway.Operator, project); err != nil {
		return err
	}
	if load {
		return s.Load(ctx, name)
	}
	return s.Unload(ctx, name)
}

func (h *handler) index(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Ready bool `json:"ready"`
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	defer freeBody(body)
	if len(*body) > 0 {
		if err := json.Unmarshal(*body, &in); err != nil {
			return slipway.Errorf(slipway.Invalid, "the body is not understood: %v", err)
		}
	}
	writeJSON(w, http.StatusOK, repository(r.Context(), h.s, in.Ready))
	return nil
}

// repositoryModel answers NAME/load and NAME/unload.
func (h *handler) repositoryModel(w http.ResponseWriter, r *http.Request, rest string) error {
	name, verb, _ := strings.Cut(rest, "/")
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	if verb != "load" && verb != "unload" {
		return slipway.Errorf(slipway.NotFound, "there is nothing at %s", r.URL.Path)
	}
	if r.Method != http.MethodPost {
		return errMethod
	}
	if err := control(r.Context(), h.s, name, verb == "load"); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}
