package app

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// killRounds is how often TestKill kills when nobody asks for more.
const killRounds = 8

// TestKill kills at random moments whoever is at work (the server, a command
// that has the workspace to itself, a command that works through the server, a
// step) while rows are added, pipelines run and predictions are asked for. After
// each death the log has to verify and everything that was acknowledged has to be
// there; at the end the loop has to go round once more. The same on SQLite and on
// Postgres.
//
// SLIPWAY_SOAK is for how many minutes it goes on, SLIPWAY_SEED repeats a
// sequence of deaths (as far as the machine's timing allows).
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills real servers")
	}
	minutes, _ := strconv.ParseFloat(os.Getenv("SLIPWAY_SOAK"), 64)
	seed, err := strconv.ParseUint(os.Getenv("SLIPWAY_SEED"), 10, 64)
	if err != nil {
		if seed = 1; minutes > 0 {
			seed = uint64(time.Now().UnixNano())
		}
	}
	t.Run("sqlite", func(t *testing.T) { killing(t, seed, "", minutes/2) })
	t.Run("postgres", func(t *testing.T) { killing(t, seed+1, dbtest.Postgres(t), minutes/2) })
}

func killing(t *testing.T, seed uint64, database string, minutes float64) {
	t.Logf("SLIPWAY_SEED=%d", seed)
	w := newKillWorld(t, rand.New(rand.NewPCG(seed, 0)), database)
	until := time.Now().Add(time.Duration(minutes * float64(time.Minute)))
	begun := time.Now()
	for round := 1; round <= killRounds || time.Now().Before(until); round++ {
		if minutes == 0 && time.Since(begun) > time.Minute {
			t.Logf("stopped after %d rounds: the machine is slow", round-1)
			break
		}
		victim := w.round(round)
		w.check()
		if t.Failed() {
			t.Fatalf("round %d, which killed the %s", round, victim)
		}
		if minutes > 0 {
			t.Logf("round %d killed the %s: %s", round, victim, w.tally())
		}
	}
	w.finish()
	t.Log(w.tally())
}

// round lets everybody work for a while and kills one of them.
func (w *killWorld) round(n int) string {
	w.n = n
	victim := []string{"server", "server", "step", "command", "client"}[w.random.IntN(5)]
	if victim == "command" {
		// Nobody serves: the command owns the workspace and dies with it.
		args := w.changedRun()
		if w.random.IntN(2) == 0 {
			w.write(filepath.Join(w.project, "rows", "large.csv"), "id,x\n"+strings.Repeat(fmt.Sprintf("%d,1\n", w.next()), 200_000))
			args = []string{"data", "add", "rows"}
		}
		cmd := w.start(args...)
		pause(w.t.Context(), w.moment(700+w.pace/2))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.Remove(filepath.Join(w.project, "rows", "large.csv"))
		return victim
	}
	up := w.up()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, work := range []func(){w.predict, w.label, w.add, w.run} {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					work()
				}
			}
		})
	}
	pause(w.t.Context(), w.moment(1500+w.pace))
	if victim == "client" {
		// A command that works through the server dies; what it began goes on
		// or is gone, and the server lives until the others have worked on.
		cmd := w.start(w.changedRun()...)
		pause(w.t.Context(), w.moment(500+w.pace/2))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		pause(w.t.Context(), w.moment(500))
	}
	if victim == "step" {
		if pid := w.aStep(); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		pause(w.t.Context(), w.moment(500))
	}
	_ = up.Process.Kill()
	_ = up.Wait()
	close(stop)
	clients.Wait()
	return victim
}

// moment is up to ms milliseconds.
func (w *killWorld) moment(ms int) time.Duration {
	return time.Duration(w.random.IntN(ms)) * time.Millisecond
}

// predict asks for one prediction; one that is answered is acknowledged.
func (w *killWorld) predict() {
	if status, id, _ := w.predicted(); status == http.StatusOK && id != "" {
		w.acknowledge(&w.predictions, id)
	}
}

// label tells the truth about one more prediction.
func (w *killWorld) label() {
	w.mu.Lock()
	id, address := "", w.url
	if len(w.predictions) > 0 {
		id = w.predictions[len(w.predictions)-1]
	}
	if n := len(w.labels); n > 0 && w.labels[n-1] == id {
		id = ""
	}
	w.mu.Unlock()
	if id == "" {
		pause(w.t.Context(), 5*time.Millisecond)
		return
	}
	body := fmt.Sprintf(`{"labels": [{"prediction_id": %q, "value": 1}]}`, id)
	if w.ask(http.MethodPost, address+"/api/v1/projects/flights/labels", strings.NewReader(body), nil) == http.StatusOK {
		w.acknowledge(&w.labels, id)
	}
}

