package dataset

import (
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func gcCommand(e *cli.Env) *cobra.Command {
	var c Collection
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove content that nothing refers to; without --yes, only count it", Args: cobra.NoArgs,
		Long:    "Find content that no version, run, model, certificate or prediction of any\nproject refers to, and say how much it is. With --yes it is removed, except\nwhat was written in the last 24 hours (--hours): somebody may be about to refer\nto it. Packs are rewritten, so that the space is free afterwards. It is safe\nbeside everything else that runs.",
		Example: "  slipway data gc\n  slipway data gc --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			j, err := OpGC.Call(cmd.Context(), client, AskCollection{c})
			if err != nil {
				return err
			}
			r, err := followed[content.GCReport](cmd, client, j)
			if err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) {
				done, next := "removed", ""
				if !c.Remove {
					done, next = "would remove", "\n  next      slipway data gc --yes"
				}
				fmt.Fprintf(w, "%s %s in %s, %s  (%s in use, %s too young or not worth a rewrite)%s\n", done, plural(int64(r.Removed), "piece"),
					plural(int64(r.Packs), "pack"), term.Bytes(r.Bytes), term.Count(int64(r.Live)), term.Count(int64(r.Kept)), next)
				if len(r.Missing) > 0 {
					fmt.Fprintf(w, "%s  %s referred to and not there: slipway data fsck\n", e.IO.Paint(term.Bad, "missing"), plural(int64(len(r.Missing)), "piece"))
				}
			})
		},
	}
	cmd.Flags().BoolVar(&c.Remove, "yes", false, "remove it")
	cmd.Flags().IntVar(&c.Hours, "hours", 24, "spare what was written in the last hours")
	cmd.Flags().BoolVar(&c.Thorough, "thorough", false, "rewrite a pack for the sake of a single piece in it")
	return cmd
}

func fsckCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "fsck", Short: "Read and check everything that is stored, and name what is damaged", Args: cobra.NoArgs,
		Long:    "Read every pack and every whole file, compare each piece with its digest, and\nlook for what is referred to and not there. What is wrong is named: where it\nis, and the versions and files that it has reached. Nothing is changed. The\nexit code is 3 when something is wrong.",
		Example: "  slipway data fsck",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			j, err := OpFsck.Call(cmd.Context(), client, web.None{})
			if err != nil {
				return err
			}
			c, err := followed[Checked](cmd, client, j)
			if err != nil {
				return err
			}
			if err := e.Print(c, func(w io.Writer) { checked(e, w, c) }); err != nil || c.Sound() {
				return err
			}
			return slipway.Errorf(slipway.Refused, "%s damaged, %s missing", plural(int64(len(c.Damage)), "piece"), plural(int64(len(c.Missing)), "piece")).
				WithHint("repair it with `slipway data pull`, where a remote has the versions, or `slipway data add` of the same files; then check again")
		},
	}
}

// checked writes what a check found for a person.
func checked(e *cli.Env, w io.Writer, c Checked) {
	fmt.Fprintf(w, "read %s: %s in %s\n", term.Bytes(c.Bytes), plural(int64(c.Objects), "piece"), plural(int64(c.Packs), "pack"))
	for _, d := range c.Damage {
		fmt.Fprintf(w, "%s  %s  %s  %s\n", e.IO.Paint(term.Bad, "damaged"), d.Where, d.Digest.Short(), d.What)
	}
	for _, d := range c.Spare {
		fmt.Fprintf(w, "%s  %s  %s  damaged, and of no consequence: there is a sound copy\n", e.IO.Paint(term.Dim, "spare  "), d.Where, d.Digest.Short())
	}
	for _, d := range c.Missing {
		fmt.Fprintf(w, "%s  %s\n", e.IO.Paint(term.Bad, "missing"), d)
	}
	for _, v := range c.Versions {
		fmt.Fprintf(w, "%s  %s of project %s: %s\n", e.IO.Paint(term.Bad, "reached"), v.Version, v.Project, some(v.Files, 10))
	}
	if c.Sound() {
		fmt.Fprintln(w, e.IO.Paint(term.OK, "nothing is damaged, nothing is missing"))
	}
}

// followed waits for a job and returns its result.
func followed[T any](cmd *cobra.Command, c web.Client, j web.Job) (out T, err error) {
	j, err = web.Follow(cmd.Context(), c, j.ID, func(web.Progress) {})
	if err != nil {
		return out, err
	}
	return result[T](j)
}

// locate finds the version that a text such as flights, flights@v3 or
// flights@train-2013 means.
func locate(cmd *cobra.Command, c web.Client, project, text string) (Version, error) {
	name, ref, _ := strings.Cut(text, "@")
	if err := checkName(name); err != nil {
		return Version{}, err
	}
	return OpFind.Call(cmd.Context(), c, FindVersion{Project: project, Name: name, Ref: ref})
}

