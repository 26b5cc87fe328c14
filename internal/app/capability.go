package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/access"
	"github.com/slipway-ml/slipway/internal/core/audit"
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
		access.Migration,
		audit.Migration,
	}
}

// commands is THE list of commands, in the order in which help shows them.
func commands(e *cli.Env) []*cobra.Command {
	return slices.Concat(
		audit.Commands(e),
		access.Commands(e),
	)
}

// wire builds every capability and connects those that need one another. The
// order of the list is the order of their ticks.
func (s *server) wire(ctx context.Context) error {
	key, err := s.workspace.signingKey()
	if err != nil {
		return err
	}
	tokens := access.New(access.Options{DB: s.db, Key: key.Seed()})
	s.hasToken = tokens.Any
	s.door.Token = func(r *http.Request, secret string) (slipway.Principal, error) {
		return tokens.Authenticate(r.Context(), secret)
	}
	log := audit.New(audit.Options{DB: s.db, Key: key})
	s.capabilities = []capability{
		{name: "audit", routes: log.Routes, verbs: audit.Verbs, handle: log.Handle},
		{name: "access", routes: tokens.Routes},
	}
	return nil
}
