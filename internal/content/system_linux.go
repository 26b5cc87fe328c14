package content

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cloneFile makes dst share the blocks of src (Btrfs, XFS, bcachefs); it fails
// where the file system cannot.
func cloneFile(dst, src *os.File) error {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
}

// accessed is the access time of a file.
func accessed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Atim.Unix())
	}
	return info.ModTime()
}

// beginSync asks the disk to begin with what was written to f from one offset
// to another, so that the sync at the end has less to wait for. It promises
// nothing.
func beginSync(f *os.File, from, to int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, to-from, unix.SYNC_FILE_RANGE_WRITE)
}
