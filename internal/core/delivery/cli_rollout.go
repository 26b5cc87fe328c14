package delivery

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

func rolloutShowCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show [ENVIRONMENT]", Short: "The rollout under way, its stage and evidence", Args: cobra.MaximumNArgs(1), Example: "  slipway rollout show",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			environment := environmentOf(args)
			all, err := OpReleases.Call(cmd.Context(), c, ListReleases{Project: project, Environment: environment})
			if err != nil {
				return err
			}
			for _, r := range all {
				if r.inRollout() {
					return e.Print(r, func(w io.Writer) { printRelease(w, r) })
				}
			}
			return slipway.Errorf(slipway.NotFound, "nothing is being rolled out in %s", environment)
		},
	}
}

func promoteCommand(e *cli.Env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "promote [ENVIRONMENT]", Short: "Make what is being rolled out the champion now", Args: cobra.MaximumNArgs(1),
		Example: "  slipway rollout promote --reason \"the old version is wrong about the new tariff\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return steer(cmd, e, args, reason, func(in InEnvironment) (Release, error) {
				c, err := e.Client(cmd.Context())
				if err != nil {
					return Release{}, err
				}
				return OpPromote.Call(cmd.Context(), c, in)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

func abortCommand(e *cli.Env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "abort [ENVIRONMENT]", Short: "Take out what is being rolled out", Args: cobra.MaximumNArgs(1), Example: "  slipway rollout abort --reason \"wrong threshold\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			return steer(cmd, e, args, reason, func(in InEnvironment) (Release, error) {
				c, err := e.Client(cmd.Context())
				if err != nil {
					return Release{}, err
				}
				in.Body.Rollout = true
				return OpRollback.Call(cmd.Context(), c, in)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is recorded")
	return cmd
}

// steer calls an operation on an environment's rollout and prints the release.
func steer(cmd *cobra.Command, e *cli.Env, args []string, reason string, call func(InEnvironment) (Release, error)) error {
	project, err := e.ProjectName()
	if err != nil {
		return err
	}
	in := InEnvironment{Project: project, Environment: environmentOf(args)}
	in.Body.Reason = reason
	r, err := call(in)
	if err != nil {
		return err
	}
	return e.Print(r, func(w io.Writer) { printRelease(w, r) })
}

func environmentOf(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return Production
}
