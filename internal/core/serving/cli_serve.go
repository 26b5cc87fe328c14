package serving

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

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
	// Files finds the files of a dataset version, such as flights@v3; nil when
	// batches are read from files only.
	Files func(ctx context.Context, e *cli.Env, dataset string) ([]string, error)
}

// serveOptions are the flags of `slipway serve`.
type serveOptions struct {
	listen, name, log string
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
	cmd.Flags().StringVar(&o.name, "name", "", "name of the endpoint (default: of the file)")
	cmd.Flags().StringVar(&o.log, "log", "", "folder that keeps the prediction log (default: gone when the command ends)")
	return cmd
}

func (o *serveOptions) run(ctx context.Context, e *cli.Env, local Local, path string) (err error) {
	token := e.Getenv("SLIPWAY_TOKEN")
	if !web.Loopback(o.listen) && token == "" {
		return slipway.Errorf(slipway.Invalid, "%s is reached from beyond this machine, and there is no token", o.listen).
			WithHint("set SLIPWAY_TOKEN, which callers then send as `Authorization: Bearer …`")
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
	l, err := listen(o.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	srv := &http.Server{Handler: door(token, l.Addr().String()).Wrap(local.Handler(s), false), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	if err := announce(e, s, name, l.Addr().String(), o.log); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return slipway.Errorf(slipway.Unavailable, "the listener ended: %v", err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return srv.Shutdown(ending)
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, slipway.Errorf(slipway.Conflict, "something else listens on %s already", address).WithHint("choose another address with --listen HOST:PORT")
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "cannot listen on %s: %v", address, err)
	}
	return l, nil
}

// door lets callers on this machine in, and with a token only those who have it.
func door(token, address string) *web.Door {
	writer := slipway.Principal{Name: "caller", Role: slipway.Writer}
	d := &web.Door{Anyone: writer}
	if host, _, err := net.SplitHostPort(address); err == nil {
		d.Host = []string{host}
	}
	if token == "" {
		return d
	}
	if name, err := os.Hostname(); err == nil {
		d.Host = append(d.Host, name)
	}
	d.Anyone = slipway.Principal{}
	d.Token = func(_ *http.Request, sent string) (slipway.Principal, error) {
		if subtle.ConstantTimeCompare([]byte(sent), []byte(token)) != 1 {
			return slipway.Principal{}, slipway.Errorf(slipway.Unauthenticated, "the token is not known")
		}
		return writer, nil
	}
	return d
}

// announce says where the model answers, with a request to try.
func announce(e *cli.Env, s *Service, name, address, log string) error {
	h, err := s.Find(name, "")
	if err != nil {
		return err
	}
	defer h.Close()
	signature, _ := h.Signature()
	info := struct {
		Endpoint string `json:"endpoint"`
		URL      string `json:"url"`
		Example  string `json:"example,omitempty"`
	}{name, "http://" + address + "/v2/models/" + name + "/infer", Example(signature)}
	return e.Print(info, func(w io.Writer) {
		fmt.Fprintf(w, "%s answers at %s\n", name, info.URL)
		fmt.Fprintf(w, "MLflow and SageMaker clients: http://%s/invocations\n", address)
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
