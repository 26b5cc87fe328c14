package app

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// An event that its consumer cannot handle, or that makes it panic, is written
// down and passed; the next one is handled. When not even that can be written
// down, who waits is told, instead of waiting for ever.
func TestEventThatCannotBeHandled(t *testing.T) {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: []db.Migration{consumerMigration}})
	ctx, cancel := context.WithCancel(slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana", Role: slipway.Admin}))
	var handled []string
	x := newDispatcher(d, []consumer{{"registry", []string{"run.finished"}, func(_ context.Context, e slipway.Event) error {
		switch e.Subject.ID {
		case "panics":
			panic("no")
		case "fails":
			return slipway.Errorf(slipway.Invalid, "no such thing")
		}
		handled = append(handled, e.Subject.ID)
		return nil
	}}})
	if err := x.load(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	record := func(id string) {
		t.Helper()
		err := d.Write(ctx, func(tx *db.Tx) error {
			return tx.Record(slipway.Event{Project: "p", Verb: "run.finished", Subject: slipway.NewRef(slipway.KindRun, id)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"one", "fails", "panics", "two"} {
		record(id)
	}
	if err := x.drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(handled, " "); got != "one two" {
		t.Errorf("handled %q", got)
	}
	var failed int
	if err := d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT count(*) FROM consumer_failure`).Scan(&failed) }); err != nil || failed != 2 {
		t.Errorf("%d events are written down as not handled, %v", failed, err)
	}

	err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DROP TABLE consumer_failure`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	record("fails")
	if err := x.drain(ctx); err == nil || !strings.Contains(err.Error(), "registry is behind") {
		t.Errorf("who waits is told: %v", err)
	}
}
