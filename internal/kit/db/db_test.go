package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	slipway "github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

var shelf = []db.Migration{{Name: "shelf", Statements: []string{
	`CREATE TABLE shelf (id SERIAL KEY, name TEXT NOT NULL UNIQUE)`,
	`CREATE TABLE book (shelf BIGINT NOT NULL REFERENCES shelf(id), title TEXT NOT NULL, PRIMARY KEY (shelf, title)) WITHOUT ROWID`,
}}}

// count is how many rows a query counts.
func count(t *testing.T, d *db.DB, sql string, args ...any) int {
	t.Helper()
	var n int
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(sql, args...).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func insertShelf(name string) func(*db.Tx) error {
	return func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO shelf (name) VALUES (?)", name)
		return err
	}
}

// A thousand callers write at once; every tenth fails in its own way. Those
// who were told so are kept, the others leave nothing behind.
func TestWritersDoNotHurtEachOther(t *testing.T) {
	dbtest.Each(t, shelf, func(t *testing.T, d *db.DB) {
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					if err := insertShelf(fmt.Sprint(i))(tx); err != nil {
						return err
					}
					if err := tx.Record(slipway.Event{Verb: "shelf.made", Subject: slipway.NewRef(slipway.KindRun, fmt.Sprint(i))}); err != nil {
						return err
					}
					if i%10 == 3 {
						return boom
					}
					return nil
				})
				if want := map[bool]error{true: boom}[i%10 == 3]; !errors.Is(err, want) {
					t.Errorf("write %d: %v, want %v", i, err, want)
				}
			})
		}
		wg.Wait()
		if n := count(t, d, "SELECT count(*) FROM shelf"); n != 900 {
			t.Errorf("%d shelves, want 900", n)
		}
		head, err := d.VerifyEvents(t.Context())
		if err != nil || head.Number != 900 {
			t.Errorf("the log ends at %+v, %v; want event 900", head, err)
		}
	})
}
