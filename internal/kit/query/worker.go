package query

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

const (
	maxIdle  = 2                // warm workers of an engine
	idleTime = 30 * time.Second // how long a worker stays warm
	// maxRetained is how much memory a worker may hold between two requests
	// before it is ended rather than kept.
	maxRetained = 384 << 20
	howToGet    = "build it with `CGO_ENABLED=1 go build ./cmd/slipway-query` (needs a C++ compiler) or take it from the release, and put it beside this binary"
)

// DefaultCommand is how this program starts a query worker: itself with the
// word query-worker, or, in a build without cgo, the slipway-query beside it. It
// fails with Unavailable when that is missing.
func DefaultCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the query worker: %w", err)
	}
	if linked {
		return []string{self, "query-worker"}, nil
	}
	name := "slipway-query"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "this build has no query engine, and %s is missing", path).WithHint("%s", howToGet)
	}
	return []string{path}, nil
}

// pool starts workers and keeps a few idle ones warm.
type pool struct {
	options Options
	mu      sync.Mutex
	idle    []*worker
	closed  bool
}

func newPool(o Options) *pool { return &pool{options: o} }

// get takes a warm worker or starts one; fresh says which.
func (p *pool) get() (w *worker, fresh bool, err error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w = p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.timer.Stop()
		return w, false, nil
	}
	p.mu.Unlock()
	w, err = p.start()
	return w, true, err
}

// put keeps w for the next request, or ends it.
func (p *pool) put(w *worker) {
	w.tell(nil)
	p.mu.Lock()
	keep := !p.closed && len(p.idle) < maxIdle
	if keep {
		w.timer = time.AfterFunc(idleTime, func() { p.retire(w) })
		p.idle = append(p.idle, w)
	}
	p.mu.Unlock()
	if !keep {
		w.end()
	}
}

// retire ends w if nobody took it meanwhile.
func (p *pool) retire(w *worker) {
	p.mu.Lock()
	for i, one := range p.idle {
		if one == w {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.mu.Unlock()
			w.end()
			return
		}
	}
	p.mu.Unlock()
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.timer.Stop()
		w.end()
	}
}

// worker is one child process.
type worker struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	temp  string
	timer *time.Timer // retires it while it is idle
	heard chan struct{}
	once  sync.Once
	exit  error // of the process, once end has returned

	mu       sync.Mutex
	progress func(fraction float64)
	last     float64
	tail     []string // the last lines of its standard error that are no progress
}

func (p *pool) start() (*worker, error) {
	command := p.options.Command
	if len(command) == 0 {
		var err error
		if command, err = DefaultCommand(); err != nil {
			return nil, err
		}
	}
	temp, err := os.MkdirTemp(p.options.TempDir, "slipway-query-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the query worker: %w", err)
	}
	w := &worker{cmd: exec.Command(command[0], command[1:]...), temp: temp, heard: make(chan struct{})}
	// The worker reads files from outside, so it inherits no secret of ours.
	w.cmd.Env = append([]string{}, p.options.Env...)
	if err := w.launch(); err != nil {
		os.RemoveAll(temp)
		return nil, slipway.Errorf(slipway.Unavailable, "the query worker does not start: %v", err)
	}
	return w, nil
}

func (w *worker) launch() error {
	var err error
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	w.out = bufio.NewReaderSize(out, 256<<10)
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return err
	}
	go w.listen(stderr)
	return nil
}

// listen reads standard error: lines of progress, and whatever a crash prints.
func (w *worker) listen(r io.Reader) {
	defer close(w.heard)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		w.mu.Lock()
		if percent, ok := strings.CutPrefix(line, "progress "); ok {
			if v, err := strconv.ParseFloat(percent, 64); err == nil && w.progress != nil && v/100 > w.last {
				w.last = v / 100
				w.progress(w.last)
			}
		} else if w.tail = append(w.tail, line); len(w.tail) > 20 {
			w.tail = w.tail[1:]
		}
		w.mu.Unlock()
	}
	io.Copy(io.Discard, r) // a line too long for the scanner must not block the worker
}

// tell sends the progress from now on to fn.
func (w *worker) tell(fn func(float64)) {
	w.mu.Lock()
	w.progress, w.last = fn, 0
	w.mu.Unlock()
}

// kill stops the process at once; end must still be called.
func (w *worker) kill() { w.cmd.Process.Kill() }

// end kills the process, waits for it and removes its folder. It may be called
// more than once.
func (w *worker) end() {
	w.once.Do(func() {
		w.in.Close()
		w.kill()
		// Wait closes our ends of the pipes, so that listen ends too, even if a
		// child of the worker still holds the other ends.
		w.exit = w.cmd.Wait()
		<-w.heard
		os.RemoveAll(w.temp)
	})
}

// death says why a worker that nobody stopped is gone. It gives the process a
// moment to be gone by itself, since end would hide its exit status.
func (w *worker) death(memory int64) error {
	select {
	case <-w.heard:
	case <-time.After(2 * time.Second):
	}
	w.end()
	var exit *exec.ExitError
	if errors.As(w.exit, &exit) && exit.ExitCode() == exitMemory {
		return memoryError(memory)
	}
	if w.exit != nil && strings.Contains(w.exit.Error(), "killed") {
		return slipway.Errorf(slipway.Unavailable, "the query worker was killed from outside").WithHint("most likely the machine ran out of memory; give the query less work or the machine more memory")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := "it said nothing"
	if len(w.tail) > 0 {
		last = w.tail[0]
	}
	return slipway.Errorf(slipway.Unavailable, "the query worker ended (%v): %s", w.exit, last).WithHint("a damaged file can do this; the files were not changed")
}

func memoryError(limit int64) error {
	return slipway.Errorf(slipway.Unavailable, "the query needs more than its %d MiB of memory", limit>>20).WithHint("ask for fewer columns or rows, or give queries more memory")
}

// converse sends one request and hands every answer before the last to on.
// It reports whether the worker is fit for another request.
func (w *worker) converse(request []byte, on func(tag byte, body []byte) error) (fit bool, answered bool, last done, err error) {
	if err := writeMessage(w.in, 0, request); err != nil {
		return false, false, last, err
	}
	var buf bytes.Buffer
	for {
		tag, body, err := readAnswer(w.out, &buf)
		if err != nil {
			return false, answered, last, err
		}
		answered = true
		switch tag {
		case tagDone:
			err := jsonInto(body, &last)
			return err == nil, true, last, err
		case tagError:
			failure := &slipway.Error{}
			if err := jsonInto(body, failure); err != nil {
				return false, true, last, err
			}
			// Whatever ran out or broke inside may still be held or broken.
			sound := failure.Code != slipway.Unavailable && failure.Code != slipway.Internal
			return sound, true, last, failure
		}
		if err := on(tag, body); err != nil {
			return false, true, last, handled{err}
		}
	}
}

// handled wraps an error that the consumer of the answers returned, to tell it
// from one of the pipe.
type handled struct{ error }

func (h handled) Unwrap() error { return h.error }
