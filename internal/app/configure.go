package app

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// configCommand is `slipway config`.
func configCommand(env *cli.Env, cfg *config.Config) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show the settings of this process"}
	cmd.AddCommand(&cobra.Command{
		Use:     "show",
		Short:   "Every setting, its value, and where the value came from",
		Example: "  slipway config show\n  SLIPWAY_LISTEN=127.0.0.1:8080 slipway config show",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings := cfg.Settings()
			return env.Print(settings, func(w io.Writer) {
				for _, s := range settings {
					fmt.Fprintf(w, "%-13s %-28s %-12s %s  (%s)\n", s.Name, s.Value, s.Origin, s.Help, s.Env)
				}
			})
		},
	})
	return cmd
}

// waitCommand is `slipway wait`.
func waitCommand(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "wait",
		Short: "Wait until everything that was started has come to its end",
		Long: `Wait until every job has ended and every event has been handled: after
` + "`slipway run`" + ` with a server, until the gates have decided and releases are out.`,
		Example: "  slipway run && slipway wait && slipway release ls",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := env.Client(cmd.Context())
			if err != nil {
				return err
			}
			clock, err := OpSettle.Call(cmd.Context(), c, web.None{})
			if err != nil {
				return err
			}
			return env.Print(clock, func(io.Writer) {})
		},
	}
}
