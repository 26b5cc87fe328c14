package serving

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway"
)

// log is the prediction log of one gateway: segments NUMBER.log, sealed and
// complete, and at most one NUMBER.open that grows. A prediction is written
// before it is answered; the disk has it within about syncEvery, or before the
// answer under Sync. The tail that a crash tore is cut off at the next start:
// nobody was answered from it.
type log struct {
	dir, gateway string
	durability   Durability
	limit        int64
	create       func(path string) (segmentFile, error) // os.OpenFile, but in tests

	syncing sync.Mutex // held while the disk is waited for; taken before mu
	synced  int64      // writes that are on disk; under syncing

	mu     sync.Mutex
	file   segmentFile // nil until something is written to a new segment
	path   string
	number int64 // of the open segment, or of the last one
	size   int64 // of the whole records in it
	torn   bool  // bytes after size must go before the next write
	known  map[uint64]bool
	wrote  int64 // writes so far

	dirty   chan struct{}
	stop    chan struct{}
	done    sync.WaitGroup
	acked   atomic.Int64 // predictions
	shed    atomic.Int64 // predictions that could not be written
	failure atomic.Pointer[string]
}

// segmentFile is the part of *os.File that the log needs.
type segmentFile interface {
	Write([]byte) (int, error)
	Truncate(int64) error
	Seek(int64, int) (int64, error)
	Sync() error
	Close() error
}

// syncEvery is how long bytes may wait for the disk under Process.
const syncEvery = 10 * time.Millisecond

func openLog(dir, gateway string, d Durability, limit int64) (*log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the prediction log cannot be opened: %v", err)
	}
	l := &log{dir: dir, gateway: gateway, durability: d, limit: limit, dirty: make(chan struct{}, 1), stop: make(chan struct{}), create: createFile}
	numbers, err := l.recover()
	if err != nil {
		return nil, err
	}
	if len(numbers) > 0 {
		l.number = slices.Max(numbers)
	}
	l.done.Go(l.flush)
	return l, nil
}

func createFile(path string) (segmentFile, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
}

// recover seals the open segments of a process that died, less their torn
// tails, and lists all numbers that were used.
func (l *log) recover() (numbers []int64, err error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the prediction log cannot be read: %v", err)
	}
	for _, e := range entries {
		base, kind, _ := strings.Cut(e.Name(), ".")
		n, err := strconv.ParseInt(base, 10, 64)
		if err != nil || kind != "open" && kind != "log" {
			continue
		}
		numbers = append(numbers, n)
		if kind == "log" {
			continue
		}
		path := filepath.Join(l.dir, e.Name())
		size, rows, err := intact(path)
		if err != nil {
			return nil, err
		}
		if rows == 0 {
			size = 0 // kept empty, so that its number is not used again
		}
		if err := mend(path, size); err != nil {
			return nil, slipway.Errorf(slipway.Unavailable, "the prediction log cannot be mended: %v", err)
		}
		if err := os.Rename(path, l.sealed(n)); err != nil {
			return nil, err
		}
	}
	return numbers, syncFolder(l.dir)
}

func mend(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

func (l *log) sealed(n int64) string { return filepath.Join(l.dir, fmt.Sprintf("%012d.log", n)) }

// append writes the outcomes of a batch. It fails with Unavailable, and then
// nothing of them is in the log.
func (l *log) append(b *batch, outcomes []outcome) error {
	buf := getBuffer()
	defer putBuffer(buf)
	var streams [2]*stream
	for i := range outcomes {
		streams[i] = outcomes[i].stream()
		*buf = b.appendRecord(*buf, streams[i], &outcomes[i])
	}
	predictions := int64(b.rows * len(outcomes))
	seq, full, err := l.write(*buf, streams[:len(outcomes)])
	if err == nil && l.durability == Sync {
		err = l.sync(seq)
	}
	if err != nil {
		l.shed.Add(predictions)
		text := err.Error()
		l.failure.Store(&text)
		return slipway.Errorf(slipway.Unavailable, "the prediction log cannot be written, so nothing is answered: %v", reason(err)).
			WithHint("free some space on the disk that holds the workspace")
	}
	l.acked.Add(predictions)
	if l.failure.Load() != nil {
		l.failure.Store(nil)
	}
	if l.durability == Process {
		select {
		case l.dirty <- struct{}{}:
		default:
		}
	}
	if full {
		if err := l.seal(); err != nil {
			slog.Error("a segment of the prediction log cannot be sealed", "error", err)
		}
	}
	return nil
}

// reason is an error of the file system without its path.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// write appends whole records, after the descriptions of streams that the
// segment has not seen.
func (l *log) write(records []byte, streams []*stream) (seq int64, full bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		if err := l.begin(); err != nil {
			return 0, false, err
		}
	}
	if l.torn {
		if err := l.trim(); err != nil {
			return 0, false, err
		}
	}
	var head []byte
	for _, s := range streams {
		if !l.known[s.hash] {
			head = append(head, s.record...)
		}
	}
	if head != nil {
		records = append(head, records...)
	}
	if _, err := l.file.Write(records); err != nil {
		l.torn = true
		_ = l.trim() // tried again before the next write
		return 0, false, err
	}
	for _, s := range streams {
		l.known[s.hash] = true
	}
	l.size += int64(len(records))
	l.wrote++
	return l.wrote, l.size >= l.limit, nil
}

// trim takes away what a failed write left.
func (l *log) trim() error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	if _, err := l.file.Seek(l.size, 0); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// begin makes the next segment. Under mu.
func (l *log) begin() error {
	path := filepath.Join(l.dir, fmt.Sprintf("%012d.open", l.number+1))
	f, err := l.create(path)
	if err != nil {
		return err
	}
	head := appendHeader(nil, l.gateway, l.number+1, time.Now())
	if _, err := f.Write(head); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	l.number++
	l.file, l.path, l.size, l.torn, l.known = f, path, int64(len(head)), false, map[uint64]bool{}
	return nil
}

// flush brings written records to the disk, many at a time.
func (l *log) flush() {
	for {
		select {
		case <-l.stop:
			return
		case <-l.dirty:
		}
		select {
		case <-l.stop:
			return
		case <-time.After(syncEvery):
		}
		l.mu.Lock()
		seq := l.wrote
		l.mu.Unlock()
		if err := l.sync(seq); err != nil {
			text := err.Error()
			l.failure.Store(&text)
			slog.Error("the prediction log does not reach the disk", "error", err)
		}
	}
}

// sync returns when write seq is on disk. Whoever waits for the disk first
// takes everybody's writes along.
func (l *log) sync(seq int64) error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= seq {
		return nil
	}
	l.mu.Lock()
	f, so := l.file, l.wrote
	l.mu.Unlock()
	if f != nil { // else it was sealed, which syncs
		if err := f.Sync(); err != nil {
			return err
		}
	}
	l.synced = so
	return nil
}

// seal completes the open segment, if there is one.
func (l *log) seal() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	if l.torn {
		if err := l.trim(); err != nil {
			return fmt.Errorf("the prediction log cannot be sealed: %w", err)
		}
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("the prediction log cannot be sealed: %w", err)
	}
	if err := os.Rename(l.path, l.sealed(l.number)); err != nil {
		return fmt.Errorf("the prediction log cannot be sealed: %w", err)
	}
	err := l.file.Close()
	l.file, l.synced = nil, l.wrote
	return errors.Join(err, syncFolder(l.dir))
}

func (l *log) close() error {
	close(l.stop)
	l.done.Wait()
	return l.seal()
}
