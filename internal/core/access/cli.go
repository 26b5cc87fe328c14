package access

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Commands is `slipway token`.
func Commands(e *cli.Env) []*cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Give people and services access from beyond this machine"}
	cmd.AddCommand(createCommand(e), listCommand(e), revokeCommand(e))
	return []*cobra.Command{cmd}
}

func createCommand(e *cli.Env) *cobra.Command {
	var in CreateToken
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token; its secret is shown this once",
		Example: `  slipway token create ci --role operator --project flights --expires 90d
  export MLFLOW_TRACKING_TOKEN=$(slipway token create ana --role writer --quiet)`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			in.Body.Name, in.Body.Project = args[0], e.ProjectFlag
			t, err := OpCreateToken.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(t, func(w io.Writer) {
				fmt.Fprintln(w, t.Secret)
				if !e.IO.Quiet {
					fmt.Fprintf(e.IO.Err, "%s is %s, %s. This is the only time the secret is shown.\n", t.Name, t.Role, expiry(t.Token))
				}
			})
		},
	}
	cmd.Flags().StringVar((*string)(&in.Body.Role), "role", string(slipway.Writer), "reader, writer, operator or admin")
	cmd.Flags().StringVar(&in.Body.Life, "expires", "", "how long it is valid, such as 90d (default: for ever)")
	return cmd
}

func listCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "Every token, newest first", Args: cobra.NoArgs, Example: "  slipway token ls --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			tokens, err := OpTokens.Call(cmd.Context(), c, web.None{})
			if err != nil {
				return err
			}
			return e.Print(tokens, func(w io.Writer) {
				for _, t := range tokens {
					fmt.Fprintf(w, "%s  %-20s %-9s %-12s %s\n", t.ID, t.Name, t.Role, t.Project, expiry(t))
				}
			})
		},
	}
}

func revokeCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID|NAME", Short: "End a token at once", Args: cobra.ExactArgs(1), Example: "  slipway token revoke ci",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			t, err := OpRevokeToken.Call(cmd.Context(), c, NamedToken{Name: args[0]})
			if err != nil {
				return err
			}
			return e.Print(t, func(w io.Writer) { fmt.Fprintf(w, "token %s of %s is revoked\n", t.ID, t.Name) })
		},
	}
}

func expiry(t Token) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked " + t.Revoked.Format(time.DateOnly)
	case t.Expires.IsZero():
		return "valid for ever"
	}
	return "valid until " + t.Expires.Format(time.DateOnly)
}
