package audit

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Commands are `slipway audit` and `slipway trace`.
func Commands(e *cli.Env) []*cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "What happened, by whom, and proof that nobody changed it since"}
	cmd.AddCommand(logCommand(e), verifyCommand(e), exportCommand(e))
	return []*cobra.Command{traceCommand(e), cmd}
}

func logCommand(e *cli.Env) *cobra.Command {
	in := ReadLog{Newest: true}
	cmd := &cobra.Command{
		Use: "log", Short: "Events, newest first", Args: cobra.NoArgs,
		Example: "  slipway audit log --verb gate.decided\n  slipway audit log --actor ana --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			in.Project = e.ProjectFlag
			events, err := OpLog.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(events, func(w io.Writer) {
				for _, ev := range events {
					fmt.Fprintf(w, "%6d  %s  %-18s %-22s %s\n", ev.Number, ev.Time.Format("2006-01-02 15:04:05"), ev.Actor, ev.Verb, ev.Subject)
				}
			})
		},
	}
	cmd.Flags().StringVar(&in.Actor, "actor", "", "only what this principal did")
	cmd.Flags().StringVar(&in.Verb, "verb", "", "only these verbs, by comma: model.registered; drift. is all that begin so")
	cmd.Flags().StringVar(&in.Subject, "subject", "", "only about this thing, such as model:churn@v3")
	cmd.Flags().IntVar(&in.Limit, "limit", 50, "how many")
	return cmd
}

func verifyCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "verify [FILE]", Short: "Check that no event is missing or was changed", Args: cobra.MaximumNArgs(1),
		Long:    "Check the hash chain of the whole log and sign its end. With a file that\n`slipway audit export` wrote, check that file by itself, without any server.",
		Example: "  slipway audit verify\n  slipway audit export > log.jsonl && slipway audit verify log.jsonl",
		RunE: func(cmd *cobra.Command, args []string) error {
			end, err := verify(cmd, e, args)
			if err != nil {
				return err
			}
			return e.Print(end, func(w io.Writer) {
				fmt.Fprintf(w, "%d events, none missing, none changed\nhash %s\nkey  %x\n", end.Number, end.Hash, end.Key)
			})
		},
	}
}

func verify(cmd *cobra.Command, e *cli.Env, args []string) (Checkpoint, error) {
	if len(args) == 0 {
		c, err := e.Client(cmd.Context())
		if err != nil {
			return Checkpoint{}, err
		}
		return OpVerify.Call(cmd.Context(), c, web.None{})
	}
	f, err := os.Open(e.Path(args[0]))
	if err != nil {
		return Checkpoint{}, slipway.Errorf(slipway.NotFound, "%v", err)
	}
	defer f.Close()
	return VerifyExport(f)
}

func exportCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "Write the whole log as JSON lines that verify by themselves", Args: cobra.NoArgs,
		Example: "  slipway audit export > log.jsonl",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			resp, err := c.Stream(cmd.Context(), "GET", "/api/v1/audit/export", nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(e.IO.Out, resp.Body)
			return err
		},
	}
}
