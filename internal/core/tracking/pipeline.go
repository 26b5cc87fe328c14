package tracking

import (
	"bytes"
	"context"
	"io"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Start is a run of another capability of this process that begins.
type Start struct {
	ID         string // chosen by the caller, so that it can repeat the call; "" for a fresh one
	Project    string
	Experiment string // by name; it is made when it is not there. "" is the project's name
	Name       string
	Kind       Kind
	Parent     string // id of the run in which it is nested, or ""
	Tags       map[string]string
	Params     map[string]string
	Begin      time.Time
}

// StartRun records a run that began and returns its id. A run that exists
// already stays as it is. It emits no event: who runs it does.
func (s *Service) StartRun(ctx context.Context, in Start) (string, error) {
	n := NewRun{ID: in.ID, Name: in.Name, Kind: in.Kind, User: slipway.PrincipalOf(ctx).Name, Start: in.Begin,
		Tags: pairs(in.Tags), Params: pairs(in.Params)}
	if n.ID == "" {
		n.ID = freshID()
	}
	if n.Start.IsZero() {
		n.Start = s.now()
	}
	if in.Parent != "" {
		n.Tags = append(n.Tags, Pair{parentTag, in.Parent})
	}
	if in.Project == "" {
		in.Project = DefaultProject
	}
	if in.Experiment == "" {
		in.Experiment = in.Project
	}
	if err := n.check(); err != nil {
		return "", err
	}
	return n.ID, s.startRun(ctx, in.Project, in.Experiment, n)
}

// LogRun writes metrics, params and tags of a run, all or nothing.
func (s *Service) LogRun(ctx context.Context, id string, b Batch) error {
	if err := b.check(); err != nil {
		return err
	}
	return s.logRun(ctx, id, b)
}

// FinishRun records a run's end: Finished, Failed or Killed. The last word
// counts: a step whose script told MLflow that all was well may have failed all
// the same. It fails with NotFound.
func (s *Service) FinishRun(ctx context.Context, id string, status Status, end time.Time) error {
	if !status.Ended() {
		return slipway.Errorf(slipway.Invalid, "%q does not end a run", status)
	}
	return s.endRun(ctx, id, status, end)
}

// Metrics is the latest value of every metric of a run. It fails with NotFound.
func (s *Service) Metrics(ctx context.Context, id string) (map[string]float64, error) {
	r, err := s.anyRun(ctx, id)
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(r.Metrics))
	for _, m := range r.Metrics {
		out[m.Key] = float64(m.Value)
	}
	return out, nil
}

// AddArtifact stores a file of a run or a logged model.
func (s *Service) AddArtifact(ctx context.Context, at Place, r io.Reader) (Artifact, error) {
	if err := content.CheckPath(at.Path); err != nil {
		return Artifact{}, err
	}
	d, n, err := s.o.Content.PutStream(ctx, r)
	if err != nil {
		return Artifact{}, err
	}
	a := Artifact{Path: at.Path, Size: n, Digest: d, At: s.now()}
	return a, s.setArtifacts(ctx, at.Owner, []Artifact{a})
}

// AddArtifacts lists content that is stored already as artifacts of a run,
// below a folder ("" is the root).
func (s *Service) AddArtifacts(ctx context.Context, run, folder string, t content.Tree) error {
	files := make([]Artifact, len(t))
	for i, e := range t {
		files[i] = Artifact{Path: e.Path, Size: e.Size, Digest: e.Digest, At: s.now()}
		if folder != "" {
			files[i].Path = folder + "/" + e.Path
		}
		if err := content.CheckPath(files[i].Path); err != nil {
			return err
		}
	}
	return s.setArtifacts(ctx, run, files)
}

// Artifact finds what a run of a project logged at a path: a file, a folder
// stored as a tree, or the files of a logged model by its name. It fails with
// NotFound.
func (s *Service) Artifact(ctx context.Context, project, run, path string) (slipway.Artifact, error) {
	path = strings.Trim(path, "/")
	none := slipway.Artifact{}
	if err := s.runIn(ctx, project, run); err != nil {
		return none, err
	}
	a, err := s.findArtifact(ctx, Place{run, path})
	if err == nil {
		return slipway.Artifact{Path: path, Digest: a.Digest, Size: a.Size}, nil
	}
	if !slipway.IsCode(err, slipway.NotFound) {
		return none, err
	}
	owner, folder := run, path
	t, err := s.ArtifactTree(ctx, owner, folder)
	if slipway.IsCode(err, slipway.NotFound) {
		// Since MLflow 3 a model is no folder of its run but an object beside it.
		if owner, err = s.modelNamed(ctx, run, path); err == nil {
			t, err = s.ArtifactTree(ctx, owner, "")
		}
	}
	if err != nil {
		return none, err
	}
	return slipway.Artifact{Path: path, Digest: t.Digest(), Size: t.Size(), Tree: true}, nil
}

// ArtifactTree is a folder of a run or a logged model, its paths from that
// folder on, stored as content. "" is everything. It fails with NotFound when
// the folder is empty.
func (s *Service) ArtifactTree(ctx context.Context, owner, path string) (content.Tree, error) {
	files, err := s.artifactsBelow(ctx, Place{owner, path})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, noArtifact(Place{owner, path})
	}
	t, err := treeOf(files, path)
	if err != nil {
		return nil, err
	}
	_, _, err = s.o.Content.Put(ctx, bytes.NewReader(t.Encode()))
	return t, err
}

// modelTrees are the links to the models that a client's run made, when status
// ends it: each is the digest of its folder.
func (s *Service) modelTrees(ctx context.Context, run string, status Status) ([]slipway.Link, error) {
	if !status.Ended() {
		return nil, nil
	}
	models, err := s.modelsOf(ctx, run)
	if err != nil {
		return nil, err
	}
	var out []slipway.Link
	for _, m := range models {
		t, err := s.ArtifactTree(ctx, m, "")
		if slipway.IsCode(err, slipway.NotFound) {
			continue // its files live in a store of their own
		}
		if err != nil {
			return nil, err
		}
		out = append(out, slipway.Link{Relation: slipway.To, Ref: slipway.NewRef(slipway.KindArtifact, string(t.Digest()))})
	}
	return out, nil
}
