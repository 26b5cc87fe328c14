package mlflow

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// checkSource refuses URIs that mean the server's own disk, and those that
// climb out of what they name.
func checkSource(source string) error {
	u, err := url.Parse(source)
	scheme, _, _ := strings.Cut(source, ":")
	if err == nil {
		scheme = u.Scheme
	}
	plain := source
	for range 8 { // an escape may itself be escaped
		next, err := url.PathUnescape(plain)
		if err != nil || next == plain {
			break
		}
		plain = next
	}
	if strings.ContainsRune(plain, 0) || slices.Contains(strings.FieldsFunc(plain, func(c rune) bool { return strings.ContainsRune(`/\?#`, c) }), "..") {
		return slipway.Errorf(slipway.Invalid, "Invalid model version source: '%s'. If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, "+
			"an absolute path must be provided without relative path references present. Please provide an absolute path.", source)
	}
	if scheme == "" || scheme == "file" || strings.HasPrefix(source, "/") {
		return slipway.Errorf(slipway.Invalid, "Invalid model version source: '%s'. To use a local path as a model version source, the run_id request parameter has to be specified "+
			"and the local path has to be contained within the artifact directory of the run specified by the run_id.", source).
			WithHint("this server keeps runs' files under mlflow-artifacts:/, and `slipway model register PATH NAME` takes a folder of yours")
	}
	return nil
}

// resolve finds the files that in.Origin names, where this server has them, and
// what else is known by them. Files that are elsewhere, such as in s3://, or not
// yet there leave in.Content empty.
func (r *Registry) resolve(ctx context.Context, in *registry.Arrival) error {
	if slices.Contains(in.Tag, registry.Tag{Key: "mlflow.prompt.is_prompt", Value: "true"}) {
		return nil // a prompt is in its tags, and its source means nothing
	}
	if err := checkSource(in.Origin); err != nil {
		return err
	}
	var err error
	switch scheme, rest, _ := strings.Cut(in.Origin, ":"); scheme {
	case "models":
		err = r.resolveModel(ctx, in, strings.Trim(rest, "/"))
	case "runs":
		run, path, _ := strings.Cut(strings.Trim(rest, "/"), "/")
		err = r.resolveRun(ctx, in, run, path)
	case "mlflow-artifacts":
		err = r.resolveArtifact(ctx, in, rest)
	}
	if err == nil && in.LoggedModel != "" {
		var m tracking.LoggedModel
		if m, err = r.Tracking.Model(ctx, in.LoggedModel, false); err == nil && in.Run == "" {
			in.Run = m.Run
		}
	}
	return ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if slipway.IsCode(err, slipway.NotFound) {
		return nil
	}
	return err
}

// resolveModel is models:/m-…, models:/name/1, models:/name/stage and
// models:/name@alias.
func (r *Registry) resolveModel(ctx context.Context, in *registry.Arrival, rest string) error {
	if !strings.ContainsAny(rest, "/@") {
		m, err := r.Tracking.Model(ctx, rest, false)
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "Unable to fetch model from model URI source artifact location '%s'. Error: %s", in.Origin, slipway.AsError(err).Message)
		}
		if in.LoggedModel == "" {
			in.LoggedModel = m.ID
		}
		return r.take(ctx, in, m.ID, "")
	}
	from, err := r.named(ctx, rest)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "Unable to fetch model from model URI source artifact location '%s'. Error: %s", in.Origin, slipway.AsError(err).Message)
	}
	in.Origin = "models:/" + from.Name + "/" + strconv.Itoa(from.Version)
	in.Content = from.Content
	if in.Run == "" {
		in.Run = from.Run
	}
	if in.LoggedModel == "" {
		in.LoggedModel = from.LoggedModel
	}
	return nil
}

// named finds name/1, name/stage, name/latest or name@alias.
func (r *Registry) named(ctx context.Context, text string) (e registry.Entry, err error) {
	if name, alias, ok := strings.Cut(text, "@"); ok {
		return r.byAlias(ctx, name, alias)
	}
	name, which, _ := strings.Cut(text, "/")
	if n, err := strconv.Atoi(which); err == nil {
		return r.version(ctx, name, n)
	}
	var stages []string
	if !strings.EqualFold(which, "latest") {
		stages = []string{which}
	}
	found, err := r.latest(ctx, name, stages)
	if err == nil && len(found) == 0 {
		err = slipway.Errorf(slipway.NotFound, "No versions of model with name '%s' and stage '%s' found", name, which)
	}
	if err != nil {
		return e, err
	}
	return slices.MaxFunc(found, func(a, b registry.Entry) int { return a.Version - b.Version }), nil
}

func (r *Registry) version(ctx context.Context, name string, n int) (registry.Entry, error) {
	return inVersion(ctx, r, slipway.Reader, name, n, func(_ string, e registry.Entry) (registry.Entry, error) { return e, nil })
}

func (r *Registry) resolveRun(ctx context.Context, in *registry.Arrival, id, path string) error {
	run, err := r.Tracking.Run(ctx, id)
	if err != nil {
		return err
	}
	if in.Run == "" {
		in.Run = id
	}
	a, err := r.Tracking.Artifact(ctx, run.Project, id, path)
	if err == nil {
		in.Content, err = r.Models.Tree(ctx, a)
	}
	return err
}

// resolveArtifact is mlflow-artifacts:/path, with a host or without.
func (r *Registry) resolveArtifact(ctx context.Context, in *registry.Arrival, rest string) error {
	u, err := url.Parse("mlflow-artifacts:" + rest)
	if err != nil {
		return nil // it names nothing of ours
	}
	path := u.Path
	if kept, sub, ok := registeredPath(path); ok && sub == "" {
		e, err := r.kept(ctx, kept)
		in.Content = e.Content
		return err
	}
	at, err := place(path)
	if err != nil || at.Owner == "" {
		return err
	}
	if strings.HasPrefix(at.Owner, "m-") {
		if in.LoggedModel == "" && at.Path == "" {
			in.LoggedModel = at.Owner
		}
		return r.take(ctx, in, at.Owner, at.Path)
	}
	return r.resolveRun(ctx, in, at.Owner, at.Path)
}

// take keeps a folder of a logged model.
func (r *Registry) take(ctx context.Context, in *registry.Arrival, owner, path string) error {
	if _, err := r.Tracking.Model(ctx, owner, false); err != nil { // that the caller may read it
		return err
	}
	tree, err := r.Tracking.ArtifactTree(ctx, owner, path)
	if err == nil {
		in.Content = tree.Digest()
	}
	return err
}

// downloadURI is where a client finds a version's files: with the registry,
// which keeps them as long as the version, or where they were left.
func (r *Registry) downloadURI(ctx context.Context, e registry.Entry) (string, error) {
	for range 20 { // a copy of a copy
		if e.Content != "" {
			return registeredURI(e), nil
		}
		rest, ok := strings.CutPrefix(e.Origin, "models:/")
		if !ok {
			break
		}
		if !strings.Contains(rest, "/") {
			m, err := r.Tracking.Model(ctx, rest, false)
			return m.Artifact, err
		}
		from, err := r.named(ctx, rest)
		if err != nil {
			return e.Origin, ignoreMissing(err)
		}
		e = from
	}
	return e.Origin, nil
}
