package dataset

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Imported is a version that came from DVC, or why one did not.
type Imported struct {
	Pointer string `json:"pointer"`          // the .dvc file
	Commit  string `json:"commit,omitempty"` // that it is of
	Version string `json:"version,omitempty"`
	Files   int    `json:"files,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Missing string `json:"missing,omitempty"` // why it could not be taken over
}

func importDVCCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "import-dvc [DIR]", Short: "Take over the data of a DVC repository, with its history in Git", Args: cobra.MaximumNArgs(1),
		Long:    "Make a dataset of each .dvc file, with a version for each Git commit that\nchanged it, oldest first. The bytes come from DVC's cache or a remote that is a\nfolder, and are compared with DVC's MD5; for other remotes run `dvc fetch\n--all-commits` first. Versions whose bytes are nowhere are named (exit code 5),\nand the rest is taken over. DVC itself is not needed, and nothing of it changes.",
		Example: "  slipway data import-dvc ../churn",
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := e.Dir
			if len(args) > 0 {
				dir = e.Path(args[0])
			}
			r, err := openDVC(dir)
			if err != nil {
				return err
			}
			pointers, err := r.pointers()
			if err != nil {
				return err
			}
			if len(pointers) == 0 {
				return slipway.Errorf(slipway.NotFound, "%s has no .dvc files", dir)
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			t := taking{r: r, client: c, project: project, known: map[string]content.Upload{}}
			for _, p := range pointers {
				if err := t.pointer(cmd.Context(), p); err != nil {
					return err
				}
			}
			if err := e.Print(t.done, func(w io.Writer) { t.write(e, w) }); err != nil {
				return err
			}
			if t.missing > 0 {
				return slipway.Errorf(slipway.NotFound, "the content of %s could not be found", plural(int64(t.missing), "version")).
					WithHint("`dvc fetch --all-commits` brings it into DVC's cache; then run this command again")
			}
			return nil
		},
	}
}

// taking is an import under way.
type taking struct {
	r       *dvcRepository
	client  web.Client
	project string
	known   map[string]content.Upload // by DVC's MD5
	done    []Imported
	missing int
}

func (t *taking) write(e *cli.Env, w io.Writer) {
	for _, i := range t.done {
		if i.Missing != "" {
			fmt.Fprintf(w, "%s  %s %s: %s\n", e.IO.Paint(term.Bad, "missing"), i.Pointer, short7(i.Commit), i.Missing)
			continue
		}
		fmt.Fprintf(w, "%s  %s, %s, from %s %s\n", e.IO.Paint(term.Bold, i.Version), plural(int64(i.Files), "file"), term.Bytes(i.Bytes), i.Pointer, short7(i.Commit))
	}
}

func short7(commit string) string { return commit[:min(7, len(commit))] }

// pointer takes over a .dvc file as it was in each commit, and as it is.
func (t *taking) pointer(ctx context.Context, name string) error {
	out, err := exec.CommandContext(ctx, "git", "-C", t.r.dir, "log", "--reverse", "--format=%H", "--", name).Output()
	if err != nil {
		out = nil // no Git, or nothing committed: there is only what is here
	}
	for commit := range strings.FieldsSeq(string(out)) {
		raw, err := exec.CommandContext(ctx, "git", "-C", t.r.dir, "show", commit+":./"+name).Output()
		if err != nil {
			continue // the commit removed it
		}
		if err := t.version(ctx, name, commit, raw); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(filepath.Join(t.r.dir, filepath.FromSlash(name)))
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "%v", err)
	}
	return t.version(ctx, name, "", raw)
}

func (t *taking) version(ctx context.Context, name, commit string, raw []byte) error {
	outs, err := readPointer(name, raw)
	if err != nil {
		return err
	}
	for _, o := range outs {
		tree, err := t.r.files(o, t.known)
		if slipway.IsCode(err, slipway.NotFound) {
			t.missing++
			t.done = append(t.done, Imported{Pointer: name, Commit: commit, Missing: err.Error()})
			continue
		}
		if err != nil {
			return err
		}
		as := strings.TrimSuffix(path.Base(name), ".dvc")
		if len(outs) > 1 {
			as = path.Base(o.Path)
		}
		if err := t.add(ctx, nameOf(source{root: as, paths: []string{as}}), name, commit, o, tree); err != nil {
			return err
		}
	}
	return nil
}

func (t *taking) add(ctx context.Context, dataset, pointer, commit string, o dvcOut, tree content.Tree) error {
	log, err := OpLog.Call(ctx, t.client, OfDataset{Project: t.project, Name: dataset})
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return err
	}
	for _, v := range log {
		if v.Commit == commit && v.Tree == tree.Digest() {
			return nil // an import before this one
		}
	}
	remote := content.Remote{Client: t.client}
	missing, err := remote.Missing(ctx, tree.Digests()...)
	if err != nil {
		return err
	}
	lacking := map[slipway.Digest]bool{}
	for _, d := range missing {
		lacking[d] = true
	}
	var todo []content.Upload
	for _, u := range t.known {
		if lacking[u.Digest] {
			todo = append(todo, u)
			delete(lacking, u.Digest)
		}
	}
	if err := remote.PutFiles(ctx, todo, func(int64) {}); err != nil {
		return err
	}
	in := AddVersion{Project: t.project, Name: dataset, Body: Addition{Commit: commit, Message: "from DVC: " + o.Path + " " + o.MD5}}
	if in.Body.Tree, err = remote.PutTree(ctx, tree); err != nil {
		return err
	}
	out, err := t.ask(ctx, in)
	if slipway.IsCode(err, slipway.Invalid) { // no table after all
		in.Body.Spec.Format = FilesOnly
		out, err = t.ask(ctx, in)
	}
	if err != nil {
		return err
	}
	if !out.Unchanged {
		t.done = append(t.done, Imported{Pointer: pointer, Commit: commit, Version: out.Version.ID(), Files: out.Version.Files, Bytes: out.Version.Bytes})
	}
	return nil
}

func (t *taking) ask(ctx context.Context, in AddVersion) (Outcome, error) {
	job, err := OpAdd.Call(ctx, t.client, in)
	if err != nil {
		return Outcome{}, err
	}
	if job, err = web.Follow(ctx, t.client, job.ID, func(web.Progress) {}); err != nil {
		return Outcome{}, err
	}
	return result[Outcome](job)
}
