package dataset

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// dvcRepository reads what DVC keeps: pointers (*.dvc) that name content by its
// MD5, and objects in a cache or a remote folder, laid out as files/md5/aa/bb…
// since DVC 3 and as aa/bb… before. Content of a folder is a JSON list whose
// name ends in ".dir". (dvc.org/doc/user-guide/project-structure)
type dvcRepository struct {
	dir     string
	objects []string // folders that hold objects
}

// dvcOut is one output of a pointer.
type dvcOut struct {
	MD5  string `yaml:"md5"`
	Path string `yaml:"path"`
	Hash string `yaml:"hash"`
}

var dvcMD5 = regexp.MustCompile(`^[0-9a-f]{32}(\.dir)?$`)

// openDVC finds the cache and the remote folders of a repository. It fails with
// NotFound where there is none.
func openDVC(dir string) (*dvcRepository, error) {
	home := filepath.Join(dir, ".dvc")
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		return nil, slipway.Errorf(slipway.NotFound, "%s is no DVC repository: it has no folder .dvc", dir)
	}
	r := &dvcRepository{dir: dir, objects: []string{filepath.Join(home, "cache")}}
	for _, name := range []string{"config", "config.local"} {
		f, err := os.Open(filepath.Join(home, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%v", err)
		}
		section := ""
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line := strings.TrimSpace(lines.Text())
			if strings.HasPrefix(line, "[") {
				section = line
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			isFolder := key == "url" && strings.Contains(section, "remote") && !strings.Contains(value, "://") || key == "dir" && strings.Contains(section, "cache")
			if ok && isFolder {
				if !filepath.IsAbs(value) {
					value = filepath.Join(home, value)
				}
				r.objects = append(r.objects, value)
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// pointers lists the .dvc files of the repository, by their paths in it.
func (r *dvcRepository) pointers() (out []string, err error) {
	err = filepath.WalkDir(r.dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "%v", err)
		}
		if d.IsDir() && at != r.dir && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(d.Name(), ".dvc") {
			rel, err := filepath.Rel(r.dir, at)
			out = append(out, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	return out, err
}

// read finds the outputs of a pointer. It fails with Invalid.
func readPointer(name string, raw []byte) ([]dvcOut, error) {
	var p struct {
		Outs []dvcOut `yaml:"outs"`
	}
	if err := yaml.Unmarshal(raw, &p); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%s is no file of DVC: %s", name, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	for _, o := range p.Outs {
		if !dvcMD5.MatchString(o.MD5) || o.Path == "" {
			return nil, slipway.Errorf(slipway.Invalid, "%s names no content by its MD5", name).WithHint("content that DVC keeps elsewhere can be added from its files: slipway data add")
		}
	}
	if len(p.Outs) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "%s has no outputs", name)
	}
	return p.Outs, nil
}

// object finds the file that holds some content. It fails with NotFound.
func (r *dvcRepository) object(sum string) (string, error) {
	for _, folder := range r.objects {
		for _, layout := range []string{filepath.Join("files", "md5"), ""} {
			at := filepath.Join(folder, layout, sum[:2], sum[2:])
			if _, err := os.Stat(at); err == nil {
				return at, nil
			}
		}
	}
	return "", slipway.Errorf(slipway.NotFound, "the content %s is neither in DVC's cache nor in a remote folder", sum).WithHint("dvc fetch --all-commits brings it into the cache")
}

// upload hashes an object, and checks that DVC's name of it is right: it fails
// with Invalid for one that is damaged.
func (r *dvcRepository) upload(sum string) (u content.Upload, err error) {
	if u.Path, err = r.object(sum); err != nil {
		return u, err
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return u, slipway.Errorf(slipway.Invalid, "%v", err)
	}
	defer f.Close()
	ours, theirs := sha256.New(), md5.New()
	if u.Size, err = io.Copy(io.MultiWriter(ours, theirs), f); err != nil {
		return u, slipway.Errorf(slipway.Unavailable, "%v", err)
	}
	if hex.EncodeToString(theirs.Sum(nil)) != strings.TrimSuffix(sum, ".dir") {
		return u, slipway.Errorf(slipway.Invalid, "%s is damaged: its MD5 is not its name", u.Path)
	}
	u.Digest = slipway.Digest(hex.EncodeToString(ours.Sum(nil)))
	return u, nil
}

// files lists the files of an output, and where their bytes are. known spares
// hashing an object twice.
func (r *dvcRepository) files(o dvcOut, known map[string]content.Upload) (content.Tree, error) {
	type member struct {
		MD5  string `json:"md5"`
		Path string `json:"relpath"`
	}
	members := []member{{o.MD5, path.Base(o.Path)}}
	if strings.HasSuffix(o.MD5, ".dir") {
		list, err := r.upload(o.MD5)
		if err != nil {
			return nil, err
		}
		raw, err := os.ReadFile(list.Path)
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%v", err)
		}
		members = nil
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "%s is no list of files: %v", list.Path, err)
		}
	}
	entries := make([]content.Entry, len(members))
	for i, m := range members {
		if !dvcMD5.MatchString(m.MD5) {
			return nil, slipway.Errorf(slipway.Invalid, "%s: %q is no MD5", o.Path, m.MD5)
		}
		u, ok := known[m.MD5]
		if !ok {
			var err error
			if u, err = r.upload(m.MD5); err != nil {
				return nil, err
			}
			known[m.MD5] = u
		}
		entries[i] = content.Entry{Path: m.Path, Digest: u.Digest, Size: u.Size}
	}
	return content.NewTree(entries)
}
