package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// registeredSource is a source that has registered models.
type registeredSource interface {
	registered(ctx context.Context, fn func(sourceRegistered) error) error
}

// sourceRegistered is a registered model and its versions, by number.
type sourceRegistered struct {
	Name        string        `json:"name"`
	Description string        `json:"description"`
	Tags        []pair        `json:"tags"`
	Aliases     []sourceAlias `json:"aliases"`
	Created     Int           `json:"creation_timestamp"`
	Updated     Int           `json:"last_updated_timestamp"`
	versions    []sourceVersion
}

type sourceAlias struct {
	Alias   string `json:"alias"`
	Version Int    `json:"version"`
}

type sourceVersion struct {
	Version     Int    `json:"version"`
	Stage       string `json:"current_stage"`
	Description string `json:"description"`
	Source      string `json:"source"`
	Run         string `json:"run_id"`
	Tags        []pair `json:"tags"`
	User        string `json:"user_id"`
	Created     Int    `json:"creation_timestamp"`
	Updated     Int    `json:"last_updated_timestamp"`
	location    string // where its files are
}

// versionText is a version's number in decimal.
func versionText(v sourceVersion) string { return strconv.FormatInt(int64(v.Version), 10) }

// CopyRegistered copies the registered models of a source, with their versions'
// numbers, into a project, by the API that a client would use. What is there
// already stays. Versions whose number is taken, and stages that a release has
// to decide, are named in out.Skipped.
func CopyRegistered(ctx context.Context, to web.Client, from tracking.Source, out *tracking.Imported) error {
	s, ok := from.(registeredSource)
	if !ok {
		return nil
	}
	return s.registered(ctx, func(m sourceRegistered) error {
		out.Registered++
		out.Versions += int64(len(m.versions))
		if out.DryRun {
			return nil
		}
		c := registeredCopy{to, m, out}
		err := c.model(ctx)
		if e := slipway.AsError(err); err != nil && (e.Code == slipway.NotFound || e.Code == slipway.Invalid || e.Code == slipway.Conflict) {
			out.Skipped = append(out.Skipped, fmt.Sprintf("registered model %s: %s", m.Name, e.Message))
			return nil
		}
		return err
	})
}

type registeredCopy struct {
	to  web.Client
	m   sourceRegistered
	out *tracking.Imported
}

