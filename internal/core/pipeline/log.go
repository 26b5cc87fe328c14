package pipeline

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// logBook keeps what steps print while they run: a file an attempt, which grows
// by pieces that name their place, so that a piece sent twice is kept once.
type logBook struct {
	dir  string
	mu   sync.Mutex
	grew chan struct{} // closed and replaced whenever a file grows or an attempt ends
}

// keepLogs is how long files of attempts that were not the last are kept.
const keepLogs = 30 * 24 * time.Hour

func (b *logBook) file(run, step string, attempt int) string {
	return filepath.Join(b.dir, run, step+"."+strconv.Itoa(attempt)+".log")
}

// append adds a piece that begins at offset and returns the bytes that were new
// and the file's size. A piece beyond the end is not taken: the sender goes back
// to the size.
func (b *logBook) append(run, step string, attempt int, offset int64, piece []byte) (fresh []byte, size int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := b.file(run, step, attempt)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size = info.Size()
	if offset > size || offset+int64(len(piece)) <= size {
		return nil, size, nil
	}
	fresh = piece[size-offset:]
	if _, err := f.WriteAt(fresh, size); err != nil {
		return nil, size, err
	}
	b.signal()
	return fresh, size + int64(len(fresh)), nil
}

// signal wakes the readers. The caller holds mu.
func (b *logBook) signal() {
	close(b.grew)
	b.grew = make(chan struct{})
}

// end removes the file of an attempt whose log is kept as content.
func (b *logBook) end(run, step string, attempt int, kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if kept {
		_ = os.Remove(b.file(run, step, attempt))
	}
	b.signal()
}

// read returns what a file holds from offset on, and what is closed when there
// may be more.
func (b *logBook) read(run, step string, attempt int, offset int64) ([]byte, <-chan struct{}, error) {
	b.mu.Lock()
	grew := b.grew
	b.mu.Unlock()
	f, err := os.Open(b.file(run, step, attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, grew, nil
	}
	if err != nil {
		return nil, grew, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.NewSectionReader(f, offset, 1<<20))
	return raw, grew, err
}

// WriteLog writes what a step printed in its newest attempt. With follow it goes
// on until the step has ended. It fails with NotFound for an unknown step.
func (s *Service) WriteLog(ctx context.Context, w io.Writer, project, run, step string, follow bool) error {
	var offset int64
	attempt := 0
	for {
		r, t, err := s.oneTask(ctx, project, run, step)
		if err != nil {
			return err
		}
		if t.Attempt != attempt {
			attempt, offset = t.Attempt, 0
		}
		piece, grew, err := s.logs.read(r.ID, step, attempt, offset)
		if err != nil {
			return err
		}
		if len(piece) == 0 && t.Log != "" {
			return s.copyContent(ctx, w, t.Log, offset)
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		if offset += int64(len(piece)); len(piece) > 0 {
			continue
		}
		if !follow || t.State.Done() {
			return nil
		}
		select {
		case <-grew:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Run) task(step string) *Task {
	for i := range r.Task {
		if r.Task[i].Step == step {
			return &r.Task[i]
		}
	}
	return nil
}

func (s *Service) copyContent(ctx context.Context, w io.Writer, d slipway.Digest, from int64) error {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := r.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

// Tick removes logs that are older than they are kept.
func (s *Service) Tick(_ context.Context, _ time.Time) error {
	runs, err := os.ReadDir(s.logs.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range runs {
		info, ierr := e.Info()
		if ierr == nil && s.now().Sub(info.ModTime()) > keepLogs {
			err = errors.Join(err, os.RemoveAll(filepath.Join(s.logs.dir, e.Name())))
		}
	}
	return err
}
