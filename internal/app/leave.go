package app

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// exportCommand is `slipway export`. It stands here because runs are tracking's,
// registered models the registry's, and the form is MLflow's.
func exportCommand(e *cli.Env) *cobra.Command {
	var o mlflow.ExportOptions
	format := "all"
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Write a project's runs and models as Parquet and for MLflow", Args: cobra.ExactArgs(1),
		Long: `Writes experiments, runs with the whole history of their metrics, params, tags, inputs, logged
models, registered models with versions, stages and aliases, and all their files into a folder
that is not there yet:

  mlflow.db, artifacts/   what ` + "`mlflow server`" + ` of MLflow 3 opens, and ` + "`slipway import mlflow`" + `
  parquet/                a table of each kind; artifacts.parquet has the SHA-256 of every file

A file that is there several times takes its space once, where the disk has links. What was
deleted goes along as deleted, but for logged models. The folder gets its name when everything
is on disk; one that broke off leaves nothing.`,
		Example: "  slipway export backup\n  slipway export tables --format parquet --no-files",
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "all" && format != "parquet" && format != "mlflow" {
				return slipway.Errorf(slipway.Invalid, "--format is %q; it must be all, parquet or mlflow", format)
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			o.Dir, o.NoParquet, o.NoMLflow = e.Path(args[0]), format == "mlflow", format == "parquet"
			if err := inProject(cmd.Context(), c, project, &o); err != nil {
				return err
			}
			from, err := mlflow.Dial(c)
			if err != nil {
				return err
			}
			bar := e.IO.Progress("runs", 0, term.Count)
			o.Say = bar.Set
			out, err := mlflow.Export(cmd.Context(), from, o)
			bar.Stop()
			if err != nil {
				return err
			}
			return e.Print(out, func(w io.Writer) { showExported(w, out) })
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "all, parquet or mlflow")
	cmd.Flags().BoolVar(&o.NoFiles, "no-files", false, "leave the files of runs and models out")
	return cmd
}

// inProject finds what of a project is exported.
func inProject(ctx context.Context, c web.Client, project string, o *mlflow.ExportOptions) error {
	for page := ""; ; {
		found, err := tracking.OpExperiments.Call(ctx, c, tracking.FindExperiments{Project: project, View: tracking.All, Page: page})
		if err != nil {
			return err
		}
		o.Experiments = append(o.Experiments, found.Experiments...)
		if page = found.Next; page == "" {
			break
		}
	}
	models, err := registry.OpModels.Call(ctx, c, registry.InProject{Project: project})
	o.Registered = map[string]bool{}
	for _, m := range models {
		o.Registered[m.Name] = true
	}
	return err
}

func showExported(w io.Writer, o mlflow.Exported) {
	fmt.Fprintf(w, "%s: %d experiments, %d runs, %d points, %d logged models, %d registered models with %d versions, %d files (%s)\n",
		o.Dir, o.Experiments, o.Runs, o.Points, o.Models, o.Registered, o.Versions, o.Files, term.Bytes(o.Bytes))
	for _, s := range o.Skipped {
		fmt.Fprintf(w, "not written: %s\n", s)
	}
}
