package db

import (
	"fmt"
	"reflect"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// keepPlans makes SQLite plan a statement without looking at its arguments. Else
// this build, which has STAT4, plans a statement with "x > ?" anew whenever it
// runs with another argument, which takes several times as long as running it;
// there are no statistics here that the plan could follow from. The driver has
// no call for this setting (SQLITE_DBCONFIG_ENABLE_QPSG), so the handle is read
// from its connection.
func keepPlans(c *sqlite.Conn) error {
	handle := reflect.ValueOf(c).Elem().FieldByName("conn")
	if handle.Kind() != reflect.Uintptr {
		return fmt.Errorf("db: this version of the SQLite driver keeps its handle elsewhere")
	}
	tls := libc.NewTLS()
	defer tls.Close()
	args := libc.NewVaList(int32(1), uintptr(0)) // on, and no wish to know what it was
	if args == 0 {
		return fmt.Errorf("db: no memory")
	}
	defer libc.Xfree(tls, args)
	if code := lib.Xsqlite3_db_config(tls, uintptr(handle.Uint()), lib.SQLITE_DBCONFIG_ENABLE_QPSG, args); code != lib.SQLITE_OK {
		return fmt.Errorf("db: SQLite does not keep its plans: code %d", code)
	}
	return nil
}
