package content

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// Entry is one file of a Tree.
type Entry struct {
	Path   string         `json:"path"` // relative, with slashes; see CheckPath
	Digest slipway.Digest `json:"digest"`
	Size   int64          `json:"size"` // bytes
	Exec   bool           `json:"exec,omitempty"`
}

// Tree lists the files of a folder: entries in ascending byte order of their
// paths, each path once. Datasets, artifacts, models and code snapshots are
// trees, and a tree is itself content, named by the digest of its encoding.
type Tree []Entry

// treeHeader is the first line of an encoded tree.
const treeHeader = "slipway-tree 1\n"

// maxTreeBytes bounds what GetTree reads into memory: about ten million files.
const maxTreeBytes = 1 << 30

// CheckPath accepts the paths that a tree may hold: relative, cleaned, UTF-8,
// with slashes, without "..", NUL or backslashes at which another system would
// part it. It fails with Invalid.
func CheckPath(p string) error {
	switch {
	case p == "" || len(p) > 4096:
		return slipway.Errorf(slipway.Invalid, "a path in a tree has %d bytes; 1 to 4,096 are allowed", len(p))
	case !utf8.ValidString(p):
		return slipway.Errorf(slipway.Invalid, "the path %q is not valid UTF-8", p)
	case strings.ContainsAny(p, "\x00\\"):
		return slipway.Errorf(slipway.Invalid, "the path %q holds a NUL or a backslash", p)
	case p[0] == '/':
		return slipway.Errorf(slipway.Invalid, "the path %q is absolute", p)
	}
	for segment := range strings.SplitSeq(p, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return slipway.Errorf(slipway.Invalid, "the path %q has an empty segment, \".\" or \"..\"", p)
		}
		if len(segment) > 255 {
			return slipway.Errorf(slipway.Invalid, "a name in the path %.80q… is longer than 255 bytes", p)
		}
	}
	return nil
}

// NewTree sorts entries (it keeps its own copy) and checks them: paths as
// CheckPath wants them, no path twice, no path below another file. It fails
// with Invalid.
func NewTree(entries []Entry) (Tree, error) {
	t := Tree(slices.Clone(entries))
	slices.SortFunc(t, func(x, y Entry) int { return cmp.Compare(x.Path, y.Path) })
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t Tree) check() error {
	files := make(map[string]struct{}, len(t))
	for i, e := range t {
		if err := CheckPath(e.Path); err != nil {
			return err
		}
		if _, err := slipway.ParseDigest(string(e.Digest)); err != nil {
			return fmt.Errorf("the tree entry %q: %w", e.Path, err)
		}
		if e.Size < 0 {
			return slipway.Errorf(slipway.Invalid, "the tree entry %q has the size %d", e.Path, e.Size)
		}
		if i > 0 && t[i-1].Path >= e.Path {
			return slipway.Errorf(slipway.Invalid, "the tree holds %q twice or out of order", e.Path)
		}
		files[e.Path] = struct{}{}
	}
	for _, e := range t {
		for i := range len(e.Path) {
			if e.Path[i] != '/' {
				continue
			}
			if _, taken := files[e.Path[:i]]; taken {
				return slipway.Errorf(slipway.Invalid, "in the tree %q is both a file and a folder", e.Path[:i])
			}
		}
	}
	return nil
}

// Find returns the entry at path.
func (t Tree) Find(path string) (Entry, bool) {
	i, ok := slices.BinarySearchFunc(t, path, func(e Entry, p string) int { return cmp.Compare(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return t[i], true
}

// Sub returns the entries below folder, their paths made relative to it; ""
// is the tree itself.
func (t Tree) Sub(folder string) Tree {
	if folder == "" {
		return t
	}
	var sub Tree
	for _, e := range t {
		if rest, ok := strings.CutPrefix(e.Path, folder+"/"); ok {
			e.Path = rest
			sub = append(sub, e)
		}
	}
	return sub
}

// Size is the sum of the sizes of all entries, in bytes.
func (t Tree) Size() (total int64) {
	for _, e := range t {
		total += e.Size
	}
	return total
}

// Digests yields the digest of every entry.
func (t Tree) Digests() []slipway.Digest {
	ds := make([]slipway.Digest, len(t))
	for i, e := range t {
		ds[i] = e.Digest
	}
	return ds
}

// Encode writes the canonical form: a header line, then one line an entry,
// "digest size mode path", where mode is "-" or "x" and a line feed in a path
// is written \n. Equal trees have equal bytes, so equal digests.
func (t Tree) Encode() []byte {
	b := make([]byte, 0, len(treeHeader)+len(t)*112)
	b = append(b, treeHeader...)
	for _, e := range t {
		mode := byte('-')
		if e.Exec {
			mode = 'x'
		}
		b = append(b, e.Digest...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, e.Size, 10)
		b = append(b, ' ', mode, ' ')
		b = append(b, strings.ReplaceAll(e.Path, "\n", `\n`)...)
		b = append(b, '\n')
	}
	return b
}

// Digest is the digest of the tree's encoding, which PutTree stores it under.
func (t Tree) Digest() slipway.Digest { return slipway.DigestOf(t.Encode()) }

// ParseTree reads what Encode wrote, and nothing else: any other spelling of
// the same tree fails with Invalid.
func ParseTree(b []byte) (Tree, error) {
	rest, ok := strings.CutPrefix(string(b), treeHeader)
	if !ok {
		return nil, slipway.Errorf(slipway.Invalid, "this content is not a tree")
	}
	t := make(Tree, 0, strings.Count(rest, "\n"))
	for n := 2; rest != ""; n++ {
		line, after, _ := strings.Cut(rest, "\n")
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the tree: %w", n, err)
		}
		t, rest = append(t, e), after
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(t.Encode(), b) {
		return nil, slipway.Errorf(slipway.Invalid, "the tree is not in its canonical form")
	}
	return t, nil
}

func parseEntry(line string) (Entry, error) {
	digest, rest, _ := strings.Cut(line, " ")
	size, rest, _ := strings.Cut(rest, " ")
	mode, path, ok := strings.Cut(rest, " ")
	if !ok || mode != "-" && mode != "x" {
		return Entry{}, slipway.Errorf(slipway.Invalid, "%.80q is not an entry", line)
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return Entry{}, slipway.Errorf(slipway.Invalid, "%.40q is not a size", size)
	}
	path = strings.ReplaceAll(path, `\n`, "\n")
	return Entry{Path: path, Digest: slipway.Digest(digest), Size: n, Exec: mode == "x"}, nil
}

// PutTree checks the tree and stores its encoding.
func (s *Store) PutTree(ctx context.Context, t Tree) (slipway.Digest, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	d, _, err := s.Put(ctx, bytes.NewReader(t.Encode()))
	return d, err
}

// GetTree reads a tree. It fails with NotFound, and with Invalid if the
// content is not a tree.
func (s *Store) GetTree(ctx context.Context, d slipway.Digest) (Tree, error) {
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if r.Size() > maxTreeBytes {
		return nil, slipway.Errorf(slipway.Invalid, "content %s is too large for a tree", d.Short())
	}
	b := make([]byte, r.Size())
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return ParseTree(b)
}
