package mlflow

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// Registry is the model registry as MLflow's API sees it. Its methods check the
// principal, return NotFound for what does not exist and Conflict for a name
// that is taken.
type Registry interface {
	CreateModel(ctx context.Context, name, description string, tags []tracking.Pair) (RegisteredModel, error)
	Model(ctx context.Context, name string) (RegisteredModel, error)
	SearchModels(ctx context.Context, q RegistrySearch) (found []RegisteredModel, next string, err error)
	RenameModel(ctx context.Context, name, to string) (RegisteredModel, error)
	DescribeModel(ctx context.Context, name, description string) (RegisteredModel, error)
	DeleteModel(ctx context.Context, name string) error
	SetModelTag(ctx context.Context, name string, tag tracking.Pair) error
	DeleteModelTag(ctx context.Context, name, key string) error
	// Latest returns the newest version of each stage that is named, or of every
	// stage that has one.
	Latest(ctx context.Context, name string, stages []string) ([]ModelVersion, error)

	SetAlias(ctx context.Context, name, alias string, version int) error
	DeleteAlias(ctx context.Context, name, alias string) error
	ByAlias(ctx context.Context, name, alias string) (ModelVersion, error)

	CreateVersion(ctx context.Context, v NewVersion) (ModelVersion, error)
	Version(ctx context.Context, name string, version int) (ModelVersion, error)
	SearchVersions(ctx context.Context, q RegistrySearch) (found []ModelVersion, next string, err error)
	DescribeVersion(ctx context.Context, name string, version int, description string) (ModelVersion, error)
	// Transition moves a version to a stage: None, Staging, Production or
	// Archived. archive sends those that are there to Archived.
	Transition(ctx context.Context, name string, version int, stage string, archive bool) (ModelVersion, error)
	DeleteVersion(ctx context.Context, name string, version int) error
	SetVersionTag(ctx context.Context, name string, version int, tag tracking.Pair) error
	DeleteVersionTag(ctx context.Context, name string, version int, key string) error
	// DownloadURI is where a client finds the files of a version, such as
	// mlflow-artifacts:/….
	DownloadURI(ctx context.Context, name string, version int) (string, error)
}

// RegistrySearch asks for registered models or versions in MLflow's grammar.
type RegistrySearch struct {
	Filter string
	Order  []string
	Limit  int // 0 is the registry's default
	Page   string
}

// RegisteredModel is a model and its versions.
type RegisteredModel struct {
	Name, Description, User string
	Created, Updated        time.Time
	Tags                    []tracking.Pair
	Aliases                 []Alias
	Latest                  []ModelVersion // the newest of each stage
}

// Alias is a name for a version.
type Alias struct {
	Name    string
	Version int
}

// NewVersion asks for a version.
type NewVersion struct {
	Name, Description string
	Source            string // URI of the files
	Run               string // "" when no run is known
	RunLink           string
	LoggedModel       string // id of the logged model that it is, or ""
	Tags              []tracking.Pair
}

// ModelVersion is one version of a registered model.
type ModelVersion struct {
	NewVersion
	Version          int
	User             string
	Created, Updated time.Time
	Stage            string // None, Staging, Production or Archived
	Status           string // PENDING_REGISTRATION, FAILED_REGISTRATION or READY
	Message          string
	Aliases          []string
}
