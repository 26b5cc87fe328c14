package mlflow

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// place finds whose file a path of the artifact proxy names: the run or logged
// model before ".../artifacts/". Other paths belong to nobody; an experiment
// with a location of its own may keep files there.
func place(p string) (tracking.Place, error) {
	p = strings.Trim(p, "/")
	parts := strings.Split(p, "/")
	for i, part := range parts {
		if part == ".." || part == "." {
			return tracking.Place{}, errPath
		}
		if part == "artifacts" && i > 0 && ownerID(parts[i-1]) {
			return tracking.Place{Owner: parts[i-1], Path: strings.Join(parts[i+1:], "/")}, nil
		}
	}
	return tracking.Place{Path: p}, nil
}

var errPath = slipway.Errorf(slipway.Invalid, "Invalid path")

// safe reports whether a path stays below its root, once and when it is decoded
// again, for a proxy before this server may have done the first half.
func safe(p string) bool {
	decoded := p
	for range 3 {
		if next, err := url.PathUnescape(decoded); err == nil {
			decoded = next
		}
	}
	return content.CheckPath(p) == nil && content.CheckPath(decoded) == nil && !drive(decoded) && !strings.Contains(decoded, "#")
}

// drive reports whether a path begins with a drive of Windows or a scheme.
func drive(p string) bool {
	before, after, ok := strings.Cut(p, ":")
	return ok && (len(before) == 1 || before == "file") && (after == "" || after[0] == '/')
}

// checkFile checks a parameter that names a file.
func checkFile(name, p string) error {
	if p != "" && !safe(p) {
		return errPath
	}
	return required(name, p)
}

// ownerID reports whether s looks like the id of a run or a logged model.
func ownerID(s string) bool {
	s = strings.TrimPrefix(s, "m-")
	if len(s) != 32 {
		return false
	}
	return strings.Trim(s, "0123456789abcdef") == ""
}

// artifactRoutes are those that move bytes.
func (s *Server) artifactRoutes(a *web.API) {
	handle := func(pattern string, fn func(http.ResponseWriter, *http.Request) error) {
		a.Handle(pattern, "", func(w http.ResponseWriter, r *http.Request) error {
			var err error
			for _, p := range []string{r.PathValue("path"), r.URL.Query().Get("path")} {
				if p != "" && !safe(strings.TrimRight(p, "/")) {
					err = errPath
				}
			}
			if err == nil {
				err = fn(w, r)
			}
			if err != nil {
				writeError(w, r, err)
			}
			return nil
		})
	}
	for _, root := range []string{"/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts"} {
		handle("GET "+root, s.listProxy)
		handle("GET "+root+"/{path...}", s.download)
		handle("PUT "+root+"/{path...}", s.upload)
		handle("DELETE "+root+"/{path...}", s.deleteArtifact)
	}
	s.multipartRoutes(handle)
	handle("POST /graphql", s.graphQL)
	handle("GET /get-artifact", s.getArtifact)
	handle("GET /ajax-api/2.0/mlflow/get-artifact", s.getArtifact)
	handle("POST /ajax-api/2.0/mlflow/upload-artifact", s.uploadArtifact)
	handle("GET /ajax-api/2.0/mlflow/logged-models/{id}/artifacts/files", s.modelFile)
	if s.o.Registry != nil {
		handle("GET /model-versions/get-artifact", s.registeredArtifact)
		handle("GET /ajax-api/2.0/mlflow/model-versions/get-artifact", s.registeredArtifact)
	}
}

func (s *Server) download(w http.ResponseWriter, r *http.Request) error {
	if done, err := s.sendRegistered(w, r, r.PathValue("path")); done {
		return err
	}
	at, err := place(r.PathValue("path"))
	if err != nil {
		return err
	}
	return s.o.Tracking.Serve(w, r, at)
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	at, err := place(r.PathValue("path"))
	if err != nil {
		return err
	}
	if _, err := s.o.Tracking.PutArtifact(r.Context(), at, r.Body); err != nil {
		return err
	}
	return web.WriteJSON(w, empty{})
}

