package serving

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Gateway is the data plane alone: a Service over a folder of its own, which
// serves the last manifest that it had. While a server is there it follows that
// one's manifests and sends it the prediction log; while none is, it serves on
// and keeps the log.
type Gateway struct {
	*Service
	o       GatewayOptions
	name    string
	shelf   *Shelf
	server  web.Client
	mu      sync.Mutex
	tripped []Trip // not told yet
	sent    int64  // the last segment that the server has
	silent  bool   // the server did not answer the last time
}

// GatewayOptions is what a Gateway needs. Dir and Loaders are required.
type GatewayOptions struct {
	Dir        string // its own: manifest, models, log
	Name       string // in the log; "" for one that it keeps in Dir
	Loaders    []predictor.Loader
	Python     predictor.Python
	Durability Durability
	Server     string // address to follow; "" to serve alone
	Token      string // for the server: reader to follow, writer to send the log, operator to report trips
	// SealEvery is how long predictions may wait before they are sent; default 5 s.
	SealEvery time.Duration
}

// The files of a gateway, beside those of its Service.
const (
	gatewayNameFile = "gateway"
	gatewayKeyFile  = "key"
	gatewayModels   = "models"
)

// OpenGateway opens a gateway's folder and serves the manifest that is in it.
// It fails with NotFound when there is none and no server to ask.
func OpenGateway(ctx context.Context, o GatewayOptions) (*Gateway, error) {
	if o.SealEvery <= 0 {
		o.SealEvery = 5 * time.Second
	}
	if _, err := os.Stat(filepath.Join(o.Dir, manifestFile)); o.Server == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, slipway.Errorf(slipway.NotFound, "%s holds no manifest", o.Dir).
			WithHint("name the server to follow with --server, or make the folder with `slipway model export NAME --folder %s`", o.Dir)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the gateway's folder cannot be made: %v", err)
	}
	g := &Gateway{o: o, shelf: &Shelf{Dir: filepath.Join(o.Dir, gatewayModels), Loaders: o.Loaders, Python: o.Python}}
	var err error
	if g.name, err = keptName(o); err != nil {
		return nil, err
	}
	if o.Server != "" {
		g.server = web.Dial(o.Server, o.Token)
		g.shelf.Fetch = func(ctx context.Context, d slipway.Digest) (io.ReadCloser, error) {
			resp, err := g.server.Stream(ctx, http.MethodGet, "/api/v1/content/"+string(d), nil)
			if err != nil {
				return nil, err
			}
			return resp.Body, nil
		}
	}
	key, err := g.key(ctx)
	if err != nil {
		return nil, err
	}
	g.Service, err = New(ctx, Options{Dir: o.Dir, Loader: g.shelf, Key: key, Gateway: g.name, Durability: o.Durability, Tripped: g.trip})
	return g, err
}

// keptName is the gateway's name: what it was called the last time, for its
// segments are numbered under that.
func keptName(o GatewayOptions) (string, error) {
	path := filepath.Join(o.Dir, gatewayNameFile)
	raw, err := os.ReadFile(path)
	if err == nil {
		kept := strings.TrimSpace(string(raw))
		if o.Name != "" && o.Name != kept {
			return "", slipway.Errorf(slipway.Conflict, "the gateway in %s is called %s", o.Dir, kept)
		}
		return kept, nil
	}
	name := o.Name
	if name == "" {
		host, _ := os.Hostname()
		random := make([]byte, 4)
		if _, err := rand.Read(random); err != nil {
			return "", err
		}
		name = strings.Trim(notName.ReplaceAllString(host, "-")+"-"+hex.EncodeToString(random), "-")
	}
	if !gatewayName.MatchString(name) || name == "local" {
		return "", slipway.Errorf(slipway.Invalid, "%q is no name for a gateway", name).WithHint("use letters, digits, dots and hyphens; local is the server's own")
	}
	return name, writeDurably(path, []byte(name+"\n"))
}

