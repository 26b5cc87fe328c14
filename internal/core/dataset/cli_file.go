package dataset

import (
	"context"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// treeOf is a version and its files.
func treeOf(cmd *cobra.Command, c web.Client, project, text string) (Version, content.Tree, error) {
	v, err := locate(cmd, c, project, text)
	if err != nil {
		return v, nil, err
	}
	tree, err := OpTree.Call(cmd.Context(), c, OfVersion{Project: project, Name: v.Name, Version: v.Number})
	return v, tree, err
}

// below keeps the entries that one of some paths names: a file, what is in a
// folder, or what a pattern such as 2013/*.csv matches. No path keeps all. It
// fails with NotFound for a path that names nothing.
func below(tree content.Tree, paths []string) (content.Tree, error) {
	if len(paths) == 0 {
		return tree, nil
	}
	used := make([]bool, len(paths))
	var out content.Tree
	for _, e := range tree {
		kept := false
		for i, p := range paths {
			p = strings.TrimPrefix(path.Clean(p), "./")
			matched, err := path.Match(p, e.Path)
			if err != nil {
				return nil, slipway.Errorf(slipway.Invalid, "%q is not a pattern of paths", p)
			}
			if p == "." || e.Path == p || strings.HasPrefix(e.Path, p+"/") || matched {
				used[i], kept = true, true
			}
		}
		if kept {
			out = append(out, e)
		}
	}
	for i, p := range paths {
		if !used[i] {
			return nil, slipway.Errorf(slipway.NotFound, "the version has no file %s", p)
		}
	}
	return out, nil
}

// copyContent writes content to w, checked.
func copyContent(ctx context.Context, c web.Client, d slipway.Digest, w io.Writer) error {
	in, err := content.Remote{Client: c}.Open(ctx, d)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(w, in)
	return err
}

// listFiles is `data ls NAME[@vN] [PATH…]`.
func listFiles(e *cli.Env, cmd *cobra.Command, args []string) error {
	c, project, err := e.Connect(cmd)
	if err != nil {
		return err
	}
	_, tree, err := treeOf(cmd, c, project, args[0])
	if err == nil {
		tree, err = below(tree, args[1:])
	}
	if err != nil {
		return err
	}
	return e.Print(tree, func(io.Writer) {
		t := e.IO.Table("file", "bytes", "digest")
		for _, f := range tree {
			t.Row(f.Path, term.Bytes(f.Size), f.Digest.Short())
		}
		_ = t.Render() // a pipe that closed has nobody to be told
	})
}
