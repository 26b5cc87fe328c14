package app

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// freed is what `slipway gc` removed, or would.
type freed struct {
	Runs    tracking.Collected `json:"runs"`
	Content content.GCReport   `json:"content"`
}

// gcCommand is `slipway gc`. It stands here because what was deleted is
// tracking's, and the space that it took is every capability's.
func gcCommand(e *cli.Env) *cobra.Command {
	var remove bool
	var older time.Duration
	var hours int
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove deleted runs and experiments for good, and free their space", Args: cobra.NoArgs,
		Long: `Find runs, logged models and experiments of all projects that were deleted before --older-than,
and content that nothing refers to, and say how much it is. With --yes it is removed: the names of
the experiments can be used again, and the space is free. What a registered version, a certificate,
a release or a monitor needs stays. It is safe beside everything else that runs. It needs the role
operator, in every project.`,
		Example: "  slipway gc\n  slipway gc --yes\n  slipway gc --older-than 0s --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if older < 0 {
				return slipway.Errorf(slipway.Invalid, "--older-than is negative")
			}
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			var ask tracking.AskCollect
			ask.Body.Seconds, ask.Body.Remove = int64(older/time.Second), remove
			j, err := tracking.OpCollect.Call(cmd.Context(), c, ask)
			if err != nil {
				return err
			}
			var out freed
			bar := e.IO.Progress("runs", 0, term.Count)
			err = finished(cmd, c, j, &out.Runs, func(p web.Progress) { bar.Set(p.Done) })
			bar.Stop()
			if err != nil {
				return err
			}
			if j, err = dataset.OpGC.Call(cmd.Context(), c, dataset.AskCollection{Body: dataset.Collection{Remove: remove, Hours: hours}}); err != nil {
				return err
			}
			if err := finished(cmd, c, j, &out.Content, func(web.Progress) {}); err != nil {
				return err
			}
			return e.Print(out, func(w io.Writer) { out.show(w) })
		},
	}
	cmd.Flags().BoolVar(&remove, "yes", false, "remove it")
	cmd.Flags().DurationVar(&older, "older-than", tracking.DefaultGrace, "spare what was deleted later than that; 0s spares nothing")
	cmd.Flags().IntVar(&hours, "hours", 24, "spare content that was written in the last hours")
	return cmd
}

// finished follows a job and reads its result.
func finished(cmd *cobra.Command, c web.Client, j web.Job, out any, see func(web.Progress)) error {
	j, err := web.Follow(cmd.Context(), c, j.ID, see)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(j.Result, out); err != nil {
		return slipway.Errorf(slipway.Internal, "the result of %s cannot be read: %v", j.Kind, err)
	}
	return nil
}

func (f freed) show(w io.Writer) {
	done := "would remove"
	if f.Runs.Removed {
		done = "removed"
	}
	fmt.Fprintf(w, "%s %d runs, %d logged models and %d experiments that were deleted before %s, with %d files (%s)\n", done,
		f.Runs.Runs, f.Runs.Models, f.Runs.Experiments, f.Runs.Before.Local().Format("2006-01-02 15:04"), f.Runs.Files, term.Bytes(f.Runs.Bytes))
	fmt.Fprintf(w, "%s content of %s that nothing refers to (%s pieces are in use)\n", done, term.Bytes(f.Content.Bytes), term.Count(int64(f.Content.Live)))
	if !f.Runs.Removed {
		fmt.Fprintln(w, "next      slipway gc --yes")
	}
}
