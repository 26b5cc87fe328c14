package serving

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// factor is a loader of files that hold a number: what the model multiplies by.
type factor struct{}

func (factor) Name() string         { return "factor" }
func (factor) Detect(p string) bool { return filepath.Base(p) == "factor.json" }
func (factor) Load(_ context.Context, s predictor.Spec) (predictor.Model, error) {
	raw, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, err
	}
	var by float64
	if err := json.Unmarshal(raw, &by); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "no factor: %v", err)
	}
	return &fake{answer: func(x float64) (float64, error) { return by * x, nil }}, nil
}

// harbour is a server whose gateways live in other folders.
type harbour struct {
	t     *testing.T
	s     *Service
	key   ed25519.PrivateKey
	store map[slipway.Digest][]byte
	url   string
	away  atomic.Bool
	role  slipway.Role
	trips atomic.Int64
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &harbour{t: t, key: private, store: map[slipway.Digest][]byte{}, role: slipway.Operator}
	shelf := &Shelf{Dir: t.TempDir(), Loaders: []predictor.Loader{factor{}}, Fetch: func(_ context.Context, d slipway.Digest) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(h.store[d])), nil
	}}
	if h.s, err = New(t.Context(), Options{Dir: t.TempDir(), Key: public, Loader: shelf, Tripped: func(context.Context, Trip) { h.trips.Add(1) }}); err != nil {
		t.Fatal(err)
	}
	api := web.NewAPI("test")
	h.s.Routes(api)
	api.Handle("GET /api/v1/content/{digest}", slipway.Reader, func(w http.ResponseWriter, r *http.Request) error {
		b, ok := h.store[slipway.Digest(r.PathValue("digest"))]
		if !ok {
			return slipway.Errorf(slipway.NotFound, "there is no such content")
		}
		_, err := w.Write(b)
		return err
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.away.Load() {
			panic(http.ErrAbortHandler)
		}
		api.Mux.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "g", Role: h.role})))
	}))
	h.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := h.s.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// release publishes a model that multiplies by a number.
func (h *harbour) release(number int64, by string) {
	h.t.Helper()
	file := []byte(by)
	tree, err := content.NewTree([]content.Entry{{Path: "factor.json", Digest: slipway.DigestOf(file), Size: int64(len(file))}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store[slipway.DigestOf(file)], h.store[tree.Digest()] = file, tree.Encode()
	m := manifest(number, slipway.Variant{Release: "r" + by, Role: slipway.Champion, Model: "m@v" + by, Content: tree.Digest()})
	m.Signature = nil
	raw, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	m.Signature = ed25519.Sign(h.key, raw)
	if err := h.s.Publish(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harbour) gateway(dir string, server string) *Gateway {
	h.t.Helper()
	g, err := OpenGateway(h.t.Context(), GatewayOptions{Dir: dir, Loaders: []predictor.Loader{factor{}}, Server: server})
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// asked is the answer to x, and its id.
func asked(t *testing.T, s *Service, x float64) (float64, string) {
	t.Helper()
	h, err := s.Find("m", "")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	r := &Request{Rows: 1, Column: make([]slipway.Series, len(h.Layout().Field))}
	r.Column[0] = slipway.Series{Name: "x", Type: slipway.Float, Float: []float64{x}}
	r.Column[1] = slipway.Series{Name: "city", Type: slipway.Text, Text: []string{"Bergen"}}
	a, err := h.Answer(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a.Output.Series[0].Float[0], a.ID[0].String()
}

// received is the ids that the server got, and takes them in.
func (h *harbour) received(ingested map[string]int64) (ids []string) {
	h.t.Helper()
	for segment, err := range h.s.Received(h.t.Context(), ingested) {
		if err != nil {
			h.t.Fatal(err)
		}
		batches, err := segment.All()
		if err != nil {
			h.t.Fatal(err)
		}
		for _, b := range batches {
			ids = append(ids, b.ID...)
		}
		if segment.Number != ingested[segment.Gateway]+1 {
			h.t.Errorf("segment %d came after %d", segment.Number, ingested[segment.Gateway])
		}
		ingested[segment.Gateway] = segment.Number
	}
	return ids
}

// TestGatewayServesWithoutItsServer follows releases, goes on and starts again
// while the server is away, and brings it every prediction once.
func TestGatewayServesWithoutItsServer(t *testing.T) {
	h := newHarbour(t)
	h.release(1, "2")
	dir := t.TempDir()
	g := h.gateway(dir, h.url)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(g.Update(t.Context()))
	var want []string
	expect := func(x, y float64) {
		t.Helper()
		got, id := asked(t, g.Service, x)
		if got != y {
			t.Errorf("%v gives %v, want %v", x, got, y)
		}
		want = append(want, id)
	}
	expect(1, 2)
	ingested := map[string]int64{}
	must(g.Send(t.Context()))
	got := h.received(ingested)
	h.release(2, "3")
	must(g.Update(t.Context()))
	expect(1, 3)

	h.away.Store(true)
	if g.Update(t.Context()) == nil || g.Send(t.Context()) == nil {
		t.Error("a server that is away answered")
	}
	expect(2, 6)
	must(g.Close())
	name := g.Name()
	g = h.gateway(dir, h.url) // without anybody to ask
	if g.Name() != name {
		t.Errorf("%s is called %s now", name, g.Name())
	}
	expect(3, 9)

	h.away.Store(false)
	must(g.Send(t.Context()))
	must(g.Send(t.Context()))
	got = append(got, h.received(ingested)...)
	must(h.s.Forget(t.Context(), name, ingested[name]))
	if again := h.received(map[string]int64{}); len(again) > 0 {
		t.Errorf("what was taken in came again: %v", again)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the server has %v, and %v were answered", got, want)
	}
	g.trip(t.Context(), Trip{Release: "r3"})
	must(g.Send(t.Context()))
	h.s.telling.Wait()
	if h.trips.Load() != 1 {
		t.Errorf("%d trips were told", h.trips.Load())
	}
	must(g.Close())
}

// TestGatewayRefuses names what a gateway does not believe.
func TestGatewayRefuses(t *testing.T) {
	h := newHarbour(t)
	h.release(1, "2")
	if _, err := OpenGateway(t.Context(), GatewayOptions{Dir: t.TempDir()}); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("an empty folder without a server: %v", err)
	}
	g := h.gateway(t.TempDir(), h.url)
	defer g.Close()
	m := h.s.Manifest()
	m.Number = 7 // the signature is of another number
	if err := g.Publish(t.Context(), m); !slipway.IsCode(err, slipway.Refused) {
		t.Errorf("a manifest that nobody signed: %v", err)
	}
	for d, b := range h.store {
		if string(b) == "2" {
			h.store[d] = []byte("9")
		}
	}
	if err := g.Update(t.Context()); !slipway.IsCode(err, slipway.Internal) {
		t.Errorf("another model than the digest says: %v", err)
	}
	if len(g.Endpoints("")) != 0 {
		t.Error("it is served")
	}
	for name, bad := range map[string][]byte{"nothing": nil, "noise": []byte("what is this? it is no segment"),
		"another's": appendHeader(nil, "somebody", 1, m.Time), "cut off": appendHeader(nil, "g1", 1, m.Time)[:20]} {
		if err := h.s.Receive(t.Context(), "g1", 1, bytes.NewReader(bad)); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"local", "..", "a/b", ""} {
		if err := h.s.Receive(t.Context(), name, 1, bytes.NewReader(appendHeader(nil, name, 1, m.Time))); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("the gateway %q: %v", name, err)
		}
	}
}
