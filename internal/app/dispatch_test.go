package app

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// TestForeignEventsArePassedOnce shows that the next process does not read the
// whole log again for a consumer that wanted nothing of it.
func TestForeignEventsArePassedOnce(t *testing.T) {
	ctx := slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ada", Role: slipway.Admin})
	d, err := db.Open(ctx, filepath.Join(t.TempDir(), "x.db"), db.Options{Migrations: migrations()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const events = 2*batch + 10
	err = d.Write(ctx, func(tx *db.Tx) error {
		for range events {
			if err := tx.Record(slipway.Event{Project: "p", Verb: "run.started", Subject: slipway.NewRef(slipway.KindRun, "r")}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	handled := 0
	handle := func(context.Context, slipway.Event) error { handled++; return nil }
	serve := func() map[string]int64 {
		running, stop := context.WithCancel(ctx)
		defer stop()
		x := newDispatcher(d, []consumer{{"none", nil, handle}, {"all", []string{"run.started"}, handle}})
		if err := x.load(ctx); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); x.run(running) }()
		if err := x.drain(ctx); err != nil {
			t.Fatal(err)
		}
		stop()
		<-ended
		return x.at
	}
	if at := serve(); at["none"] != events || at["all"] != events || handled != events {
		t.Fatalf("at %v, %d handled", at, handled)
	}
	var written int64
	err = d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT number FROM consumer WHERE name = 'none'`).Scan(&written)
	})
	if err != nil || written < events-batch {
		t.Errorf("written down at %d of %d: %v", written, events, err)
	}
	if serve(); handled != events {
		t.Errorf("%d events handled, %d again", events, handled-events)
	}
}
