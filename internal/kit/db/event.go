package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	slipway "github.com/slipway-ml/slipway"
)

// eventMigration is the one record of what happened. A row without a number is
// committed but not sealed yet, which happens on Postgres only.
var eventMigration = Migration{"event", []string{
	`CREATE TABLE event (
		seq SERIAL KEY,
		id TEXT NOT NULL UNIQUE,
		number BIGINT UNIQUE,
		time BIGINT NOT NULL,
		project TEXT NOT NULL,
		actor TEXT NOT NULL,
		verb TEXT NOT NULL,
		subject TEXT NOT NULL,
		link TEXT,
		data TEXT,
		hash BLOB)`,
	`CREATE INDEX event_unsealed ON event (seq) WHERE number IS NULL`,
}}

const eventColumns = "id, number, time, project, actor, verb, subject, link, data"

// Record appends e to the event table in this transaction. An empty ID becomes
// a fresh UUIDv7 in hexadecimal, an empty Time is Now, an empty Actor is the
// context's principal; the number comes with the commit. It fails with Conflict when the
// ID exists already and Invalid when Data is no JSON.
func (t *Tx) Record(e slipway.Event) error {
	if err := t.begin(); err != nil {
		return err
	}
	if !t.writable {
		return errReadOnlyTx
	}
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("db: event id: %w", err)
		}
		e.ID = hex.EncodeToString(id[:])
	}
	if e.Time.IsZero() {
		e.Time = t.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	if e.Actor == "" {
		e.Actor = slipway.PrincipalOf(t.ctx).Name
	}
	e.Number = 0
	if len(e.Data) > 0 {
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Data); err != nil {
			return slipway.Errorf(slipway.Invalid, "the data of event %s is not JSON: %v", e.Verb, err)
		}
		e.Data = compact.Bytes()
	}
	if err := t.db.engine.record(t, &e); err != nil {
		return err
	}
	t.recorded++
	return nil
}

// insertEvent stores e; a hash of nil leaves it for the sealer.
func insertEvent(tx *Tx, e *slipway.Event, hash []byte) error {
	var number *int64
	if hash != nil {
		number = &e.Number
	}
	_, err := tx.Exec("INSERT INTO event ("+eventColumns+", hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.ID, number, e.Time, e.Project, e.Actor, e.Verb, e.Subject, linkText(e.Link), e.Data, hash)
	return err
}

func linkText(link []slipway.Link) any {
	if len(link) == 0 {
		return nil
	}
	return JSON(link)
}

// eventDst are the destinations of eventColumns.
func eventDst(e *slipway.Event) []any {
	return []any{&e.ID, optional{&e.Number}, &e.Time, &e.Project, &e.Actor, &e.Verb, &e.Subject, JSON(&e.Link), &e.Data}
}

func scanEvent(s Scanner) (slipway.Event, error) {
	var e slipway.Event
	err := s.Scan(eventDst(&e)...)
	return e, err
}

// Events returns up to limit sealed events with numbers above after, in order.
func (d *DB) Events(ctx context.Context, after int64, limit int) ([]slipway.Event, error) {
	if err := d.engine.seal(ctx); err != nil {
		return nil, err
	}
	var out []slipway.Event
	err := d.Read(ctx, func(tx *Tx) (err error) {
		out, err = All(tx, scanEvent, "SELECT "+eventColumns+" FROM event WHERE number > ? ORDER BY number LIMIT ?", after, limit)
		return err
	})
	return out, err
}

// head is an end of the sealed log.
type head struct {
	loaded bool
	number int64
	hash   [sha256.Size]byte
}

// Canonical is the text of a sealed event that its hash covers: its JSON as
// encoding/json writes it, without white space, fields in the order of
// slipway.Event, the time in UTC.
func Canonical(e slipway.Event) ([]byte, error) {
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	return json.Marshal(e)
}

// append numbers e as the next event and moves the head to it: its hash is
// SHA-256 over the hash of the event before (32 zero bytes before the first)
// and the canonical text.
func (h *head) append(e *slipway.Event) error {
	e.Number = h.number + 1
	b, err := Canonical(*e)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "event %s cannot be written as JSON: %v", e.Verb, err)
	}
	sum := sha256.New()
	sum.Write(h.hash[:])
	sum.Write(b)
	sum.Sum(h.hash[:0])
	h.number = e.Number
	return nil
}

// loadHead reads the end of the sealed log.
func loadHead(tx *Tx) (head, error) {
	h := head{loaded: true}
	var hash []byte
	err := tx.QueryRow("SELECT number, hash FROM event WHERE number IS NOT NULL ORDER BY number DESC LIMIT 1").Scan(&h.number, &hash)
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return head{}, err
	}
	copy(h.hash[:], hash)
	return h, nil
}
