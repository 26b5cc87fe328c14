package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Lock reads the dataset versions that slipway.lock beside a project pins, by
// dataset; none when there is no such file.
type Lock func(dir string) (map[string]int, error)

// Commands are the pipeline's commands. `runs why` is WhyCommand, which stands
// below the `runs` of tracking.
func Commands(e *cli.Env, lock Lock) []*cobra.Command {
	return []*cobra.Command{applyCommand(e), runCommand(e, lock), execCommand(e), logsCommand(e), cancelCommand(e), stepCommand(e)}
}

// stepCommand is what a server starts for each step; nobody types it.
func stepCommand(e *cli.Env) *cobra.Command {
	var lease, server string
	cmd := &cobra.Command{Use: "step", Hidden: true, Short: "Run one step of a pipeline (started by a server)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lease == "" {
				lease = e.Getenv("SLIPWAY_LEASE")
			}
			if server == "" {
				server = e.Getenv("SLIPWAY_SERVER")
			}
			return RunStep(cmd.Context(), server, lease, e.Getenv)
		}}
	cmd.Flags().StringVar(&lease, "lease", "", "token of the attempt (default $SLIPWAY_LEASE, which other users cannot see)")
	cmd.Flags().StringVar(&server, "server", "", "http://host:port or unix:PATH (default $SLIPWAY_SERVER)")
	return cmd
}

func applyCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Put slipway.yaml and the code in force",
		Long: `Put slipway.yaml and the code in force: gates, deployment, monitoring and
retraining follow what was applied, not the files that you edit. In Git the code
is what Git tracks or would track; elsewhere everything but caches and virtual
environments. Data and outputs of steps are never part of it.`,
		Example: "  slipway apply\n  slipway -C service/ apply --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := e.Project()
			if err != nil {
				return err
			}
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			state := LoadTreeState(stateFile(e, p))
			a, err := apply(cmd.Context(), c, p, state)
			if err != nil {
				return err
			}
			if err := state.Save(stateFile(e, p)); err != nil {
				return err
			}
			a.Revision.YAML = ""
			return e.Print(a, func(w io.Writer) { tellApplied(w, a, true) })
		},
	}
}

// apply sends the working tree's code and file to the server.
func apply(ctx context.Context, c web.Client, p *project.Project, state *TreeState) (Applied, error) {
	snap, err := TakeSnapshot(ctx, p, state)
	if err != nil {
		return Applied{}, err
	}
	in := applyIn{Project: p.Name}
	in.Body.YAML, in.Body.Code, in.Body.Source = string(p.Source), snap.Entry, snap.Source
	for range 3 {
		a, err := OpApply.Call(ctx, c, in)
		if err != nil || len(a.Missing) == 0 {
			return a, err
		}
		for _, d := range a.Missing {
			if err := sendCode(ctx, c, p.Name, snap.File[d], d); err != nil {
				return Applied{}, err
			}
		}
	}
	return Applied{}, slipway.Errorf(slipway.Conflict, "the code changes while it is being read").WithHint("run the command again")
}

func sendCode(ctx context.Context, c web.Client, name, file string, d slipway.Digest) error {
	f, err := os.Open(file)
	if err != nil {
		return slipway.Errorf(slipway.Conflict, "%s cannot be read any more: %v", file, errors.Unwrap(err))
	}
	defer f.Close()
	resp, err := c.Stream(ctx, "PUT", "/api/v1/projects/"+name+"/code/"+string(d), f)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// tellApplied says what is in force now and what changed.
func tellApplied(w io.Writer, a Applied, always bool) {
	r := a.Revision
	if !a.New {
		if always {
			fmt.Fprintf(w, "revision %d is in force already\n", r.Number)
		}
		return
	}
	from := ""
	switch {
	case r.Commit != "" && r.Dirty:
		from = " (commit " + short(r.Commit) + " with changes)"
	case r.Commit != "":
		from = " (commit " + short(r.Commit) + ")"
	}
	fmt.Fprintf(w, "applied revision %d%s\n", r.Number, from)
	const most = 12
	for i, c := range a.Change {
		if i == most {
			fmt.Fprintf(w, "  and %d more\n", len(a.Change)-most)
			break
		}
		switch {
		case c.From == "" || c.To == "moved":
			fmt.Fprintf(w, "  %s  %s %s\n", c.What, c.To, c.From)
		case c.To == "":
			fmt.Fprintf(w, "  %s  removed\n", c.What)
		default:
			fmt.Fprintf(w, "  %s  %s -> %s\n", c.What, c.From, c.To)
		}
	}
}

func short(id string) string { return id[:min(8, len(id))] }

// stateFile is where this machine remembers a working tree: outside it, since
// it is nobody else's.
func stateFile(e *cli.Env, p *project.Project) string {
	cache := e.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(e.Getenv("HOME"), ".cache")
	}
	return filepath.Join(cache, "slipway", "tree", slipway.DigestOf([]byte(p.Dir)).Short()+".json")
}
