package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// serverSource reads a running MLflow server through its REST API. A user and
// password in the URI go along as basic authentication.
type serverSource struct {
	root   *url.URL
	client *http.Client
}

// How a server is asked.
const (
	sourceTries    = 5
	sourcePage     = 500
	sourceModels   = 50
	sourcePatience = 2 * time.Minute // for the headers of an answer: MLflow needs seconds for some searches
)

func openServer(ctx context.Context, u *url.URL) (tracking.Source, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = sourcePatience
	s := &serverSource{u, &http.Client{Transport: transport}}
	var out struct{}
	if err := s.call(ctx, "experiments/search", map[string]any{"max_results": 1}, &out); err != nil {
		return nil, fmt.Errorf("%s is no MLflow server that can be read: %w", u.Redacted(), err)
	}
	return s, nil
}

func (s *serverSource) Close() error { s.client.CloseIdleConnections(); return nil }

// open sends a request, again where the server was busy or away. It fails with
// NotFound for a path that the server does not have.
func (s *serverSource) open(ctx context.Context, method, path string, query url.Values, body []byte) (io.ReadCloser, error) {
	u := s.root.JoinPath(path)
	u.RawQuery = query.Encode()
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := s.client.Do(req)
		if err == nil && resp.StatusCode == http.StatusOK {
			return resp.Body, nil
		}
		again := err != nil
		if err == nil {
			again = resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests
			err = refusal(u, resp)
		} else {
			err = slipway.Errorf(slipway.Unavailable, "%s does not answer: %v", s.root.Host, err)
		}
		if !again || try == sourceTries {
			return nil, err
		}
		select {
		case <-time.After(time.Duration(try) * 200 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// refusal is the error of an answer that is not 200.
func refusal(u *url.URL, resp *http.Response) error {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what can be had of it
	code := slipway.CodeOfStatus(resp.StatusCode)
	return slipway.Errorf(code, "%s answers %s: %.300s", u.Path, resp.Status, bytes.TrimSpace(text))
}

// call posts to an endpoint of the tracking API.
func (s *serverSource) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return s.read(ctx, http.MethodPost, "/api/2.0/mlflow/"+path, nil, body, out)
}

func (s *serverSource) read(ctx context.Context, method, path string, query url.Values, body []byte, out any) error {
	r, err := s.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(out); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the answer to %s broke off: %v", path, err)
	}
	return nil
}

func stageOf(s string) tracking.Stage {
	if strings.EqualFold(s, string(tracking.Deleted)) {
		return tracking.Deleted
	}
	return tracking.Active
}

func (s *serverSource) Experiments(ctx context.Context) (out []tracking.Experiment, err error) {
	for page := ""; ; {
		var in struct {
			Experiments []struct {
				ID       Text   `json:"experiment_id"`
				Name     string `json:"name"`
				Artifact string `json:"artifact_location"`
				Stage    string `json:"lifecycle_stage"`
				Created  Int    `json:"creation_time"`
				Updated  Int    `json:"last_update_time"`
				Tags     []pair `json:"tags"`
			} `json:"experiments"`
			Next string `json:"next_page_token"`
		}
		if err := s.call(ctx, "experiments/search", map[string]any{"max_results": sourcePage, "view_type": "ALL", "page_token": page}, &in); err != nil {
			return nil, err
		}
		for _, e := range in.Experiments {
			id, err := experimentID(e.ID)
			if err != nil {
				return nil, err
			}
			out = append(out, tracking.Experiment{ID: id, Name: e.Name, Artifact: e.Artifact, Stage: stageOf(e.Stage),
				Created: moment(e.Created), Updated: moment(e.Updated), Tags: fromPairs(e.Tags)})
		}
		if page = in.Next; page == "" {
			return out, nil
		}
	}
}

// sourceRun is a run as any MLflow server tells it.
type sourceRun struct {
	Info struct {
		runName
		Name     string `json:"run_name"`
		User     string `json:"user_id"`
		Status   string `json:"status"`
		Start    Int    `json:"start_time"`
		End      Int    `json:"end_time"`
		Artifact string `json:"artifact_uri"`
		Stage    string `json:"lifecycle_stage"`
	} `json:"info"`
	Data struct {
		Metrics []metricIn `json:"metrics"`
		Params  []pair     `json:"params"`
		Tags    []pair     `json:"tags"`
	} `json:"data"`
	Inputs struct {
		Datasets []inputWire     `json:"dataset_inputs"`
		Models   []modelLinkWire `json:"model_inputs"`
	} `json:"inputs"`
	Outputs struct {
		Models []modelLinkWire `json:"model_outputs"`
	} `json:"outputs"`
}

func (in sourceRun) run() (*tracking.Run, error) {
	id, err := in.Info.id()
	if err != nil {
		return nil, err
	}
	r := &tracking.Run{ID: id, Name: in.Info.Name, User: in.Info.User, Status: tracking.Status(in.Info.Status), Start: moment(in.Info.Start), End: moment(in.Info.End),
		Artifact: in.Info.Artifact, Stage: stageOf(in.Info.Stage), Params: fromPairs(in.Data.Params), Tags: fromPairs(in.Data.Tags)}
	for _, m := range in.Data.Metrics {
		r.Metrics = append(r.Metrics, tracking.Metric{Key: m.Key})
	}
	for _, d := range in.Inputs.Datasets {
		r.Datasets = append(r.Datasets, tracking.DatasetInput{Dataset: tracking.Dataset(d.Dataset), Tags: fromPairs(d.Tags)})
	}
	for _, m := range in.Inputs.Models {
		r.Models = append(r.Models, tracking.ModelLink{Model: m.Model})
	}
	for _, m := range in.Outputs.Models {
		r.Models = append(r.Models, tracking.ModelLink{Model: m.Model, Output: true, Step: int64(m.Step)})
	}
	return r, nil
}

func (s *serverSource) Runs(ctx context.Context, experiment int64, fn func(*tracking.Run) error) error {
	for page := ""; ; {
		var in struct {
			Runs []sourceRun `json:"runs"`
			Next string      `json:"next_page_token"`
		}
		err := s.call(ctx, "runs/search", map[string]any{"experiment_ids": []string{strconv.FormatInt(experiment, 10)}, "run_view_type": "ALL",
			"max_results": sourcePage, "page_token": page}, &in)
		if err != nil {
			return err
		}
		for _, one := range in.Runs {
			r, err := one.run()
			if err == nil {
				err = fn(r)
			}
			if err != nil {
				return err
			}
		}
		if page = in.Next; page == "" {
			return nil
		}
	}
}

func (s *serverSource) Points(ctx context.Context, run, key string) (out []tracking.Point, err error) {
	for page := ""; ; {
		var in struct {
			Metrics []metricIn `json:"metrics"`
			Next    string     `json:"next_page_token"`
		}
		q := url.Values{"run_id": {run}, "metric_key": {key}, "max_results": {strconv.Itoa(maxHistoryPage)}}
		if page != "" {
			q.Set("page_token", page)
		}
		if err := s.read(ctx, http.MethodGet, "/api/2.0/mlflow/metrics/get-history", q, nil, &in); err != nil {
			return nil, err
		}
		for _, m := range in.Metrics {
			out = append(out, m.point())
		}
		if page = in.Next; page == "" {
			return out, nil
		}
	}
}

// proxied is the path of an artifact URI that the server itself keeps.
func proxied(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" {
		return "", false
	}
	return strings.Trim(u.Path, "/"), true
}