// key is the key that manifests are signed with: the one that the server named
// the first time. It is nil for a folder that was exported, whose manifest
// nobody signed. The caller's first contact is trusted, as with SSH.
func (g *Gateway) key(ctx context.Context) (ed25519.PublicKey, error) {
	path := filepath.Join(g.o.Dir, gatewayKeyFile)
	raw, err := os.ReadFile(path)
	if err == nil && len(raw) != ed25519.PublicKeySize {
		return nil, slipway.Errorf(slipway.Invalid, "%s is not a key", path)
	}
	if err == nil || g.o.Server == "" {
		return raw, nil
	}
	first, err := OpManifest.Call(ctx, g.server, AskManifest{})
	if err != nil {
		return nil, fmt.Errorf("the gateway has no manifest yet: %w", err)
	}
	if len(first.Key) != ed25519.PublicKeySize {
		return nil, slipway.Errorf(slipway.Invalid, "%s names no key for its manifests", g.o.Server)
	}
	return first.Key, writeDurably(path, first.Key)
}

// trip remembers to tell the server.
func (g *Gateway) trip(_ context.Context, t Trip) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tripped = append(g.tripped, t)
}

// Name is what the log calls the gateway.
func (g *Gateway) Name() string { return g.name }

// Follow follows the server until ctx ends, and sends it what is left of the
// log then. Without a server it waits.
func (g *Gateway) Follow(ctx context.Context) {
	if g.o.Server == "" {
		<-ctx.Done()
		return
	}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	sent := time.Now()
	for {
		g.say(g.Update(ctx))
		if time.Since(sent) >= g.o.SealEvery {
			sent = time.Now()
			g.say(g.Send(ctx))
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			g.say(g.Send(last))
			return
		case <-look.C:
		}
	}
}

// say tells once that the server is away, and once that it is back.
func (g *Gateway) say(err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case err != nil && !g.silent:
		g.silent = true
		slog.Warn("the gateway serves without its server", "server", g.o.Server, "error", err)
	case err == nil && g.silent:
		g.silent = false
		slog.Info("the server is back", "server", g.o.Server)
	}
}

// Update asks for a newer manifest and serves it.
func (g *Gateway) Update(ctx context.Context) error {
	before := g.Manifest()
	got, err := OpManifest.Call(ctx, g.server, AskManifest{After: before.Number})
	if err != nil || got.Manifest == nil {
		return err
	}
	for _, e := range got.Manifest.Endpoint { // first all that it needs: a model that did not come is not a broken one
		for _, v := range e.Variant {
			if _, err := g.shelf.lay(ctx, v.Content); err != nil {
				return err
			}
		}
	}
	if err := g.Publish(ctx, *got.Manifest); err != nil {
		return err
	}
	slog.Info("the gateway serves a new manifest", "manifest", got.Manifest.Number)
	return g.shelf.keepOnly(before, *got.Manifest)
}

// Send brings every prediction up to now to the server, in order, and forgets
// what the server has. A segment that was sent in vain is sent again.
func (g *Gateway) Send(ctx context.Context) error {
	if err := g.Seal(ctx); err != nil {
		return err
	}
	for segment, err := range g.Segments(ctx, g.sent) {
		if err == nil {
			err = g.sendSegment(ctx, segment)
		}
		if err != nil {
			return err
		}
		g.sent = segment.Number
		if err := g.Forget(ctx, g.name, g.sent); err != nil {
			return err
		}
	}
	return g.sendTrips(ctx)
}

func (g *Gateway) sendSegment(ctx context.Context, s Segment) error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer f.Close()
	resp, err := g.server.Stream(ctx, http.MethodPut, "/api/v1/gateways/"+g.name+"/segments/"+strconv.FormatInt(s.Number, 10), f)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (g *Gateway) sendTrips(ctx context.Context) error {
	g.mu.Lock()
	todo := g.tripped
	g.tripped = nil
	g.mu.Unlock()
	for i, t := range todo {
		if _, err := OpTrip.Call(ctx, g.server, ReportTrip{Gateway: g.name, Body: t}); err != nil {
			g.mu.Lock()
			g.tripped = append(todo[i:len(todo):len(todo)], g.tripped...)
			g.mu.Unlock()
			return err
		}
	}
	return nil
}
