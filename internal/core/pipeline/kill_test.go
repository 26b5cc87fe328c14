package pipeline

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

const killProject = `project: demo
pipeline:
  a: {run: [sh, a.sh], out: [a.txt], env: {GATE: GATEFILE}}
  b: {run: "cat a.txt > b.txt; echo b", in: [a.txt], out: [b.txt]}
`

// The step says where it is and waits for a file, in turns too short to matter.
const killScript = `echo "$$" > "$GATE.began.$$"
echo started
while [ ! -e "$GATE" ]; do sleep 0.02; done
echo done > a.txt
`

// runKilledServer is a server of its own process, which a test kills: it runs
// the project in the folder until it ends.
func runKilledServer(dir string) {
	t := &testing.T{}
	d, err := db.Open(context.Background(), filepath.Join(dir, "test.db"), db.Options{Migrations: []db.Migration{Migration}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	h := &house{t: t, dir: dir, code: filepath.Join(dir, "code"), data: &fakeData{}, track: &fakeTracker{runs: map[string]*tracked{}}}
	h.open(d, nil)
	ctx := slipway.WithPrincipal(context.Background(), owner)
	<-h.s.started
	run, err := h.s.Do(ctx, "demo", Request{}, func(p web.Progress) { fmt.Println(p.Topic, p.State, p.Message) })
	fmt.Println("END", states(run), err)
	h.close()
	os.Exit(0)
}

type killed struct {
	t    *testing.T
	dir  string
	gate string
}

func (k killed) server() (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_SERVER="+k.dir)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	return cmd, out
}

// began waits until n commands have begun and returns the pid of the newest.
func (k killed) began(n int) int {
	k.t.Helper()
	for range 3000 {
		found, _ := filepath.Glob(k.gate + ".began.*")
		if len(found) >= n {
			pid, _ := strconv.Atoi(found[len(found)-1][strings.LastIndex(found[len(found)-1], ".")+1:])
			return pid
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.t.Fatalf("fewer than %d commands began", n)
	return 0
}

func prepareKill(t *testing.T) killed {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	dir := shortDir(t)
	k := killed{t, dir, filepath.Join(dir, "gate")}
	d, err := db.Open(t.Context(), filepath.Join(dir, "test.db"), db.Options{Migrations: []db.Migration{Migration}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: dir, code: filepath.Join(dir, "code"), data: &fakeData{}, track: &fakeTracker{runs: map[string]*tracked{}}}
	h.open(d, nil)
	h.write(map[string]string{"slipway.yaml": strings.ReplaceAll(killProject, "GATEFILE", k.gate), "a.sh": killScript})
	h.apply()
	h.close()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return k
}

// The server is killed while a step runs. The step goes on, the next server
// takes it up, and nothing runs twice.
func TestServerIsKilled(t *testing.T) {
	k := prepareKill(t)
	first, _ := k.server()
	k.began(1)
	_ = first.Process.Signal(syscall.SIGKILL)
	_ = first.Wait()
	second, out := k.server()
	if err := os.WriteFile(k.gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil || !strings.Contains(out.String(), "END a:succeeded b:succeeded <nil>") {
		t.Fatalf("%v\n%s", err, out)
	}
	if found, _ := filepath.Glob(k.gate + ".began.*"); len(found) != 1 {
		t.Errorf("the step ran %d times", len(found))
	}
}

// Server and step are killed. What the step had started does not go on, and the
// next server starts the step again.
func TestServerAndStepAreKilled(t *testing.T) {
	k := prepareKill(t)
	first, _ := k.server()
	command := k.began(1)
	_ = first.Process.Signal(syscall.SIGKILL)
	_ = first.Wait()
	step := parent(t, command)
	_ = syscall.Kill(step, syscall.SIGKILL)
	second, out := k.server()
	k.began(2)
	if err := os.WriteFile(k.gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil || !strings.Contains(out.String(), "END a:succeeded b:succeeded <nil>") {
		t.Fatalf("%v\n%s", err, out)
	}
	if alive(command) {
		t.Errorf("the command %d of the killed step goes on", command)
	}
}

// The step alone is killed: the server notices at once and starts it again.
func TestStepIsKilled(t *testing.T) {
	k := prepareKill(t)
	server, out := k.server()
	command := k.began(1)
	_ = syscall.Kill(parent(t, command), syscall.SIGKILL)
	k.began(2)
	if err := os.WriteFile(k.gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil || !strings.Contains(out.String(), "END a:succeeded b:succeeded <nil>") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Without a server the step ends its command when its lease expires.
func TestLeaseExpiresWithoutServer(t *testing.T) {
	k := prepareKill(t)
	server, _ := k.server()
	command := k.began(1)
	_ = server.Process.Signal(syscall.SIGKILL)
	_ = server.Wait()
	deadline := time.Now().Add(20 * time.Second)
	for alive(command) {
		if time.Now().After(deadline) {
			t.Fatal("the command goes on without a server")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// alive reports whether a process runs; one that nobody has buried does not.
func alive(pid int) bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// parent is the process that started pid.
func parent(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.Command("ps", "-o", "ppid=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
