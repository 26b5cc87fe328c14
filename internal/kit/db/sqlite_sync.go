package db

import (
	"errors"
	"os"

	slipway "github.com/slipway-ml/slipway"
)

// walSync makes commits durable. SQLite would do so by fsync, which also waits
// for the time of change in the file's metadata to be journalled; the log is
// mostly written over itself, so syncing its data alone is enough and takes
// about half as long. SQLite is left to sync where it folds the log into the
// database (synchronous = NORMAL), and the writer syncs the log before anybody
// is told that a commit is done. A second descriptor of the log releases no
// lock: the locks are on the other two files.
type walSync struct {
	path string
	file *os.File
	// sick says that a sync failed. Its commit is there for readers, and its
	// callers were told that it may be lost. Nothing may be written behind it
	// until all of it is safe.
	sick bool
	data func(*os.File) error // syncData, or a test's
}

// commit waits until the last commit is durable.
func (s *walSync) commit() (err error) {
	if s.file == nil {
		if s.file, err = os.OpenFile(s.path, os.O_RDWR, 0); err != nil {
			s.sick = true
			return s.fault(err)
		}
	}
	if err := s.data(s.file); err != nil {
		s.sick = true
		return s.fault(err)
	}
	return nil
}

func (s *walSync) fault(err error) error { return failing.fault("sync of "+s.path, err) }

// heal folds the whole log into the database after a failed sync, which writes
// everything anew: the system may have forgotten pages that it could not write.
func (s *walSync) heal(c *sqliteConn) error {
	stmt, _, err := c.conn.PrepareTransient("PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return s.fault(err)
	}
	_, err = stmt.Step()
	blocked := err == nil && stmt.ColumnInt64(0) != 0
	if err = errors.Join(err, stmt.Finalize()); err != nil {
		return s.fault(err)
	}
	if blocked {
		return slipway.Errorf(slipway.Unavailable, "the database recovers from a failure of its disk").WithHint("try again in a moment")
	}
	s.sick = false
	return nil
}

func (s *walSync) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
