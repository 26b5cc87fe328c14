package python

import "syscall"

// attributes puts the worker in a group of its own, and has the kernel kill it
// when we die: the lifeline alone would wait for a model that never lets
// another Python thread run.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
