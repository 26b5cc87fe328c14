package gate

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the certificates and the waivers.
var Migration = db.Migration{Name: "gate", Statements: []string{
	// cause is the event that a gate ran for, so that handling the event again
	// runs it no second time. number tells the newest.
	`CREATE TABLE certificate (
		number SERIAL KEY,
		project TEXT NOT NULL,
		digest TEXT NOT NULL,
		cause TEXT,
		model TEXT NOT NULL,
		version BIGINT NOT NULL,
		verdict TEXT NOT NULL,
		reason TEXT NOT NULL,
		gated BIGINT NOT NULL,
		source TEXT NOT NULL,
		golden TEXT NOT NULL,
		evidence TEXT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL)`,
	`CREATE UNIQUE INDEX certificate_digest ON certificate (project, digest)`,
	`CREATE UNIQUE INDEX certificate_cause ON certificate (cause)`,
	`CREATE INDEX certificate_model ON certificate (project, model, version, number)`,
	`CREATE TABLE waiver (
		project TEXT NOT NULL,
		model TEXT NOT NULL,
		version BIGINT NOT NULL,
		reason TEXT NOT NULL,
		at BIGINT NOT NULL,
		actor TEXT NOT NULL,
		PRIMARY KEY (project, model, version))`,
}}

// Entry is one certificate in a list.
type Entry struct {
	Digest  slipway.Digest  `json:"digest"`
	Model   string          `json:"model"` // name@vN
	Verdict slipway.Verdict `json:"verdict"`
	Reason  string          `json:"reason,omitempty"`
	Gated   bool            `json:"gated"`
	Created time.Time       `json:"created"`
	Actor   string          `json:"actor"`

	source   slipway.Source
	golden   slipway.Digest
	evidence map[string]Digest
}

const entryColumns = `digest, model, version, verdict, reason, gated, source, golden, evidence, created, actor`

func scanEntry(r db.Scanner) (e Entry, err error) {
	var version int
	err = r.Scan(&e.Digest, &e.Model, &version, &e.Verdict, &e.Reason, &e.Gated, &e.source, &e.golden, db.JSON(&e.evidence), &e.Created, &e.Actor)
	e.Model = slipway.VersionRef(slipway.KindModel, e.Model, version).ID
	return e, err
}

// insert records a certificate whose content is stored. One whose cause was
// handled already changes nothing.
func (s *Service) insert(ctx context.Context, c Signed, cause string) error {
	name, version := slipway.NewRef(slipway.KindModel, c.Certificate.Model).Version()
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var key any
		if cause != "" {
			key = cause
		}
		n, err := tx.Exec(`INSERT INTO certificate (project, cause, `+entryColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			c.Certificate.Project, key, c.Digest, name, version, c.Certificate.Verdict, c.Certificate.Reason, c.Certificate.Gated,
			c.Certificate.Source, c.Certificate.Golden, db.JSON(c.Certificate.Evidence), c.Certificate.Time, c.Certificate.Actor)
		if err != nil || n == 0 {
			return err
		}
		return tx.Record(decided(c))
	})
}

// decided is the event that tells of a certificate, with its lineage. The
// champion is named in its data only: the version was not made from it.
func decided(c Signed) slipway.Event {
	from := func(kind slipway.Kind, id string) slipway.Link {
		return slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(kind, id)}
	}
	links := []slipway.Link{from(slipway.KindModel, c.Certificate.Model)}
	for _, d := range c.Certificate.Dataset {
		links = append(links, slipway.Link{Relation: slipway.From, Ref: d})
	}
	if e, ok := c.Certificate.Evidence["scores"]; ok {
		links = append(links, from(slipway.KindArtifact, string(e.Digest)))
	}
	data, _ := json.Marshal(map[string]any{"verdict": c.Certificate.Verdict, "model": c.Certificate.Model, "reason": c.Certificate.Reason,
		"gated": c.Certificate.Gated, "source": c.Certificate.Source, "champion": c.Certificate.Champion, "checks": len(c.Certificate.Check)})
	return slipway.Event{Project: c.Certificate.Project, Actor: c.Certificate.Actor, Verb: "gate.decided",
		Subject: slipway.NewRef(slipway.KindCertificate, string(c.Digest)), Link: links, Data: data}
}

