package dataset

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

func checkoutCommand(e *cli.Env) *cobra.Command {
	var o checkoutFlags
	cmd := &cobra.Command{
		Use: "checkout [NAME[@vN] [DIR]]", Short: "Put the files of a version where they belong, or into a folder", Args: cobra.MaximumNArgs(2),
		Long:    "Put the files of a version where slipway.yaml says they are, or into a folder.\nWithout a version it is the one that slipway.lock pins, else the newest; without\na name every dataset of slipway.yaml, so that after `git checkout` the data is\nthat of the commit. Files that hold what no version has are never overwritten:\nthe command refuses and lists them (exit code 6). Files that no version knows\nare left alone. With --path only a part is put there, and nothing is pinned.\n\nFiles share their blocks with the store where the disk can (Btrfs, XFS), else\nthey are copies. With --link they are hard links: at once and without space, to\nbe read only.",
		Example: "  slipway data checkout\n  slipway data checkout flights@v1 /tmp/old --link\n  slipway data checkout flights --path 2013/",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := projectOf(e)
			if err != nil {
				return err
			}
			names := args[:min(len(args), 1)]
			if len(names) == 0 {
				if p == nil || len(p.Data) == 0 {
					return slipway.Errorf(slipway.Invalid, "say which dataset: there is no slipway.yaml that declares data").WithHint("slipway data ls")
				}
				names = slices.Sorted(maps.Keys(p.Data))
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			var all []CheckedOut
			for _, name := range names {
				out, err := checkout(cmd, e, c, projectName, p, name, args[len(args[:min(len(args), 1)]):], o)
				if err != nil {
					return err
				}
				all = append(all, out)
			}
			var v any = all
			if len(args) > 0 {
				v = all[0]
			}
			return e.Print(v, func(w io.Writer) {
				for _, out := range all {
					fmt.Fprintf(w, "%s  in %s: %d written, %d as they were, %d removed\n", e.IO.Paint(term.Bold, out.Version), out.Dir, out.Written, out.Kept, out.Removed)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&o.link, "link", false, "read-only hard links instead of copies, where the disk can")
	cmd.Flags().StringArrayVar(&o.paths, "path", nil, "only this file, folder or pattern of the version")
	return cmd
}

// checkoutFlags is how a checkout is to be made.
type checkoutFlags struct {
	link  bool
	paths []string
}

// CheckedOut is what a checkout did.
type CheckedOut struct {
	Version string `json:"version"` // name@vN
	Dir     string `json:"dir"`
	Written int    `json:"written"` // files
	Kept    int    `json:"kept"`
	Removed int    `json:"removed"`
}

func checkout(cmd *cobra.Command, e *cli.Env, c web.Client, projectName string, p *project.Project, text string, dirs []string, o checkoutFlags) (CheckedOut, error) {
	var out CheckedOut
	ctx := cmd.Context()
	name, _, explicit := strings.Cut(text, "@")
	lock, home, err := pinned(p, name)
	if err != nil {
		return out, err
	}
	pin := lock[name]
	switch {
	case len(dirs) > 0:
		out.Dir = e.Path(dirs[0])
	case home != "":
		out.Dir = home
	default:
		out.Dir = e.Path(name)
	}
	if !explicit && pin.Tree != "" { // the number is for people; what was meant is the files
		text = name + "@" + string(pin.Tree)
	}
	v, err := locate(cmd, c, projectName, text)
	if err != nil {
		return out, err
	}
	want, err := OpTree.Call(ctx, c, OfVersion{Project: projectName, Name: v.Name, Version: v.Number})
	if err == nil {
		want, err = below(want, o.paths)
	}
	if err != nil {
		return out, err
	}
	if want, err = content.NewTree(want); err != nil { // no path of it leads out of the folder
		return out, err
	}
	var before content.Tree
	if pin.Version != 0 && out.Dir == home && len(o.paths) == 0 {
		before, err = OpTree.Call(ctx, c, OfVersion{Project: projectName, Name: v.Name, Version: pin.Version})
		if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return out, err
		}
	}
	remote := content.Remote{Client: c}
	l, err := layout(ctx, remote, scanner(e), out.Dir, want, before)
	if err != nil {
		return out, err
	}
	mode := content.Writable
	if o.link {
		mode = content.ReadOnly
	}
	bar := e.IO.Progress("write", content.Tree(l.write).Size(), term.Bytes)
	if err := l.apply(ctx, remote, out.Dir, mode, bar.Add); err != nil {
		bar.Stop()
		return out, err
	}
	bar.Done()
	out.Version, out.Written, out.Kept, out.Removed = v.ID(), len(l.write), l.kept, len(l.remove)
	if p == nil || out.Dir != home || len(o.paths) > 0 {
		return out, nil
	}
	return out, lock.Set(p.Dir, name, Pin{Version: v.Number, Tree: v.Tree})
}

// pinned is the lock, and the folder in which a declared dataset lives ("" for
// one that is not declared).
func pinned(p *project.Project, name string) (Lock, string, error) {
	if p == nil {
		return Lock{}, "", nil
	}
	lock, err := ReadLock(p.Dir)
	if err != nil {
		return nil, "", err
	}
	if _, ok := p.Data[name]; !ok {
		return lock, "", nil
	}
	return lock, homeOf(p, name), nil
}

// State is how a dataset's files stand to its pinned version.
type State struct {
	Name    string   `json:"name"`
	Version int      `json:"version"` // that is pinned; 0: none
	Newest  int      `json:"newest"`  // on the server; 0: none
	Files   int      `json:"files"`   // that are here
	Bytes   int64    `json:"bytes"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

// Clean reports whether the files here are the pinned version's.
func (s State) Clean() bool { return len(s.Added)+len(s.Removed)+len(s.Changed) == 0 && s.Version != 0 }

func statusCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "status [NAME…]", Short: "How the files here stand to the versions that slipway.lock pins", Example: "  slipway data status",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := e.Project()
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			states := []State{}
			for _, name := range slices.Sorted(maps.Keys(p.Data)) {
				if len(args) > 0 && !slices.Contains(args, name) {
					continue
				}
				s, err := state(cmd.Context(), e, c, projectName, p, name)
				if err != nil {
					return err
				}
				states = append(states, s)
			}
			for _, name := range args {
				if _, ok := p.Data[name]; !ok {
					return slipway.Errorf(slipway.NotFound, "slipway.yaml declares no dataset %s", name)
				}
			}
			return e.Print(states, func(w io.Writer) {
				for _, s := range states {
					s.write(e, w)
				}
			})
		},
	}
}

func state(ctx context.Context, e *cli.Env, c web.Client, projectName string, p *project.Project, name string) (State, error) {
	s := State{Name: name}
	lock, _, err := pinned(p, name)
	if err != nil {
		return s, err
	}
	newest, err := OpVersion.Call(ctx, c, OfVersion{Project: projectName, Name: name})
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return s, err
	}
	s.Version, s.Newest = lock[name].Version, newest.Number
	var was content.Tree
	if s.Version != 0 {
		if was, err = OpTree.Call(ctx, c, OfVersion{Project: projectName, Name: name, Version: s.Version}); err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return s, err
		}
	}
	one, err := declared(p, name)
	var found []Scanned
	if err == nil {
		found, err = scanner(e).Scan(ctx, one.root, one.paths, func(int64) {}, func(int64) {})
	}
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return s, err
	}
	entries := make([]content.Entry, len(found))
	for i, f := range found {
		entries[i] = f.Entry
	}
	here, err := content.NewTree(entries)
	if err != nil {
		return s, err
	}
	s.Files, s.Bytes = len(here), here.Size()
	d := content.Diff(was, here)
	for _, m := range d.Moved {
		d.Added, d.Removed = append(d.Added, m.To), append(d.Removed, m.From)
	}
	for _, x := range d.Added {
		s.Added = append(s.Added, x.Path)
	}
	for _, x := range d.Removed {
		s.Removed = append(s.Removed, x.Path)
	}
	for _, x := range d.Changed {
		s.Changed = append(s.Changed, x.To.Path)
	}
	return s, nil
}

// write tells a state to a person.
func (s State) write(e *cli.Env, w io.Writer) {
	title := e.IO.Paint(term.Bold, s.Name)
	if s.Version > 0 {
		title = e.IO.Paint(term.Bold, fmt.Sprintf("%s@v%d", s.Name, s.Version))
	}
	what := "as pinned"
	switch {
	case s.Version == 0:
		what = e.IO.Paint(term.Warn, "no version is pinned") + ": slipway data add " + s.Name
	case !s.Clean():
		what = e.IO.Paint(term.Warn, "differs") + " from the pinned version: slipway data add or slipway data checkout"
	}
	fmt.Fprintf(w, "%s  %s, %s  %s\n", title, plural(int64(s.Files), "file"), term.Bytes(s.Bytes), what)
	if s.Newest > s.Version && s.Version > 0 {
		fmt.Fprintf(w, "  the newest version is v%d\n", s.Newest)
	}
	if s.Version == 0 {
		return
	}
	for _, list := range []struct {
		role  term.Role
		mark  string
		paths []string
	}{{term.OK, "+", s.Added}, {term.Bad, "-", s.Removed}, {term.Warn, "~", s.Changed}} {
		for i, path := range list.paths {
			if i == 20 {
				fmt.Fprintf(w, "  %s and %d more\n", list.mark, len(list.paths)-20)
				break
			}
			fmt.Fprintf(w, "  %s\n", e.IO.Paint(list.role, list.mark+" "+path))
		}
	}
}
