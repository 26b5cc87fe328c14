package content

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"golang.org/x/sys/unix"
)

// Mode says what the file that Link makes is for; the bits combine.
type Mode uint8

const (
	// ReadOnly shares bytes with the store where the file system can: a clone,
	// else a hard link, else a copy. The file may be read only.
	ReadOnly Mode = 0
	// Writable gives the file bytes of its own: a clone, else a copy.
	Writable Mode = 1 << 0
	// Executable sets the bits for execution. Such a file is never a hard link,
	// since all names of a file share its mode.
	Executable Mode = 1 << 1
)

func (m Mode) perm() fs.FileMode {
	perm := fs.FileMode(0o444)
	if m&Writable != 0 {
		perm |= 0o200
	}
	if m&Executable != 0 {
		perm |= 0o111
	}
	return perm
}

// Link puts the content at dst, replacing what is there (a symbolic link is
// replaced, not followed) in one step: dst is the old or the new file, never
// half of one. The folder must exist. It fails with NotFound if the content
// does not, with Invalid if the folder does not or dst is a folder, with
// Unavailable if the disk is full.
func (s *Store) Link(ctx context.Context, d slipway.Digest, dst string, mode Mode) error {
	folder, err := os.Open(filepath.Dir(dst))
	if err != nil {
		return linkError(dst, err)
	}
	defer folder.Close()
	return s.linkAt(ctx, d, folder, filepath.Base(dst), dst, mode)
}

// LinkIn puts the content at path below root, making folders as needed. path
// obeys CheckPath, and no part of it may be a symbolic link, so nothing outside
// root is ever touched, whatever stands inside. Errors are those of Link.
func (s *Store) LinkIn(ctx context.Context, d slipway.Digest, root, path string, mode Mode) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	folder, err := folderIn(root, path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return s.linkAt(ctx, d, folder, path[strings.LastIndexByte(path, '/')+1:], filepath.Join(root, path), mode)
}

// folderIn opens the folder of a path below root, making what is missing.
func folderIn(root, path string) (*os.File, error) {
	folder, err := os.Open(root)
	if err != nil {
		return nil, linkError(root, err)
	}
	segments := strings.Split(path, "/")
	for _, name := range segments[:len(segments)-1] {
		next, err := enter(folder, name)
		folder.Close()
		if err != nil {
			return nil, linkError(filepath.Join(root, path), err)
		}
		folder = next
	}
	return folder, nil
}

// enter opens, or makes, a folder in a folder.
func enter(folder *os.File, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(folder.Fd()), name, flags, 0)
	if errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdirat(int(folder.Fd()), name, 0o777); err == nil || errors.Is(err, unix.EEXIST) {
			fd, err = unix.Openat(int(folder.Fd()), name, flags, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), filepath.Join(folder.Name(), name)), nil
}

func linkError(dst string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return slipway.Errorf(slipway.Invalid, "the folder of %s does not exist", dst)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return slipway.Errorf(slipway.Invalid, "%s: a part of the path is a file or a symbolic link", dst)
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY):
		return slipway.Errorf(slipway.Invalid, "%s is a folder", dst)
	}
	return diskError("write "+dst, err)
}

// linkAt makes the file beside its final name and renames it.
func (s *Store) linkAt(ctx context.Context, d slipway.Digest, folder *os.File, name, dst string, mode Mode) error {
	temp := ".slipway-" + rand.Text()[:12]
	if err := s.makeAt(ctx, d, folder, temp, mode); err != nil {
		unix.Unlinkat(int(folder.Fd()), temp, 0)
		return linkError(dst, err)
	}
	err := unix.Renameat(int(folder.Fd()), temp, int(folder.Fd()), name)
	// Renaming one hard link over another of the same file does nothing at all.
	unix.Unlinkat(int(folder.Fd()), temp, 0)
	if err != nil {
		return linkError(dst, err)
	}
	return nil
}

func (s *Store) makeAt(ctx context.Context, d slipway.Digest, folder *os.File, temp string, mode Mode) error {
	if mode != ReadOnly {
		return s.copyAt(ctx, d, folder, temp, mode)
	}
	path, err := s.File(ctx, d)
	if err != nil {
		return err
	}
	if done, err := s.cloneAt(path, folder, temp, d, mode); done || err != nil {
		return err
	}
	if unix.Linkat(unix.AT_FDCWD, path, int(folder.Fd()), temp, 0) == nil {
		return nil
	}
	// Another file system, or one without links, or too many links of one file.
	return s.copyAt(ctx, d, folder, temp, mode)
}

// copyAt writes a file with bytes of its own, from a whole file if there is
// one, else straight from packs.
func (s *Store) copyAt(ctx context.Context, d slipway.Digest, folder *os.File, temp string, mode Mode) error {
	path, err := s.wholePath(ctx, d)
	if err != nil {
		return err
	}
	if path != "" {
		if done, err := s.cloneAt(path, folder, temp, d, mode); done || err != nil {
			return err
		}
	}
	src, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := createAt(folder, temp, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, withContext(ctx, src)); err != nil {
		return err
	}
	return finishLink(f, d, src.Size())
}

// cloneAt shares the blocks of the whole file at path. It says false where the
// file system cannot, and remembers that, since trying costs as much as a copy
// of a small file.
func (s *Store) cloneAt(path string, folder *os.File, temp string, d slipway.Digest, mode Mode) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &st); err != nil {
		return false, err
	}
	if _, cannot := s.noClone.Load(st.Dev); cannot {
		return false, nil
	}
	src, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return false, err
	}
	f, err := createAt(folder, temp, mode)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if cloneFile(f, src) != nil {
		s.noClone.Store(st.Dev, true)
		return false, unix.Unlinkat(int(folder.Fd()), temp, 0)
	}
	return true, finishLink(f, d, info.Size())
}

func createAt(folder *os.File, name string, mode Mode) (*os.File, error) {
	return createPerm(folder, name, mode.perm())
}

func createPerm(folder *os.File, name string, perm fs.FileMode) (*os.File, error) {
	flags := unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(folder.Fd()), name, flags, uint32(perm))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// finishLink gives a copy the time that a hard link has, so that Stamped works
// for both.
func finishLink(f *os.File, d slipway.Digest, size int64) error {
	at := []unix.Timeval{unix.NsecToTimeval(time.Now().UnixNano()), unix.NsecToTimeval(stamp(d, size).UnixNano())}
	return unix.Futimes(int(f.Fd()), at)
}
