package db

import (
	"os"
	"syscall"
)

// syncData waits until a file's bytes, and what is needed to find them again,
// are on the disk.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
