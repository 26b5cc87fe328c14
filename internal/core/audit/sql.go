package audit

import (
	"context"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the lineage graph, drawn from events, and indexes that the log
// is read by.
var Migration = db.Migration{Name: "audit", Statements: []string{
	`CREATE TABLE edge (
		project TEXT NOT NULL,
		source TEXT NOT NULL,
		target TEXT NOT NULL,
		number BIGINT NOT NULL,
		PRIMARY KEY (project, source, target))`,
	`CREATE INDEX edge_target ON edge (project, target)`,
	`CREATE INDEX event_subject ON event (subject, number)`,
	`CREATE INDEX event_project ON event (project, number)`,
}}

// draw writes an event's links as edges in the direction in which data flows.
// Drawing one twice changes nothing.
func (s *Service) draw(ctx context.Context, e slipway.Event) error {
	if len(e.Link) == 0 {
		return nil
	}
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		for _, l := range e.Link {
			source, target := l.Ref, e.Subject
			if l.Relation == slipway.To {
				source, target = e.Subject, l.Ref
			}
			_, err := tx.Exec(`INSERT INTO edge (project, source, target, number) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				e.Project, source, target, e.Number)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// graph is the lineage graph of a project as one transaction sees it.
type graph struct {
	tx      *db.Tx
	project string
}

// read runs fn over one snapshot of a project's lineage.
func (s *Service) read(ctx context.Context, project string, fn func(graph) error) error {
	return s.o.DB.Read(ctx, func(tx *db.Tx) error { return fn(graph{tx, project}) })
}

// neighbours returns what ref was made from (up) or what was made from it.
func (g graph) neighbours(ref slipway.Ref, up bool) ([]slipway.Ref, error) {
	query := `SELECT target FROM edge WHERE project = ? AND source = ? ORDER BY number, target`
	if up {
		query = `SELECT source FROM edge WHERE project = ? AND target = ? ORDER BY number, source`
	}
	return db.All(g.tx, func(r db.Scanner) (ref slipway.Ref, err error) {
		err = r.Scan(&ref)
		return ref, err
	}, query, g.project, ref)
}

// about returns the events of which ref is the subject, oldest first.
func (g graph) about(ref slipway.Ref) ([]slipway.Event, error) {
	return db.All(g.tx, scanEvent, `SELECT `+eventColumns+` FROM event
		WHERE project = ? AND subject = ? AND number IS NOT NULL ORDER BY number`, g.project, ref)
}

const eventColumns = `id, number, time, project, actor, verb, subject, link, data`

func scanEvent(r db.Scanner) (e slipway.Event, err error) {
	err = r.Scan(&e.ID, &e.Number, &e.Time, &e.Project, &e.Actor, &e.Verb, &e.Subject, db.JSON(&e.Link), &e.Data)
	return e, err
}

// Log returns sealed events, oldest first unless the filter says otherwise.
func (s *Service) Log(ctx context.Context, f Filter) (out []slipway.Event, err error) {
	where, args := []string{"number > ?"}, []any{f.After}
	for column, value := range map[string]string{"project": f.Project, "actor": f.Actor, "subject": f.Subject} {
		if value != "" {
			where, args = append(where, column+" = ?"), append(args, value)
		}
	}
	if f.Verb != "" {
		var verbs []string
		for verb := range strings.SplitSeq(f.Verb, ",") {
			if verb = strings.TrimSpace(verb); strings.HasSuffix(verb, ".") {
				verbs, args = append(verbs, "substr(verb, 1, ?) = ?"), append(args, len(verb), verb)
			} else {
				verbs, args = append(verbs, "verb = ?"), append(args, verb)
			}
		}
		where = append(where, "("+strings.Join(verbs, " OR ")+")")
	}
	order := "number"
	if f.Newest {
		order = "number DESC"
	}
	limit := f.Limit
	if limit <= 0 || limit > 10_000 {
		limit = 1000
	}
	if _, err := s.o.DB.LastEvent(ctx); err != nil { // seals what is committed
		return nil, err
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, scanEvent, `SELECT `+eventColumns+` FROM event WHERE `+strings.Join(where, " AND ")+
			` ORDER BY `+order+` LIMIT ?`, append(args, limit)...)
		return err
	})
	return out, err
}

// Projects lists the projects of which the log knows.
func (s *Service) Projects(ctx context.Context) (out []string, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = db.All(tx, func(r db.Scanner) (name string, err error) {
			err = r.Scan(&name)
			return name, err
		}, `SELECT DISTINCT project FROM event WHERE project <> '' ORDER BY project`)
		return err
	})
	return out, err
}
