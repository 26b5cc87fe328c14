package registry

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

// Commands is `slipway model`.
func Commands(e *cli.Env) []*cobra.Command {
	cmd := &cobra.Command{Use: "model", Short: "Versions of models: what they take, and what made them"}
	cmd.AddCommand(listCommand(e), showCommand(e), registerCommand(e), aliasCommand(e), diffCommand(e), exportCommand(e), historyCommand(e), deleteCommand(e))
	return []*cobra.Command{cmd}
}

func listCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "Models and their versions, newest first", Args: cobra.NoArgs, Example: "  slipway model ls --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			models, err := OpModels.Call(cmd.Context(), c, InProject{project})
			if err != nil {
				return err
			}
			return e.Print(models, func(w io.Writer) {
				if len(models) == 0 {
					fmt.Fprintf(w, "%s has no models yet: `slipway run` makes one, `slipway model register FILE NAME` takes one in\n", project)
				}
				table(w, func(t io.Writer) {
					for _, m := range models {
						for _, v := range m.Version {
							fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", v.ID(), v.State, v.Created.Local().Format("2006-01-02 15:04"), origin(v), size(v.Size), labels(m, v))
						}
					}
				})
			})
		},
	}
}

func showCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME[@vN|@ALIAS]", Short: "One version: signature, origin, aliases", Args: cobra.ExactArgs(1),
		Example: "  slipway model show flight-delay\n  slipway model show flight-delay@v2 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := OpVersion.Call(cmd.Context(), c, NamedModel{project, args[0]})
			if err != nil {
				return err
			}
			m, err := OpModel.Call(cmd.Context(), c, NamedModel{project, v.Name})
			if err != nil {
				return err
			}
			return e.Print(v, func(w io.Writer) { printVersion(w, m, v) })
		},
	}
}

func printVersion(w io.Writer, m Model, v slipway.ModelVersion) {
	fmt.Fprintf(w, "%s  %s\n", v.ID(), v.State)
	table(w, func(t io.Writer) {
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(t, "  %s\t%s\n", name, value)
			}
		}
		line("registered", v.Created.Local().Format("2006-01-02 15:04:05")+" by "+v.Actor)
		line("from", origin(v))
		for _, d := range v.Dataset {
			line("dataset", d.ID)
		}
		line("code", v.Commit)
		line("environment", v.Environment)
		if v.Content != "" {
			line("content", fmt.Sprintf("%s (%s)", v.Content.Short(), size(v.Size)))
		}
		line("aliases", aliases(m, v.Version))
		if v.Stage != StageNone {
			line("stage", v.Stage)
		}
		line("description", v.Description)
		line("registered as", v.Origin)
		line("task", string(v.Signature.Task))
		line("classes", strings.Join(v.Signature.Classes, ", "))
		if v.Rows > 0 {
			line("trained on", fmt.Sprintf("%d rows of %s", v.Rows, v.Training))
		}
	})
	fmt.Fprintln(w, "takes")
	ranges := map[string]slipway.Range{}
	for _, r := range v.Range {
		ranges[r.Feature] = r
	}
	table(w, func(t io.Writer) {
		for _, c := range v.Signature.Input {
			about := ""
			if r, ok := ranges[c.Name]; ok {
				about = fmt.Sprintf("%.6g to %.6g", r.Min, r.Max)
			} else if c.Categories != nil {
				about = fmt.Sprintf("%d categories: %.60s", len(c.Categories), strings.Join(c.Categories, " "))
			}
			fmt.Fprintf(t, "  %s\t%s\t%s\n", c.Name, c.Type, about)
		}
	})
	fmt.Fprintln(w, "gives")
	for _, c := range v.Signature.Output {
		fmt.Fprintf(w, "  %s\n", c.Name)
	}
	if len(v.Signature.Input) == 0 {
		fmt.Fprintln(w, "The file does not say what it takes, or could not be opened; `slipway gate show` tells.")
	}
}

