package delivery

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

// Commands are `slipway deploy`, `rollback`, `release` and `rollout`.
func Commands(e *cli.Env) []*cobra.Command {
	release := &cobra.Command{Use: "release", Short: "What is, and was, in each environment"}
	release.AddCommand(listCommand(e), showCommand(e), historyCommand(e))
	rollout := &cobra.Command{Use: "rollout", Short: "What is on its way to production"}
	rollout.AddCommand(rolloutShowCommand(e), promoteCommand(e), abortCommand(e))
	return []*cobra.Command{deployCommand(e), rollbackCommand(e), release, rollout}
}

func deployCommand(e *cli.Env) *cobra.Command {
	var in CreateRelease
	cmd := &cobra.Command{
		Use:   "deploy MODEL@vN",
		Short: "Release a model version to an environment",
		Long: `Release a model version. It must have passed its gates and reproduce its golden
rows; then it goes through the rollout that slipway.yaml declares, or takes over at
once where none is declared. Exit status 3 means that it was refused.`,
		Example: "  slipway deploy flight-delay@v3\n  slipway deploy flight-delay@v3 --to staging",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Body.Model = project, args[0]
			r, err := OpRelease.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) { printRelease(w, r) })
		},
	}
	cmd.Flags().StringVar(&in.Body.Environment, "to", Production, "environment")
	cmd.Flags().BoolVar(&in.Body.Now, "now", false, "take over at once, without the declared rollout")
	cmd.Flags().StringVar(&in.Body.Reason, "reason", "", "why; it is recorded")
	return cmd
}

func rollbackCommand(e *cli.Env) *cobra.Command {
	var in InEnvironment
	cmd := &cobra.Command{
		Use:     "rollback [ENVIRONMENT]",
		Short:   "Take out what is being rolled out, or bring the earlier version back, at once",
		Example: "  slipway rollback\n  slipway rollback production --to 3f1c… --reason \"complaints from the field\"",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Environment = project, Production
			if len(args) > 0 {
				in.Environment = args[0]
			}
			r, err := OpRollback.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) { printRelease(w, r) })
		},
	}
	cmd.Flags().StringVar(&in.Body.To, "to", "", "release to bring back (default: the one before)")
	cmd.Flags().StringVar(&in.Body.Reason, "reason", "", "why; it is recorded")
	return cmd
}

func listCommand(e *cli.Env) *cobra.Command {
	var in ListReleases
	cmd := &cobra.Command{
		Use: "ls", Short: "Releases, newest first", Args: cobra.NoArgs, Example: "  slipway release ls --environment production",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = project
			all, err := OpReleases.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(all, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintf(w, "no releases in project %s: `slipway deploy MODEL@vN` makes one\n", project)
					return
				}
				t := e.IO.Table("release", "model", "environment", "state", "since", "by", "why")
				for _, r := range all {
					t.Row(r.ID, r.Model, r.Environment, stateText(r), r.Since, r.Actor, r.Reason)
				}
				_ = t.Render()
			})
		},
	}
	cmd.Flags().StringVar(&in.Environment, "environment", "", "only this one")
	return cmd
}

func showCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show RELEASE", Short: "One release and the evidence of its last decision", Args: cobra.ExactArgs(1), Example: "  slipway release show 3f1c22aa90b1e0d4",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			r, err := OpShow.Call(cmd.Context(), c, NamedRelease{Project: project, ID: args[0]})
			if err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) { printRelease(w, r) })
		},
	}
}

func historyCommand(e *cli.Env) *cobra.Command {
	var at string
	var event bool
	cmd := &cobra.Command{
		Use: "history", Short: "Which version was in force when", Args: cobra.NoArgs,
		Example: "  slipway release history\n  slipway release history --at 2026-11-20T14:00:00Z\n  slipway release history --at 2013-09-12 --event",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in := AtTime{Project: project, EventTime: event}
			if in.At, err = parseTime(at); err != nil {
				return err
			}
			all, err := OpHistory.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(all, func(io.Writer) {
				t := e.IO.Table("environment", "model", "release", "from", "until", "from (event time)", "until (event time)")
				for _, r := range all {
					t.Row(r.Environment, r.Model, r.Release, r.Begun, r.Ended, r.BegunEvent.Format(time.RFC3339), eventText(r.EndedEvent))
				}
				_ = t.Render()
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "only what was in force then: RFC 3339, or a date")
	cmd.Flags().BoolVar(&event, "event", false, "--at is event time")
	return cmd
}

func eventText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, slipway.Errorf(slipway.Invalid, "%q is not a time", s).WithHint("write 2026-11-20T14:00:00Z or 2026-11-20")
}

// printRelease writes a release and its evidence for people.
func printRelease(w io.Writer, r Release) {
	fmt.Fprintf(w, "%s  %s in %s: %s\n", r.ID, r.Model, r.Environment, stateText(r))
	if r.Reason != "" {
		fmt.Fprintf(w, "  %s\n", r.Reason)
	}
	d := r.Evidence
	if d == nil {
		return
	}
	fmt.Fprintf(w, "  %d requests, %.2f %% failed, p99 %.1f ms\n", d.Requests, 100*d.ErrorRate, d.P99)
	if d.Gain != nil && d.Gain.Known() {
		fmt.Fprintf(w, "  loss less than the champion's by %.4f [%.4f, %.4f] over %d blocks\n", d.Gain.Value, d.Gain.Low, d.Gain.High, d.Gain.Blocks)
	}
}

func stateText(r Release) string {
	if r.State == Canary {
		return fmt.Sprintf("canary %d %%", r.Weight)
	}
	return string(r.State)
}
