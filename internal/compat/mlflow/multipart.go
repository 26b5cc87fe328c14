package mlflow

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Multipart upload as MLflow's artifact proxy offers it: the client asks for an
// address a part, puts the parts there in parallel, and tells the tags (ETag)
// that came back. The tag of a part is its digest, so nothing has to be
// remembered between the requests.

// multipartRoutes adds them. The proxy has no presigned downloads: it says so
// as MLflow's does in front of a disk, and clients then stream through it.
func (s *Server) multipartRoutes(handle func(pattern string, fn func(http.ResponseWriter, *http.Request) error)) {
	for _, root := range []string{"/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts"} {
		for _, dir := range []string{"", "/{path...}"} {
			handle("POST "+root+"/mpu/create"+dir, s.createUpload)
			handle("POST "+root+"/mpu/complete"+dir, s.completeUpload)
			handle("POST "+root+"/mpu/abort"+dir, s.abortUpload)
		}
		handle("PUT "+root+"/mpu/part/{upload}/{number}/{path...}", s.putPart)
		handle("GET "+root+"/presigned/{path...}", func(_ http.ResponseWriter, r *http.Request) error {
			if p := r.PathValue("path"); !safe(p) {
				return errPath
			}
			return &slipway.Error{Code: notImplemented, Message: "Multipart download is not supported for the current artifact repository"}
		})
	}
	for _, root := range []string{"/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/"} {
		handle("POST "+root+"artifacts/presigned-upload-url", s.presignUpload)
	}
}

// uploadRequest is what the three requests carry.
type uploadRequest struct {
	Path   string     `json:"path"` // on the client's disk: its last part is the file's name
	Count  Int        `json:"num_parts"`
	Upload string     `json:"upload_id"`
	Parts  []sentPart `json:"parts"`
}

// sentPart is a part that the server has, by the tag that it answered.
type sentPart struct {
	Number Int    `json:"part_number"`
	Tag    string `json:"etag"`
}

// uploadTarget reads such a request and finds the place that it is about.
func (s *Server) uploadTarget(w http.ResponseWriter, r *http.Request) (in uploadRequest, at tracking.Place, file string, err error) {
	body, err := readBody(w, r)
	if err != nil {
		return in, at, "", err
	}
	if in, err = decode[uploadRequest](&call{r, body}); err != nil {
		return in, at, "", err
	}
	if err := required("path", in.Path); err != nil {
		return in, at, "", err
	}
	name := path.Base(strings.ReplaceAll(in.Path, `\`, "/"))
	file = path.Join(r.PathValue("path"), name)
	if dir := r.PathValue("path"); dir != "" && !safe(strings.TrimRight(dir, "/")) {
		return in, at, "", errPath
	}
	if at, err = place(file); err != nil {
		return in, at, "", err
	}
	return in, at, file, s.o.Tracking.AllowUpload(r.Context(), at)
}

// maxParts is how many parts a client may ask addresses for.
const maxParts = 10_000

func (s *Server) createUpload(w http.ResponseWriter, r *http.Request) error {
	in, _, file, err := s.uploadTarget(w, r)
	if err != nil {
		return err
	}
	if in.Count == 0 {
		in.Count = 1
	}
	if in.Count < 0 || in.Count > maxParts {
		return slipway.Errorf(slipway.Invalid, "Invalid value %d for parameter 'num_parts' supplied: it must be 1 to %d", in.Count, maxParts)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	upload := hex.EncodeToString(id)
	// Parts are sent without the client's credentials, so they are given back to
	// whoever sent them.
	headers := map[string]string{}
	if v := r.Header.Get("Authorization"); v != "" {
		headers["Authorization"] = v
	}
	type credential struct {
		URL     string            `json:"url"`
		Number  int               `json:"part_number"`
		Headers map[string]string `json:"headers"`
	}
	parts := make([]credential, in.Count)
	for i := range parts {
		parts[i] = credential{origin(r) + "/api/2.0/mlflow-artifacts/mpu/part/" + upload + "/" + strconv.Itoa(i+1) + (&url.URL{Path: "/" + file}).EscapedPath(), i + 1, headers}
	}
	return web.WriteJSON(w, map[string]any{"upload_id": upload, "credentials": parts})
}

// origin is the scheme and host by which the client reached this server.
func origin(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (s *Server) putPart(w http.ResponseWriter, r *http.Request) error {
	at, err := place(r.PathValue("path"))
	if err != nil {
		return err
	}
	d, err := s.o.Tracking.PutPart(r.Context(), at, r.Body)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+string(d)+`"`)
	return web.WriteJSON(w, empty{})
}

func (s *Server) completeUpload(w http.ResponseWriter, r *http.Request) error {
	in, at, _, err := s.uploadTarget(w, r)
	if err != nil {
		return err
	}
	if len(in.Parts) == 0 {
		return required("parts", "")
	}
	slices.SortStableFunc(in.Parts, func(a, b sentPart) int { return cmp.Compare(a.Number, b.Number) })
	digests := make([]slipway.Digest, len(in.Parts))
	for i, p := range in.Parts {
		if digests[i], err = slipway.ParseDigest(strings.Trim(p.Tag, `"`)); err != nil {
			return slipway.Errorf(slipway.Invalid, "Invalid value %.100q for parameter 'parts' supplied: the etag of part %d is not one that this server gave", p.Tag, p.Number)
		}
		if int(p.Number) != i+1 {
			return slipway.Errorf(slipway.Invalid, "Invalid parts: part %d is missing or comes twice", i+1)
		}
	}
	if _, err := s.o.Tracking.JoinParts(r.Context(), at, digests); err != nil {
		return err
	}
	return web.WriteJSON(w, empty{})
}

// abortUpload has nothing to take back: the content store collects the parts.
func (s *Server) abortUpload(w http.ResponseWriter, r *http.Request) error {
	if _, _, _, err := s.uploadTarget(w, r); err != nil {
		return err
	}
	return web.WriteJSON(w, empty{})
}

// presignUpload is for clients that write straight to a bucket; here every
// artifact goes through the server.
func (s *Server) presignUpload(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	in, err := decode[struct {
		runName
		Path string `json:"path"`
	}](&call{r, body})
	if err != nil {
		return err
	}
	id, err := in.id()
	if err == nil {
		err = checkFile("path", in.Path)
	}
	if err != nil {
		return err
	}
	if _, err := s.o.Tracking.Run(r.Context(), id); err != nil {
		return err
	}
	return slipway.Errorf(slipway.Invalid, "Presigned upload is not supported for runs with proxied artifact storage (artifact URI scheme: mlflow-artifacts). "+
		"This endpoint requires a run with a direct cloud storage artifact URI.")
}