func (s *Server) deleteArtifact(w http.ResponseWriter, r *http.Request) error {
	at, err := place(r.PathValue("path"))
	if err != nil {
		return err
	}
	if err := s.o.Tracking.DeleteArtifact(r.Context(), at); err != nil {
		return err
	}
	return web.WriteJSON(w, empty{})
}

type fileInfo struct {
	Path   string `json:"path"`
	Folder bool   `json:"is_dir"`
	Size   int64  `json:"file_size,omitempty"`
}

// files is a listing on the wire; base leaves the last part of each path only.
func files(found []tracking.Artifact, base bool) []fileInfo {
	out := make([]fileInfo, len(found))
	for i, f := range found {
		out[i] = fileInfo{f.Path, f.Folder, f.Size}
		if base {
			out[i].Path = path.Base(f.Path)
		}
	}
	return out
}

func (s *Server) listProxy(w http.ResponseWriter, r *http.Request) error {
	if done, err := s.listRegistered(w, r, r.URL.Query().Get("path")); done {
		return err
	}
	at, err := place(r.URL.Query().Get("path"))
	if err != nil {
		return err
	}
	found, err := s.o.Tracking.ListArtifacts(r.Context(), at)
	if slipway.IsCode(err, slipway.NotFound) {
		found, err = nil, nil // nothing is there, as on a disk that was never written
	}
	if err != nil {
		return err
	}
	return web.WriteJSON(w, map[string]any{"files": files(found, true)})
}

// listArtifacts lists a folder of a run by the run's name.
func (s *Server) listArtifacts(ctx context.Context, c *call) (any, error) {
	in, err := decode[struct {
		runName
		Path string `json:"path"`
	}](c)
	if err != nil {
		return nil, err
	}
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	in.Path = strings.TrimSuffix(in.Path, "/")
	if in.Path == "." {
		in.Path = ""
	}
	if in.Path != "" && !safe(in.Path) {
		return nil, errPath
	}
	r, err := s.o.Tracking.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	found, err := s.o.Tracking.ListArtifacts(ctx, tracking.Place{Owner: id, Path: in.Path})
	return map[string]any{"root_uri": r.Artifact, "files": files(found, false)}, err
}

// getArtifact is the download of MLflow's own pages.
func (s *Server) getArtifact(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	id, err := runName{q.Get("run_id"), q.Get("run_uuid")}.id()
	if err == nil {
		err = checkFile("path", q.Get("path"))
	}
	if err != nil {
		return err
	}
	return s.o.Tracking.Serve(w, r, tracking.Place{Owner: id, Path: q.Get("path")})
}

// maxPageUpload is how much a page uploads at once.
const maxPageUpload = 10 << 20

var errPageUpload = slipway.Errorf(slipway.Invalid, "Artifact size is too large. Max size is 10MB.")

// uploadArtifact is the upload of MLflow's own pages.
func (s *Server) uploadArtifact(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	at := tracking.Place{Owner: cmp.Or(q.Get("run_uuid"), q.Get("run_id")), Path: q.Get("path")}
	switch {
	case at.Owner == "":
		return slipway.Errorf(slipway.Invalid, "Request must specify run_uuid.")
	case at.Path == "":
		return slipway.Errorf(slipway.Invalid, "Request must specify path.")
	case !safe(at.Path):
		return errPath
	case r.ContentLength == 0:
		return slipway.Errorf(slipway.Invalid, "Request must specify data.")
	case r.ContentLength > maxPageUpload:
		return errPageUpload
	}
	_, err := s.o.Tracking.PutArtifact(r.Context(), at, http.MaxBytesReader(w, r.Body, maxPageUpload))
	if large := (&http.MaxBytesError{}); errors.As(err, &large) {
		return errPageUpload
	}
	if err != nil {
		return err
	}
	return web.WriteJSON(w, empty{})
}

func (s *Server) modelFile(w http.ResponseWriter, r *http.Request) error {
	at := tracking.Place{Owner: r.PathValue("id"), Path: r.URL.Query().Get("artifact_file_path")}
	if err := checkFile("artifact_file_path", at.Path); err != nil {
		return err
	}
	return s.o.Tracking.Serve(w, r, at)
}
