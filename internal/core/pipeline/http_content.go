package pipeline

import (
	"io"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// contentRoutes carry code to the server and outputs back.
func (s *Service) contentRoutes(a *web.API) {
	a.Handle("PUT /api/v1/projects/{project}/code/{digest}", slipway.Operator, s.takeCode)
	a.Handle("GET /api/v1/projects/{project}/pipeline/runs/{run}/outputs/{step}/{output}", slipway.Reader, s.serveOutput)
}

// takeCode stores one file of a snapshot.
func (s *Service) takeCode(w http.ResponseWriter, r *http.Request) error {
	d, err := slipway.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := s.o.Content.PutExpect(r.Context(), d, http.MaxBytesReader(w, r.Body, maxCodeFile)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// serveOutput sends an output of a step. Of a folder it sends the list of its
// files as JSON, or with ?path= one of them.
func (s *Service) serveOutput(w http.ResponseWriter, r *http.Request) error {
	step, name := r.PathValue("step"), r.PathValue("output")
	run, t, err := s.oneTask(r.Context(), r.PathValue("project"), r.PathValue("run"), step)
	if err != nil {
		return err
	}
	o, ok := t.Output[name]
	if !ok {
		return slipway.Errorf(slipway.NotFound, "step %s of run %s has no output %q", step, run.ID[:8], name)
	}
	d := o.Digest
	if o.Tree {
		tree, err := s.o.Content.GetTree(r.Context(), d)
		if err != nil {
			return err
		}
		path := r.URL.Query().Get("path")
		if path == "" {
			return web.WriteJSON(w, tree)
		}
		e, ok := tree.Find(path)
		if !ok {
			return slipway.Errorf(slipway.NotFound, "output %s has no file %q", name, path)
		}
		d = e.Digest
	}
	return s.sendContent(w, r, d)
}

func (s *Service) sendContent(w http.ResponseWriter, r *http.Request, d slipway.Digest) error {
	c, err := s.o.Content.Open(r.Context(), d)
	if err != nil {
		return err
	}
	defer c.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(c.Size(), 10))
	w.Header().Set("ETag", `"`+string(d)+`"`)
	_, err = io.Copy(w, c)
	return err
}
