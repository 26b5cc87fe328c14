package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Commands is `slipway gate`.
func Commands(e *cli.Env) []*cobra.Command {
	cmd := &cobra.Command{Use: "gate", Short: "Whether a version is good enough, and the evidence"}
	cmd.AddCommand(runCommand(e), showCommand(e), listCommand(e), waiveCommand(e))
	return []*cobra.Command{cmd}
}

func runCommand(e *cli.Env) *cobra.Command {
	var junit string
	cmd := &cobra.Command{
		Use: "run [NAME@vN]", Short: "Judge a version by the gates in slipway.yaml", Args: cobra.MaximumNArgs(1),
		Long: "Score the rows of gates.data with a version and with the champion, hold every\nlimit against the bound of an interval by block, and sign the verdict.\nThe exit status is 0 when the version passes and 3 when it does not.",
		Example: "  slipway gate run                        the newest version of the project's model\n" +
			"  slipway gate run flight-delay@v3 --json\n  slipway gate run --junit gate.xml       for a CI job's report",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in := RunGates{Project: project}
			if len(args) == 1 {
				in.Body.Model = args[0]
			}
			job, err := OpRun.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			job, err = web.Follow(cmd.Context(), c, job.ID, func(p web.Progress) {
				if !e.IO.Quiet && !e.IO.JSON && p.Message != "" {
					fmt.Fprintln(e.IO.Err, p.Message)
				}
			})
			if err != nil {
				return err
			}
			var s Signed
			if err := json.Unmarshal(job.Result, &s); err != nil {
				return err
			}
			return deliver(e, s, junit)
		},
	}
	cmd.Flags().StringVar(&junit, "junit", "", "also write the checks to this file as JUnit XML")
	return cmd
}

// deliver prints a verdict, and fails with Refused unless it is a pass.
func deliver(e *cli.Env, s Signed, junit string) error {
	if junit != "" {
		if err := writeJUnit(e.Path(junit), s.Certificate); err != nil {
			return err
		}
	}
	if err := e.Print(s, func(w io.Writer) { printCertificate(w, s) }); err != nil {
		return err
	}
	if s.Certificate.Verdict != slipway.Pass {
		return slipway.Errorf(slipway.Refused, "%s does not pass: %s", s.Certificate.Model, s.Certificate.Reason)
	}
	return nil
}

func showCommand(e *cli.Env) *cobra.Command {
	var junit string
	cmd := &cobra.Command{
		Use: "show CERTIFICATE|NAME@vN", Short: "A certificate: every check with its interval and limit", Args: cobra.ExactArgs(1),
		Example: "  slipway gate show flight-delay@v3\n  slipway gate show 3fa4c1 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			s, err := OpCertificate.Call(cmd.Context(), c, NamedCertificate{project, args[0]})
			if err != nil {
				return err
			}
			if junit != "" {
				if err := writeJUnit(e.Path(junit), s.Certificate); err != nil {
					return err
				}
			}
			return e.Print(s, func(w io.Writer) { printCertificate(w, s) })
		},
	}
	cmd.Flags().StringVar(&junit, "junit", "", "also write the checks to this file as JUnit XML")
	return cmd
}

func listCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "Certificates, newest first", Args: cobra.NoArgs, Example: "  slipway gate ls",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			list, err := OpCertificates.Call(cmd.Context(), c, ListCertificates{Project: project})
			if err != nil {
				return err
			}
			return e.Print(list, func(w io.Writer) {
				for _, x := range list {
					fmt.Fprintf(w, "%s  %-24s %-10s %s  %s\n", x.Digest.Short(), x.Model, x.Verdict, x.Created.Local().Format("2006-01-02 15:04"), x.Reason)
				}
			})
		},
	}
}

func waiveCommand(e *cli.Env) *cobra.Command {
	in := WaiveGates{}
	cmd := &cobra.Command{
		Use: "waive NAME@vN --reason TEXT", Short: "Let a version through that no gate passed, in your name", Args: cobra.ExactArgs(1),
		Example: `  slipway gate waive churn@v1 --reason "trained and judged by the old system, ticket 4711"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Body.Model = project, args[0]
			w, err := OpWaive.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(w, func(out io.Writer) {
				fmt.Fprintf(out, "%s is waived by %s; the audit log keeps the reason\n", args[0], w.Actor)
			})
		},
	}
	cmd.Flags().StringVar(&in.Body.Reason, "reason", "", "why it may be released all the same")
	return cmd
}

// writeFile replaces a file whole: after a crash it is the old or the new.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "%s cannot be written: %v", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "%s cannot be written: %v", path, err)
	}
	return nil
}