// handled reports whether a gate ran for the cause.
func (s *Service) handled(ctx context.Context, cause string) (bool, error) {
	var n int
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM certificate WHERE cause = ?`, cause).Scan(&n)
	})
	return n > 0, err
}

// newest is the newest certificate of a version. It fails with NotFound.
func (s *Service) newest(ctx context.Context, project, model string, version int) (e Entry, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		e, err = db.One(tx, scanEntry, `SELECT `+entryColumns+` FROM certificate WHERE project = ? AND model = ? AND version = ? ORDER BY number DESC LIMIT 1`,
			project, model, version)
		return err
	})
	if slipway.IsCode(err, slipway.NotFound) {
		id := slipway.VersionRef(slipway.KindModel, model, version).ID
		return e, slipway.Errorf(slipway.NotFound, "%s has no certificate", id).WithHint("`slipway gate run %s` makes one", id)
	}
	return e, err
}

// byDigest finds a certificate by the beginning of its digest. It fails with
// NotFound, and Invalid when the beginning fits several.
func (s *Service) byDigest(ctx context.Context, project, prefix string) (e Entry, err error) {
	var found []Entry
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = db.All(tx, scanEntry, `SELECT `+entryColumns+` FROM certificate WHERE project = ? AND digest >= ? AND digest < ? ORDER BY digest LIMIT 2`,
			project, prefix, prefix+"~")
		return err
	})
	switch {
	case err != nil:
		return e, err
	case len(found) == 0:
		return e, slipway.Errorf(slipway.NotFound, "there is no certificate %s", prefix).WithHint("`slipway gate ls` lists them")
	case len(found) > 1 && found[0].Digest != slipway.Digest(prefix):
		return e, slipway.Errorf(slipway.Invalid, "several certificates begin with %s", prefix).WithHint("write more of it")
	}
	return found[0], nil
}

// List reads the certificates of a project, newest first.
func (s *Service) List(ctx context.Context, project string, limit int) (out []Entry, err error) {
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanEntry, `SELECT `+entryColumns+` FROM certificate WHERE project = ? ORDER BY number DESC LIMIT ?`, project, limit)
		return err
	})
	return out, err
}

// waiver is a version's waiver, nil when there is none.
func (s *Service) waiver(ctx context.Context, project, model string, version int) (*Waiver, error) {
	var found []Waiver
	err := s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = db.All(tx, func(r db.Scanner) (w Waiver, err error) {
			err = r.Scan(&w.Reason, &w.Actor, &w.At)
			return w, err
		}, `SELECT reason, actor, at FROM waiver WHERE project = ? AND model = ? AND version = ?`, project, model, version)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (s *Service) insertWaiver(ctx context.Context, v slipway.ModelVersion, reason string) (w Waiver, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		w = Waiver{reason, slipway.PrincipalOf(ctx).Name, tx.Now()}
		n, err := tx.Exec(`INSERT INTO waiver (project, model, version, reason, at, actor) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			v.Project, v.Name, v.Version, w.Reason, w.At, w.Actor)
		if err != nil {
			return err
		}
		if n == 0 {
			return slipway.Errorf(slipway.Conflict, "%s was waived already", v.ID()).WithHint("`slipway gate show %s` says why", v.ID())
		}
		data, err := json.Marshal(w)
		if err != nil {
			return err
		}
		return tx.Record(slipway.Event{Project: v.Project, Verb: "gate.waived", Subject: v.Ref(), Data: data})
	})
	return w, err
}

// Roots are the digests of content that certificates need. Garbage collection
// keeps them.
func (s *Service) Roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		var all []Entry
		err := s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
			all, err = db.All(tx, scanEntry, `SELECT `+entryColumns+` FROM certificate`)
			return err
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, e := range all {
			if !yield(e.Digest, nil) || e.golden != "" && !yield(e.golden, nil) {
				return
			}
			for _, d := range e.evidence {
				if !yield(d.Digest, nil) {
					return
				}
			}
		}
	}
}
