package dataset

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func pushCommand(e *cli.Env) *cobra.Command {
	var t Transport
	cmd := &cobra.Command{
		Use: "push [NAME…]", Short: "Send versions, with their files and tags, to a remote",
		Long:    "Send what a remote does not have yet: every version of the datasets named, or\nof all. The remote is an S3 bucket or a folder: --remote, else SLIPWAY_REMOTE.\nKeys come from the address or from where AWS tools look for them. A push that\nbroke off goes on where it stopped. When two people push at once, both keep\ntheir versions, one behind the other.",
		Example: "  slipway data push --remote /mnt/share/data\n  SLIPWAY_REMOTE=s3://s3.amazonaws.com/bucket/prefix slipway data push flights",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			t.Names, t.Remote = args, absolute(e, t.Remote)
			j, err := OpPush.Call(cmd.Context(), c, AskTransport{Project: project, Body: t})
			if err != nil {
				return err
			}
			m, err := followed[Moved](cmd, c, j)
			if err != nil {
				return err
			}
			return e.Print(m, func(w io.Writer) { transported(e, w, m, "sent to") })
		},
	}
	cmd.Flags().StringVar(&t.Remote, "remote", "", "s3://HOST/BUCKET/PREFIX or a folder (default: SLIPWAY_REMOTE)")
	return cmd
}

func pullCommand(e *cli.Env) *cobra.Command {
	var t Transport
	cmd := &cobra.Command{
		Use: "pull [NAME…]", Short: "Fetch versions, with their files and tags, from a remote",
		Long:    "Fetch what is not here yet: of the datasets named, or of all that the remote\nhas, the newest version and the one that slipway.lock pins; with --all every\nversion. `slipway data checkout` then puts the files in place.",
		Example: "  slipway data pull\n  slipway data pull flights --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := projectOf(e)
			if err != nil {
				return err
			}
			if p != nil {
				lock, err := ReadLock(p.Dir)
				if err != nil {
					return err
				}
				for _, name := range slices.Sorted(maps.Keys(lock)) {
					t.Pinned = append(t.Pinned, lock[name].Tree)
				}
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			t.Names, t.Remote = args, absolute(e, t.Remote)
			j, err := OpPull.Call(cmd.Context(), c, AskTransport{Project: project, Body: t})
			if err != nil {
				return err
			}
			m, err := followed[Moved](cmd, c, j)
			if err != nil {
				return err
			}
			return e.Print(m, func(w io.Writer) { transported(e, w, m, "fetched from") })
		},
	}
	cmd.Flags().StringVar(&t.Remote, "remote", "", "s3://HOST/BUCKET/PREFIX or a folder (default: SLIPWAY_REMOTE)")
	cmd.Flags().BoolVar(&t.Every, "all", false, "every version")
	return cmd
}

// absolute makes a folder that the user typed absolute; an address stays.
func absolute(e *cli.Env, remote string) string {
	if remote == "" || strings.Contains(remote, "://") || filepath.IsAbs(remote) {
		return remote
	}
	return e.Path(remote)
}

// transported writes what a push or a pull did.
func transported(e *cli.Env, w io.Writer, m Moved, done string) {
	for _, v := range m.Versions {
		there := ""
		if v.Here != v.Remote {
			there = fmt.Sprintf("  (v%d in the remote)", v.Remote)
		}
		fmt.Fprintf(w, "%s%s\n", e.IO.Paint(term.Bold, fmt.Sprintf("%s@v%d", v.Name, v.Here)), there)
	}
	for _, t := range m.Tags {
		fmt.Fprintf(w, "%s  tag\n", t)
	}
	for _, r := range m.Refused {
		fmt.Fprintln(w, e.IO.Paint(term.Warn, r))
	}
	if len(m.Versions) == 0 {
		fmt.Fprintf(w, "nothing new: %s\n", m.Remote)
		return
	}
	fmt.Fprintf(w, "%s %s %s: %s in %s\n", plural(int64(len(m.Versions)), "version"), done, m.Remote, term.Bytes(m.Content.Bytes),
		plural(int64(m.Content.Packs+m.Content.Whole), "object"))
}

func catCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "cat NAME[@vN][VIEW] [PATH]", Short: "Write a file of a version, or the rows of a view as CSV, to standard output", Args: cobra.RangeArgs(1, 2),
		Example: "  slipway data cat flights@v1 2013-01.csv | head\n  slipway data cat 'flights[train]' > train.csv",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				plain, view, err := parseView(e, args[0])
				if err != nil {
					return err
				}
				v, err := locate(cmd, c, project, plain)
				if err != nil {
					return err
				}
				_, err = made(cmd, c, project, v, view, query.FormatCSV, e.IO.Out)
				return err
			}
			v, tree, err := treeOf(cmd, c, project, args[0])
			if err != nil {
				return err
			}
			file, ok := tree.Find(strings.TrimPrefix(filepath.ToSlash(args[1]), "./"))
			if !ok {
				return slipway.Errorf(slipway.NotFound, "%s has no file %s", v.ID(), args[1]).WithHint("slipway data ls %s", args[0])
			}
			return copyContent(cmd.Context(), c, file.Digest, e.IO.Out)
		},
	}
}
