package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// contentStore is where a step reads and writes content: the store of this
// machine, or the server.
type contentStore interface {
	GetTree(ctx context.Context, d slipway.Digest) (content.Tree, error)
	LinkIn(ctx context.Context, d slipway.Digest, root, path string, mode content.Mode) error
	PutFile(ctx context.Context, path string) (slipway.Digest, int64, error)
	PutTree(ctx context.Context, t content.Tree) (slipway.Digest, error)
}

var _ contentStore = (*content.Store)(nil)

func openStore(dir string, c web.Client, token string) (contentStore, error) {
	if dir != "" {
		return content.Open(dir, content.Options{})
	}
	return remoteStore{c, token}, nil
}

// remoteStore reads and writes content through the server.
type remoteStore struct {
	client web.Client
	token  string
}

func (s remoteStore) do(ctx context.Context, method string, d slipway.Digest, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.client.URL+"/api/v1/lease/content/"+string(d), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(leaseHeader, s.token)
	return s.client.Do(req)
}

func (s remoteStore) GetTree(ctx context.Context, d slipway.Digest) (content.Tree, error) {
	resp, err := s.do(ctx, http.MethodGet, d, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if slipway.DigestOf(b) != d {
		return nil, slipway.Errorf(slipway.Unavailable, "the tree %s arrived damaged", d.Short())
	}
	return content.ParseTree(b)
}

func (s remoteStore) LinkIn(ctx context.Context, d slipway.Digest, root, path string, mode content.Mode) error {
	if err := content.CheckPath(path); err != nil {
		return err
	}
	resp, err := s.do(ctx, http.MethodGet, d, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	file := filepath.Join(root, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	perm := os.FileMode(0o600)
	if mode&content.Executable != 0 {
		perm = 0o700
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	sum := newHash()
	_, err = io.Copy(io.MultiWriter(f, sum), resp.Body)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if sum.digest() != d {
		return slipway.Errorf(slipway.Unavailable, "%s arrived damaged", path)
	}
	return nil
}

func (s remoteStore) PutFile(ctx context.Context, path string) (slipway.Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	sum := newHash()
	n, err := io.Copy(sum, f)
	if err != nil {
		return "", 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	return sum.digest(), n, s.put(ctx, sum.digest(), io.LimitReader(f, n))
}

func (s remoteStore) PutTree(ctx context.Context, t content.Tree) (slipway.Digest, error) {
	return t.Digest(), s.put(ctx, t.Digest(), bytes.NewReader(t.Encode()))
}

func (s remoteStore) put(ctx context.Context, d slipway.Digest, body io.Reader) error {
	resp, err := s.do(ctx, http.MethodPut, d, body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendLog sends a piece of the log and returns how much the server has then.
func (w *worker) sendLog(ctx context.Context, at int64, piece []byte) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/api/v1/lease/log?offset=%d", w.client.URL, at), bytes.NewReader(piece))
	if err != nil {
		return at, err
	}
	req.Header.Set(leaseHeader, w.token)
	resp, err := w.client.Do(req)
	if err != nil {
		return at, err
	}
	defer resp.Body.Close()
	var size LogSize
	err = json.NewDecoder(resp.Body).Decode(&size)
	return size.Size, err
}

// proxy is the server as the command sees it: an address on this machine that
// stays the same while the server restarts, and that lets in nobody but who has
// the step's token.
type proxy struct {
	url    string
	server *http.Server
}

func startProxy(w *worker) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the step: %w", err)
	}
	target := &url.URL{Scheme: "http", Host: "localhost"}
	dial := (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	socket, isSocket := strings.CutPrefix(w.server, "unix:")
	if !isSocket {
		if target, err = url.Parse(w.server); err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s is no address of a server", w.server)
		}
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if isSocket {
			network, address = "unix", socket
		}
		return dialPatiently(ctx, dial, network, address, w.a.Lease)
	}}
	rp := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = target.Host
		r.Out.Header.Set("Authorization", "Bearer "+w.token)
	}, ErrorHandler: func(rw http.ResponseWriter, r *http.Request, err error) {
		web.WriteError(rw, r, slipway.Errorf(slipway.Unavailable, "the server is away: %v", err))
	}}
	p := &proxy{url: "http://" + l.Addr().String(), server: &http.Server{ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if err := w.admit(r); err != nil {
				web.WriteError(rw, r, err)
				return
			}
			rp.ServeHTTP(rw, r)
		})}}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *proxy) close() { _ = p.server.Close() }

// admit lets the step log and read, with its token. The owner's socket behind
// the proxy would allow more than a step may do.
func (w *worker) admit(r *http.Request) error {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, password, ok := r.BasicAuth(); ok {
		token = password
	}
	if token != w.token {
		return slipway.Errorf(slipway.Unauthenticated, "this address serves one step, by its token").WithHint("SLIPWAY_TOKEN and MLFLOW_TRACKING_TOKEN hold it")
	}
	path := r.URL.Path
	if strings.Contains(path, "..") {
		return slipway.Errorf(slipway.Invalid, "%q is no path", path)
	}
	for _, prefix := range []string{"/api/2.0/", "/api/3.0/", "/ajax-api/", "/version", "/health", "/api/v1/content/"} {
		if strings.HasPrefix(path, prefix) {
			return nil
		}
	}
	own := "/api/v1/projects/" + w.a.Project + "/"
	if strings.HasPrefix(path, own) && (r.Method == http.MethodGet || !strings.HasPrefix(path, own+"pipeline") && !strings.HasPrefix(path, own+"revision")) {
		return nil
	}
	return slipway.Errorf(slipway.Denied, "a step may log and read in its own project")
}

// dialPatiently waits for a server that is restarting: nothing was sent yet, so
// trying again repeats nothing.
func dialPatiently(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), network, address string, patience time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(patience)
	for {
		c, err := dial(ctx, network, address)
		away := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist)
		if err == nil || !away || ctx.Err() != nil || time.Now().After(deadline) {
			return c, err
		}
		pause(ctx, 100*time.Millisecond)
	}
}