// call sends a request to this server. in is the query of a GET.
func (c registeredCopy) call(ctx context.Context, method, path string, in map[string]any, out any) error {
	u := c.to.URL + "/api/2.0/mlflow/" + path
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if method == http.MethodGet {
		q := url.Values{}
		for k, v := range in {
			q.Set(k, fmt.Sprint(v))
		}
		u, body = u+"?"+q.Encode(), nil
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.to.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var e struct {
			Code    string `json:"error_code"`
			Message string `json:"message"`
		}
		_ = json.NewDecoder(resp.Body).Decode(&e) // an empty message says as much
		code := slipway.CodeOfStatus(resp.StatusCode)
		if e.Code == "RESOURCE_ALREADY_EXISTS" {
			code = slipway.Conflict
		}
		return slipway.Errorf(code, "%s", e.Message)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (c registeredCopy) model(ctx context.Context) error {
	err := c.call(ctx, "POST", "registered-models/create", map[string]any{"name": c.m.Name, "description": c.m.Description, "tags": c.m.Tags}, nil)
	if err != nil && !slipway.IsCode(err, slipway.Conflict) {
		return err
	}
	next := 0 // the number that the newest version has here
	for _, v := range c.m.versions {
		if next, err = c.version(ctx, v, next); err != nil {
			return fmt.Errorf("version %d: %w", v.Version, err)
		}
	}
	for _, a := range c.m.Aliases {
		err := c.call(ctx, "POST", "registered-models/alias", map[string]any{"name": c.m.Name, "alias": a.Alias, "version": strconv.FormatInt(int64(a.Version), 10)}, nil)
		if err != nil {
			return fmt.Errorf("alias %s: %w", a.Alias, err)
		}
	}
	return nil
}

// version makes one version with its own number: where versions before it were
// deleted, so many are made and deleted.
func (c registeredCopy) version(ctx context.Context, v sourceVersion, next int) (int, error) {
	number := versionText(v)
	named := func(n string, more map[string]any) map[string]any {
		in := map[string]any{"name": c.m.Name, "version": n}
		for k, x := range more {
			in[k] = x
		}
		return in
	}
	err := c.call(ctx, "GET", "model-versions/get", named(number, nil), nil)
	if err == nil {
		return max(next, int(v.Version)), nil
	}
	if !slipway.IsCode(err, slipway.NotFound) {
		return next, err
	}
	for {
		var made struct {
			Version struct {
				Version Int `json:"version"`
			} `json:"model_version"`
		}
		err := c.call(ctx, "POST", "model-versions/create", map[string]any{"name": c.m.Name, "source": sourceHere(v), "run_id": v.Run,
			"description": v.Description, "tags": v.Tags}, &made)
		if err != nil {
			return next, err
		}
		if next = int(made.Version.Version); next == int(v.Version) {
			break
		}
		if err := c.call(ctx, "DELETE", "model-versions/delete", named(strconv.Itoa(next), nil), nil); err != nil {
			return next, err
		}
		if next > int(v.Version) {
			return next, slipway.Errorf(slipway.Conflict, "its number is taken here")
		}
	}
	if v.Stage == "" || v.Stage == "None" {
		return next, nil
	}
	err = c.call(ctx, "POST", "model-versions/transition-stage", named(number, map[string]any{"stage": v.Stage, "archive_existing_versions": false}), nil)
	if slipway.IsCode(err, slipway.Invalid) {
		c.out.Skipped = append(c.out.Skipped, fmt.Sprintf("stage %s of %s version %s: %s", v.Stage, c.m.Name, number, slipway.AsError(err).Message))
		err = nil
	}
	return next, err
}

var loggedModelID = regexp.MustCompile(`\bm-[0-9a-f]{32}\b`)

// sourceHere is where this server has the files that a version's source names
// there: with the logged model, or below the run's artifacts.
func sourceHere(v sourceVersion) string {
	if id := loggedModelID.FindString(v.Source); id != "" {
		return "models:/" + id
	}
	if _, rest, ok := strings.Cut(v.Source, v.Run+"/artifacts/"); ok && v.Run != "" {
		return "runs:/" + v.Run + "/" + rest
	}
	return v.Source
}

func (s *serverSource) registered(ctx context.Context, fn func(sourceRegistered) error) error {
	for page := ""; ; {
		var in struct {
			Models []sourceRegistered `json:"registered_models"`
			Next   string             `json:"next_page_token"`
		}
		q := url.Values{"max_results": {"100"}}
		if page != "" {
			q.Set("page_token", page)
		}
		if err := s.read(ctx, http.MethodGet, "/api/2.0/mlflow/registered-models/search", q, nil, &in); err != nil {
			return err
		}
		for _, m := range in.Models {
			if err := s.versions(ctx, &m); err != nil {
				return err
			}
			if err := fn(m); err != nil {
				return err
			}
		}
		if page = in.Next; page == "" {
			return nil
		}
	}
}

// versions reads a model's aliases and versions, oldest first.
func (s *serverSource) versions(ctx context.Context, m *sourceRegistered) error {
	var one struct {
		Model sourceRegistered `json:"registered_model"`
	}
	if err := s.read(ctx, http.MethodGet, "/api/2.0/mlflow/registered-models/get", url.Values{"name": {m.Name}}, nil, &one); err != nil {
		return err
	}
	m.Aliases = one.Model.Aliases
	for page := ""; ; {
		var in struct {
			Versions []sourceVersion `json:"model_versions"`
			Next     string          `json:"next_page_token"`
		}
		q := url.Values{"filter": {"name='" + m.Name + "'"}, "max_results": {"1000"}, "order_by": {"version_number ASC"}}
		if page != "" {
			q.Set("page_token", page)
		}
		if err := s.read(ctx, http.MethodGet, "/api/2.0/mlflow/model-versions/search", q, nil, &in); err != nil {
			return err
		}
		m.versions = append(m.versions, in.Versions...)
		if page = in.Next; page == "" {
			return nil
		}
	}
}

func toWire(in []tracking.Pair) []pair {
	out := make([]pair, len(in))
	for i, p := range in {
		out[i] = pair{p.Key, p.Value}
	}
	return out
}
