package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/project"
)

// Revision is what was applied: the file and the code that are in force until
// the next one.
type Revision struct {
	Project string         `json:"project"`
	Number  int            `json:"number"` // from 1
	YAML    string         `json:"yaml,omitempty"`
	Code    slipway.Digest `json:"code"` // content.Tree of the snapshot
	Source
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
}

// Source says where in Git a snapshot comes from.
type Source struct {
	Commit string `json:"commit,omitempty"` // "" outside Git
	Branch string `json:"branch,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"` // the snapshot holds changes that the commit does not
}

// Ref is the code in lineage: the commit when it says everything, else the
// snapshot.
func (r Revision) Ref() slipway.Ref {
	if r.Commit != "" && !r.Dirty {
		return slipway.NewRef(slipway.KindCommit, r.Commit)
	}
	return slipway.NewRef(slipway.KindCommit, string(r.Code))
}

// Change is one difference between two revisions.
type Change struct {
	What string `json:"what"` // a file, or a place in slipway.yaml
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Applied is the answer of Apply.
type Applied struct {
	Revision Revision `json:"revision"`
	New      bool     `json:"new"`              // false when it was in force already
	Change   []Change `json:"change,omitempty"` // against the revision before, at most 50
	// Missing lists code that the server lacks. Nothing was applied: send it and
	// apply again.
	Missing []slipway.Digest `json:"missing,omitempty"`
}

const maxChanges = 50

// Apply puts a file and a code snapshot in force. It fails with Invalid when
// the file is wrong or names another project.
func (s *Service) Apply(ctx context.Context, name, yaml string, code []content.Entry, src Source) (Applied, error) {
	p, err := s.parse(name, yaml)
	if err != nil {
		return Applied{}, err
	}
	if p.Name != name {
		return Applied{}, slipway.Errorf(slipway.Invalid, "the file is of the project %s, not %s", p.Name, name)
	}
	tree, err := content.NewTree(code)
	if err != nil {
		return Applied{}, err
	}
	missing, err := s.o.Content.Missing(ctx, tree.Digests()...)
	if err != nil {
		return Applied{}, err
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return Applied{Missing: slices.Compact(missing)}, nil
	}
	rev := Revision{Project: name, YAML: yaml, Code: tree.Digest(), Source: src, Actor: slipway.PrincipalOf(ctx).Name, At: s.now()}
	last, err := s.revision(ctx, name, 0)
	switch {
	case slipway.IsCode(err, slipway.NotFound):
	case err != nil:
		return Applied{}, err
	case last.YAML == yaml && last.Code == rev.Code && last.Source == src:
		return Applied{Revision: last}, nil
	}
	if _, err := s.o.Content.PutTree(ctx, tree); err != nil {
		return Applied{}, err
	}
	out := Applied{New: true}
	if out.Change, err = s.changes(ctx, last, p, tree); err != nil {
		return Applied{}, err
	}
	out.Revision, err = s.insertRevision(ctx, rev)
	return out, err
}

// Revision finds revision number of a project; 0 is the one in force. It fails
// with NotFound.
func (s *Service) Revision(ctx context.Context, name string, number int) (*project.Project, Revision, error) {
	rev, err := s.revision(ctx, name, number)
	if err != nil {
		return nil, Revision{}, err
	}
	p, err := s.parse(name, rev.YAML)
	return p, rev, err
}

// keepParsed is how many parsed files are remembered: a large one takes longer
// to read than everything else that a run without work does.
const keepParsed = 32

// parse reads a file, or remembers it. Nobody changes the result.
func (s *Service) parse(name, yaml string) (*project.Project, error) {
	key := name + "\x00" + yaml
	s.mu.Lock()
	p := s.parsed[key]
	s.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := project.Parse(filepath.Join(name, project.FileName), []byte(yaml))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.parsed) >= keepParsed {
		clear(s.parsed)
	}
	s.parsed[key] = p
	return p, nil
}

// Project is the project as it is in force. It fails with NotFound when nothing
// was applied.
func (s *Service) Project(ctx context.Context, name string) (*project.Project, error) {
	p, _, err := s.Revision(ctx, name, 0)
	return p, err
}

// changes compares a new project and its code with the revision before it.
func (s *Service) changes(ctx context.Context, last Revision, p *project.Project, tree content.Tree) ([]Change, error) {
	if last.Number == 0 {
		return nil, nil
	}
	var out []Change
	old, err := s.parse(p.Name, last.YAML)
	if err == nil { // an older program may have accepted what this one does not
		before, err := flatten(old)
		if err != nil {
			return nil, err
		}
		after, err := flatten(p)
		if err != nil {
			return nil, err
		}
		out = mapChanges(before, after)
	}
	from, err := s.o.Content.GetTree(ctx, last.Code)
	if err != nil {
		return nil, err
	}
	diff := content.Diff(from, tree)
	for _, e := range diff.Added {
		out = append(out, Change{What: e.Path, To: "added"})
	}
	for _, e := range diff.Removed {
		out = append(out, Change{What: e.Path, To: "removed"})
	}
	for _, c := range diff.Changed {
		out = append(out, Change{What: c.To.Path, From: c.From.Digest.Short(), To: c.To.Digest.Short()})
	}
	for _, c := range diff.Moved {
		out = append(out, Change{What: c.To.Path, From: c.From.Path, To: "moved"})
	}
	return out[:min(len(out), maxChanges)], nil
}

// flatten is the normal form of a project as paths and values.
func flatten(p *project.Project) (map[string]string, error) {
	raw, err := p.Marshal()
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("read the normal form: %w", err)
	}
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch x := v.(type) {
		case map[string]any:
			for k, v := range x {
				walk(path+"."+k, v)
			}
		case []any:
			for i, v := range x {
				walk(path+"["+strconv.Itoa(i)+"]", v)
			}
		default:
			// For people to read, so > stays >.
			var b strings.Builder
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(x) // a scalar of YAML always encodes
			out[path[1:]] = strings.TrimSpace(b.String())
		}
	}
	walk("", v)
	return out, nil
}

func mapChanges(from, to map[string]string) []Change {
	names := make(map[string]string, len(from)+len(to))
	maps.Copy(names, from)
	maps.Copy(names, to)
	var out []Change
	for _, k := range slices.Sorted(maps.Keys(names)) {
		if from[k] != to[k] {
			out = append(out, Change{What: k, From: from[k], To: to[k]})
		}
	}
	return out
}
