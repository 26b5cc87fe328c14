package measure

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Server is a process, with those that it starts, that answers over HTTP. It
// leads a session of its own, by which its processes are found.
type Server struct {
	Ready time.Duration // from the start of the process to its first reply of 200
	cmd   *exec.Cmd
	log   *bytes.Buffer
	ended chan struct{}
}

// patience is how long a server may take to answer.
const patience = 5 * time.Minute

// Start starts args with extra environment variables in dir, and returns when a
// GET of url is answered with 200.
func Start(url, dir string, env []string, args ...string) (*Server, error) {
	s := &Server{cmd: exec.Command(args[0], args[1:]...), log: &bytes.Buffer{}, ended: make(chan struct{})}
	s.cmd.Dir, s.cmd.Env = dir, append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	client := &http.Client{Timeout: 5 * time.Second}
	for time.Since(begin) < patience {
		resp, err := client.Get(url)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.Ready = time.Since(begin)
				return s, nil
			}
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s ended: %s", args[0], tail(s.log.String()))
		case <-time.After(time.Millisecond):
		}
	}
	s.Stop()
	return nil, fmt.Errorf("%s did not answer at %s: %s", args[0], url, tail(s.log.String()))
}

func tail(s string) string { return s[max(0, len(s)-500):] }

// Stop ends the server and everything that it started.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
	}
	for _, p := range s.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
	<-s.ended
}

type process struct {
	pid  int
	used time.Duration
}

// tick is the unit of times in /proc/PID/stat, a hundredth of a second on every
// Linux that Go supports.
const tick = 10 * time.Millisecond

// processes lists the members of the server's session.
func (s *Server) processes() []process {
	var out []process
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(b), ") ") // the name in brackets may hold spaces
		f := strings.Fields(rest)
		if !ok || len(f) < 15 || f[3] != strconv.Itoa(s.cmd.Process.Pid) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		out = append(out, process{pid, time.Duration(user+system) * tick})
	}
	return out
}

// CPU is the processor time, user and system, that the server's processes have
// used, to a hundredth of a second.
func (s *Server) CPU() (d time.Duration) {
	for _, p := range s.processes() {
		d += p.used
	}
	return d
}

// Memory is what the server's processes hold, in MiB: resident as `ps` counts
// it, proportional (pages shared among them count once), and the part that
// nobody else can have and the system cannot drop, anonymous memory.
func (s *Server) Memory() (rss, pss, anon float64) {
	for _, p := range s.processes() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			f := strings.Fields(lines.Text())
			if len(f) < 2 {
				continue
			}
			kib, _ := strconv.ParseFloat(f[1], 64)
			switch f[0] {
			case "Rss:":
				rss += kib / 1024
			case "Pss:":
				pss += kib / 1024
			case "Anonymous:":
				anon += kib / 1024
			}
		}
	}
	return rss, pss, anon
}

// FreePort is a port of the loopback address that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Slipway is the environment of a server or a command with a workspace of its
// own, and the addresses that it will use.
func Slipway(workspace string) (env []string, api, inference string, err error) {
	a, err := FreePort()
	if err != nil {
		return nil, "", "", err
	}
	b, err := FreePort()
	if err != nil {
		return nil, "", "", err
	}
	api, inference = fmt.Sprintf("127.0.0.1:%d", a), fmt.Sprintf("127.0.0.1:%d", b)
	return []string{"SLIPWAY_WORKSPACE=" + workspace, "SLIPWAY_SERVER=", "SLIPWAY_DATABASE=", "SLIPWAY_LISTEN=" + api, "SLIPWAY_INFERENCE=" + inference}, api, inference, nil
}
