package access

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the token table.
var Migration = db.Migration{Name: "access", Statements: []string{
	`CREATE TABLE token (
		id TEXT PRIMARY KEY,
		digest TEXT NOT NULL UNIQUE,
		name TEXT NOT NULL,
		role TEXT NOT NULL,
		project TEXT NOT NULL,
		created BIGINT NOT NULL,
		creator TEXT NOT NULL,
		expires BIGINT NOT NULL,
		revoked BIGINT NOT NULL,
		used BIGINT NOT NULL)`,
}}

const tokenColumns = `id, name, role, project, created, creator, expires, revoked, used`

func scanToken(r db.Scanner) (t Token, err error) {
	err = r.Scan(&t.ID, &t.Name, &t.Role, &t.Project, &t.Created, &t.Creator, &t.Expires, &t.Revoked, &t.Used)
	return t, err
}

func (s *Service) insert(ctx context.Context, t Token, digest slipway.Digest) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO token (digest, `+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			digest, t.ID, t.Name, t.Role, t.Project, t.Created, t.Creator, t.Expires, t.Revoked, t.Used)
		if err != nil {
			return err
		}
		return tx.Record(tokenEvent("access.token_created", t))
	})
}

func (s *Service) byDigest(ctx context.Context, digest slipway.Digest) (t Token, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = db.One(tx, scanToken, `SELECT `+tokenColumns+` FROM token WHERE digest = ?`, digest)
		return err
	})
	return t, err
}

func (s *Service) touch(ctx context.Context, id string, day time.Time) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE token SET used = ? WHERE id = ?`, day, id)
		return err
	})
}

// List returns every token, newest first.
func (s *Service) List(ctx context.Context) (out []Token, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanToken, `SELECT `+tokenColumns+` FROM token ORDER BY created DESC, id`)
		return err
	})
	return out, err
}

// Any reports whether a valid token exists.
func (s *Service) Any(ctx context.Context) (bool, error) {
	var n int
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM token WHERE revoked = 0 AND (expires = 0 OR expires > ?)`, s.o.Now()).Scan(&n)
	})
	return n > 0, err
}

// Revoke ends a token, named by its id or by its principal when only one token
// has it. It fails with NotFound or Conflict.
func (s *Service) Revoke(ctx context.Context, name string) (t Token, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		found, err := db.All(tx, scanToken, `SELECT `+tokenColumns+` FROM token WHERE (id = ? OR name = ?) AND revoked = 0`, name, name)
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return slipway.Errorf(slipway.NotFound, "no valid token %s", name).WithHint("`slipway token ls` lists them")
		case len(found) > 1:
			return slipway.Errorf(slipway.Conflict, "%d tokens stand for %s", len(found), name).WithHint("revoke by the id that `slipway token ls` shows")
		}
		t = found[0]
		t.Revoked = tx.Now()
		if _, err := tx.Exec(`UPDATE token SET revoked = ? WHERE id = ?`, t.Revoked, t.ID); err != nil {
			return err
		}
		return tx.Record(tokenEvent("access.token_revoked", t))
	})
	return t, err
}

func tokenEvent(verb string, t Token) slipway.Event {
	return slipway.Event{Project: t.Project, Verb: verb, Subject: slipway.NewRef(slipway.KindPrincipal, t.Name), Data: eventData(t)}
}
