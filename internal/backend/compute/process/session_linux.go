package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// stat reads the fields of /proc/pid/stat that follow the program's name; the
// first is the state. A zombie counts as gone.
func stat(pid int) ([][]byte, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, os.ErrNotExist
	}
	// The name stands in parentheses and may hold any byte.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return nil, os.ErrNotExist
	}
	return fields, nil
}

// birth is when a process began, in clock ticks since the machine did.
func birth(pid int) (string, error) {
	fields, err := stat(pid)
	if err != nil {
		return "", err
	}
	return string(fields[19]), nil
}

// signalSession signals every member of a session and says how many there were.
func signalSession(session int, sig syscall.Signal) int {
	dir, err := os.Open("/proc")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	n := 0
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if fields, err := stat(pid); err == nil && string(fields[3]) == strconv.Itoa(session) {
			n++
			_ = syscall.Kill(pid, sig)
		}
	}
	return n
}
