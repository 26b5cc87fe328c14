package cli

import "fmt"

// Replace is returned by a command whose place another program takes. It is
// started in the same process once everything of this one is closed, so that
// terminal, signals and exit status are that program's own.
type Replace struct {
	Path string            // of the program
	Args []string          // the first is its name
	Env  map[string]string // over the environment of this process
}

func (r Replace) Error() string { return fmt.Sprintf("%s was not started", r.Path) }