func aliasCommand(e *cli.Env) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use: "alias NAME[@vN] ALIAS", Short: "Point an alias to a version, or take it away", Args: cobra.ExactArgs(2),
		Example: "  slipway model alias flight-delay@v2 best\n  slipway model alias flight-delay best --remove",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			name, _, _ := strings.Cut(args[0], "@")
			if remove {
				a, err := OpDropAlias.Call(cmd.Context(), c, NamedAlias{project, name, args[1]})
				if err != nil {
					return err
				}
				return e.Print(a, func(w io.Writer) { fmt.Fprintf(w, "%s has no alias %s any more\n", name, a.Alias) })
			}
			v, err := OpVersion.Call(cmd.Context(), c, NamedModel{project, args[0]})
			if err != nil {
				return err
			}
			in := PointAlias{Project: project, Model: v.Name, Alias: args[1]}
			in.Body.Version = v.Version
			a, err := OpSetAlias.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(a, func(w io.Writer) { fmt.Fprintf(w, "%s@%s is %s\n", v.Name, a.Alias, v.ID()) })
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the alias away")
	return cmd
}

func diffCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "diff NAME@vA NAME@vB", Short: "What differs between two versions", Args: cobra.ExactArgs(2),
		Example: "  slipway model diff flight-delay@v1 flight-delay@v2",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			d, err := OpDiff.Call(cmd.Context(), c, CompareVersions{project, args[0], args[1]})
			if err != nil {
				return err
			}
			return e.Print(d, func(w io.Writer) { printDiff(w, d) })
		},
	}
}

func printDiff(w io.Writer, d Diff) {
	if len(d.Fields) == 0 && d.Files.Empty() {
		fmt.Fprintf(w, "%s and %s are the same\n", d.From, d.To)
		return
	}
	table(w, func(t io.Writer) {
		fmt.Fprintf(t, "\t%s\t%s\n", d.From, d.To)
		for _, f := range d.Fields {
			fmt.Fprintf(t, "%s\t%s\t%s\n", f.Field, dash(f.From), dash(f.To))
		}
		for _, f := range d.Files.Changed {
			fmt.Fprintf(t, "file %s\t%s\t%s\n", f.To.Path, size(f.From.Size), size(f.To.Size))
		}
		for _, f := range d.Files.Removed {
			fmt.Fprintf(t, "file %s\t%s\t-\n", f.Path, size(f.Size))
		}
		for _, f := range d.Files.Added {
			fmt.Fprintf(t, "file %s\t-\t%s\n", f.Path, size(f.Size))
		}
	})
}

func deleteCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME@vN", Short: "Delete a version; its record and its number stay", Args: cobra.ExactArgs(1),
		Example: "  slipway model delete flight-delay@v3",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := OpDelete.Call(cmd.Context(), c, NamedModel{project, args[0]})
			if err != nil {
				return err
			}
			return e.Print(v, func(w io.Writer) { fmt.Fprintf(w, "%s is deleted\n", v.ID()) })
		},
	}
}

func table(w io.Writer, fill func(io.Writer)) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fill(t)
	_ = t.Flush() // a terminal that went away needs no more lines
}

func origin(v slipway.ModelVersion) string {
	if v.Run == "" {
		return string(v.Source)
	}
	return string(v.Source) + ", run " + v.Run[:min(8, len(v.Run))]
}

func aliases(m Model, version int) string {
	var out []string
	for _, a := range m.Alias {
		if a.Version == version {
			out = append(out, a.Alias)
		}
	}
	return strings.Join(out, ", ")
}

// labels are the stage and the aliases of a version.
func labels(m Model, v slipway.ModelVersion) string {
	out := aliases(m, v.Version)
	switch {
	case v.Stage == StageNone || v.Stage == "":
		return out
	case out == "":
		return v.Stage
	}
	return v.Stage + ", " + out
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
