package app

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/python"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/core/access"
	"github.com/slipway-ml/slipway/internal/core/audit"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/core/delivery"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/core/monitor"
	"github.com/slipway-ml/slipway/internal/core/pipeline"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/replay"
	"github.com/slipway-ml/slipway/internal/core/retrain"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/core/template"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// capability is what the house knows of one: everything else is its own.
type capability struct {
	name   string
	routes func(*web.API)
	verbs  []string // the events that handle wants
	handle func(context.Context, slipway.Event) error
	tick   func(ctx context.Context, now time.Time) error
	loop   func(context.Context) error                            // work that runs as long as the server does
	roots  func(context.Context) iter.Seq2[slipway.Digest, error] // the content that its rows refer to
}

// migrations is THE list of tables. A name never changes: it is recorded in
// the database.
func migrations() []db.Migration {
	return []db.Migration{
		consumerMigration,
		access.Migration,
		audit.Migration,
		dataset.Migration,
		dataset.NameMigration,
		delivery.Migration,
		gate.Migration,
		monitor.Migration,
		pipeline.Migration,
		registry.Migration,
		retrain.Migration,
		tracking.Migration,
	}
}

// commands is THE list of commands, in the order in which help shows them.
func commands(e *cli.Env, cfg *config.Config) []*cobra.Command {
	runs := tracking.Commands(e)
	for _, c := range runs {
		if c.Name() == "runs" {
			c.AddCommand(pipeline.WhyCommand(e))
		}
	}
	models := registry.Commands(e)
	for _, c := range models {
		if export, _, err := c.Find([]string{"export"}); err == nil && export != c {
			extendExport(e, export)
		}
	}
	return slices.Concat(
		template.Commands(e),
		dataset.Commands(e, bucket),
		pipeline.Commands(e, pins),
		runs,
		models,
		gate.Commands(e),
		delivery.Commands(e),
		serving.Commands(e, protocols(cfg, e.Getenv, serving.Local{Loaders: loaders(cfg)})),
		monitor.Commands(e),
		replay.Commands(e),
		retrain.Commands(e),
		audit.Commands(e),
		access.Commands(e),
		[]*cobra.Command{exportCommand(e), gcCommand(e)},
	)
}

// loaders read a model that a person points at: to serve one's own file is to
// execute it.
func loaders(cfg *config.Config) []predictor.Loader {
	return []predictor.Loader{trees.Loader{}, pythonLoader(cfg)}
}

// pythonLoader runs models in as many processes as the settings say.
func pythonLoader(cfg *config.Config) python.Loader {
	return python.Loader{Default: predictor.Python{Workers: int(cfg.Number(config.Workers)), Idle: cfg.Duration(config.Idle)}}
}

// pins is the dataset versions that slipway.lock beside a project names.
func pins(dir string) (map[string]int, error) {
	lock, err := dataset.ReadLock(dir)
	out := map[string]int{}
	for name, pin := range lock {
		out[name] = pin.Version
	}
	return out, err
}
