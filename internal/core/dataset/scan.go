package dataset

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Scanned is a file as a scan found it.
type Scanned struct {
	content.Entry
	File string // where it is
	stat stat
}

// stat is what betrays that a file changed.
type stat struct {
	size, mtime, ctime int64 // bytes; nanoseconds
	inode              uint64
}

func statOf(info fs.FileInfo) stat {
	s := stat{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode, s.ctime = sys.Ino, changed(sys)
	}
	return s
}

// Scanner finds the files of a dataset and their digests. What it has seen
// before, and what did not change since, costs it a stat.
type Scanner struct {
	Cache string // folder that remembers digests; "" remembers nothing
	Now   func() time.Time
}

// settled is how long a file must have rested before its digest is remembered:
// a second write within the same tick of the file system's clock would not show.
const settled = 100 * time.Millisecond

// Scan takes files and folders below root, by their paths. Folders are walked;
// names that begin with a dot are left out in them, and what the ignore file in
// root says. hashed is told of bytes as
// they are read. It fails with NotFound, and with Invalid for paths that are
// outside root.
func (c Scanner) Scan(ctx context.Context, root string, paths []string, total, hashed func(bytes int64)) ([]Scanned, error) {
	found, err := walk(ctx, root, paths)
	if err != nil {
		return nil, err
	}
	known := c.load(root)
	var todo []*Scanned
	var size int64
	for i := range found {
		if e, ok := known[found[i].Path]; ok && e.stat == found[i].stat {
			found[i].Digest = e.Digest
			continue
		}
		todo = append(todo, &found[i])
		size += found[i].Size
	}
	total(size)
	if len(todo) == 0 {
		return found, nil
	}
	if err := hashAll(ctx, todo, hashed); err != nil {
		return nil, err
	}
	// A cache that cannot be written costs time, nothing else.
	_ = c.save(root, known, found)
	return found, nil
}

// walk lists regular files in the order of their paths, each once.
func walk(ctx context.Context, root string, paths []string) ([]Scanned, error) {
	skip, err := readIgnored(root)
	if err != nil {
		return nil, err
	}
	var out []Scanned
	visit := func(file string, info fs.FileInfo) error {
		rel, err := filepath.Rel(root, file)
		if err != nil || strings.HasPrefix(rel, "..") {
			return slipway.Errorf(slipway.Invalid, "%s is outside %s", file, root)
		}
		name := filepath.ToSlash(rel)
		if err := content.CheckPath(name); err != nil {
			return err
		}
		if info.Mode().Perm() == content.Unfinished {
			return slipway.Errorf(slipway.Conflict, "%s is half of a file: a checkout was killed while it wrote it", file).WithHint("repeat the checkout, or remove the file")
		}
		s := statOf(info)
		out = append(out, Scanned{Entry: content.Entry{Path: name, Size: s.size}, File: file, stat: s})
		return nil
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, slipway.Errorf(slipway.NotFound, "there is nothing at %s", p)
		case err != nil:
			return nil, slipway.Errorf(slipway.Invalid, "%v", err)
		case info.Mode().IsRegular():
			err = visit(p, info)
		case info.IsDir():
			err = walkFolder(ctx, root, p, skip, visit)
		default:
			err = slipway.Errorf(slipway.Invalid, "%s is neither a file nor a folder", p)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Scanned) int { return cmp.Compare(a.Path, b.Path) })
	return slices.CompactFunc(out, func(a, b Scanned) bool { return a.Path == b.Path }), nil
}

func walkFolder(ctx context.Context, root, folder string, skip ignored, visit func(string, fs.FileInfo) error) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "%v", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if strings.HasPrefix(d.Name(), ".") && path != folder {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if len(skip) > 0 && path != folder {
			if rel, err := filepath.Rel(root, path); err == nil && skip.match(filepath.ToSlash(rel), d.IsDir()) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
		}
		if d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err == nil && d.Type()&fs.ModeSymlink != 0 { // it is taken for the file that it means
			info, err = os.Stat(path)
		}
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "%s went away, or is a link to nothing", path)
		}
		if !info.Mode().IsRegular() {
			return nil // a link to a folder could lead in circles; sockets and pipes hold no data
		}
		return visit(path, info)
	})
}

// hashAll fills in digests on all processors.
func hashAll(ctx context.Context, files []*Scanned, hashed func(int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan *Scanned)
	var workers sync.WaitGroup
	for range min(len(files), 2*runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			buffer := make([]byte, 256<<10)
			for f := range work {
				if err := f.hash(ctx, buffer, hashed); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, f := range files {
		if ctx.Err() != nil {
			break
		}
		work <- f
	}
	close(work)
	workers.Wait()
	return context.Cause(ctx)
}

func (f *Scanned) hash(ctx context.Context, buffer []byte, hashed func(int64)) error {
	in, err := os.Open(f.File)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "%v", err)
	}
	defer in.Close()
	sum := sha256.New()
	for ctx.Err() == nil {
		n, err := in.Read(buffer)
		sum.Write(buffer[:n])
		hashed(int64(n))
		if errors.Is(err, io.EOF) {
			f.Digest = slipway.Digest(hex.EncodeToString(sum.Sum(nil)))
			return nil
		}
		if err != nil {
			return slipway.Errorf(slipway.Unavailable, "%v", err)
		}
	}
	return ctx.Err()
}

// file is where digests of what is below root are remembered.
func (c Scanner) file(root string) string {
	return filepath.Join(c.Cache, string(slipway.DigestOf([]byte(root)))[:32])
}

const cacheHeader = "slipway-scan 1"

// load reads what was remembered; a damaged file remembers nothing.
func (c Scanner) load(root string) map[string]Scanned {
	out := map[string]Scanned{}
	if c.Cache == "" {
		return out
	}
	f, err := os.Open(c.file(root))
	if err != nil {
		return out
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	if !lines.Scan() || lines.Text() != cacheHeader {
		return out
	}
	for lines.Scan() {
		parts := strings.SplitN(lines.Text(), " ", 6)
		if len(parts) != 6 {
			return map[string]Scanned{}
		}
		var n [4]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(parts[i+1], 10, 64); err != nil {
				return map[string]Scanned{}
			}
		}
		path, err := strconv.Unquote(parts[5])
		if err != nil {
			return map[string]Scanned{}
		}
		out[path] = Scanned{Entry: content.Entry{Path: path, Digest: slipway.Digest(parts[0]), Size: n[0]}, stat: stat{n[0], n[1], n[2], uint64(n[3])}}
	}
	return out
}

// save remembers what was found, and what was known of other paths.
func (c Scanner) save(root string, known map[string]Scanned, found []Scanned) error {
	if c.Cache == "" {
		return nil
	}
	before := c.Now().Add(-settled).UnixNano()
	for _, f := range found {
		if max(f.stat.mtime, f.stat.ctime) < before {
			known[f.Path] = f
		}
	}
	if err := os.MkdirAll(c.Cache, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.Cache, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, cacheHeader)
	for _, e := range known {
		fmt.Fprintf(w, "%s %d %d %d %d %s\n", e.Digest, e.stat.size, e.stat.mtime, e.stat.ctime, int64(e.stat.inode), strconv.Quote(e.Path))
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.file(root))
}
