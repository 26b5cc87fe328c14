package db

import (
	"path/filepath"
	"reflect"
	"testing"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A statement is planned once, whatever it is asked with.
func TestPlansAreKept(t *testing.T) {
	d, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tls := libc.NewTLS()
	defer tls.Close()
	err = d.Read(t.Context(), func(tx *Tx) error {
		const sql = "SELECT id FROM event WHERE number > ? ORDER BY number LIMIT ?"
		for i := range 10 {
			if _, err := All(tx, func(s Scanner) (id string, err error) { return id, s.Scan(&id) }, sql, i, i+1); err != nil {
				return err
			}
		}
		stmt := tx.session.(*sqliteConn).cache[sql]
		handle := uintptr(reflect.ValueOf(stmt).Elem().FieldByName("stmt").Uint())
		if n := lib.Xsqlite3_stmt_status(tls, handle, lib.SQLITE_STMTSTATUS_REPREPARE, 0); n > 0 {
			t.Errorf("planned again %d times", n)
		}
		if n := lib.Xsqlite3_stmt_status(tls, handle, lib.SQLITE_STMTSTATUS_RUN, 0); n != 10 {
			t.Errorf("it ran %d times", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
