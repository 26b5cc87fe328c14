package pipeline

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func execCommand(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec COMMAND [ARG…]",
		Short: "Run a command in the environment that steps run in",
		Long: `Run a command with the Python and the packages that the project's steps get, and
with the Python SDK: what works here works in a step. The environment is made
when it is not there yet. The command takes slipway's place, so that its
terminal, signals and exit status are its own.`,
		Example: "  slipway exec python train.py\n  slipway exec pytest\n  slipway exec python -c 'import sys; print(sys.prefix)'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := e.Project()
			if err != nil {
				return err
			}
			c, err := e.Client(cmd.Context())
			if err != nil {
				return err
			}
			state := LoadTreeState(stateFile(e, p))
			if _, err := apply(cmd.Context(), c, p, state); err != nil {
				return err
			}
			if err := state.Save(stateFile(e, p)); err != nil {
				return err
			}
			job, err := OpEnvironment.Call(cmd.Context(), c, projectIn{Project: p.Name})
			if err != nil {
				return err
			}
			view := newView(e.IO)
			job, err = web.Follow(cmd.Context(), c, job.ID, view.see)
			view.end()
			if err != nil {
				return err
			}
			var env Environment
			if err := json.Unmarshal(job.Result, &env); err != nil {
				return err
			}
			return replace(e, env, args)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is its own
	return cmd
}

// replace is the way out of a command whose place another program takes. It
// fails with NotFound when the program is in neither the environment nor PATH,
// and with Conflict when the environment is on another machine.
func replace(e *cli.Env, env Environment, args []string) error {
	if _, err := os.Stat(env.Python); env.Python != "" && err != nil {
		return slipway.Errorf(slipway.Conflict, "the environment is on the server's machine, at %s", env.Python).
			WithHint("run the command there, or in a workspace of this machine")
	}
	search := strings.Split(e.Getenv("PATH"), string(os.PathListSeparator))
	if env.Bin != "" {
		search = append([]string{env.Bin}, search...)
	}
	path := args[0]
	if !strings.ContainsRune(path, filepath.Separator) {
		if path = lookIn(search, args[0]); path == "" {
			return slipway.Errorf(slipway.NotFound, "there is no program %q in the environment, nor on PATH", args[0])
		}
	}
	vars := map[string]string{"PATH": strings.Join(search, string(os.PathListSeparator))}
	if env.SDK != "" {
		vars["PYTHONPATH"] = strings.Trim(env.SDK+string(os.PathListSeparator)+e.Getenv("PYTHONPATH"), string(os.PathListSeparator))
	}
	if env.Made {
		vars["VIRTUAL_ENV"] = filepath.Dir(env.Bin)
	}
	return cli.Replace{Path: path, Args: args, Env: vars}
}

// lookIn finds a program in a list of folders, or "".
func lookIn(folders []string, name string) string {
	for _, dir := range folders {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil {
			if info, err := os.Stat(path); err == nil && info.Mode().Type() == fs.FileMode(0) {
				return path
			}
		}
	}
	return ""
}