func (s *serverSource) Files(ctx context.Context, at tracking.Place, uri string) ([]tracking.Artifact, error) {
	var out []tracking.Artifact
	dirs := []string{""}
	for len(dirs) > 0 {
		dir := dirs[0]
		dirs = dirs[1:]
		var in struct {
			Files []fileInfoIn `json:"files"`
		}
		where, q := s.listing(at, uri, dir)
		err := s.read(ctx, http.MethodGet, where, q, nil, &in)
		if err != nil {
			return nil, err
		}
		for _, f := range in.Files {
			name := path.Join(dir, path.Base(f.Path))
			if f.Folder {
				dirs = append(dirs, name)
			} else {
				out = append(out, tracking.Artifact{Path: name, Size: int64(f.Size)})
			}
		}
	}
	return out, nil
}

type fileInfoIn struct {
	Path   string `json:"path"`
	Folder bool   `json:"is_dir"`
	Size   Int    `json:"file_size"`
}

// listing is where a folder of a run or a model is listed.
func (s *serverSource) listing(at tracking.Place, uri, dir string) (string, url.Values) {
	if root, ok := proxied(uri); ok {
		return "/api/2.0/mlflow-artifacts/artifacts", url.Values{"path": {path.Join(root, dir)}}
	}
	if strings.HasPrefix(at.Owner, "m-") {
		return "/api/2.0/mlflow/logged-models/" + at.Owner + "/artifacts/directories", url.Values{"artifact_directory_path": {dir}}
	}
	q := url.Values{"run_id": {at.Owner}}
	if dir != "" {
		q.Set("path", dir)
	}
	return "/api/2.0/mlflow/artifacts/list", q
}

func (s *serverSource) Open(ctx context.Context, at tracking.Place, uri string) (io.ReadCloser, error) {
	if root, ok := proxied(uri); ok {
		return s.open(ctx, http.MethodGet, "/api/2.0/mlflow-artifacts/artifacts/"+path.Join(root, at.Path), nil, nil)
	}
	if strings.HasPrefix(at.Owner, "m-") {
		return s.open(ctx, http.MethodGet, "/ajax-api/2.0/mlflow/logged-models/"+at.Owner+"/artifacts/files", url.Values{"artifact_file_path": {at.Path}}, nil)
	}
	return s.open(ctx, http.MethodGet, "/get-artifact", url.Values{"run_id": {at.Owner}, "path": {at.Path}}, nil)
}
