// Package registry keeps model versions: their files by content, what they take
// and give, which run and rows made them, and the names that people move from
// one to the next. Whether a version is any good is the gate's to say; where it
// runs is delivery's.
package registry

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// Loader opens a model version's files; Files is the one there is.
type Loader interface {
	// Load opens the model in a content.Tree; the caller closes it. It fails
	// with Denied when opening it would execute code that the caller may not.
	Load(ctx context.Context, project string, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error)
	// Read is Load for models that execute nothing, and nil for others.
	Read(ctx context.Context, model slipway.Digest, registered *slipway.Signature) (predictor.Model, error)
}

// Rows reads files of data; query.Engine does.
type Rows interface {
	Read(ctx context.Context, files []string, format query.Format, columns []string, timezone string) (*slipway.Frame, error)
}

// Data reads rows of dataset versions.
type Data interface {
	// DatasetRows reads the rows of a window of version n of a dataset. columns
	// is as in Rows.
	DatasetRows(ctx context.Context, project, name string, n int, w slipway.Window, columns []string) (*slipway.Frame, error)
}

// Applied is the project as it is in force.
type Applied interface {
	// Project fails with NotFound when nothing was applied.
	Project(ctx context.Context, name string) (*project.Project, error)
}

// Artifacts finds what tracked runs logged.
type Artifacts interface {
	Artifact(ctx context.Context, project, run, path string) (slipway.Artifact, error)
}

// InUse says who needs a version.
type InUse interface {
	// InUse is a sentence such as "production answers with it", "" when nobody
	// needs the version.
	InUse(ctx context.Context, project string, version slipway.Ref) (string, error)
}

// Options is what a Service needs. Data, Artifacts and InUse may be nil.
type Options struct {
	DB        *db.DB
	Content   *content.Store
	Loader    Loader
	Rows      Rows
	Applied   Applied
	Data      Data
	Artifacts Artifacts
	InUse     InUse
	Webhook   WebhookOptions
}

// Service keeps model versions.
type Service struct {
	o    Options
	wake chan struct{} // there may be a message to send
}

// New makes a Service.
func New(o Options) *Service {
	o.Webhook.fill()
	return &Service{o, make(chan struct{}, 1)}
}

// Model is a name and its versions, newest first.
type Model struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	Actor   string    `json:"actor"`

	Description string `json:"description,omitempty"`

	Version []slipway.ModelVersion `json:"version"`
	Alias   []Alias                `json:"alias"`
	History []AliasChange          `json:"history"` // newest first
}

// Alias is a movable name for a version.
type Alias struct {
	Alias   string    `json:"alias"`
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
}

// AliasChange is one move of an alias. Version 0 says that it was taken away.
type AliasChange struct {
	Alias   string    `json:"alias"`
	Version int       `json:"version"`
	Before  int       `json:"before"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
}

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)
	aliasForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,99}$`)
	numbered  = regexp.MustCompile(`^v?[0-9]+$`)
)

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return slipway.Errorf(slipway.Invalid, "%.100q is no name for a model", name).WithHint("use letters, digits, - and _")
	}
	return nil
}

// Register keeps a version that a client gives: a content.Tree of its files.
// The files that are the newest version's already make no other one. A model
// that only its own code can open is looked into when the caller may execute
// code; otherwise its signature stays what signature says, which may be nil.
func (s *Service) Register(ctx context.Context, v slipway.ModelVersion, signature *slipway.Signature) (slipway.ModelVersion, error) {
	if err := checkName(v.Name); err != nil {
		return v, err
	}
	tree, err := s.o.Content.GetTree(ctx, v.Content)
	if err != nil {
		return v, err
	}
	if len(tree) == 0 {
		return v, slipway.Errorf(slipway.Invalid, "the model has no files")
	}
	v.Size, v.Source, v.State = tree.Size(), slipway.FromClient, slipway.ModelRegistered
	m, err := s.o.Loader.Load(ctx, v.Project, v.Content, signature)
	switch {
	case slipway.IsCode(err, slipway.Denied) && signature != nil:
		v.Signature = *signature
	case slipway.IsCode(err, slipway.Denied):
	case err != nil:
		return v, err
	default:
		v.Signature = m.Signature()
		if err := m.Close(); err != nil {
			return v, err
		}
	}
	return s.insert(ctx, arrival{ModelVersion: v})
}

// Find finds a version by NAME@vN, NAME@ALIAS, or NAME for the newest. It fails
// with NotFound, and Invalid for a text that is none of these.
func (s *Service) Find(ctx context.Context, project, text string) (slipway.ModelVersion, error) {
	name, which, versioned := strings.Cut(strings.TrimPrefix(text, "model:"), "@")
	if err := CheckClientName(name); err != nil {
		return slipway.ModelVersion{}, err
	}
	switch {
	case !versioned:
		return s.Version(ctx, project, name, 0)
	case numbered.MatchString(which):
		n, err := strconv.Atoi(strings.TrimPrefix(which, "v"))
		if err != nil || n < 1 {
			return slipway.ModelVersion{}, slipway.Errorf(slipway.Invalid, "%q is no version", which).WithHint("the first version is %s@v1", name)
		}
		return s.Version(ctx, project, name, n)
	}
	return s.byAlias(ctx, project, name, which)
}

// SetAlias points an alias of a model to a version. It fails with NotFound.
func (s *Service) SetAlias(ctx context.Context, project, name, alias string, version int) (Alias, error) {
	if !aliasForm.MatchString(alias) || numbered.MatchString(alias) {
		return Alias{}, slipway.Errorf(slipway.Invalid, "%.100q is no alias", alias).WithHint("use letters, digits, - and _, and not v1")
	}
	return s.moveAlias(ctx, project, name, alias, version)
}

// Delete takes a version out of the registry. Its record and its number stay,
// its files become garbage. It fails with Conflict while an alias or a release
// needs the version.
func (s *Service) Delete(ctx context.Context, project, name string, n int) (slipway.ModelVersion, error) {
	v, err := s.Version(ctx, project, name, n)
	if err != nil {
		return v, err
	}
	if err := s.Unneeded(ctx, v.Project, v.Name, n); err != nil {
		return v, err
	}
	return s.remove(ctx, v, false)
}

// Unneeded fails with Conflict when a release needs a version.
func (s *Service) Unneeded(ctx context.Context, project, name string, n int) error {
	if s.o.InUse == nil {
		return nil
	}
	ref := slipway.VersionRef(slipway.KindModel, name, n)
	why, err := s.o.InUse.InUse(ctx, project, ref)
	if err == nil && why != "" {
		err = slipway.Errorf(slipway.Conflict, "%s is needed: %s", ref.ID, why)
	}
	return err
}
