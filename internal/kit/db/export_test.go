package db

import "os"

// SetSync replaces how a SQLite database syncs its log; nil is the real way.
func (d *DB) SetSync(fn func(*os.File) error) {
	if fn == nil {
		fn = syncData
	}
	d.engine.(*sqliteDB).writer.sync.data = fn
}
