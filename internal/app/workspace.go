package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// workspace is the folder of everything that one machine's Slipway knows. One
// process owns it: the holder of its lock, which listens on its socket.
type workspace struct {
	dir  string
	lock *os.File
}

func (w *workspace) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workspace) socket() string { return w.path("owner.sock") }

// replayMark is the file that makes a workspace's clock follow event time.
const replayMark = "replay"

// replay reports whether windows, schedules and holds follow event time.
func (w *workspace) replay() bool {
	_, err := os.Stat(w.path(replayMark))
	return err == nil
}

// networkFilesystem lists statfs types on which locks cannot be trusted.
var networkFilesystem = map[int64]string{
	0x6969: "NFS", 0xff534d42: "CIFS", 0xfe534d42: "SMB", 0x65735546: "FUSE", 0x01021997: "9p",
}

// makeWorkspace creates the folder when it is not there, private to its owner.
func makeWorkspace(dir string) (*workspace, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the workspace %s cannot be made: %v", dir, errors.Unwrap(err)).
			WithHint("set SLIPWAY_WORKSPACE to a folder that you may write")
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		if name, ok := networkFilesystem[int64(uint32(fs.Type))]; ok {
			return nil, slipway.Errorf(slipway.Invalid, "the workspace %s is on a network file system (%s), where its lock cannot be trusted", dir, name).
				WithHint("set SLIPWAY_WORKSPACE to a folder on a local disk")
		}
	}
	w := &workspace{dir: dir}
	// Somebody may put it inside a project: what it holds is not for Git.
	ignore, err := os.OpenFile(w.path(".gitignore"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return w, nil
	}
	if err == nil {
		_, err = ignore.WriteString("*\n")
		err = errors.Join(err, ignore.Close())
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the workspace %s cannot be written: %v", dir, errors.Unwrap(err)).
			WithHint("set SLIPWAY_WORKSPACE to a folder that you may write")
	}
	return w, nil
}

// own takes the lock. It fails with Conflict when another process has it.
func (w *workspace) own() error {
	f, err := os.OpenFile(w.path("owner.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return slipway.Errorf(slipway.Conflict, "another process owns the workspace %s", w.dir).
			WithHint("it may be `slipway up` in another terminal")
	}
	w.lock = f
	return nil
}

// disown lets the lock go. The socket goes first, so that nobody finds one that
// nobody answers.
func (w *workspace) disown() {
	_ = os.Remove(w.socket())
	_ = w.lock.Close()
}

// patience is how long a command waits for another one that owns the workspace
// to answer or to end.
const patience = 20 * time.Second

// ownOrDial makes this process the owner, or the guest of the process that is
// until it closes stay.
func (w *workspace) ownOrDial(ctx context.Context) (owner bool, c web.Client, stay io.Closer, err error) {
	deadline := time.Now().Add(patience)
	for {
		if err = w.own(); err == nil {
			return true, c, nil, nil
		}
		if !slipway.IsCode(err, slipway.Conflict) {
			return false, c, nil, err
		}
		c = web.DialSocket(w.socket())
		if stay, err = enter(ctx, c); err == nil {
			return false, c, stay, nil
		}
		if ctx.Err() != nil {
			return false, c, nil, ctx.Err()
		}
		if time.Now().After(deadline) {
			return false, c, nil, slipway.Errorf(slipway.Unavailable, "another process owns the workspace %s and does not answer", w.dir)
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// signingKey reads the workspace's Ed25519 key, made on first use. It signs
// certificates and manifests.
func (w *workspace) signingKey() (ed25519.PrivateKey, error) {
	path := w.path("signing.key")
	seed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		seed = make([]byte, ed25519.SeedSize)
		if _, err := rand.Read(seed); err != nil {
			return nil, err
		}
		if err := writeDurably(path, seed); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, slipway.Errorf(slipway.Internal, "%s is not a signing key", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// writeDurably replaces a file whole: after a crash it is the old or the new.
func writeDurably(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(b); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
