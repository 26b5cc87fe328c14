package app

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The words that stories have beside testscript's own.

// fails CODE COMMAND… runs a command that has to end with that exit status.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	got := 0
	if exit != nil {
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("it ended with %d, not with %d", got, want)
	}
}

// patient calls ready until it is true; a story that waits longer is broken.
func patient(ts *testscript.TestScript, what string, ready func() bool) {
	for deadline := time.Now().Add(30 * time.Second); !ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("waited 30 s for %s", what)
		}
	}
}

// await COMMAND… runs a command until it succeeds.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await COMMAND…")
	}
	patient(ts, strings.Join(args, " "), func() bool {
		err := ts.Exec(args[0], args[1:]...)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
		return err == nil
	})
}

// await-file PATH [TEXT] waits until a file is there and holds TEXT.
func awaitFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: await-file PATH [TEXT]")
	}
	path := ts.MkAbs(args[0])
	patient(ts, strings.Join(args, " "), func() bool {
		b, err := os.ReadFile(path)
		return err == nil && (len(args) == 1 || strings.Contains(string(b), args[1]))
	})
}

// await-up FILE waits until `slipway up --json >FILE` has said where it is and
// answers there, and sets URL, INFERENCE and SESSION.
func awaitUp(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await-up FILE")
	}
	path := ts.MkAbs(args[0])
	var at struct{ URL, Session, Inference string }
	patient(ts, "slipway up", func() bool {
		b, err := os.ReadFile(path)
		if err != nil || json.Unmarshal(b, &at) != nil || at.URL == "" {
			return false
		}
		resp, err := http.Get(at.Inference + "/v2/health/live")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	ts.Setenv("URL", at.URL)
	ts.Setenv("SESSION", at.Session)
	ts.Setenv("INFERENCE", at.Inference)
}

// request STATUS METHOD URL [FILE|spaces:N] sends a request whose answer has to
// have that status; the answer is on stdout. With $SESSION in the environment
// it comes from the person who ran `slipway up`.
func request(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: request STATUS METHOD URL [FILE|spaces:N]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var body io.Reader
	if len(args) == 4 {
		body = strings.NewReader(bodyOf(ts, args[3]))
	}
	req, err := http.NewRequest(args[1], args[2], body)
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	if session := ts.Getenv("SESSION"); session != "" {
		client.Jar, err = cookiejar.New(nil)
		ts.Check(err)
		first, err := client.Get(session)
		ts.Check(err)
		_ = first.Body.Close()
	}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if resp.StatusCode != want {
		ts.Fatalf("%s %s answers %d, not %d", args[1], args[2], resp.StatusCode, want)
	}
}

func bodyOf(ts *testscript.TestScript, text string) string {
	if n, ok := strings.CutPrefix(text, "spaces:"); ok {
		count, err := strconv.Atoi(n)
		ts.Check(err)
		return strings.Repeat(" ", count)
	}
	return ts.ReadFile(text)
}

// terminate sends SIGTERM to everything that runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// tmpfs DIR SIZE makes a disk of its own that is soon full.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(mountTmpfs(dir, args[1]))
	ts.Defer(func() { _ = exec.Command("umount", "-l", dir).Run() })
}

func mountTmpfs(dir, size string) error {
	return exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).Run()
}

// dead PIDFILE waits until the process in a file has ended.
func dead(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	patient(ts, "the end of process "+strconv.Itoa(pid), func() bool {
		state, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		_, rest, _ := strings.Cut(string(state), ") ")
		return err != nil && syscall.Kill(pid, 0) != nil || strings.HasPrefix(rest, "Z")
	})
}
