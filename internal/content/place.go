package content

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"golang.org/x/sys/unix"
)

// Placement asks for files of a tree in a folder of this machine.
type Placement struct {
	Root    string  `json:"root" doc:"an absolute folder"`
	Proof   string  `json:"proof" doc:"name of a file in root that the caller has just made: both see the same disk"`
	Entries []Entry `json:"entries"`
	Mode    Mode    `json:"mode"`
}

type (
	// AskPlace places files.
	AskPlace struct{ Body Placement }
	// AskMany asks for many pieces of content.
	AskMany struct {
		Digests []slipway.Digest `json:"digests"`
	}
)

// OpPlace writes where it is told to, so it is for the owner of the machine.
var OpPlace = web.Op[AskPlace, web.None]{Method: "POST", Path: "/api/v1/content/place", Needs: slipway.Admin, Tag: "content", MaxBody: 64 << 20,
	Summary: "Put content into a folder of the server's machine, as links where the disk can"}

const (
	placedAtOnce = 16384     // files in one request
	placedBytes  = 256 << 20 // bytes in one request
)

// Place puts entries, in the order of their paths, below root, on all
// processors. Each file appears whole or not at all, and no part of a path may
// be a symbolic link.
func (s *Store) Place(ctx context.Context, root string, entries []Entry, mode Mode) error {
	// One goroutine a folder: two that make files in one would wait for each other.
	var groups [][]Entry
	for i, e := range entries {
		if err := CheckPath(e.Path); err != nil {
			return err
		}
		if n := len(groups); n > 0 && len(groups[n-1]) < 1024 && path.Dir(entries[i-1].Path) == path.Dir(e.Path) {
			groups[n-1] = append(groups[n-1], e)
			continue
		}
		groups = append(groups, entries[i:i+1:i+1])
	}
	return inParallel(2*runtime.GOMAXPROCS(0), groups, func(group []Entry) error {
		folder, err := folderIn(root, group[0].Path)
		if err != nil {
			return err
		}
		defer folder.Close()
		for _, e := range group {
			m := mode
			if e.Exec {
				m |= Executable
			}
			dst := filepath.Join(root, e.Path)
			if done, err := s.placeNew(ctx, e.Digest, folder, path.Base(e.Path), m); err != nil {
				return linkError(dst, err)
			} else if done {
				continue
			}
			if err := s.linkAt(ctx, e.Digest, folder, path.Base(e.Path), dst, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unfinished is the mode of a file that a checkout is writing: nobody reads it,
// and who finds it later knows that the checkout was killed. Giving a new file
// its name at once costs a quarter of writing it beside and renaming it.
const Unfinished os.FileMode = 0o200

// placeNew makes a file under a name that is free. It says false where it is
// not, or where bytes could be shared in another way.
func (s *Store) placeNew(ctx context.Context, d slipway.Digest, folder *os.File, name string, mode Mode) (bool, error) {
	if mode == ReadOnly {
		file, err := s.File(ctx, d)
		if err != nil {
			return false, err
		}
		return s.cannotClone(folder) && unix.Linkat(unix.AT_FDCWD, file, int(folder.Fd()), name, 0) == nil, nil
	}
	if !s.cannotClone(folder) {
		return false, nil
	}
	f, err := createPerm(folder, name, Unfinished)
	if errors.Is(err, unix.EEXIST) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	src, err := s.Open(ctx, d)
	if err == nil {
		_, err = io.Copy(f, withContext(ctx, src))
		err = errors.Join(err, src.Close())
	}
	if err == nil {
		err = finishLink(f, d, src.Size())
	}
	if err == nil {
		err = f.Chmod(mode.perm())
	}
	if err != nil {
		return false, errors.Join(err, unix.Unlinkat(int(folder.Fd()), name, 0))
	}
	return true, nil
}

// cannotClone says whether the disk of a folder is known to share no blocks.
func (s *Store) cannotClone(folder *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(folder.Fd()), &st) != nil {
		return false
	}
	_, cannot := s.noClone.Load(st.Dev)
	return cannot
}

func (s *Store) place(ctx context.Context, in AskPlace) (web.None, error) {
	p := in.Body
	if !filepath.IsAbs(p.Root) || filepath.Base(p.Proof) != p.Proof || p.Proof == "" {
		return web.None{}, slipway.Errorf(slipway.Invalid, "root must be an absolute folder and proof a file in it")
	}
	if _, err := os.Lstat(filepath.Join(p.Root, p.Proof)); err != nil {
		return web.None{}, slipway.Errorf(slipway.Denied, "the server does not see that folder")
	}
	return web.None{}, s.Place(ctx, p.Root, p.Entries, p.Mode)
}

// sendMany answers with a tar stream of content, each piece under its digest.
func (s *Store) sendMany(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), slipway.Reader); err != nil {
		return err
	}
	var in AskMany
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<20)).Decode(&in); err != nil {
		return slipway.Errorf(slipway.Invalid, "the request is no list of digests: %v", err)
	}
	if len(in.Digests) > maxAsked {
		return slipway.Errorf(slipway.Invalid, "a request may ask for %d digests", maxAsked)
	}
	missing, err := s.Missing(r.Context(), in.Digests...)
	if err == nil && len(missing) > 0 {
		err = notFound(missing[0])
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-tar")
	out := tar.NewWriter(w)
	for _, d := range in.Digests {
		if err := s.sendOne(r.Context(), out, d); err != nil {
			return err // the status has gone out: what follows is no tar stream, and digests tell
		}
	}
	return out.Close()
}

func (s *Store) sendOne(ctx context.Context, out *tar.Writer, d slipway.Digest) error {
	in, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: string(d), Size: in.Size(), Mode: 0o400}); err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}

