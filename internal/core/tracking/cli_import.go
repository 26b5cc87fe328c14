package tracking

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// importCommand is `slipway import`.
func importCommand(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Bring in what another tool keeps"}
	cmd.AddCommand(importMLflow(e))
	return cmd
}

func importMLflow(e *cli.Env) *cobra.Command {
	in := ImportFrom{}
	cmd := &cobra.Command{
		Use:   "mlflow URI",
		Short: "Copy experiments, runs and models from MLflow",
		Long: `Copies experiments, runs with the whole history of their metrics, params, tags, inputs,
artifacts and logged models, from a running MLflow server or from its SQLite file. Runs and models
keep their ids. The points of every run are read back and compared by hash. What is there already
is completed, so the command may be broken off and run again.`,
		Example: `  slipway import mlflow http://mlflow:5000
  slipway import mlflow sqlite:///mlflow.db --artifacts mlartifacts
  slipway import mlflow http://mlflow:5000 --dry-run --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project, in.Body.URI = project, args[0]
			if file, ok := strings.CutPrefix(args[0], "sqlite:///"); ok {
				in.Body.URI = "sqlite:///" + e.Path(file)
			}
			if in.Body.Artifacts != "" {
				in.Body.Artifacts = e.Path(in.Body.Artifacts)
			}
			return runImport(e, cmd, c, in)
		},
	}
	cmd.Flags().StringVar(&in.Body.Artifacts, "artifacts", "", "the folder that MLflow's --artifacts-destination named, for a file")
	cmd.Flags().BoolVar(&in.Body.DryRun, "dry-run", false, "count, and copy nothing")
	return cmd
}

func runImport(e *cli.Env, cmd *cobra.Command, c web.Client, in ImportFrom) error {
	job, err := OpImport.Call(cmd.Context(), c, in)
	if err != nil {
		return err
	}
	bar := e.IO.Progress("runs", 0, term.Count)
	job, err = web.Follow(cmd.Context(), c, job.ID, func(p web.Progress) {
		if p.Done > 0 {
			bar.Set(p.Done)
		}
	})
	bar.Stop()
	if err != nil {
		return err
	}
	var out Imported
	if err := json.Unmarshal(job.Result, &out); err != nil {
		return slipway.Errorf(slipway.Internal, "the import's result cannot be read: %v", err)
	}
	return e.Print(out, func(w io.Writer) { showImported(w, out) })
}

func showImported(w io.Writer, o Imported) {
	if o.DryRun {
		fmt.Fprintf(w, "found %d experiments, %d runs, %d logged models and %d files; nothing was copied\n", o.Experiments, o.Runs, o.Models, o.Files)
	} else {
		fmt.Fprintf(w, "%d experiments, %d runs (%d new), %d points verified (%d new), %d logged models, %d files (%d new, %s)\n",
			o.Experiments, o.Runs, o.NewRuns, o.Points, o.NewPoints, o.Models, o.Files, o.NewFiles, term.Bytes(o.NewBytes))
	}
	if o.Registered > 0 {
		fmt.Fprintf(w, "%d registered models with %d versions\n", o.Registered, o.Versions)
	}
	for _, s := range o.Skipped {
		fmt.Fprintf(w, "not copied: %s\n", s)
	}
}
