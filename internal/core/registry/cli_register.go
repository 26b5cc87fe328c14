package registry

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func registerCommand(e *cli.Env) *cobra.Command {
	var run string
	cmd := &cobra.Command{
		Use: "register PATH NAME | register --run ID:PATH NAME", Short: "Take a model file or folder in as a new version", Args: cobra.RangeArgs(1, 2),
		Long: "Take a model in that no pipeline of this project made. Such a version is\nungated: it may go to staging, and to production once `slipway gate run` has\npassed it or `slipway gate waive` says why not.",
		Example: `  slipway model register model.txt churn
  slipway model register --run 1f2e…:model churn`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if wrong := len(args) == 2; wrong == (run != "") {
				return slipway.Errorf(slipway.Invalid, "name one model: a path, or --run ID:PATH").WithHint("slipway model register model.txt churn")
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := register(cmd, e, c, project, run, args)
			if err != nil {
				return err
			}
			return e.Print(v, func(w io.Writer) { fmt.Fprintf(w, "%s  %s\n", v.ID(), v.Content.Short()) })
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "take an artifact of a tracked run: its id, a colon, and the path")
	return cmd
}

func register(cmd *cobra.Command, e *cli.Env, c web.Client, project, run string, args []string) (v slipway.ModelVersion, err error) {
	if run != "" {
		in := RegisterRun{Project: project, Model: args[0]}
		var ok bool
		if in.Body.Run, in.Body.Path, ok = strings.Cut(run, ":"); !ok || in.Body.Path == "" {
			return v, slipway.Errorf(slipway.Invalid, "%q names no artifact", run).WithHint("write --run ID:PATH")
		}
		return OpRegisterRun.Call(cmd.Context(), c, in)
	}
	if err := checkName(args[1]); err != nil {
		return v, err
	}
	path := e.Path(args[0])
	if _, err := os.Stat(path); err != nil {
		return v, slipway.Errorf(slipway.NotFound, "there is nothing at %s", args[0])
	}
	r, w := io.Pipe()
	defer r.Close()
	go func() { _ = w.CloseWithError(pack(w, path)) }() // the reader sees the error
	address := strings.NewReplacer("{project}", url.PathEscape(project), "{model}", args[1]).Replace(modelsPath + "/{model}/upload")
	resp, err := c.Stream(cmd.Context(), "POST", address, r)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(&v)
	return v, err
}

// pack writes a file, or the files of a folder, as a tar stream.
func pack(w io.Writer, root string) error {
	out := tar.NewWriter(w)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path) // a link is taken for the file that it means
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return slipway.Errorf(slipway.Invalid, "%s is no regular file", path)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if name == "." {
			name = filepath.Base(root)
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Size: info.Size(), Mode: int64(info.Mode().Perm())}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(out, f)
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}
