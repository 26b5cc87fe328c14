package dataset

import "syscall"

// changed is when a file's data or name last changed, in nanoseconds.
func changed(s *syscall.Stat_t) int64 { return s.Ctimespec.Nano() }
