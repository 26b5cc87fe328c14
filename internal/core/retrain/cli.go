package retrain

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Commands are `slipway retrain` and `slipway backtest`.
func Commands(e *cli.Env) []*cobra.Command {
	retrain := retrainCommand(e)
	retrain.AddCommand(logCommand(e))
	return []*cobra.Command{retrain, backtestCommand(e)}
}

func retrainCommand(e *cli.Env) *cobra.Command {
	var in StartRetraining
	cmd := &cobra.Command{
		Use:   "retrain",
		Short: "Run the applied pipeline now, on the declared window of rows",
		Long: `Run the pipeline as a trigger would: the code and the slipway.yaml that were
applied, the newest data, the declared window. The new version meets the gates
and goes on from there by itself.`,
		Example: "  slipway retrain --reason \"new tariff\"\n  slipway retrain log",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = project
			job, err := OpRetrain.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			job, err = follow(cmd, e, c, job, "retrain")
			if err != nil {
				return err
			}
			return e.Print(job.Result, func(w io.Writer) { fmt.Fprintln(w, "retrained; `slipway release ls` shows where the new version is") })
		},
	}
	cmd.Flags().StringVar(&in.Body.Reason, "reason", "", "why; it is recorded")
	return cmd
}

func logCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "log", Short: "When triggers spoke, newest first", Args: cobra.NoArgs, Example: "  slipway retrain log",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			all, err := OpRetrainings.Call(cmd.Context(), c, InProject{Project: project})
			if err != nil {
				return err
			}
			return e.Print(all, func(io.Writer) {
				t := e.IO.Table("AT (EVENT TIME)", "TRIGGER", "STATE", "RUN", "WHY")
				for _, r := range all {
					t.Row(r.At.Format("2006-01-02 15:04"), r.Trigger, r.State, r.Run, r.Reason)
				}
				_ = t.Render()
			})
		},
	}
}

// follow shows a job's progress until it ends.
func follow(cmd *cobra.Command, e *cli.Env, c web.Client, job web.Job, name string) (web.Job, error) {
	var bar *term.Progress
	defer func() {
		if bar != nil {
			bar.Stop()
		}
	}()
	return web.Follow(cmd.Context(), c, job.ID, func(p web.Progress) {
		if p.Total > 0 {
			if bar == nil {
				bar = e.IO.Progress(name, p.Total, term.Count)
			}
			bar.Set(p.Done)
			return
		}
		if p.Message != "" && !e.IO.Quiet {
			fmt.Fprintln(e.IO.Err, p.Message)
		}
	})
}
