// Package cli is what a command is given: the terminal, the project it stands
// in, and a way to the server. A command parses flags, calls operations and
// prints; it never touches a service or a database.
package cli

import (
	"context"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// Env is the world of one command line.
type Env struct {
	IO     *term.IO
	Getenv func(string) string
	Dir    string // the working folder, absolute
	// Client finds the server: the one SLIPWAY_SERVER names, else the owner of
	// this machine's workspace, else this very process.
	Client func(ctx context.Context) (web.Client, error)
	// ProjectFlag is --project: a name that overrides slipway.yaml's.
	ProjectFlag string
}

// DefaultProject is the project of commands that run outside any project.
const DefaultProject = "default"

// Project reads the nearest slipway.yaml, from the working folder upwards. It
// fails with NotFound when there is none.
func (e *Env) Project() (*project.Project, error) {
	path, err := project.Find(e.Dir)
	if err != nil {
		return nil, err
	}
	return project.Load(path)
}

// ProjectName is the project that a command works in: --project, else the
// nearest slipway.yaml's, else "default". It fails only when that file is
// malformed.
func (e *Env) ProjectName() (string, error) {
	if e.ProjectFlag != "" {
		return e.ProjectFlag, nil
	}
	p, err := e.Project()
	if slipway.IsCode(err, slipway.NotFound) {
		return DefaultProject, nil
	}
	if err != nil {
		return "", err
	}
	return p.Name, nil
}

// Path makes a path that the user typed absolute.
func (e *Env) Path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(e.Dir, p)
}

// Print writes v as JSON when --json was given, else calls human.
func (e *Env) Print(v any, human func(w io.Writer)) error {
	if e.IO.JSON {
		return e.IO.PrintJSON(v)
	}
	human(e.IO.Out)
	return nil
}

// Connect is the client and the project's name: what nearly every command
// starts with.
func (e *Env) Connect(cmd *cobra.Command) (web.Client, string, error) {
	name, err := e.ProjectName()
	if err != nil {
		return web.Client{}, "", err
	}
	c, err := e.Client(cmd.Context())
	return c, name, err
}
