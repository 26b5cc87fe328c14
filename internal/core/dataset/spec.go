package dataset

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// specOf is what slipway.yaml says about how a dataset is read.
func specOf(p *project.Project, d project.Dataset) Spec {
	s := Spec{Format: query.Format(d.Format), Columns: d.Columns, Time: d.Time.Expression, Order: d.Time.Order, Key: d.Key, Subject: d.Subject}
	if p.Timezone != "UTC" {
		s.Timezone = p.Timezone
	}
	s.CSV.Delimiter, s.CSV.Header = d.Delimiter, d.Header
	if len(d.Missing) > 0 {
		s.CSV.Null = append([]string{""}, d.Missing...)
	}
	return s
}

// source is where a dataset's files are on this machine.
type source struct {
	name     string
	root     string   // folder to which the paths of a version are relative
	paths    []string // absolute: files and folders
	spec     Spec
	contract string // path; "" for none
	declared bool   // in slipway.yaml
	dir      string // of slipway.yaml; "" without one
	feed     *feed  // where the files are fetched from; nil where they are here
}

// sources finds out what the arguments of `data add` mean: names of declared
// datasets, paths, or a name and the paths of its files. p is nil without a
// slipway.yaml. abs makes a path absolute.
func sources(p *project.Project, args []string, abs func(string) string) ([]source, error) {
	if len(args) == 0 {
		return everyDataset(p)
	}
	if p != nil {
		if _, ok := p.Data[args[0]]; ok {
			one, err := declared(p, args[0])
			if err == nil && len(args) > 1 {
				err = one.take(args[1:], abs)
			}
			return []source{one}, err
		}
		for name := range p.Data {
			if one, err := declared(p, name); err == nil && len(args) == 1 && filepath.Clean(filepath.Join(p.Dir, p.Data[name].Path)) == abs(args[0]) {
				return []source{one}, nil
			}
		}
	}
	one := source{}
	if p != nil {
		one.dir = p.Dir
		if p.Timezone != "UTC" {
			one.spec.Timezone = p.Timezone
		}
	}
	if len(args) > 1 && goodName.MatchString(args[0]) && isName(args, abs) {
		one.name = args[0]
		err := one.take(args[1:], abs)
		return []source{one}, err
	}
	err := one.take(args, abs)
	one.name = nameOf(one)
	return []source{one}, err
}

// isName reports whether the first of several arguments is a name: there is
// nothing of that name here, or it is the folder that the others are in.
func isName(args []string, abs func(string) string) bool {
	info, err := os.Stat(abs(args[0]))
	if err != nil {
		return true
	}
	for _, arg := range args[1:] {
		if !info.IsDir() || !within(abs(args[0]), abs(arg)) {
			return false
		}
	}
	return true
}

func everyDataset(p *project.Project) ([]source, error) {
	if p == nil || len(p.Data) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "say which files: there is no slipway.yaml that declares data").WithHint("slipway data add data/")
	}
	var out []source
	for _, name := range slices.Sorted(maps.Keys(p.Data)) {
		one, err := declared(p, name)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// declared is a dataset of slipway.yaml with the files that its path means.
func declared(p *project.Project, name string) (source, error) {
	d := p.Data[name]
	one := source{name: name, spec: specOf(p, d), declared: true, dir: p.Dir, feed: feedOf(d.Source)}
	if d.Contract != "" {
		one.contract = filepath.Join(p.Dir, filepath.FromSlash(d.Contract))
	}
	path := filepath.Join(p.Dir, filepath.FromSlash(d.Path))
	one.root = homeOf(p, name)
	if one.feed != nil {
		return one, nil
	}
	paths, err := expand(path)
	one.paths = paths
	return one, err
}

// homeOf is the folder to which the paths of a declared dataset's versions are
// relative. A path without an extension that is not there yet is a folder.
func homeOf(p *project.Project, name string) string {
	path := filepath.Join(p.Dir, filepath.FromSlash(p.Data[name].Path))
	if _, err := os.Stat(path); err != nil && filepath.Ext(path) == "" && !strings.ContainsAny(path, "*?[") {
		return path
	}
	return fixedFolder(path)
}

// take replaces the files by those that the user named. Their paths stay
// relative to the dataset's own folder when they are in it.
func (one *source) take(args []string, abs func(string) string) error {
	one.paths, one.feed = nil, nil
	for _, arg := range args {
		paths, err := expand(abs(arg))
		if err != nil {
			return err
		}
		one.paths = append(one.paths, paths...)
	}
	if one.root != "" {
		inside := true
		for _, p := range one.paths {
			inside = inside && within(one.root, p)
		}
		if inside {
			return nil
		}
	}
	one.root = ancestor(one.paths)
	return nil
}

// expand is the files that a path or a pattern means. A path that is not there
// is left to the scan, which says so.
func expand(path string) ([]string, error) {
	if _, err := os.Stat(path); err == nil || !strings.ContainsAny(path, "*?[") {
		return []string{path}, nil
	}
	found, err := filepath.Glob(path)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%q is not a pattern of paths", path)
	}
	if len(found) == 0 {
		return nil, slipway.Errorf(slipway.NotFound, "no file matches %s", path)
	}
	return found, nil
}

// fixedFolder is the folder that a declared path stands for: itself when it is
// one, else the part of it before the file or the first pattern.
func fixedFolder(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	folder := filepath.Dir(path)
	if i := strings.IndexAny(folder, "*?["); i >= 0 {
		folder = filepath.Dir(folder[:i] + "x")
	}
	return folder
}

// ancestor is the deepest folder that holds all paths.
func ancestor(paths []string) string {
	if len(paths) == 0 {
		return ""
	}
	folder := fixedFolder(paths[0])
	for _, p := range paths[1:] {
		for !within(folder, p) && folder != filepath.Dir(folder) {
			folder = filepath.Dir(folder)
		}
	}
	return folder
}

func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// nameOf makes a dataset's name of the name of its file or folder.
func nameOf(one source) string {
	base := filepath.Base(one.root)
	if len(one.paths) == 1 {
		base = filepath.Base(one.paths[0])
		if formatOf(base) != "" {
			base = strings.TrimSuffix(base, ".gz")
			base = strings.TrimSuffix(base, filepath.Ext(base))
		}
	}
	clean := strings.Map(func(r rune) rune {
		if r < 128 && (goodName.MatchString(string(r)) || strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}, base)
	clean = strings.TrimLeft(clean, "-_.")
	if clean == "" {
		return "data"
	}
	return clean[:min(len(clean), 128)]
}
