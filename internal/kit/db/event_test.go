package db_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

func record(t *testing.T, d *db.DB, e slipway.Event) {
	t.Helper()
	ctx := slipway.WithPrincipal(context.Background(), slipway.Principal{Name: "ada"})
	if err := d.Write(ctx, func(tx *db.Tx) error { return tx.Record(e) }); err != nil {
		t.Fatal(err)
	}
}

func TestEventsComeBackAsRecorded(t *testing.T) {
	now := time.Date(2024, 5, 1, 10, 0, 0, 123456789, time.UTC)
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d := dbtest.Open(t, dsn, db.Options{Clock: func() time.Time { return now }})
		record(t, d, slipway.Event{
			Project: "flights", Verb: "model.registered", Subject: slipway.VersionRef(slipway.KindModel, "m", 1),
			Link: []slipway.Link{{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindRun, "r1")}},
			Data: json.RawMessage(`{ "text": "a < b & ü",  "n": 12345678901234567890 }`),
		})
		record(t, d, slipway.Event{ID: "mine", Actor: "bob", Verb: "x.y", Time: now.Add(time.Hour)})
		got, err := d.Events(t.Context(), 0, 10)
		if err != nil || len(got) != 2 {
			t.Fatalf("%d events, %v; want 2", len(got), err)
		}
		if !regexp.MustCompile(`^[0-9a-f]{12}7[0-9a-f]{19}$`).MatchString(got[0].ID) {
			t.Errorf("id %q is no UUIDv7", got[0].ID)
		}
		want := []slipway.Event{
			{ID: got[0].ID, Number: 1, Time: now.Truncate(time.Microsecond), Project: "flights", Actor: "ada", Verb: "model.registered",
				Subject: slipway.VersionRef(slipway.KindModel, "m", 1),
				Link:    []slipway.Link{{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindRun, "r1")}},
				Data:    json.RawMessage(`{"text":"a < b & ü","n":12345678901234567890}`)},
			{ID: "mine", Number: 2, Time: now.Add(time.Hour).Truncate(time.Microsecond), Actor: "bob", Verb: "x.y"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		// The hash is what its description says, computed here by hand.
		first, _ := db.Canonical(got[0])
		second, _ := db.Canonical(got[1])
		a := sha256.Sum256(append(make([]byte, 32), first...))
		b := sha256.Sum256(append(a[:], second...))
		if head, err := d.VerifyEvents(t.Context()); err != nil || head != (db.Head{Number: 2, Hash: hex.EncodeToString(b[:])}) {
			t.Errorf("head %+v, %v", head, err)
		}
		if rest, err := d.Events(t.Context(), 1, 10); err != nil || len(rest) != 1 || rest[0].ID != "mine" {
			t.Errorf("after the first: %v, %v", rest, err)
		}
		for e, code := range map[*slipway.Event]slipway.Code{
			{ID: "mine", Verb: "x.y"}:                          slipway.Conflict,
			{Verb: "x.y", Data: json.RawMessage(`{"broken":`)}: slipway.Invalid,
		} {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.Record(*e) })
			if !slipway.IsCode(err, code) {
				t.Errorf("%+v: %v, want %s", e, err, code)
			}
		}
	})
}

// Whoever edits, removes or swaps a sealed event is found out.
func TestTamperingShows(t *testing.T) {
	for name, sql := range map[string]string{
		"edited":  "UPDATE event SET actor = 'eve' WHERE number = 3",
		"time":    "UPDATE event SET time = time + 1 WHERE number = 3",
		"data":    `UPDATE event SET data = '{"n":9}' WHERE number = 3`,
		"removed": "DELETE FROM event WHERE number = 3",
		"hash":    "UPDATE event SET hash = (SELECT hash FROM event WHERE number = 1) WHERE number = 3",
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
				for i := range 5 {
					record(t, d, slipway.Event{Verb: "x.y", Data: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))})
				}
				if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != 5 {
					t.Fatalf("before: %+v, %v", head, err)
				}
				if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(sql); return err }); err != nil {
					t.Fatal(err)
				}
				_, err := d.VerifyEvents(t.Context())
				if !slipway.IsCode(err, slipway.Refused) || !strings.Contains(err.Error(), "event 3") {
					t.Errorf("got %v, want a refusal that names event 3", err)
				}
			})
		})
	}
}

// A consumer that waits and reads sees every number once, in order, while many
// write; the log continues where it ended when the database is opened again.
func TestConsumerFollowsWriters(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		const writers, each = 5, 20
		for round := range 2 {
			d, err := db.Open(t.Context(), dsn, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range each {
						record(t, d, slipway.Event{Verb: "x.y"})
					}
				})
			}
			start := int64(round * writers * each)
			for last := start; last < start+writers*each; {
				if err := d.WaitEvent(t.Context(), last); err != nil {
					t.Fatal(err)
				}
				events, err := d.Events(t.Context(), last, 7)
				if err != nil || len(events) == 0 {
					t.Fatalf("after %d: %d events, %v", last, len(events), err)
				}
				for _, e := range events {
					if last++; e.Number != last {
						t.Fatalf("event %d came, want %d", e.Number, last)
					}
				}
			}
			wg.Wait()
			if head, err := d.VerifyEvents(t.Context()); err != nil || head.Number != start+writers*each {
				t.Errorf("the log ends at %+v, %v", head, err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Two processes share a Postgres, or one watches another's SQLite file: what
// one records wakes the other.
func TestWaitEventAcrossProcesses(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d := dbtest.Open(t, dsn, db.Options{})
		other := dbtest.Open(t, dsn, db.Options{ReadOnly: true})
		done := make(chan error, 1)
		go func() { done <- other.WaitEvent(t.Context(), 0) }()
		record(t, d, slipway.Event{Verb: "x.y"})
		if !d.Postgres() {
			// Nothing more to do: a SQLite event is sealed by its commit.
		} else if _, err := d.Events(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if events, err := other.Events(t.Context(), 0, 10); err != nil || len(events) != 1 {
			t.Errorf("%d events, %v; want 1", len(events), err)
		}
		err := other.Write(t.Context(), func(*db.Tx) error { return nil })
		if !slipway.IsCode(err, slipway.Denied) {
			t.Errorf("a write through a read-only database: %v", err)
		}
	})
}

func TestWaitEventEnds(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		d, err := db.Open(t.Context(), dsn, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancelled, closed := make(chan error, 1), make(chan error, 1)
		go func() { cancelled <- d.WaitEvent(ctx, 0) }()
		cancel()
		if err := <-cancelled; !slipway.IsCode(err, slipway.Interrupted) {
			t.Errorf("cancelled: %v", err)
		}
		go func() { closed <- d.WaitEvent(t.Context(), 0) }()
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; !slipway.IsCode(err, slipway.Unavailable) {
			t.Errorf("closed: %v", err)
		}
	})
}