// add makes a dataset version of rows that were not there before.
func (w *killWorld) add() {
	n := w.next()
	file := filepath.Join(w.project, "rows", fmt.Sprintf("%d.csv", n))
	w.write(file, fmt.Sprintf("id,x\n%d,%d\n", n, n*n))
	var out struct{ Version struct{ Version int } }
	if w.json(&out, "data", "add", "rows") == 0 && out.Version.Version > 0 {
		w.acknowledge(&w.versions, strconv.Itoa(out.Version.Version))
	}
}

// run runs the pipeline with another param.
func (w *killWorld) run() {
	var out struct{ Run struct{ ID string } }
	if w.json(&out, w.changedRun()...) == 0 && out.Run.ID != "" {
		w.acknowledge(&w.runs, out.Run.ID)
	}
}

func (w *killWorld) changedRun() []string {
	return []string{"run", "--json", "--param", fmt.Sprintf("train.depth=%d", w.next())}
}

// check starts a server and looks for everything that was acknowledged, and
// whether the log is whole. Nobody waits for it to be idle: what is
// acknowledged is there at once.
func (w *killWorld) check() {
	w.t.Helper()
	up := w.up()
	defer func() {
		_ = up.Process.Signal(syscall.SIGINT)
		if err := up.Wait(); err != nil {
			w.t.Errorf("the server ended with %v\n%s", err, w.errors())
		}
	}()
	if code, out := w.slipway("audit", "verify"); code != 0 {
		w.t.Errorf("the log does not verify: %s", out)
	}
	var list []struct {
		Version int
	}
	if len(w.versions) > 0 && w.json(&list, "data", "log", "rows") != 0 {
		w.t.Error("the versions of rows cannot be listed")
	}
	there := map[string]bool{}
	for _, v := range list {
		there[strconv.Itoa(v.Version)] = true
	}
	for _, v := range w.versions {
		if !there[v] {
			w.t.Errorf("rows@v%s was acknowledged and is lost; there is %v", v, there)
		}
	}
	for _, id := range w.sample(w.runs, 12) {
		var run struct{ Status string }
		if status := w.get("/api/v1/projects/flights/runs/"+id, &run); status != http.StatusOK || !strings.EqualFold(run.Status, "finished") {
			w.t.Errorf("run %s was acknowledged and is %q now (status %d)", id, run.Status, status)
		}
	}
	for _, id := range w.sample(w.predictions, 150) {
		if status := w.get("/api/v1/projects/flights/predictions/"+id+"/explanation", nil); status != http.StatusOK {
			w.t.Errorf("prediction %s was acknowledged and is lost (status %d)", id, status)
		}
	}
	if text := w.errors(); strings.Contains(text, "panic") {
		w.t.Errorf("a server panicked:\n%s", text)
	}
}

// finish goes round the loop once more: another model is trained, registered,
// judged and released, and answers.
func (w *killWorld) finish() {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.project, "short.txt"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.write(filepath.Join(w.project, "golden.txt"), string(b))
	up := w.up()
	if code, out := w.slipway("run", "--force"); code != 0 {
		w.t.Fatalf("after all the deaths `slipway run` ends with %d:\n%s", code, out)
	}
	if code, out := w.slipway("wait"); code != 0 {
		w.t.Fatalf("`slipway wait` ends with %d:\n%s", code, out)
	}
	if status, _, model := w.predicted(); status != http.StatusOK || model == w.model {
		_, out := w.slipway("release", "ls")
		w.t.Errorf("status %d, and %q answers still\n%s", status, model, out)
	}
	w.checkLabels()
	_ = up.Process.Signal(syscall.SIGINT)
	if err := up.Wait(); err != nil {
		w.t.Errorf("the server ended with %v", err)
	}
	// A slow machine may acknowledge few runs; without any prediction nothing
	// was shown at all.
	if len(w.predictions) == 0 {
		w.t.Errorf("too little was acknowledged to show anything: %s", w.tally())
	}
}

// checkLabels waits for the ticks that bring predictions and labels together,
// and looks whether each label that was acknowledged found its prediction.
func (w *killWorld) checkLabels() {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, id := range w.sample(w.labels, 40) {
		for {
			var p struct{ Label any }
			status := w.get("/api/v1/projects/flights/predictions/"+id, &p)
			if status == http.StatusOK && p.Label != nil {
				break
			}
			if time.Now().After(deadline) {
				w.t.Errorf("the label of prediction %s was acknowledged and is not there (status %d, label %v)\n%s", id, status, p.Label, w.errors())
				return
			}
			pause(w.t.Context(), 100*time.Millisecond)
		}
	}
}
