package mlflow

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// registryFolder is where the artifact proxy shows the files of registered
// versions, as mlflow-artifacts:/registry/project/name/version.
const registryFolder = "registry"

// keptVersion names a version in a path of the artifact proxy.
type keptVersion struct {
	project, name string
	version       int
}

var plainSegment = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// segment writes a name so that no client escapes it twice, or not at all.
func segment(name string) string {
	if plainSegment.MatchString(name) {
		return name
	}
	return "-" + base64.RawURLEncoding.EncodeToString([]byte(name))
}

func readSegment(s string) (string, bool) {
	code, ok := strings.CutPrefix(s, "-")
	if !ok {
		return s, s != ""
	}
	name, err := base64.RawURLEncoding.DecodeString(code)
	return string(name), err == nil
}

// registeredURI is where the proxy shows a version.
func registeredURI(e registry.Entry) string {
	return "mlflow-artifacts:/" + registryFolder + "/" + segment(e.Project) + "/" + segment(e.Name) + "/" + strconv.Itoa(e.Version)
}

// registeredPath reads a path of the proxy that lies in the registry's folder.
func registeredPath(p string) (v keptVersion, sub string, ok bool) {
	parts := strings.SplitN(strings.Trim(p, "/"), "/", 5)
	if len(parts) < 4 || parts[0] != registryFolder {
		return v, "", false
	}
	var okProject, okName bool
	v.project, okProject = readSegment(parts[1])
	v.name, okName = readSegment(parts[2])
	n, err := strconv.Atoi(parts[3])
	v.version = n
	if len(parts) == 5 {
		sub = parts[4]
	}
	return v, sub, okProject && okName && err == nil
}

// kept finds a version that a path names, if the caller may read it.
func (r *Registry) kept(ctx context.Context, v keptVersion) (registry.Entry, error) {
	if err := slipway.Allow(ctx, slipway.Reader, v.project); err != nil {
		return registry.Entry{}, err
	}
	return r.Models.Entry(ctx, v.project, v.name, v.version)
}

// folder is what a client sees of a version: its files and, where they have no
// MLmodel file that tells MLflow how to load them, one that is made up here.
type folder struct {
	tree content.Tree
	made []byte // the MLmodel file; nil when there is one among the files
}

func (r *Registry) folder(ctx context.Context, v keptVersion) (f folder, err error) {
	e, err := r.kept(ctx, v)
	if err != nil {
		return f, err
	}
	if e.Content == "" {
		return f, slipway.Errorf(slipway.NotFound, "The files of %s version %d are not kept here but at %s", e.Name, e.Version, e.Origin)
	}
	if f.tree, err = r.Content.GetTree(ctx, e.Content); err != nil {
		return f, err
	}
	if slices.ContainsFunc(f.tree, func(x content.Entry) bool { return x.Path == "MLmodel" }) {
		return f, nil
	}
	f.made, err = describe(ctx, r.Content, f.tree)
	return f, err
}

// describe makes up the MLmodel file of a model of one file that MLflow has a
// flavor for; nil when there is none. The columns are not described: MLflow
// would convert what it is given by them, and a native booster knows its own.
func describe(ctx context.Context, store *content.Store, tree content.Tree) ([]byte, error) {
	if len(tree) != 1 {
		return nil, nil
	}
	file := tree[0]
	body, err := store.Open(ctx, file.Digest)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(body, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return nil, err
	}
	head = head[:n]
	name := strconv.Quote(file.Path)
	switch ext := path.Ext(file.Path); {
	case bytes.HasPrefix(head, []byte("tree\n")):
		return fmt.Appendf(nil, "flavors:\n  lightgbm:\n    code: null\n    data: %s\n    model_class: lightgbm.basic.Booster\n"+
			"  python_function:\n    data: %s\n    loader_module: mlflow.lightgbm\n", name, name), nil
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")) && bytes.Contains(head, []byte(`"learner"`)), ext == ".ubj":
		format := "json"
		if ext == ".ubj" {
			format = "ubj"
		}
		return fmt.Appendf(nil, "flavors:\n  python_function:\n    data: %s\n    loader_module: mlflow.xgboost\n"+
			"  xgboost:\n    code: null\n    data: %s\n    model_class: xgboost.core.Booster\n    model_format: %s\n", name, name, format), nil
	case ext == ".pkl" || ext == ".pickle":
		return fmt.Appendf(nil, "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: %s\n    predict_fn: predict\n"+
			"  sklearn:\n    code: null\n    pickled_model: %s\n    serialization_format: pickle\n", name, name), nil
	}
	return nil, nil
}

// listRegistered answers a listing in the registry's folder; false when the
// path lies elsewhere.
func (s *Server) listRegistered(w http.ResponseWriter, r *http.Request, p string) (bool, error) {
	v, sub, ok := registeredPath(p)
	if !ok || s.o.Registry == nil {
		return false, nil
	}
	f, err := s.o.Registry.folder(r.Context(), v)
	if err != nil {
		return true, err
	}
	out := []tracking.Artifact{}
	if f.made != nil && sub == "" {
		out = append(out, tracking.Artifact{Path: "MLmodel", Size: int64(len(f.made))})
	}
	prefix, seen := strings.Trim(sub, "/"), map[string]bool{}
	if prefix != "" {
		prefix += "/"
	}
	for _, e := range f.tree {
		rest, ok := strings.CutPrefix(e.Path, prefix)
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if seen[name] {
			continue
		}
		seen[name] = true
		a := tracking.Artifact{Path: prefix + name, Folder: deeper}
		if !deeper {
			a.Size = e.Size
		}
		out = append(out, a)
	}
	return true, web.WriteJSON(w, map[string]any{"files": files(out, true)})
}

// sendRegistered answers the download of a registered version's file; false
// when the path lies elsewhere.
func (s *Server) sendRegistered(w http.ResponseWriter, r *http.Request, p string) (bool, error) {
	v, sub, ok := registeredPath(p)
	if !ok || s.o.Registry == nil {
		return false, nil
	}
	f, err := s.o.Registry.folder(r.Context(), v)
	if err != nil {
		return true, err
	}
	if sub == "MLmodel" && f.made != nil {
		return true, send(w, r, sub, slipway.DigestOf(f.made), bytes.NewReader(f.made))
	}
	for _, e := range f.tree {
		if e.Path == sub {
			body, err := s.o.Registry.Content.Open(r.Context(), e.Digest)
			if err != nil {
				return true, err
			}
			defer body.Close()
			return true, send(w, r, sub, e.Digest, io.NewSectionReader(body, 0, body.Size()))
		}
	}
	return true, slipway.Errorf(slipway.NotFound, "No such artifact: '%s'", sub)
}

func send(w http.ResponseWriter, r *http.Request, name string, d slipway.Digest, body io.ReadSeeker) error {
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	h.Set("ETag", strconv.Quote(string(d)))
	http.ServeContent(w, r, "", time.Time{}, body)
	return nil
}

// registeredArtifact is the download of MLflow's own pages.
func (s *Server) registeredArtifact(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := required("name", q.Get("name")); err != nil {
		return err
	}
	n, err := strconv.Atoi(q.Get("version"))
	if err != nil {
		return notInteger("version", q.Get("version"))
	}
	e, err := s.o.Registry.version(r.Context(), q.Get("name"), n)
	if err != nil {
		return err
	}
	if err := content.CheckPath(q.Get("path")); err != nil {
		return err
	}
	u, err := url.Parse(registeredURI(e))
	if err != nil {
		return err
	}
	_, err = s.sendRegistered(w, r, u.Path+"/"+q.Get("path"))
	return err
}
