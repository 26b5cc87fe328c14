package db

import (
	"fmt"
	"strings"

	slipway "github.com/slipway-ml/slipway"
)

// Migration is the schema of one capability: statements in the order in which
// they were thought of. Statements are only ever appended; one that a database
// has applied never changes. Column types are TEXT, BIGINT, DOUBLE PRECISION,
// BLOB, and SERIAL KEY for an id that counts up; WITHOUT ROWID is allowed.
type Migration struct {
	Name       string
	Statements []string
}

// migrationTable records which statements a database has applied: version
// counts them from 1, digest tells that they are still the same.
const migrationTable = `CREATE TABLE IF NOT EXISTS schema_migration (
	name TEXT NOT NULL, version BIGINT NOT NULL, digest TEXT NOT NULL,
	PRIMARY KEY (name, version))`

// applied is one row of the table.
type applied struct {
	name    string
	version int
	digest  slipway.Digest
}

func scanApplied(s Scanner) (applied, error) {
	var a applied
	err := s.Scan(&a.name, &a.version, &a.digest)
	return a, err
}

// checkMigrations refuses migrations that are wrong by themselves.
func checkMigrations(all []Migration) error {
	seen := map[string]bool{}
	for _, m := range all {
		if m.Name == "" || seen[m.Name] {
			return fmt.Errorf("db: two migrations are called %q", m.Name)
		}
		seen[m.Name] = true
		for i, s := range m.Statements {
			if err := checkDDL(s); err != nil {
				return fmt.Errorf("db: migration %s, statement %d: %w", m.Name, i+1, err)
			}
		}
	}
	return nil
}

// applyMigrations runs the statements that the database has not seen, or only
// checks that there are none.
func applyMigrations(tx *Tx, all []Migration, checkOnly bool) error {
	if !checkOnly {
		if err := execDDL(tx, migrationTable); err != nil {
			return err
		}
	}
	rows, err := All(tx, scanApplied, "SELECT name, version, digest FROM schema_migration ORDER BY name, version")
	if err != nil {
		return err
	}
	done := map[string][]applied{}
	for _, a := range rows {
		done[a.name] = append(done[a.name], a)
	}
	for _, m := range all {
		if err := m.apply(tx, done[m.Name], checkOnly); err != nil {
			return err
		}
		delete(done, m.Name)
	}
	for name := range done {
		return tooNew(name)
	}
	return nil
}

// apply runs the rest of one capability's statements.
func (m Migration) apply(tx *Tx, done []applied, checkOnly bool) error {
	if len(done) > len(m.Statements) {
		return tooNew(m.Name)
	}
	for i, s := range m.Statements {
		digest := statementDigest(s)
		if i < len(done) {
			if done[i].version != i+1 || done[i].digest != digest {
				return slipway.Errorf(slipway.Conflict, "statement %d of the schema of %s is not the one that made this database", i+1, m.Name).
					WithHint("a statement that was released never changes: restore it and append another")
			}
			continue
		}
		if checkOnly {
			return slipway.Errorf(slipway.Conflict, "the schema of %s in this database is older than this program", m.Name).
				WithHint("open it once for writing")
		}
		if err := execDDL(tx, s); err != nil {
			return fmt.Errorf("migration %s, statement %d: %w", m.Name, i+1, err)
		}
		if _, err := tx.Exec("INSERT INTO schema_migration (name, version, digest) VALUES (?, ?, ?)", m.Name, i+1, digest); err != nil {
			return err
		}
	}
	return nil
}

func execDDL(tx *Tx, statement string) error {
	_, err := tx.Exec(tx.db.engine.ddl(statement))
	return err
}

func tooNew(name string) error {
	return slipway.Errorf(slipway.Conflict, "the schema of %s in this database is newer than this program", name).
		WithHint("use the newer slipway that made it")
}

// statementDigest does not mind how a statement is laid out.
func statementDigest(s string) slipway.Digest {
	return slipway.DigestOf([]byte(strings.Join(strings.Fields(s), " ")))
}
