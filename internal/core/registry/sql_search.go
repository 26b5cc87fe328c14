package registry

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const entryColumns = `v.project, v.name, v.version, v.description, v.stage, v.origin, v.run, v.run_link, v.logged_model, v.source, v.state,
	v.content, v.created, v.updated, v.actor`

func scanEntry(r db.Scanner) (e Entry, err error) {
	err = r.Scan(&e.Project, &e.Name, &e.Version, &e.Description, &e.Stage, &e.Origin, &e.Run, &e.RunLink, &e.LoggedModel, &e.Source, &e.State,
		&e.Content, &e.Created, &e.Updated, &e.Actor)
	return e, err
}

// SearchModels finds models. next is the token of the page after, or "".
func (s *Service) SearchModels(ctx context.Context, q Search) (out []Card, next string, err error) {
	find, err := q.statement(modelSearch, `SELECT `+cardColumns+` FROM model m WHERE m.gone = 0`, `m`,
		`model_tag`, `t.project = m.project AND t.name = m.name`)
	if err != nil {
		return nil, "", err
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		if out, err = db.All(tx, scanCard, find.sql, find.args...); err != nil {
			return err
		}
		out, next = turn(q, find, out)
		return fillCards(tx, out)
	})
	return out, next, err
}

// SearchVersions finds versions. next is the token of the page after, or "".
func (s *Service) SearchVersions(ctx context.Context, q Search) (out []Entry, next string, err error) {
	find, err := q.statement(versionSearch, `SELECT `+entryColumns+` FROM model_version v WHERE v.state <> 'deleted'`, `v`,
		`model_version_tag`, `t.project = v.project AND t.name = v.name AND t.version = v.version`)
	if err != nil {
		return nil, "", err
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		if out, err = db.All(tx, scanEntry, find.sql, find.args...); err != nil {
			return err
		}
		out, next = turn(q, find, out)
		return fillEntries(tx, pointers(out))
	})
	return out, next, err
}

// statement is a search in SQL. It asks for one row more than the page has.
type statement struct {
	sql           string
	args          []any
	limit, offset int
}

func (q Search) statement(kind searched, from, row, tags, of string) (f statement, err error) {
	if f.limit, f.offset, err = q.window(kind); err != nil {
		return f, err
	}
	where, args, err := kind.where(q.Filter, tags, of, row)
	if err != nil {
		return f, err
	}
	order, err := kind.ordering(q.Order)
	if err != nil {
		return f, err
	}
	project := row + `.project`
	if q.Project != "" {
		where, args = where+` AND `+project+` = ?`, append(args, q.Project)
	}
	f.sql, f.args = from+where+` ORDER BY `+order+`, `+project+` LIMIT ? OFFSET ?`, append(args, f.limit+1, f.offset)
	return f, nil
}

// turn cuts a page off and names the one after it.
func turn[T any](q Search, f statement, found []T) ([]T, string) {
	if len(found) <= f.limit {
		return found, ""
	}
	return found[:f.limit], q.token(f.offset + f.limit)
}

// Card reads a model. It fails with NotFound.
func (s *Service) Card(ctx context.Context, project, name string) (c Card, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		if c, err = living(tx, project, name); err != nil {
			return err
		}
		one := []Card{c}
		err = fillCards(tx, one)
		c = one[0]
		return err
	})
	return c, err
}

// Entry reads version n of a model. It fails with NotFound.
func (s *Service) Entry(ctx context.Context, project, name string, n int) (e Entry, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		e, err = db.One(tx, scanEntry, `SELECT `+entryColumns+` FROM model_version v WHERE v.project = ? AND v.name = ? AND v.version = ? AND v.state <> ?`,
			project, name, n, slipway.ModelDeleted)
		if slipway.IsCode(err, slipway.NotFound) {
			return slipway.Errorf(slipway.NotFound, "Model Version (name=%s, version=%d) not found", name, n)
		}
		if err != nil {
			return err
		}
		return fillEntries(tx, []*Entry{&e})
	})
	return e, err
}

// entries are all versions of a model, newest first.
func (s *Service) entries(ctx context.Context, project, name string) (out []Entry, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, scanEntry, `SELECT `+entryColumns+` FROM model_version v WHERE v.project = ? AND v.name = ? AND v.state <> ? ORDER BY v.version DESC`,
			project, name, slipway.ModelDeleted)
		if err != nil {
			return err
		}
		return fillEntries(tx, pointers(out))
	})
	return out, err
}

// Aliased is the version that an alias means, 0 when there is none.
func (s *Service) Aliased(ctx context.Context, project, name, alias string) (n int, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		n, err = aliased(tx, project, name, alias)
		return err
	})
	return n, err
}

// Homes are the projects that have a model of a name.
func (s *Service) Homes(ctx context.Context, name string) (out []string, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		out, err = db.All(tx, func(r db.Scanner) (p string, err error) { return p, r.Scan(&p) },
			`SELECT project FROM model WHERE name = ? AND gone = 0 ORDER BY project`, name)
		return err
	})
	return out, err
}

