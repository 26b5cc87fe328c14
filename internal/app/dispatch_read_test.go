package app

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// Consumers share what is read of the log. Each still sees every event that it
// wants, once and in order, wherever it begins; one that stands still holds
// nobody up, and finds all the rest when it goes on.
func TestConsumersShareTheLog(t *testing.T) {
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: []db.Migration{consumerMigration}})
	ctx, cancel := context.WithCancel(slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana", Role: slipway.Admin}))
	record := func(n int) {
		t.Helper()
		err := d.Write(ctx, func(tx *db.Tx) error {
			for i := range n {
				if err := tx.Record(slipway.Event{Project: "p", Verb: []string{"even", "odd"}[i%2], Subject: slipway.NewRef(slipway.KindRun, "r")}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	record(batch + 20)
	err := d.Write(ctx, func(tx *db.Tx) error { // one that handled some events in an earlier process
		_, err := tx.Exec(`INSERT INTO consumer (name, number) VALUES ('late', 100)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string][]int64{}
	gate := make(chan struct{})
	see := func(name string, wait <-chan struct{}) func(context.Context, slipway.Event) error {
		return func(_ context.Context, e slipway.Event) error {
			if wait != nil {
				<-wait
			}
			mu.Lock()
			defer mu.Unlock()
			seen[name] = append(seen[name], e.Number)
			return nil
		}
	}
	both := []string{"even", "odd"}
	x := newDispatcher(d, []consumer{{"all", both, see("all", nil)}, {"odd", both[1:], see("odd", nil)}, {"late", both, see("late", nil)}, {"slow", both, see("slow", gate)}})
	if err := x.load(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); x.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	total := int64(batch + 20)
	for range 30 {
		record(10)
		total += 10
	}
	for _, name := range []string{"all", "odd", "late"} {
		if err := x.pass(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	record(600)
	total += 600
	if err := x.drain(ctx); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, want := range map[string][3]int64{"all": {1, 1, total}, "late": {101, 1, total}, "slow": {1, 1, total}, "odd": {2, 2, total}} {
		next := want[0]
		for _, n := range seen[name] {
			if n != next {
				t.Fatalf("%s saw event %d where %d is next", name, n, next)
			}
			next += want[1]
		}
		if next <= want[2] {
			t.Errorf("%s saw events up to %d of %d", name, next-want[1], want[2])
		}
	}
}

// Quick work is written down some events at a time, and all of it before
// anybody is told that it is done.
func TestQuickWorkIsWrittenDownTogether(t *testing.T) {
	ctx := slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana", Role: slipway.Admin})
	d := dbtest.Open(t, filepath.Join(t.TempDir(), "test.db"), db.Options{Migrations: []db.Migration{consumerMigration}})
	running, stop := context.WithCancel(ctx)
	x := newDispatcher(d, []consumer{{"all", []string{"run.started"}, func(context.Context, slipway.Event) error { return nil }}})
	done := make(chan struct{})
	go func() { defer close(done); x.run(running) }()
	t.Cleanup(func() { stop(); <-done })
	for range 50 {
		err := d.Write(ctx, func(tx *db.Tx) error {
			return tx.Record(slipway.Event{Project: "p", Verb: "run.started", Subject: slipway.NewRef(slipway.KindRun, "r")})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.drain(ctx); err != nil {
			t.Fatal(err)
		}
		var at, last int64
		err = d.Read(ctx, func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT number FROM consumer WHERE name = 'all'`).Scan(&at); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT max(number) FROM event`).Scan(&last)
		})
		if err != nil || at != last {
			t.Fatalf("written down at %d of %d, %v", at, last, err)
		}
	}
}
