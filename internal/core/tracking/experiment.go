package tracking

import (
	"context"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// Experiment is a named group of runs in a project.
type Experiment struct {
	ID       int64     `json:"id"`
	Project  string    `json:"project"`
	Name     string    `json:"name"`
	Artifact string    `json:"artifact_uri"` // under which its runs keep their artifacts
	Stage    Stage     `json:"stage"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Tags     []Pair    `json:"tags"`
}

// NewExperiment asks for an experiment.
type NewExperiment struct {
	Project  string // "" takes the tag slipway.project, else the principal's project, else "default"
	Name     string
	Artifact string // "" is this server's own store
	Tags     []Pair
}

// artifactRoot is where a run keeps its artifacts.
func artifactRoot(experiment, run string) string { return experiment + "/" + run + "/artifacts" }

// defaultArtifact is the artifact URI of an experiment that names none.
func defaultArtifact(id int64) string { return "mlflow-artifacts:/" + strconv.FormatInt(id, 10) }

// CreateExperiment makes an experiment. It fails with Conflict when the project
// has one of that name, deleted or not.
func (s *Service) CreateExperiment(ctx context.Context, in NewExperiment) (Experiment, error) {
	if in.Project == "" {
		in.Project, _ = valueOf(in.Tags, ProjectTag)
	}
	if in.Project == "" {
		in.Project = ownProject(ctx)
	}
	if err := slipway.Allow(ctx, slipway.Writer, in.Project); err != nil {
		return Experiment{}, err
	}
	if err := checkExperiment(in); err != nil {
		return Experiment{}, err
	}
	return s.insertExperiment(ctx, in)
}

func checkExperiment(in NewExperiment) error {
	if err := checkExperimentName(in.Name); err != nil {
		return err
	}
	for _, t := range in.Tags {
		if err := checkExperimentTag(t); err != nil {
			return err
		}
	}
	return nil
}

func checkExperimentName(name string) error {
	if name == "" {
		return slipway.Errorf(slipway.Invalid, "Invalid experiment name: '%s'", name)
	}
	if utf8.RuneCountInString(name) > maxExperimentName {
		return tooLong("name", maxExperimentName)
	}
	return nil
}

func noExperiment(what any) error {
	return slipway.Errorf(slipway.NotFound, "No Experiment with id=%v exists", what)
}
