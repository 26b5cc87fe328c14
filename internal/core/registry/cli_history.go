package registry

import (
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

func historyCommand(e *cli.Env) *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use: "history [NAME]", Short: "Which versions stood in which stage, and what each alias meant, at a time", Args: cobra.MaximumNArgs(1),
		Example: "  slipway model history flight-delay --at 2026-11-20T14:00:00Z\n  slipway model history --at 2026-11-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in := ModelsAt{Project: project}
			if len(args) > 0 {
				in.Model = args[0]
			}
			if in.At, err = parseTime(at); err != nil {
				return err
			}
			all, err := OpHistory.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(all, func(io.Writer) {
				t := e.IO.Table("model", "", "name", "version", "since", "by")
				for _, h := range all {
					t.Row(h.Model, h.Kind, h.Name, "v"+strconv.Itoa(h.Version), h.Since, h.Actor)
				}
				_ = t.Render()
			})
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "RFC 3339, or a date; now when left out")
	return cmd
}

// parseTime reads an instant, or the first instant of a day; "" is the zero
// time. It fails with Invalid.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, slipway.Errorf(slipway.Invalid, "%q is no time", s).WithHint("write 2026-11-20T14:00:00Z or 2026-11-20")
}
