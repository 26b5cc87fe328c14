package python

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// What a message is; worker/slipway_worker.py has the same numbers.
const (
	opLoad    = 1
	opPredict = 2

	opReady  = 1
	opAnswer = 2
	opError  = 3

	headSize = 16 // uint32 length of the body, uint32 what, uint64 id
)

// errLost says that the worker is of no more use; what it wraps says why.
var errLost = errors.New("worker lost")

// worker is a process that has loaded the model. One goroutine uses it.
type worker struct {
	*process
	in     []byte // the last message received, reused
	out    []byte // the last message sent, reused
	number uint64
	calls  int
	decoder
}

// loadSpec is what a worker is told to load.
type loadSpec struct {
	Kind      string             `json:"kind"`
	Path      string             `json:"path"`
	Class     string             `json:"class,omitempty"`
	Signature *slipway.Signature `json:"signature,omitempty"`
	Memory    int64              `json:"memory,omitempty"`
}

// about is what a worker says of its model.
type about struct {
	Task    slipway.Task   `json:"task"`
	Input   slipway.Schema `json:"input"`
	Classes []string       `json:"classes"`
	Labels  slipway.Type   `json:"labels"` // of what a classifier gives that has no probabilities
	Python  string         `json:"python"`
}

// raised is an exception in the worker.
type raised struct {
	Exception string `json:"exception"` // "" when the worker itself found the model wanting
	Message   string `json:"message"`
	Refused   bool   `json:"refused"` // the kind of exception by which libraries call values wrong
	Module    string `json:"module"`  // the module that could not be imported
	Traceback string `json:"traceback"`
}

func (r *raised) Error() string {
	if r.Exception == "" {
		return r.Message
	}
	return strings.TrimSuffix(r.Exception+": "+r.Message, ": ")
}

// open starts a process and has it load the model. A cancelled ctx, too, ends
// the attempt.
func open(ctx context.Context, cfg predictor.Python, spec loadSpec) (*worker, about, error) {
	var a about
	p, err := start(cfg, filepath.Dir(spec.Path))
	if err != nil {
		return nil, a, err
	}
	w := &worker{process: p, in: make([]byte, 4<<10)}
	defer context.AfterFunc(ctx, p.kill)()
	body, err := json.Marshal(spec)
	if err == nil {
		w.out = append(make([]byte, headSize, headSize+len(body)), body...)
		body, err = w.call(opLoad, opReady, cfg.StartTimeout)
	}
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err == nil {
		return w, a, nil
	}
	w.stop()
	if ctx.Err() != nil {
		return nil, a, ctx.Err()
	}
	return nil, a, w.loadError(spec, cfg, err)
}

// loadError says why a model could not be loaded.
func (w *worker) loadError(spec loadSpec, cfg predictor.Python, err error) error {
	name := filepath.Base(spec.Path)
	var r *raised
	switch {
	case errors.As(err, &r) && r.Module != "":
		return slipway.Errorf(slipway.Invalid, "%s could not be loaded: %s", name, r.Error()).
			WithHint("install it for this interpreter: %s -m pip install %s", strings.Join(cfg.Interpreter, " "), install(r.Module))
	case errors.As(err, &r):
		return slipway.Errorf(slipway.Invalid, "%s could not be loaded: %s", name, r.Error()).WithHint("%s", r.Traceback)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slipway.Errorf(slipway.Unavailable, "%s was not loaded within %s", name, cfg.StartTimeout).WithHint("%s", w.stderr.last(20))
	case errors.Is(err, errLost):
		return slipway.Errorf(slipway.Invalid, "%s could not be loaded: Python ended with %s", name, w.state).WithHint("%s", w.stderr.last(20))
	}
	return fmt.Errorf("load %s: %w", name, err)
}

// install is the package that brings a module, where the names differ.
func install(module string) string {
	module, _, _ = strings.Cut(module, ".")
	if name, ok := map[string]string{"sklearn": "scikit-learn", "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python"}[module]; ok {
		return name
	}
	return module
}

// predict has the model answer a batch. The frame that comes back shares
// nothing with the worker.
func (w *worker) predict(timeout time.Duration, rows int) (*slipway.Frame, error) {
	w.calls++
	body, err := w.call(opPredict, opAnswer, timeout)
	if err != nil {
		return nil, err
	}
	out, err := w.decode(body)
	if err != nil {
		w.kill()
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	if out.Rows != rows {
		return nil, &raised{Message: fmt.Sprintf("the model gave %d rows for %d", out.Rows, rows)}
	}
	return out, nil
}

// call sends w.out, whose first headSize bytes are left free for the head, and
// gives the body of the answer, which is valid until the next call. It fails
// with *raised, or with errLost after killing the process.
func (w *worker) call(what, want uint32, timeout time.Duration) ([]byte, error) {
	w.number++
	binary.LittleEndian.PutUint32(w.out, uint32(len(w.out)-headSize))
	binary.LittleEndian.PutUint32(w.out[4:], what)
	binary.LittleEndian.PutUint64(w.out[8:], w.number)
	_ = w.conn.SetDeadline(time.Now().Add(timeout))
	_, err := w.conn.Write(w.out)
	var got uint32
	var body []byte
	if err == nil {
		got, body, err = w.receive()
	}
	if err == nil && got == opError {
		r := &raised{}
		if err = json.Unmarshal(body, r); err == nil {
			return nil, r
		}
	}
	if err == nil && got != want {
		err = errFrame
	}
	if err != nil {
		w.kill()
		<-w.exited
		var timedOut net.Error
		if errors.As(err, &timedOut) && timedOut.Timeout() {
			err = os.ErrDeadlineExceeded
		}
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	return body, nil
}

func (w *worker) receive() (what uint32, body []byte, err error) {
	n, err := io.ReadAtLeast(w.conn, w.in, headSize)
	if err != nil {
		return 0, nil, err
	}
	size := int(binary.LittleEndian.Uint32(w.in))
	what = binary.LittleEndian.Uint32(w.in[4:])
	if size > maxMessage || binary.LittleEndian.Uint64(w.in[8:]) != w.number || n > headSize+size {
		return 0, nil, errFrame
	}
	if headSize+size > len(w.in) {
		bigger := make([]byte, headSize+size)
		copy(bigger, w.in[:n])
		w.in = bigger
	}
	_, err = io.ReadFull(w.conn, w.in[n:headSize+size])
	return what, w.in[headSize : headSize+size], err
}

// trim gives back what a single large batch took.
func (w *worker) trim() {
	const keep = 1 << 20
	if cap(w.in) > keep {
		w.in = make([]byte, 4<<10)
	}
	if cap(w.out) > keep {
		w.out = nil
	}
}
