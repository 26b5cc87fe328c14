package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ml/slipway/internal/backend/blob"
)

// pack is one pack as this process sees it.
type pack struct {
	id     string
	path   string      // of a local pack
	bucket blob.Bucket // of a remote one, else nil
	mark   packMark

	// Guarded by Store.mu: what the index covers, and what stands behind it.
	idx     *index
	tail    map[key]entry
	scanned int64  // bytes that idx and tail know
	tabled  *table // the hash table that this pack is in

	sync    groupSync
	own     atomic.Pointer[ownFile] // set while this process appends to the pack
	touched atomic.Int64            // when this process last marked the pack as used, Unix seconds

	files  *openFiles
	fileMu sync.Mutex
	file   *os.File // for reading, opened when first needed
}

// ownFile is the end of a pack that this process writes.
type ownFile struct {
	f   packFile
	end atomic.Int64
}

// place is a piece of content in a pack.
type place struct {
	entry
	pack *pack
}

func (p *pack) find(k key) (entry, bool) {
	if e, ok := p.tail[k]; ok {
		return e, true
	}
	if p.idx != nil {
		return p.idx.find(k)
	}
	return entry{}, false
}

// entries lists everything known of the pack. Store.mu must be held.
func (p *pack) entries() []entry {
	var out []entry
	if p.idx != nil {
		for i := range p.idx.count {
			e := p.idx.at(i)
			if _, anew := p.tail[e.digest]; !anew { // else it was damaged, and written again
				out = append(out, e)
			}
		}
	}
	for _, e := range p.tail {
		out = append(out, e)
	}
	return out
}

func (p *pack) sealed() bool { return p.idx != nil && p.idx.sealed }

func (p *pack) close() {
	p.idx.close()
	p.idx = nil
	p.closeFile()
}

// reader opens the pack's file once. A read in flight while close is called
// fails with os.ErrClosed and is repeated by its caller.
func (p *pack) reader() (*os.File, error) {
	p.fileMu.Lock()
	if f := p.file; f != nil {
		p.fileMu.Unlock()
		return f, nil
	}
	f, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(dyingPath(p.path))
	}
	if err == nil {
		p.file = f
	}
	p.fileMu.Unlock()
	if err != nil {
		return nil, err
	}
	p.files.opened(p)
	return f, nil
}

func (p *pack) closeFile() {
	p.fileMu.Lock()
	defer p.fileMu.Unlock()
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

// openFiles bounds the packs that are open for reading: a terabyte is 16,000
// packs. The zero value is ready.
type openFiles struct {
	mu    sync.Mutex
	packs []*pack // first opened first
}

const maxOpenPacks = 256

func (o *openFiles) opened(p *pack) {
	o.mu.Lock()
	o.packs = append(o.packs, p)
	var oldest *pack
	if len(o.packs) > maxOpenPacks {
		oldest, o.packs = o.packs[0], o.packs[1:]
	}
	o.mu.Unlock()
	if oldest != nil {
		oldest.closeFile()
	}
}

// readAt returns n bytes at offset.
func (p *pack) readAt(ctx context.Context, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if p.bucket != nil {
		r, err := p.bucket.Get(ctx, remotePack(p.id), offset, n)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, fmt.Errorf("read pack %s: %w", p.id, err)
		}
		return b, nil
	}
	f, err := p.reader()
	if err != nil {
		return nil, err
	}
	if _, err := f.ReadAt(b, offset); err != nil {
		return nil, fmt.Errorf("read pack %s: %w", p.id, err)
	}
	return b, nil
}

// flush makes durable what stands in the pack now, whoever appended it, and
// returns how far it came.
func (p *pack) flush() (int64, error) {
	if own := p.own.Load(); own != nil {
		end := own.end.Load()
		return end, own.f.Sync()
	}
	f, err := p.reader()
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Sync()
}

// reuse marks the pack as used now, so that a garbage collection spares what a
// writer has just found in it. It says false if the pack is gone: then the
// content must be written again.
func (p *pack) reuse(at time.Time) bool {
	if p.bucket != nil {
		return false
	}
	if at.Unix()-p.touched.Load() < touchSeconds {
		return true
	}
	if err := os.Chtimes(p.path, at, at); err != nil {
		return false
	}
	p.touched.Store(at.Unix())
	return true
}

// touchSeconds is how often a process marks a pack at most. Garbage collection
// keeps what is younger than minGrace, which is far longer.
const touchSeconds = 60

// groupSync lets callers that wait for fsync share one.
type groupSync struct {
	mu      sync.Mutex
	done    int64 // bytes known to be durable
	err     error // an fsync failed: what was not yet durable is lost
	running chan struct{}
}

// wait returns once end bytes are durable, calling flush unless another
// caller's flush covers them. flush returns how far it reached.
func (g *groupSync) wait(end int64, flush func() (int64, error)) error {
	for {
		g.mu.Lock()
		if g.done >= end || g.err != nil {
			defer g.mu.Unlock()
			if g.done >= end {
				return nil
			}
			return g.err
		}
		if running := g.running; running != nil {
			g.mu.Unlock()
			<-running
			continue
		}
		running := make(chan struct{})
		g.running = running
		g.mu.Unlock()
		reached, err := flush()
		g.mu.Lock()
		if err != nil {
			g.err = err
		} else {
			g.done = max(g.done, reached)
			if g.done < end {
				g.err = fmt.Errorf("only %d of %d bytes are on disk: %w", g.done, end, errDamaged)
			}
		}
		g.running = nil
		close(running)
		g.mu.Unlock()
	}
}

func (g *groupSync) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *groupSync) covers(end int64) {
	g.mu.Lock()
	g.done = max(g.done, end)
	g.mu.Unlock()
}

func (s *Store) newPack(id string) *pack {
	return &pack{id: id, path: s.packPath(id), tail: map[key]entry{}, files: &s.files}
}

func (s *Store) packPath(id string) string  { return filepath.Join(s.dir, "packs", id+".pack") }
func (s *Store) indexPath(id string) string { return filepath.Join(s.dir, "packs", id+".idx") }

// dyingPath is the name of a pack between the decision to delete it and the
// deletion, see GC.
func dyingPath(path string) string { return path[:len(path)-len(".pack")] + ".dying" }
