package slipway

import (
	"context"
	"errors"
	"fmt"
)

// Code says what kind of failure an Error is. Every surface (HTTP, command
// line, MLflow, Open Inference Protocol) maps codes, never messages.
type Code string

// The codes. Each is one row of the table below.
const (
	Invalid         Code = "invalid"         // the request or the file is wrong; repeating it will not help
	Refused         Code = "refused"         // a verdict: a gate, contract or rollout said no
	Unauthenticated Code = "unauthenticated" // nobody is known to be asking
	Denied          Code = "denied"          // somebody known may not do this
	NotFound        Code = "not_found"       // the named thing does not exist
	Conflict        Code = "conflict"        // the thing exists already, or changed meanwhile
	Unavailable     Code = "unavailable"     // try again later: busy, full, or a dependency is away
	Exhausted       Code = "exhausted"       // a quota or a limit of size is passed: send less, remove something, or raise it
	Internal        Code = "internal"        // a defect of ours; the text is not shown
	Interrupted     Code = "interrupted"     // the caller pressed Ctrl-C
	Failed          Code = "failed"          // a program of the user's failed: a step, an installation
)

// codes turns a Code into an HTTP status and a command's exit status.
var codes = map[Code]struct{ http, exit int }{
	Invalid:         {400, 2},
	Refused:         {422, 3},
	Unauthenticated: {401, 4},
	Denied:          {403, 4},
	NotFound:        {404, 5},
	Conflict:        {409, 6},
	Unavailable:     {503, 7},
	Exhausted:       {413, 7},
	Internal:        {500, 1},
	Interrupted:     {499, 130},
	Failed:          {424, 1},
}

// HTTPStatus is the status a server answers with; an unknown code reads 500.
func (c Code) HTTPStatus() int {
	if row, ok := codes[c]; ok {
		return row.http
	}
	return codes[Internal].http
}

// ExitCode is the status a command ends with; an unknown code reads 1.
func (c Code) ExitCode() int {
	if row, ok := codes[c]; ok {
		return row.exit
	}
	return codes[Internal].exit
}

// CodeOfStatus finds the code of an HTTP status; an unknown status is Internal.
func CodeOfStatus(status int) Code {
	for code, row := range codes {
		if row.http == status {
			return code
		}
	}
	if status >= 400 && status < 500 {
		return Invalid
	}
	return Internal
}

// Error is the only error a user sees: a code for programs, a message that
// says what is wrong, and a hint that says what to do about it.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// WithHint returns e with advice on what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	out := *e
	out.Hint = fmt.Sprintf(format, args...)
	return &out
}

// Errorf makes an Error with a code and a message for the user.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// AsError finds the Error in err's chain. A cancelled context is Interrupted,
// a deadline that passed is Unavailable; anything else is Internal, and its
// text is for the log, not for the user.
func AsError(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return Errorf(Interrupted, "interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return Errorf(Unavailable, "the deadline passed")
	}
	return Errorf(Internal, "internal error")
}

// IsCode reports whether err carries the code c.
func IsCode(err error, c Code) bool { return err != nil && AsError(err).Code == c }
