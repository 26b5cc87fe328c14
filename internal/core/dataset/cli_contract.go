package dataset

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func checkCommand(e *cli.Env) *cobra.Command {
	var contract, junit, page string
	cmd := &cobra.Command{
		Use: "check NAME[@vN][VIEW] [PATH…]", Short: "Ask the contract about a version, or about files that are none yet",
		Long:    "Check every row of a version, or of the given files, against the contract.\nNothing is written down. When the contract says no, the exit code is 3.",
		Example: "  slipway data check flights\n  slipway data check flights incoming/2013-06.csv --junit report.xml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			plain, view, err := parseView(e, args[0])
			if err != nil {
				return err
			}
			name, n, err := parseVersion(plain)
			if err != nil {
				return err
			}
			in, one, err := question(e, name, n, args[1:], contract)
			if err != nil {
				return err
			}
			if in.Body.View = view; !view.IsZero() && len(args) > 1 {
				return slipway.Errorf(slipway.Invalid, "a window or a part is one of a version, not of files")
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = projectName
			if len(args) > 1 {
				if in.Body.Tree, err = send(cmd.Context(), e, c, projectName, one); err != nil {
					return err
				}
			}
			j, err := OpCheck.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			j, err = web.Follow(cmd.Context(), c, j.ID, func(web.Progress) {})
			report, rerr := result[*Report](j)
			if rerr != nil || report == nil {
				return firstError(err, rerr)
			}
			if junit != "" {
				if jerr := replace(e.Path(junit), report.junit()); jerr != nil {
					return jerr
				}
			}
			if page != "" {
				if perr := replace(e.Path(page), report.page()); perr != nil {
					return perr
				}
			}
			if perr := e.Print(report, func(w io.Writer) { findings(e, w, report) }); perr != nil {
				return perr
			}
			return err
		},
	}
	cmd.Flags().StringVar(&contract, "contract", "", "file of the contract (default: as slipway.yaml says, else the version's)")
	cmd.Flags().StringVar(&junit, "junit", "", "also write the findings as JUnit XML")
	cmd.Flags().StringVar(&page, "html", "", "also write the findings as a page")
	return cmd
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// question is what `data check` was asked.
func question(e *cli.Env, name string, n int, paths []string, contract string) (in CheckVersion, one source, err error) {
	in.Name, in.Body.Version = name, n
	p, err := projectOf(e)
	if err != nil {
		return in, one, err
	}
	one.name = name
	if p != nil {
		if _, ok := p.Data[name]; ok {
			if one, err = declared(p, name); err != nil && len(paths) == 0 {
				err = nil // the files need not be here to check a version
			}
		}
	}
	if err == nil && len(paths) > 0 {
		err = one.take(paths, e.Path)
	}
	if err != nil {
		return in, one, err
	}
	if contract != "" {
		one.contract = e.Path(contract)
	}
	in.Body.Spec = one.spec
	in.Body.Contract, err = readContract(one.contract)
	return in, one, err
}

// findings writes a report for a person: what failed, with the first rows.
func findings(e *cli.Env, w io.Writer, r *Report) {
	failed := r.failed()
	rows := fmt.Sprintf("%s in %s", plural(r.Rows, "row"), plural(int64(len(r.Files)), "file"))
	if len(failed) == 0 {
		fmt.Fprintf(w, "%s  %s: all %d checks passed\n", e.IO.Paint(term.OK, "contract kept"), rows, len(r.Checks))
		return
	}
	title := e.IO.Paint(term.Bad, "contract broken")
	if r.Verdict != Refused {
		title = e.IO.Paint(term.Warn, "contract kept, with warnings")
	}
	fmt.Fprintf(w, "%s  %s: %d of %d checks failed\n", title, rows, len(failed), len(r.Checks))
	for _, f := range failed {
		role := term.Bad
		if f.Severity != Error {
			role = term.Warn
		}
		fmt.Fprintf(w, "\n%s  %s\n", e.IO.Paint(role, fmt.Sprintf("%-7s", f.Severity)), e.IO.Paint(term.Bold, f.Title()))
		fmt.Fprintf(w, "         %s\n", f.measured(r.Rows))
		if f.Description != "" {
			fmt.Fprintf(w, "         %s\n", e.IO.Paint(term.Dim, f.Description))
		}
		for _, s := range f.Sample {
			fmt.Fprintf(w, "         %s\n", s)
		}
	}
}

// measured says what was found and what was expected.
func (f Finding) measured(rows int64) string {
	switch {
	case f.Value == nil:
		return "nothing to measure; expected " + f.Expect
	case f.Rows > 0 && f.Expect == "0":
		return fmt.Sprintf("%s fail (%s)", plural(f.Rows, "row"), share(f.Rows, rows))
	case f.Rows > 0:
		return fmt.Sprintf("%s fail (%s); expected %s", plural(f.Rows, "row"), share(f.Rows, rows), f.Expect)
	}
	return fmt.Sprintf("found %s; expected %s", short(*f.Value), f.Expect)
}

// String writes a failing row on one line.
func (s Failing) String() string {
	var parts []string
	if s.Row > 0 {
		parts = append(parts, fmt.Sprintf("row %d", s.Row))
	}
	if len(s.Key) > 0 {
		raw, err := json.Marshal(s.Key) // sorted by name
		if err == nil {
			parts = append(parts, strings.NewReplacer(`"`, "", "{", "", "}", "", ",", " ").Replace(string(raw)))
		}
	}
	switch {
	case s.Times > 0:
		parts = append(parts, fmt.Sprintf("%d times", s.Times))
	case s.Value != nil:
		parts = append(parts, fmt.Sprintf("%q", shorten(fmt.Sprint(s.Value))))
	default:
		parts = append(parts, "missing")
	}
	return strings.Join(parts, "  ")
}

func quarantineCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "quarantine [NAME|ID]", Short: "Batches that broke their contract; one of them with its failing rows", Args: cobra.MaximumNArgs(1),
		Example: "  slipway data quarantine\n  slipway data quarantine 3f2a",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			all, err := OpQuarantine.Call(cmd.Context(), c, ReadQuarantine{Project: projectName})
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return e.Print(all, func(io.Writer) { quarantined(e, all) })
			}
			var of []Quarantined
			for _, q := range all {
				if len(args[0]) >= 4 && strings.HasPrefix(q.ID, args[0]) {
					report, err := OpQuarantineReport.Call(cmd.Context(), c, OneQuarantined{Project: projectName, ID: q.ID})
					if err != nil {
						return err
					}
					return e.Print(report, func(w io.Writer) { findings(e, w, &report) })
				}
				if q.Name == args[0] {
					of = append(of, q)
				}
			}
			if len(of) == 0 {
				return slipway.Errorf(slipway.NotFound, "nothing called %s is in quarantine", args[0])
			}
			return e.Print(of, func(io.Writer) { quarantined(e, of) })
		},
	}
}

