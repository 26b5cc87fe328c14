package app

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// gatewayProcess is a started `slipway gateway`.
type gatewayProcess struct {
	cmd *exec.Cmd
	url string
}

// gateway starts one; program is how the binary is started when it is not the
// slipway of this machine.
func (w *killWorld) gateway(program []string, args ...string) *gatewayProcess {
	w.t.Helper()
	cmd := w.command(append([]string{"gateway", "--json", "--listen", "127.0.0.1:0"}, args...)...)
	if program != nil {
		cmd.Path, cmd.Args = program[0], append(program, cmd.Args[1:]...)
	}
	errs, err := os.OpenFile(filepath.Join(w.dir, "gateway.err"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var at struct{ URL string }
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		text, _ := os.ReadFile(errs.Name())
		w.t.Fatalf("the gateway does not start: %v\n%s", err, text)
	}
	g := &gatewayProcess{cmd, at.URL}
	w.t.Cleanup(func() { g.kill() })
	return g
}

func (g *gatewayProcess) kill() {
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait()
}

// through asks the gateway n times; what it answers is acknowledged.
func (w *killWorld) through(g *gatewayProcess, n int) {
	w.t.Helper()
	w.mu.Lock()
	w.inference = g.url
	w.mu.Unlock()
	for range n {
		status, id, model := w.predicted()
		if status != http.StatusOK || model != w.model {
			w.t.Fatalf("the gateway answers %d by %q", status, model)
		}
		w.acknowledge(&w.predictions, id)
	}
}

// TestGatewayOutlivesTheServer kills the server, then the gateway, and asks in
// between: whoever is left answers with the last release, and every answer that
// was given reaches the server when it is back.
func TestGatewayOutlivesTheServer(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills real servers")
	}
	w := newKillWorld(t, rand.New(rand.NewPCG(1, 0)), "")
	up := w.up()
	server := w.url
	dir := filepath.Join(w.dir, "gateway")
	g := w.gateway(nil, dir, "--server", server)
	w.through(g, 20)
	_ = up.Process.Kill()
	_ = up.Wait()
	w.through(g, 20)
	g.kill()
	g = w.gateway(nil, dir, "--server", server)
	w.through(g, 20)
	// Killed in the middle of requests: what was answered counts.
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					w.predict()
				}
			}
		})
	}
	pause(t.Context(), 300*time.Millisecond)
	g.kill()
	close(stop)
	callers.Wait()

	up = w.start("up", "--json", "--listen", strings.TrimPrefix(server, "http://"), "--inference", "127.0.0.1:0")
	defer func() { _ = up.Process.Kill(); _ = up.Wait() }()
	w.gateway(nil, dir, "--server", server)
	w.url = server
	until := time.Now().Add(90 * time.Second)
	for _, id := range w.predictions {
		for w.get("/api/v1/projects/flights/predictions/"+id, nil) != http.StatusOK {
			if time.Now().After(until) {
				t.Fatalf("prediction %s of %d was answered and is not there", id, len(w.predictions))
			}
			pause(t.Context(), 50*time.Millisecond)
		}
	}
	t.Logf("%d predictions were answered, and all are there", len(w.predictions))
}

// TestExport serves a version from an exported folder, and from what is inside
// the image, without the workspace.
func TestExport(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	w := newKillWorld(t, rand.New(rand.NewPCG(1, 0)), "")
	folder, image, kserve := filepath.Join(w.dir, "out"), filepath.Join(w.dir, "delay.tar"), filepath.Join(w.dir, "delay.yaml")
	if code, out := w.slipway("model", "export", "delay", "--folder", folder, "--image", image, "--kserve", kserve, "--tag", "registry.example.com/delay:1"); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	if code, out := w.slipway("model", "export", "delay", "--folder", folder); code != 6 {
		t.Errorf("over another export: %d: %s", code, out)
	}
	if code, out := w.slipway("model", "export", "delay", "--to", "onnx", "--folder", folder); code != 2 {
		t.Errorf("two ways at once: %d: %s", code, out)
	}
	if err := os.RemoveAll(filepath.Join(w.dir, "ws")); err != nil {
		t.Fatal(err)
	}
	g := w.gateway(nil, folder)
	w.through(g, 3)
	g.kill()
	manifest, err := os.ReadFile(kserve)
	if err != nil || !strings.Contains(string(manifest), "image: registry.example.com/delay:1") || !strings.Contains(string(manifest), "kind: InferenceService") {
		t.Errorf("%v\n%s", err, manifest)
	}

	root := filepath.Join(w.dir, "root")
	img, err := tarball.ImageFromPath(image, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil || config.Config.Entrypoint[0] != "/usr/bin/slipway" {
		t.Errorf("%v %+v", err, config)
	}
	if err := unpack(mutate.Extract(img), root); err != nil {
		t.Fatal(err)
	}
	// As the image has it: its own loader, its own libraries.
	loader, _ := filepath.Glob(filepath.Join(root, "lib*", "ld-linux*"))
	if len(loader) != 1 {
		t.Fatalf("the image has the loaders %v", loader)
	}
	program := []string{loader[0], "--library-path", filepath.Join(root, "usr/lib"), filepath.Join(root, "usr/bin/slipway")}
	if out, err := exec.Command(program[0], append(program[1:], "--version")...).CombinedOutput(); err != nil || !strings.Contains(string(out), "slipway") {
		t.Fatalf("%v: %s", err, out)
	}
	if raw, err := os.ReadFile(filepath.Join(root, "model/manifest.json")); err != nil || !strings.Contains(string(raw), "delay@v") {
		t.Errorf("%v: %s", err, raw)
	}
	g = w.gateway(program, filepath.Join(root, "model"))
	w.through(g, 3)
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Wait(); err != nil {
		t.Errorf("a gateway that is asked to end: %v", err)
	}
}

func unpack(from io.ReadCloser, root string) error {
	defer from.Close()
	r := tar.NewReader(from)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(root, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, b, os.FileMode(h.Mode)))
			}
		}
		if err != nil {
			return err
		}
	}
}