// Place puts entries below root: by the server itself where it is on this
// machine and its owner asks, else over the connection, many in a request. Each
// file is checked and appears whole or not at all; nothing outside root is
// touched, whatever links stand in it. wrote is told the bytes as they come.
// ReadOnly means links where the disk has them.
func (r Remote) Place(ctx context.Context, root string, entries []Entry, mode Mode, wrote func(int64)) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return linkError(root, err)
	}
	near, proof := r.near(root)
	defer os.Remove(filepath.Join(root, proof))
	var groups [][]Entry
	for len(entries) > 0 {
		n, size := 0, int64(0)
		for n < len(entries) && n < placedAtOnce && (n == 0 || size+entries[n].Size <= placedBytes) {
			size += entries[n].Size
			n++
		}
		groups, entries = append(groups, entries[:n]), entries[n:]
	}
	put := func(group []Entry) error { return r.placeOver(ctx, root, group, wrote) }
	workers := 4
	if near {
		workers = 1 // the server uses all processors for each
		put = func(group []Entry) error {
			_, err := OpPlace.Call(ctx, r.Client, AskPlace{Placement{root, proof, group, mode}})
			if slipway.IsCode(err, slipway.Denied) {
				return r.placeOver(ctx, root, group, wrote)
			}
			if err == nil {
				wrote(Tree(group).Size())
			}
			return err
		}
	}
	return inParallel(workers, groups, put)
}

// near leaves a proof in root that a server on this machine can see.
func (r Remote) near(root string) (bool, string) {
	f, err := os.CreateTemp(root, ".slipway-proof-*")
	if err != nil {
		return false, ".slipway-proof"
	}
	return f.Close() == nil, filepath.Base(f.Name())
}

// placeOver writes a group of files that come in one answer.
func (r Remote) placeOver(ctx context.Context, root string, group []Entry, wrote func(int64)) error {
	folder, err := os.OpenRoot(root)
	if err != nil {
		return linkError(root, err)
	}
	defer folder.Close()
	at := map[slipway.Digest][]Entry{}
	ask := AskMany{}
	for _, e := range group {
		if err := CheckPath(e.Path); err != nil {
			return err
		}
		if at[e.Digest] == nil {
			ask.Digests = append(ask.Digests, e.Digest)
		}
		at[e.Digest] = append(at[e.Digest], e)
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	resp, err := r.Client.Stream(ctx, http.MethodPost, "/api/v1/content/many", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := tar.NewReader(resp.Body)
	for range ask.Digests {
		h, err := in.Next()
		if err != nil {
			return slipway.Errorf(slipway.Unavailable, "the server's answer broke off").WithHint("run the command again; `slipway data fsck` says whether content is damaged")
		}
		d := slipway.Digest(h.Name)
		if len(at[d]) == 0 {
			return slipway.Errorf(slipway.Internal, "the server sent %s, which was not asked for", d)
		}
		first := at[d][0]
		if err := writeChecked(folder, first, in); err != nil {
			return escapeError(filepath.Join(root, first.Path), err)
		}
		wrote(first.Size)
		for _, e := range at[d][1:] {
			if err := copyIn(folder, first, e); err != nil {
				return escapeError(filepath.Join(root, e.Path), err)
			}
			wrote(e.Size)
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) { // to its end, or the server takes us for gone
		return slipway.Errorf(slipway.Unavailable, "the server's answer broke off").WithHint("run the command again")
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// escapeError knows the error of os.Root for a link that leads out of it, which
// has no name.
func escapeError(dst string, err error) error {
	var at *os.PathError
	if errors.As(err, &at) && strings.Contains(at.Err.Error(), "escapes") {
		return slipway.Errorf(slipway.Invalid, "%s: a part of the path is a link that leads out of the folder", dst)
	}
	return linkError(dst, err)
}

func copyIn(folder *os.Root, from, to Entry) error {
	in, err := folder.Open(from.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeChecked(folder, to, in)
}

// writeChecked writes one file and checks it: under its name where that is free,
// else beside it, to be renamed.
func writeChecked(folder *os.Root, e Entry, in io.Reader) error {
	mode := os.FileMode(0o644)
	if e.Exec {
		mode = 0o755
	}
	name := e.Path
	f, err := folder.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, Unfinished)
	if errors.Is(err, os.ErrNotExist) {
		if err = folder.MkdirAll(path.Dir(e.Path), 0o755); err == nil {
			f, err = folder.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, Unfinished)
		}
	}
	if errors.Is(err, os.ErrExist) {
		name = path.Join(path.Dir(e.Path), ".slipway-"+string(e.Digest[:12])+"-"+string(slipway.DigestOf([]byte(e.Path))[:12]))
		f, err = folder.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, Unfinished)
	}
	if err != nil {
		return err
	}
	checked := &checkedReader{body: io.NopCloser(in), want: e.Digest, sum: sha256.New()}
	_, err = io.Copy(f, checked)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, f.Close()); err == nil && name != e.Path {
		err = folder.Rename(name, e.Path)
	}
	if err != nil {
		return errors.Join(err, folder.Remove(name))
	}
	return nil
}
