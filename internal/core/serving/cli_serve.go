package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Local is what commands need that work without a workspace.
type Local struct {
	Loaders []predictor.Loader
	Handler func(*Service) http.Handler // the inference protocols
	Quick   func(path string) bool      // see web.Server
	End     func(context.Context) error // after the last request; may be nil
	// Check refuses settings that cannot work.
	Check func() error
	// GRPC answers them over gRPC on l, until stop is called.
	GRPC func(s *Service, who func(*http.Request) (slipway.Principal, error), l net.Listener) (stop func(context.Context))
	// Files finds the files of a dataset version, such as flights@v3; nil when
	// batches are read from files only.
	Files func(ctx context.Context, e *cli.Env, dataset string) ([]string, error)
}

// serveOptions are the flags of `slipway serve`.
type serveOptions struct {
	listen, grpc, name, log string
}

func serveCommand(e *cli.Env, local Local) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve PATH",
		Short: "Answer requests with a model file, without a workspace",
		Long: `Answer requests with a model: a LightGBM text file, an XGBoost JSON or UBJSON
file, a pickle or joblib file, an MLflow folder, or a class in a Python file.
It speaks the Open Inference Protocol v2 and the /invocations of MLflow and
SageMaker, and logs every prediction before it answers. Ctrl-C ends it.

A pickle or a Python file executes its code: serve only what you trust.`,
		Example: `  slipway serve model.txt
  slipway serve mlruns/1/models/m-1234/artifacts --name churn
  slipway serve model.py:Churn --listen 127.0.0.1:8080 --log predictions/`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), e, local, args[0])
		},
	}
	cmd.Flags().StringVar(&o.listen, "listen", defaultInference, "address to listen on; one beyond this machine needs SLIPWAY_TOKEN")
	cmd.Flags().StringVar(&o.grpc, "grpc", "", "address for gRPC, or off (default: the port after --listen)")
	cmd.Flags().StringVar(&o.name, "name", "", "name of the endpoint (default: of the file)")
	cmd.Flags().StringVar(&o.log, "log", "", "folder that keeps the prediction log (default: gone when the command ends)")
	return cmd
}

func (o *serveOptions) run(ctx context.Context, e *cli.Env, local Local, path string) (err error) {
	if err := errors.Join(local.Check(), o.guarded(e)); err != nil {
		return err
	}
	dir := e.Path(o.log)
	if o.log == "" {
		if dir, err = os.MkdirTemp("", "slipway-serve-"); err != nil {
			return slipway.Errorf(slipway.Unavailable, "no folder for the prediction log: %v", err)
		}
		defer os.RemoveAll(dir)
	}
	s, name, err := OpenPath(ctx, e.Path(path), o.name, dir, local.Loaders...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	d, err := openDoors(s, local, e.Getenv("SLIPWAY_TOKEN"), o.listen, o.grpc)
	if err != nil {
		return err
	}
	if err := announce(e, s, name, d.address, d.grpc, o.log); err != nil {
		return errors.Join(err, d.close(ctx))
	}
	return d.wait(ctx)
}

// guarded refuses addresses beyond this machine that anybody could ask.
func (o *serveOptions) guarded(e *cli.Env) error {
	for _, address := range []string{o.listen, o.grpc} {
		if address != "" && address != "off" && !web.Loopback(address) && e.Getenv("SLIPWAY_TOKEN") == "" {
			return slipway.Errorf(slipway.Invalid, "%s is reached from beyond this machine, and there is no token", address).
				WithHint("set SLIPWAY_TOKEN, which callers then send as `Authorization: Bearer …`")
		}
	}
	return nil
}

// announce says where the model answers, with a request to try.
func announce(e *cli.Env, s *Service, name, address, grpc, log string) error {
	h, err := s.Find(name, "")
	if err != nil {
		return err
	}
	defer h.Close()
	signature, _ := h.Signature()
	info := struct {
		Endpoint string `json:"endpoint"`
		URL      string `json:"url"`
		GRPC     string `json:"grpc,omitempty"`
		Example  string `json:"example,omitempty"`
	}{name, "http://" + address + "/v2/models/" + name + "/infer", grpc, Example(signature)}
	return e.Print(info, func(w io.Writer) {
		fmt.Fprintf(w, "%s answers at %s\n", name, info.URL)
		fmt.Fprintf(w, "MLflow and SageMaker clients: http://%s/invocations\n", address)
		if grpc != "" {
			fmt.Fprintf(w, "gRPC: %s\n", grpc)
		}
		if log != "" {
			fmt.Fprintf(w, "predictions are logged in %s\n", log)
		}
		if info.Example == "" {
			fmt.Fprintf(w, "\nThe model does not say which columns it takes; send those that it was trained on.\n")
			return
		}
		fmt.Fprintf(w, "\ntry it:\n  curl -s %s -d %s\n", info.URL, quoted(info.Example))
		where := ""
		if address != defaultInference {
			where = "SLIPWAY_INFERENCE=" + address + " "
		}
		fmt.Fprintf(w, "or\n  %sslipway predict %s -d %s\n", where, name, quoted(exampleRow(signature)))
	})
}
