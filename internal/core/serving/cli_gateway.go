package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// gatewayOptions are the flags of `slipway gateway`.
type gatewayOptions struct {
	listen, grpc, name, server, durability string
}

func gatewayCommand(e *cli.Env, local Local) *cobra.Command {
	var o gatewayOptions
	cmd := &cobra.Command{
		Use:   "gateway FOLDER",
		Short: "Answer requests in a process of its own, with or without a server",
		Long: `Answer requests as ` + "`slipway up`" + ` does, and do nothing else: the data plane alone.

With --server it follows that server: it fetches the models that are released,
serves them, and sends the prediction log. When the server is away it serves on
what it has, also after its own restart, and keeps the log in FOLDER until the
server takes it. SLIPWAY_TOKEN is its token there; one of a writer follows and
sends the log, one of an operator also reports variants that were cut off.

Without --server it serves what is in FOLDER, which ` + "`slipway model export`" + ` makes.

Callers from beyond this machine send SLIPWAY_INFERENCE_TOKEN.`,
		Example: `  slipway gateway /var/lib/slipway-gateway --server https://slipway.example.com
  slipway model export flight-delay --folder flight-delay && slipway gateway flight-delay`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), e, local, e.Path(args[0])) },
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", defaultInference, "address to listen on; one beyond this machine needs SLIPWAY_INFERENCE_TOKEN")
	f.StringVar(&o.grpc, "grpc", "", "address for gRPC, or off (default: the port after --listen)")
	f.StringVar(&o.server, "server", "", "address of the server to follow (default: SLIPWAY_SERVER)")
	f.StringVar(&o.name, "name", "", "name in the prediction log (default: one that it makes and keeps)")
	f.StringVar(&o.durability, "durability", "process", "when a prediction counts as logged: process (survives kill -9) or sync (survives power loss)")
	return cmd
}

func (o *gatewayOptions) run(ctx context.Context, e *cli.Env, local Local, dir string) (err error) {
	if err := local.Check(); err != nil {
		return err
	}
	token := e.Getenv("SLIPWAY_INFERENCE_TOKEN")
	for _, address := range []string{o.listen, o.grpc} {
		if address != "" && address != "off" && !web.Loopback(address) && token == "" {
			return slipway.Errorf(slipway.Invalid, "%s is reached from beyond this machine, and there is no token", address).
				WithHint("set SLIPWAY_INFERENCE_TOKEN, which callers then send as `Authorization: Bearer …`")
		}
	}
	if o.server == "" {
		o.server = e.Getenv("SLIPWAY_SERVER")
	}
	options := GatewayOptions{Dir: dir, Name: o.name, Loaders: local.Loaders, Durability: Durability(o.durability),
		Server: strings.TrimSuffix(o.server, "/"), Token: e.Getenv("SLIPWAY_TOKEN")}
	if python := e.Getenv("SLIPWAY_PYTHON"); python != "" {
		options.Python = predictor.Python{Interpreter: []string{python}}
	}
	g, err := OpenGateway(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	following, stop := context.WithCancel(ctx)
	var follow sync.WaitGroup
	defer func() { stop(); follow.Wait() }()
	if o.server != "" {
		g.say(g.Update(ctx)) // answers from the first request on, where that is possible
	}
	d, err := openDoors(g.Service, local, token, o.listen, o.grpc)
	if err != nil {
		return err
	}
	follow.Go(func() { g.Follow(following) })
	if err := o.announce(e, g, d, dir); err != nil {
		return errors.Join(err, d.close(ctx))
	}
	return d.wait(ctx)
}

func (o *gatewayOptions) announce(e *cli.Env, g *Gateway, d *doors, dir string) error {
	info := struct {
		Gateway  string   `json:"gateway"`
		URL      string   `json:"url"`
		GRPC     string   `json:"grpc,omitempty"`
		Server   string   `json:"server,omitempty"`
		Endpoint []string `json:"endpoint"`
	}{g.Name(), "http://" + d.address, d.grpc, o.server, []string{}}
	for _, endpoint := range g.Endpoints("") {
		info.Endpoint = append(info.Endpoint, endpoint.Name)
	}
	return e.Print(info, func(w io.Writer) {
		fmt.Fprintf(w, "gateway     %s, in %s\n", info.Gateway, dir)
		fmt.Fprintf(w, "inference   %s/v2\n", info.URL)
		if info.GRPC != "" {
			fmt.Fprintf(w, "gRPC        %s\n", info.GRPC)
		}
		if info.Server != "" {
			fmt.Fprintf(w, "follows     %s\n", info.Server)
		}
		fmt.Fprintf(w, "endpoints   %s\n", strings.Join(info.Endpoint, ", "))
	})
}