func quarantined(e *cli.Env, all []Quarantined) {
	t := e.IO.Table("id", "dataset", "failed checks", "failing rows", "by", "created", "message", "released")
	for _, q := range all {
		released := "-"
		if r := q.Released; r != nil {
			released = fmt.Sprintf("v%d by %s: %s", r.Version, r.Actor, r.Reason)
		}
		t.Row(q.ID[:12], q.Name, q.Checks, q.Rows, q.Actor, q.Created, q.Message, released)
	}
	_ = t.Render() // a pipe that closed has nobody to be told
}

func contractCommand(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{Use: "contract", Short: "What new versions must look like"}
	cmd.AddCommand(inferCommand(e), testCommand(e))
	return cmd
}

func inferCommand(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "infer NAME[@vN]", Short: "Propose a contract from a version, for you to read and sign", Args: cobra.ExactArgs(1),
		Long:    "Propose a contract in the Open Data Contract Standard (v3.1) from what a\nversion looks like. Read it: it knows the rows and not what they mean.",
		Example: "  slipway data contract infer flights --out contracts/flights.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, n, err := parseVersion(args[0])
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			p, err := OpInfer.Call(cmd.Context(), c, OfVersion{Project: projectName, Name: name, Version: n})
			if err != nil {
				return err
			}
			if out == "" {
				return e.Print(p, func(w io.Writer) { fmt.Fprint(w, p.YAML) })
			}
			if _, err := os.Stat(e.Path(out)); err == nil {
				return slipway.Errorf(slipway.Conflict, "%s is there already", out).WithHint("write it to another file and compare the two")
			}
			if err := replace(e.Path(out), []byte(p.YAML)); err != nil {
				return err
			}
			return e.Print(p, func(w io.Writer) {
				fmt.Fprintf(w, "%s  proposes %d checks\n", out, p.Checks)
				fmt.Fprintf(w, "  next      read it, then say contract: %s under data.%s in slipway.yaml\n", out, name)
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: the terminal)")
	return cmd
}
