package python

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

//go:embed worker/boot.py
var boot string

//go:embed worker/slipway_frame.py
var frameSource string

//go:embed worker/slipway_answer.py
var answerSource string

//go:embed worker/slipway_model.py
var modelSource string

//go:embed worker/slipway_worker.py
var workerSource string

// sources is what boot.py reads, in the order in which the modules need one
// another.
func sources() []byte {
	b, err := json.Marshal([][2]string{
		{"slipway_frame", frameSource}, {"slipway_answer", answerSource},
		{"slipway_model", modelSource}, {"slipway_worker", workerSource},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return b
}

// process is one running interpreter in a process group of its own.
type process struct {
	conn     net.Conn
	lifeline *os.File // the worker ends when its other end closes
	stderr   *tail
	pid      int
	exited   chan struct{} // closed when the process is gone and its group killed
	state    string        // how it ended, once exited is closed
}

// inherited are the variables of our own environment that a worker gets. The
// rest stays here: a model's code has no business with a server's secrets.
var inherited = []string{"PATH", "HOME", "USER", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV",
	"CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
	"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}

// environment is a worker's. The processors are shared out among the workers,
// for numeric libraries would otherwise start a thread for each in every one.
func environment(cfg predictor.Python) []string {
	threads := strconv.Itoa(max(1, runtime.NumCPU()/cfg.Workers))
	env := []string{"PYTHONUTF8=1", "OMP_NUM_THREADS=" + threads, "OPENBLAS_NUM_THREADS=" + threads, "MKL_NUM_THREADS=" + threads}
	for _, name := range inherited {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, cfg.Env...)
}

// start runs the interpreter in the model's folder.
func start(cfg predictor.Python, folder string) (*process, error) {
	syscall.ForkLock.RLock() // or a worker started meanwhile inherits both ends
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "slipway"), os.NewFile(uintptr(pair[1]), "worker")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("socket pair: %w", err)
	}
	p := &process{conn: conn, stderr: &tail{}, exited: make(chan struct{})}
	if err := p.launch(cfg, folder, theirs); err != nil {
		conn.Close()
		if p.lifeline != nil {
			p.lifeline.Close()
		}
		return nil, err
	}
	return p, nil
}

func (p *process) launch(cfg predictor.Python, folder string, socket *os.File) error {
	life, lifeline, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer life.Close()
	p.lifeline = lifeline
	output, stderr, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer stderr.Close()
	source, stdin, err := os.Pipe()
	if err != nil {
		output.Close()
		return fmt.Errorf("pipe: %w", err)
	}
	defer source.Close()

	args := append(cfg.Interpreter[1:len(cfg.Interpreter):len(cfg.Interpreter)], "-c", boot)
	cmd := exec.Command(cfg.Interpreter[0], args...)
	cmd.Dir, cmd.Env = folder, environment(cfg)
	if strings.ContainsRune(cmd.Path, filepath.Separator) {
		if abs, err := filepath.Abs(cmd.Path); err == nil {
			cmd.Path = abs // a relative interpreter is relative to us, not to the model
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = source, stderr, stderr
	cmd.ExtraFiles = []*os.File{socket, life}
	cmd.SysProcAttr = attributes()
	started := make(chan error, 1)
	go p.supervise(cmd, started, output)
	if err := <-started; err != nil {
		stdin.Close()
		output.Close()
		return slipway.Errorf(slipway.Invalid, "the Python interpreter %s does not start: %v", cfg.Interpreter[0], cause(err)).
			WithHint("install Python 3.9 or newer, or name the interpreter to use")
	}
	go func() { // a worker that dies early breaks the pipe; its end says why
		_, _ = stdin.Write(sources())
		stdin.Close()
	}()
	return nil
}

// supervise starts the process and waits for it on one and the same thread:
// Linux kills the child when the thread that made it ends.
func (p *process) supervise(cmd *exec.Cmd, started chan<- error, output *os.File) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Start()
	if err == nil {
		p.pid = cmd.Process.Pid
	}
	started <- err
	if err != nil {
		return
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer output.Close()
		_, _ = io.Copy(p.stderr, output)
	}()
	_ = cmd.Wait()
	p.state = cmd.ProcessState.String()
	p.kill()
	p.conn.Close()
	p.lifeline.Close()
	select {
	case <-drained:
	case <-time.After(200 * time.Millisecond): // somebody outside the group still holds it
		_ = output.SetReadDeadline(time.Now())
	}
	close(p.exited)
}

// kill ends the process with everything that it started in its group.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

// stop asks the process to end by hanging up, and kills it when it does not.
func (p *process) stop() {
	p.conn.Close()
	select {
	case <-p.exited:
		return
	case <-time.After(time.Second):
	}
	p.kill()
	<-p.exited
}

func cause(err error) error {
	var path *os.PathError
	var look *exec.Error
	switch {
	case errors.As(err, &look):
		return look.Err
	case errors.As(err, &path):
		return path.Err
	}
	return err
}
