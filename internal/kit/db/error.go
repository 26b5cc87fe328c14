package db

import (
	"errors"
	"fmt"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

var (
	errReadOnlyTx = errors.New("db: a read transaction cannot write")

	errNoRow  = slipway.Errorf(slipway.NotFound, "not found")
	errClosed = slipway.Errorf(slipway.Unavailable, "the database is closed")
	errLost   = slipway.Errorf(slipway.Unavailable, "the database gave up the transaction").WithHint("try again in a moment")
)

// failure is a kind of trouble that both databases can report.
type failure uint8

const (
	unknown failure = iota
	duplicate
	reference // a foreign key
	rule      // NOT NULL or CHECK
	malformed
	full
	busy
	failing // the disk
	away
)

// fault makes the error of a failed statement. The cause stays in the chain
// for the log; the user sees the message and the hint.
func (f failure) fault(sql string, cause error) error {
	var e *slipway.Error
	switch f {
	case duplicate:
		e = slipway.Errorf(slipway.Conflict, "already exists")
	case reference:
		// Both databases use one code for both directions; the verb tells them
		// apart.
		if verb(sql) == "DELETE" {
			e = slipway.Errorf(slipway.Conflict, "something still refers to it")
		} else {
			e = slipway.Errorf(slipway.Invalid, "it refers to something that does not exist")
		}
	case rule:
		e = slipway.Errorf(slipway.Invalid, "a value is missing or out of its range")
	case malformed:
		e = slipway.Errorf(slipway.Invalid, "a value cannot be stored")
	case full:
		e = slipway.Errorf(slipway.Unavailable, "the disk of the database is full").WithHint("free some space and try again")
	case busy:
		e = slipway.Errorf(slipway.Unavailable, "the database is busy").WithHint("try again in a moment")
	case failing:
		e = slipway.Errorf(slipway.Unavailable, "the disk of the database fails").WithHint("see whether it is full, or broken")
	case away:
		e = slipway.Errorf(slipway.Unavailable, "the database cannot be reached")
	default:
		return fmt.Errorf("db: %w (%s)", cause, strings.Join(strings.Fields(sql), " "))
	}
	return fmt.Errorf("%w: %w", e, cause)
}

// verb is a statement's first word in capitals.
func verb(sql string) string {
	sql = strings.TrimLeft(sql, " \t\r\n(")
	if i := strings.IndexAny(sql, " \t\r\n("); i >= 0 {
		sql = sql[:i]
	}
	return strings.ToUpper(sql)
}