func tagCommand(e *cli.Env) *cobra.Command {
	var move bool
	var remove string
	cmd := &cobra.Command{
		Use: "tag NAME[@vN] [TAG]", Short: "Give a version a name; without a tag, list them", Args: cobra.RangeArgs(1, 2),
		Long:    "Give a version a name, which then stands wherever vN may stand. A tag stays\nwhere it is unless --move is said, and a tagged version cannot be removed.",
		Example: "  slipway data tag flights@v3 train-2013\n  slipway data tag flights\n  slipway data tag flights --delete train-2013",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := locate(cmd, c, project, args[0])
			if err != nil {
				return err
			}
			if remove != "" {
				_, err := OpUntag.Call(cmd.Context(), c, OneTag{Project: project, Name: v.Name, Tag: remove})
				return err
			}
			if len(args) == 1 {
				tags, err := OpTags.Call(cmd.Context(), c, ReadTags{Project: project, Name: v.Name})
				if err != nil {
					return err
				}
				return e.Print(tags, func(io.Writer) {
					t := e.IO.Table("tag", "version", "by", "created")
					for _, tag := range tags {
						t.Row(tag.Tag, fmt.Sprintf("%s@v%d", tag.Name, tag.Version), tag.Actor, tag.Created)
					}
					_ = t.Render() // a pipe that closed has nobody to be told
				})
			}
			in := PutTag{Project: project, Name: v.Name, Tag: args[1]}
			in.Body.Version, in.Body.Move = v.Number, move
			tag, err := OpTag.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(tag, func(w io.Writer) { fmt.Fprintf(w, "%s@%s  is v%d\n", tag.Name, tag.Tag, tag.Version) })
		},
	}
	cmd.Flags().BoolVar(&move, "move", false, "also when the tag is on another version")
	cmd.Flags().StringVar(&remove, "delete", "", "take this tag away")
	return cmd
}

func removeCommand(e *cli.Env) *cobra.Command {
	var force bool
	var reason string
	cmd := &cobra.Command{
		Use: "rm NAME@vN", Short: "Forget a version that nothing was made from", Args: cobra.ExactArgs(1),
		Long:    "Forget a version, with a reason that stands in the log. A version from which\nsomething was made, that has a tag, or that a slipway.lock in the Git history\nhere pins, stays; --force overrides all but the tag. Its number is never given\nagain. The space is free after `slipway data gc --yes`. Your files stay.",
		Example: "  slipway data rm flights@v2 -m \"added by mistake\"",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.Contains(args[0], "@") {
				return slipway.Errorf(slipway.Invalid, "say which version of %s", args[0]).WithHint("slipway data rm %s@v2 -m REASON", args[0])
			}
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := locate(cmd, c, project, args[0])
			if err != nil {
				return err
			}
			if commit := pinnedBy(cmd, e.Dir, v); commit != "" && !force {
				return slipway.Errorf(slipway.Conflict, "%s is pinned by %s of the commit %s", v.ID(), LockName, commit).WithHint("--force removes it nevertheless")
			}
			v, err = OpRemove.Call(cmd.Context(), c, RemoveVersion{Project: project, Name: v.Name, Version: v.Number, Reason: reason, Force: force})
			if err != nil {
				return err
			}
			return e.Print(v, func(w io.Writer) {
				fmt.Fprintf(w, "%s  is forgotten; `slipway data gc --yes` frees its space\n", e.IO.Paint(term.Bold, v.ID()))
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also when something was made from it")
	cmd.Flags().StringVarP(&reason, "message", "m", "", "why, for the log (needed)")
	return cmd
}

// pinnedBy is a commit, of any branch, whose lock pins the files of v; "" where
// there is none, or no Git.
func pinnedBy(cmd *cobra.Command, dir string, v Version) string {
	raw, err := exec.CommandContext(cmd.Context(), "git", "-C", dir, "log", "--all", "--format=%h", "-n", "1", "-S", string(v.Tree), "--", LockName).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

func renameCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "mv NAME NEW", Short: "Give a dataset another name; the old one goes on meaning it", Args: cobra.ExactArgs(2),
		Example: "  slipway data mv flights departures",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in := RenameDataset{Project: project, Name: args[0]}
			in.Body.To = args[1]
			v, err := OpRename.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			p, err := projectOf(e)
			if err != nil {
				return err
			}
			next := ""
			if p != nil {
				if err := repin(p.Dir, args[0], v.Name); err != nil {
					return err
				}
				if _, ok := p.Data[args[0]]; ok {
					next = fmt.Sprintf("\n  next      rename data.%s in slipway.yaml", args[0])
				}
			}
			return e.Print(v, func(w io.Writer) {
				fmt.Fprintf(w, "%s  was %s, a name that goes on meaning it%s\n", e.IO.Paint(term.Bold, v.Name), args[0], next)
			})
		},
	}
}
