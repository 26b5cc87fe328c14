package registry

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

func exportCommand(e *cli.Env) *cobra.Command {
	var to, file string
	cmd := &cobra.Command{
		Use: "export NAME[@vN|@ALIAS]", Short: "Write a version in another format", Args: cobra.ExactArgs(1),
		Long:    "Writes a version in ONNX, where that says exactly what the model computes: LightGBM, XGBoost and scikit-learn trees without categorical splits, and linear models.",
		Example: "  slipway model export flight-delay@champion --to onnx -o model.onnx",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			x, err := OpExport.Call(cmd.Context(), c, ExportVersion{Project: project, Model: args[0], Format: to})
			if err != nil {
				return err
			}
			if file == "" {
				name, version, _ := strings.Cut(x.Model, "@")
				file = name + "-" + version + "." + x.Format
			}
			part := file + ".part"
			if err := os.WriteFile(part, x.Content, 0o644); err != nil {
				return slipway.Errorf(slipway.Invalid, "%s cannot be written: %v", file, err)
			}
			if err := os.Rename(part, file); err != nil {
				return fmt.Errorf("write %s: %w", file, err)
			}
			about := struct {
				Model   string   `json:"model"`
				Format  string   `json:"format"`
				File    string   `json:"file"`
				Bytes   int      `json:"bytes"`
				Feature []string `json:"feature"`
			}{x.Model, x.Format, file, len(x.Content), x.Feature}
			return e.Print(about, func(w io.Writer) {
				fmt.Fprintf(w, "%s is in %s (%d bytes); it takes a matrix of %s\n", x.Model, file, len(x.Content), strings.Join(x.Feature, ", "))
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", ONNX, "format")
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write (default NAME-vN.onnx)")
	return cmd
}
