package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const killProject = `project: flights
data:
  flights: {path: data/flights/, time: departed_at, key: flight_id}
  rows: {path: rows/, key: id}
pipeline:
  prepare:
    run: "cp holdout.csv test.csv; wc -l data/flights/train.csv > features.txt"
    in: [flights]
    out: {features: features.txt, test: test.csv}
  train:
    run: 'echo $PPID > $STEPS/$$; sleep 0.1; cp golden.txt model.txt; rm $STEPS/$$'
    in: [prepare.features]
    params: {depth: 0}
    out: {model: model.txt}
    env: {STEPS: PLACE}
model: {name: delay, from: train.model, task: binary, target: delayed}
gates:
  data: prepare.test
  block: 1d
  min_rows: 500
  metrics:
    - {metric: roc_auc, min: 0.55, ci: 0.95}
deploy:
  production: {on: registered}
`

const killAsk = `{"inputs": [
  {"name": "flight_id", "shape": [1], "datatype": "BYTES", "data": ["F1"]},
  {"name": "departed_at", "shape": [1], "datatype": "BYTES", "data": ["2013-03-01T10:00:00Z"]},
  {"name": "delay_1h", "shape": [1], "datatype": "FP64", "data": [1.5]},
  {"name": "delay_2h", "shape": [1], "datatype": "FP64", "data": [2]},
  {"name": "hour", "shape": [1], "datatype": "FP64", "data": [10]},
  {"name": "temp", "shape": [1], "datatype": "FP64", "data": [3]},
  {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]}]}`

// killWorld is one workspace that is killed again and again, and the list of
// what it has acknowledged.
type killWorld struct {
	t              *testing.T
	random         *rand.Rand // of the one goroutine that kills
	dir, project   string
	database       string // "" for SQLite
	n              int
	model          string // what answered before anything was killed
	pace           int    // how many milliseconds this machine needs for a run
	url, inference string
	client         *http.Client

	mu                          sync.Mutex
	last                        int
	predictions, versions, runs []string
	labels                      []string // predictions whose truth was told
}

// newKillWorld makes a project whose model is in production.
func newKillWorld(t *testing.T, random *rand.Rand, database string) *killWorld {
	t.Helper()
	// Not t.TempDir: its path is too long for a socket.
	dir, err := os.MkdirTemp("", "slipway-kill")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &killWorld{t: t, random: random, dir: dir, database: database, project: filepath.Join(dir, "p"),
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	if err := giveFlights(w.project); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.project, "slipway.yaml"), strings.ReplaceAll(killProject, "PLACE", filepath.Join(dir, "steps")))
	w.write(filepath.Join(w.project, "rows", "0.csv"), "id,x\n0,0\n")
	w.write(filepath.Join(dir, "steps", ".keep"), "")
	for _, args := range [][]string{{"data", "add", "flights"}, {"run"}} {
		begun := time.Now()
		if code, out := w.slipway(args...); code != 0 {
			t.Fatalf("%v ends with %d: %s", args, code, out)
		}
		w.pace = int(min(time.Since(begun), 5*time.Second) / time.Millisecond)
	}
	up := w.up()
	status, _, model := w.predicted()
	if status != http.StatusOK {
		t.Fatalf("no answer before anything was killed: %d", status)
	}
	w.model = model
	_ = up.Process.Signal(syscall.SIGINT)
	_ = up.Wait()
	return w
}

func (w *killWorld) write(file, text string) {
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		w.t.Error(err)
	}
}

// command is a slipway of its own process, in the project.
func (w *killWorld) command(args ...string) *exec.Cmd {
	cmd := exec.Command("slipway", args...)
	cmd.Dir = w.project
	cmd.Env = append(os.Environ(), "SLIPWAY_WORKSPACE="+filepath.Join(w.dir, "ws"), "HOME="+w.dir, "SLIPWAY_SERVER=", "SLIPWAY_DATABASE="+w.database, "XDG_CACHE_HOME=", "XDG_DATA_HOME=")
	return cmd
}

func (w *killWorld) start(args ...string) *exec.Cmd {
	cmd := w.command(args...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// slipway runs a command to its end.
func (w *killWorld) slipway(args ...string) (code int, out string) {
	b, err := w.command(args...).CombinedOutput()
	return exitCode(err), string(b)
}

// json runs a command to its end and reads what it prints.
func (w *killWorld) json(out any, args ...string) (code int) {
	cmd := w.command(append(args, "--json")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	b, err := cmd.Output()
	code = exitCode(err)
	switch {
	case code == 0:
		if err := json.Unmarshal(b, out); err != nil {
			w.t.Errorf("%v prints no JSON: %v\n%s", args, err, b)
		}
	case code == 1 && strings.Contains(errs.String(), `"internal"`):
		w.t.Errorf("%v: %s", args, errs.String())
	}
	return code
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// up starts a server and waits until it answers.
func (w *killWorld) up() *exec.Cmd {
	w.t.Helper()
	cmd := w.command("up", "--json", "--listen", "127.0.0.1:0", "--inference", "127.0.0.1:0")
	errs, err := os.OpenFile(filepath.Join(w.dir, "up.err"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
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
	var at struct{ URL, Inference string }
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		w.t.Fatalf("round %d: the server does not start: %v\n%s", w.n, err, w.errors())
	}
	w.mu.Lock()
	w.url, w.inference = at.URL, at.Inference
	w.mu.Unlock()
	return cmd
}

// errors is what the newest server complained of.
func (w *killWorld) errors() string {
	b, _ := os.ReadFile(filepath.Join(w.dir, "up.err"))
	return string(b)
}

// get asks the API. The status is 0 when nobody answers.
func (w *killWorld) get(path string, out any) int {
	return w.ask(http.MethodGet, w.url+path, nil, out)
}

// predicted asks the endpoint once.
func (w *killWorld) predicted() (status int, id, model string) {
	var reply struct {
		Parameters struct {
			ID    []string `json:"prediction_id"`
			Model string   `json:"model"`
		} `json:"parameters"`
	}
	w.mu.Lock()
	address := w.inference
	w.mu.Unlock()
	status = w.ask(http.MethodPost, address+"/v2/models/delay/infer", strings.NewReader(killAsk), &reply)
	if status == http.StatusOK && len(reply.Parameters.ID) == 1 {
		id = reply.Parameters.ID[0]
	}
	return status, id, reply.Parameters.Model
}

func (w *killWorld) ask(method, address string, body io.Reader, out any) int {
	req, err := http.NewRequest(method, address, body)
	if err != nil {
		w.t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if out != nil && resp.StatusCode == http.StatusOK && json.Unmarshal(b, out) != nil {
		return 0
	}
	return resp.StatusCode
}

// aStep is the process of a step that runs, or 0.
func (w *killWorld) aStep() int {
	found, _ := filepath.Glob(filepath.Join(w.dir, "steps", "[0-9]*"))
	for _, file := range found {
		b, _ := os.ReadFile(file)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		_ = os.Remove(file)
		if bytes.Contains(line, []byte("slipway\x00step")) {
			return pid
		}
	}
	return 0
}

func (w *killWorld) next() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	return w.last
}

func (w *killWorld) acknowledge(list *[]string, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, what)
}

// sample is the newest half of n and as many of all others.
func (w *killWorld) sample(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	out := append([]string{}, list[len(list)-n/2:]...)
	for range n / 2 {
		out = append(out, list[w.random.IntN(len(list))])
	}
	return out
}

func (w *killWorld) tally() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("%d predictions, %d labels, %d dataset versions, %d runs were acknowledged",
		len(w.predictions), len(w.labels), len(w.versions), len(w.runs))
}
