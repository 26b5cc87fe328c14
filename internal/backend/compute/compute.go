// Package compute starts the processes in which steps run. A runner knows
// nothing of pipelines: it is given a command, and a step that it started can be
// found again by a later server through the handle's id.
package compute

import (
	"context"
	"time"
)

// Spec is one process to start.
type Spec struct {
	Name string   // of the step, for people; it need not be unique
	Args []string // program and arguments; the program is found as exec.LookPath does
	Env  []string // NAME=value; nothing else of the server's environment reaches the process
	Dir  string   // working folder, which exists
	Log  string   // file that its own output is appended to; "" drops it
}

// Exit says how a process ended.
type Exit struct {
	Code int // exit status; -1 when a signal ended it or nobody knows
	// Known is false when the process was adopted: it is gone, and only what it
	// told others says how it ended.
	Known bool
}

// Handle is a started process. Its methods may be called from several
// goroutines.
type Handle interface {
	// ID finds the process again with Runner.Adopt, also after a restart of the
	// server. It names this very process, never a later one with its number.
	ID() string
	// Wait returns when the process has ended, or with ctx's error.
	Wait(ctx context.Context) (Exit, error)
	// Kill asks the process and everything that it started to end, and after
	// grace makes them. It returns when none of them is left. Killing what has
	// ended already is no error.
	Kill(ctx context.Context, grace time.Duration) error
}

// Runner starts processes that outlive it.
type Runner interface {
	// Start starts a process. It fails with Invalid when the program or the
	// folder does not exist.
	Start(ctx context.Context, s Spec) (Handle, error)
	// Adopt finds a process by its handle's id. It fails with NotFound when the
	// process is gone, and removes what it left running.
	Adopt(ctx context.Context, id string) (Handle, error)
}
