//go:build !linux

package process

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// birth is when a process began, as ps tells it.
func birth(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, start, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !ok || strings.HasPrefix(state, "Z") {
		return "", os.ErrNotExist
	}
	return strings.Join(strings.Fields(start), "_"), nil
}

// signalSession signals every member of a session and says how many there were.
func signalSession(session int, sig syscall.Signal) int {
	out, err := exec.Command("ps", "-axo", "pid=,sess=,pgid=,state=").Output()
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[3], "Z") {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err == nil && (f[1] == strconv.Itoa(session) || f[2] == strconv.Itoa(session)) {
			n++
			_ = syscall.Kill(pid, sig)
		}
	}
	return n
}
