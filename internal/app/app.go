// Package app wires the house: the one place where capabilities, backends and
// the command line meet.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/config"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// version is what `slipway --version` and the API say.
var version = buildVersion()

// world is everything outside the process that a command line can see.
type world struct {
	args           []string
	getenv         func(string) string
	dir, home      string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Main runs the process's command line and exits.
func Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	dir, _ := os.Getwd()
	home, _ := os.UserHomeDir()
	code := run(ctx, world{os.Args[1:], os.Getenv, dir, home, os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit status, which comes from
// the error's code and from nothing else.
func run(ctx context.Context, w world) int {
	if len(w.args) == 1 && w.args[0] == "query-worker" {
		// Not a command for people: internal/kit/query starts it.
		return query.Serve(w.stdin, w.stdout, w.stderr)
	}
	cfg := config.Load(w.getenv, w.home)
	tio := term.New(w.stdin, w.stdout, w.stderr, w.getenv)
	s := &session{config: cfg, getenv: w.getenv, tell: func() {
		if !tio.Quiet {
			fmt.Fprintln(w.stderr, "done; other commands work through this one, which ends when they do (Ctrl-C ends it now, and them)")
		}
	}}
	env := &cli.Env{IO: tio, Getenv: w.getenv, Dir: w.dir, Client: s.connect}
	root := rootCommand(env, cfg, s)
	root.SetArgs(w.args)
	root.SetIn(w.stdin)
	root.SetOut(w.stdout)
	root.SetErr(w.stderr)
	err := checkUsage(root, w.args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	if cerr := s.close(ctx); err == nil {
		err = cerr
	}
	if err == nil {
		return 0
	}
	if r, ok := errors.AsType[cli.Replace](err); ok {
		err = replace(r)
	}
	tio.Errorln(s.explain(err))
	return slipway.AsError(err).Code.ExitCode()
}

// replace starts another program in this process; it returns only when it
// cannot.
func replace(r cli.Replace) error {
	env := os.Environ()
	for name, value := range r.Env {
		env = slices.DeleteFunc(env, func(s string) bool { return strings.HasPrefix(s, name+"=") })
		env = append(env, name+"="+value)
	}
	err := syscall.Exec(r.Path, r.Args, env)
	return slipway.Errorf(slipway.Failed, "%s cannot be started: %v", r.Path, err)
}

// rootCommand is `slipway` itself.
func rootCommand(env *cli.Env, cfg *config.Config, s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "Take a model from your computer to production, and keep it healthy there",
		Example: `  slipway init                     a first project that runs at once
  slipway run                      data -> pipeline -> registry -> gates -> staging
  slipway up                       interface, API and inference on this machine
  slipway serve model.txt          answer requests with a model file
  slipway data add flights/        keep versions of a folder`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().BoolVar(&env.IO.JSON, "json", false, "print JSON for programs")
	root.PersistentFlags().BoolVarP(&env.IO.Quiet, "quiet", "q", false, "no progress, only results")
	root.PersistentFlags().StringVar(&env.ProjectFlag, "project", "", "project to work in (default: the nearest slipway.yaml's)")
	root.PersistentFlags().StringVarP(&env.Dir, "directory", "C", env.Dir, "work as if started in this folder")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		dir, err := filepath.Abs(env.Dir)
		if err != nil {
			return err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return slipway.Errorf(slipway.NotFound, "there is no folder %s", dir)
		}
		env.Dir = dir
		return nil
	}
	root.AddCommand(commands(env, cfg)...)
	root.AddCommand(upCommand(env, cfg, s), waitCommand(env), configCommand(env, cfg))
	group(root)
	return root
}

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}

// checkUsage gives every complaint about flags, arguments and command names the
// code invalid; cobra's own carry none.
func checkUsage(root *cobra.Command, args []string) error {
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, err) })
	eachCommand(root, func(cmd *cobra.Command) {
		// Missing and clashing flags are found after the arguments are checked
		// and before the command runs.
		cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
				return misused(cmd, err)
			}
			return nil
		}
		check := cmd.Args
		if check == nil {
			return
		}
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return misused(cmd, err)
			}
			return nil
		}
	})
	if _, _, err := root.Find(args); err != nil {
		return misused(root, err)
	}
	return nil
}

func misused(cmd *cobra.Command, err error) error {
	var coded *slipway.Error
	if errors.As(err, &coded) {
		return err
	}
	// Cobra's own "Did you mean this?" is a paragraph; the hint is one line.
	said, meant, _ := strings.Cut(err.Error(), "\n\nDid you mean this?")
	hint := fmt.Sprintf("`%s --help` shows how it is used", cmd.CommandPath())
	if names := strings.Fields(meant); len(names) > 0 {
		hint = "did you mean " + strings.Join(names, " or ") + "? " + hint
	}
	return slipway.Errorf(slipway.Invalid, "%s", strings.TrimSpace(said)).WithHint("%s", hint)
}

func eachCommand(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, c := range cmd.Commands() {
		eachCommand(c, visit)
	}
}
