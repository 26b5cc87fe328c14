package app

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/config"
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
