package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// exportOptions are the flags of `slipway model export`.
type exportOptions struct{ folder, image, kserve, tag string }

// extendExport gives the registry's `slipway model export`, which writes other
// formats, the ways that take a version elsewhere whole. They stand here because
// a version is the registry's and what serves it is serving's.
func extendExport(e *cli.Env, cmd *cobra.Command) {
	var o exportOptions
	cmd.Short = "Take a version elsewhere: another format, a folder, a container image, KServe"
	cmd.Long += `

With --folder, --image or --kserve it writes what serves the version without this
workspace, and no other format. --folder writes a folder that ` + "`slipway gateway`" + `
serves. --image writes a container image with that folder, this program and the
libraries that it needs, without a daemon: a .tar file that docker and podman load,
or a folder in OCI layout. --kserve writes the InferenceService with which KServe
runs that image.

A model that needs Python is served from the folder, where that Python is; an
image of it cannot be made.`
	cmd.Example += `
  slipway model export flight-delay --folder flight-delay && slipway gateway flight-delay
  slipway model export flight-delay@v3 --image delay.tar --tag registry.example.com/delay:3
  slipway model export flight-delay --kserve delay.yaml --tag registry.example.com/delay:3`
	format := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.folder == "" && o.image == "" && o.kserve == "" {
			return format(cmd, args)
		}
		if cmd.Flags().Changed("to") || cmd.Flags().Changed("output") {
			return slipway.Errorf(slipway.Invalid, "--to and --output do not go with --folder, --image and --kserve")
		}
		c, project, err := e.Connect(cmd)
		if err != nil {
			return err
		}
		return o.run(cmd.Context(), e, c, project, args[0])
	}
	f := cmd.Flags()
	f.StringVar(&o.folder, "folder", "", "folder to write, for slipway gateway")
	f.StringVar(&o.image, "image", "", "image to write: a .tar file, or a folder in OCI layout")
	f.StringVar(&o.kserve, "kserve", "", "file for the InferenceService")
	f.StringVar(&o.tag, "tag", "", "name of the image (default: slipway/NAME:vN)")
}

func (o *exportOptions) run(ctx context.Context, e *cli.Env, c web.Client, project, model string) (err error) {
	v, err := registry.OpVersion.Call(ctx, c, registry.NamedModel{Project: project, Model: model})
	if err != nil {
		return err
	}
	endpoint, err := exported(ctx, c, v)
	if err != nil {
		return err
	}
	if o.tag == "" {
		o.tag = fmt.Sprintf("slipway/%s:v%d", v.Name, v.Version)
	}
	dir := e.Path(o.folder)
	if o.folder == "" && o.image != "" {
		if dir, err = os.MkdirTemp("", "slipway-export-"); err != nil {
			return slipway.Errorf(slipway.Unavailable, "%v", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if o.folder != "" || o.image != "" {
		fetch := func(ctx context.Context, d slipway.Digest) (io.ReadCloser, error) {
			resp, err := c.Stream(ctx, http.MethodGet, "/api/v1/content/"+string(d), nil)
			if err != nil {
				return nil, err
			}
			return resp.Body, nil
		}
		if err := serving.Export(ctx, dir, endpoint, &serving.Shelf{Fetch: fetch}); err != nil {
			return err
		}
	}
	if o.image != "" {
		if err := o.writeImage(e, dir, v); err != nil {
			return err
		}
	}
	if o.kserve != "" {
		if err := os.WriteFile(e.Path(o.kserve), serving.InferenceService(endpoint, o.tag), 0o644); err != nil {
			return slipway.Errorf(slipway.Unavailable, "%s cannot be written: %v", o.kserve, err)
		}
	}
	written := struct {
		Model  string `json:"model"`
		Folder string `json:"folder,omitempty"`
		Image  string `json:"image,omitempty"`
		KServe string `json:"kserve,omitempty"`
		Tag    string `json:"tag"`
	}{v.ID(), o.folder, o.image, o.kserve, o.tag}
	return e.Print(written, func(w io.Writer) {
		for _, path := range []string{o.folder, o.image, o.kserve} {
			if path != "" {
				fmt.Fprintf(w, "%s is in %s\n", v.ID(), path)
			}
		}
		if o.folder != "" {
			fmt.Fprintf(w, "serve it: slipway gateway %s\n", o.folder)
		}
	})
}

// writeImage refuses what would not run in the image: it holds no Python.
func (o *exportOptions) writeImage(e *cli.Env, dir string, v slipway.ModelVersion) error {
	found, err := filepath.Glob(filepath.Join(dir, "models", string(v.Content), "files"))
	if err != nil || len(found) != 1 {
		return slipway.Errorf(slipway.Internal, "the exported folder holds no model")
	}
	path := found[0]
	if entries, err := os.ReadDir(path); err == nil && len(entries) == 1 {
		path = filepath.Join(path, entries[0].Name())
	}
	if !(trees.Loader{}).Detect(path) {
		return slipway.Errorf(slipway.Invalid, "%s needs Python, which the image does not have", v.ID()).
			WithHint("export a --folder and serve it where that Python is")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return serving.WriteImage(e.Path(o.image), o.tag, dir, self)
}

// exported is the endpoint that serves a version alone. What its endpoint here
// takes beside the model's inputs, it takes there.
func exported(ctx context.Context, c web.Client, v slipway.ModelVersion) (slipway.Endpoint, error) {
	out := slipway.Endpoint{Project: v.Project, Name: v.Name, Variant: []slipway.Variant{{Release: "exported", Role: slipway.Champion,
		Model: v.ID(), Content: v.Content, Signature: v.Signature, Range: v.Range}}}
	here, err := serving.OpEndpoints.Call(ctx, c, serving.ListEndpoints{Project: v.Project})
	for _, e := range here.Endpoint {
		if e.Name == v.Name {
			out.Key, out.Time, out.Breaker = e.Key, e.Time, e.Breaker
		}
	}
	return out, err
}
