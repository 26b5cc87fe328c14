package app

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
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
	loop   func(context.Context) error // work that runs as long as the server does
}

// migrations is THE list of tables. A name never changes: it is recorded in
// the database.
func migrations() []db.Migration {
	return []db.Migration{
		consumerMigration,
	}
}

// commands is THE list of commands, in the order in which help shows them.
func commands(e *cli.Env) []*cobra.Command {
	return nil
}

// wire builds every capability and connects those that need one another. The
// order of the list is the order of their ticks.
func (s *server) wire(ctx context.Context) error {
	return nil
}