// fillCards adds tags, aliases and the newest version of each stage.
func fillCards(tx *db.Tx, cards []Card) error {
	at := map[[2]string]*Card{}
	for i := range cards {
		c := &cards[i]
		c.Tag, c.Alias, c.Latest = []Tag{}, []Alias{}, []Entry{}
		at[[2]string{c.Project, c.Name}] = c
	}
	for project, names := range groups(cards, func(c Card) (string, string) { return c.Project, c.Name }) {
		in, args := among(project, names)
		err := each(tx, `SELECT name, key, value FROM model_tag WHERE project = ? AND name IN `+in+` ORDER BY name, key`, args, func(r db.Scanner) error {
			var name string
			var t Tag
			err := r.Scan(&name, &t.Key, &t.Value)
			c := at[[2]string{project, name}]
			c.Tag = append(c.Tag, t)
			return err
		})
		if err != nil {
			return err
		}
		err = each(tx, `SELECT name, alias, version, at, actor FROM model_alias WHERE project = ? AND name IN `+in+` ORDER BY name, alias`, args, func(r db.Scanner) error {
			var name string
			var a Alias
			err := r.Scan(&name, &a.Alias, &a.Version, &a.At, &a.Actor)
			c := at[[2]string{project, name}]
			c.Alias = append(c.Alias, a)
			return err
		})
		if err != nil {
			return err
		}
		newest, err := db.All(tx, scanEntry, `SELECT `+entryColumns+` FROM model_version v JOIN (SELECT name, stage, MAX(version) AS version FROM model_version
			WHERE project = ? AND name IN `+in+` AND state <> 'deleted' GROUP BY name, stage) n
			ON n.name = v.name AND n.version = v.version WHERE v.project = ? ORDER BY v.name, v.version`, append(args, project)...)
		if err != nil {
			return err
		}
		if err := fillEntries(tx, pointers(newest)); err != nil {
			return err
		}
		for _, e := range newest {
			c := at[[2]string{project, e.Name}]
			c.Latest = append(c.Latest, e)
		}
	}
	return nil
}

// fillEntries adds tags and aliases.
func fillEntries(tx *db.Tx, entries []*Entry) error {
	type key struct {
		project, name string
		version       int
	}
	at := map[key]*Entry{}
	for _, e := range entries {
		e.Tag, e.Alias = []Tag{}, []string{}
		at[key{e.Project, e.Name, e.Version}] = e
	}
	for project, names := range groups(entries, func(e *Entry) (string, string) { return e.Project, e.Name }) {
		in, args := among(project, names)
		err := each(tx, `SELECT name, version, key, value FROM model_version_tag WHERE project = ? AND name IN `+in+` ORDER BY name, version, key`, args, func(r db.Scanner) error {
			k, t := key{project: project}, Tag{}
			err := r.Scan(&k.name, &k.version, &t.Key, &t.Value)
			if e := at[k]; e != nil {
				e.Tag = append(e.Tag, t)
			}
			return err
		})
		if err != nil {
			return err
		}
		err = each(tx, `SELECT name, version, alias FROM model_alias WHERE project = ? AND name IN `+in+` ORDER BY name, alias`, args, func(r db.Scanner) error {
			k, alias := key{project: project}, ""
			err := r.Scan(&k.name, &k.version, &alias)
			if e := at[k]; e != nil {
				e.Alias = append(e.Alias, alias)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func pointers(all []Entry) []*Entry {
	out := make([]*Entry, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return out
}

// most is how many names one statement asks for.
const most = 400

// groups yields each project with its names, some at a time.
func groups[T any](all []T, of func(T) (project, name string)) func(func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		seen, names, order := map[[2]string]bool{}, map[string][]string{}, []string{}
		for _, x := range all {
			project, name := of(x)
			if seen[[2]string{project, name}] {
				continue
			}
			seen[[2]string{project, name}] = true
			if len(names[project]) == 0 {
				order = append(order, project)
			}
			names[project] = append(names[project], name)
		}
		for _, project := range order {
			for part := names[project]; len(part) > 0; part = part[min(most, len(part)):] {
				if !yield(project, part[:min(most, len(part))]) {
					return
				}
			}
		}
	}
}

// among is (?, ?, …) for names, and the arguments of a statement that asks for
// a project and them.
func among(project string, names []string) (string, []any) {
	args, in := []any{project}, ""
	for _, n := range names {
		args, in = append(args, n), in+", ?"
	}
	return "(" + in[2:] + ")", args
}

// each calls fn for every row.
func each(tx *db.Tx, sql string, args []any, fn func(db.Scanner) error) error {
	_, err := db.All(tx, func(r db.Scanner) (struct{}, error) { return struct{}{}, fn(r) }, sql, args...)
	return err
}
