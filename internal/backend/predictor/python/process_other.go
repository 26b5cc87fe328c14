//go:build !linux

package python

import "syscall"

// attributes puts the worker in a group of its own. Where the kernel cannot
// watch us for it, the worker's lifeline does.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
