package registry

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Migration is the registry's tables.
var Migration = db.Migration{Name: "registry", Statements: []string{
	`CREATE TABLE model (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		newest BIGINT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL,
		PRIMARY KEY (project, name))`,
	// cause is the event that a version was registered for, so that handling
	// the event again makes no second one.
	`CREATE TABLE model_version (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		version BIGINT NOT NULL,
		cause TEXT,
		content TEXT NOT NULL,
		size BIGINT NOT NULL,
		source TEXT NOT NULL,
		run TEXT NOT NULL,
		dataset TEXT NOT NULL,
		code TEXT NOT NULL,
		environment TEXT NOT NULL,
		output TEXT NOT NULL,
		training TEXT NOT NULL,
		window_from BIGINT NOT NULL,
		window_to BIGINT NOT NULL,
		row_count BIGINT NOT NULL,
		signature TEXT NOT NULL,
		feature_range TEXT NOT NULL,
		state TEXT NOT NULL,
		created BIGINT NOT NULL,
		actor TEXT NOT NULL,
		PRIMARY KEY (project, name, version))`,
	`CREATE UNIQUE INDEX model_version_cause ON model_version (cause)`,
	`CREATE TABLE model_alias (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		alias TEXT NOT NULL,
		version BIGINT NOT NULL,
		at BIGINT NOT NULL,
		actor TEXT NOT NULL,
		PRIMARY KEY (project, name, alias))`,
	`CREATE TABLE model_alias_change (
		number SERIAL KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		alias TEXT NOT NULL,
		version BIGINT NOT NULL,
		before BIGINT NOT NULL,
		at BIGINT NOT NULL,
		actor TEXT NOT NULL)`,
	`CREATE INDEX model_alias_change_of ON model_alias_change (project, name, number)`,
	`ALTER TABLE model ADD COLUMN description TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE model ADD COLUMN updated BIGINT NOT NULL DEFAULT 0`,
	// gone is when the name was deleted. Its row stays, so that a name that is
	// used again goes on counting.
	`ALTER TABLE model ADD COLUMN gone BIGINT NOT NULL DEFAULT 0`,
	`UPDATE model SET updated = created`,
	`ALTER TABLE model_version ADD COLUMN description TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE model_version ADD COLUMN stage TEXT NOT NULL DEFAULT 'None'`,
	`ALTER TABLE model_version ADD COLUMN origin TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE model_version ADD COLUMN run_link TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE model_version ADD COLUMN logged_model TEXT NOT NULL DEFAULT ''`,
	`ALTER TABLE model_version ADD COLUMN updated BIGINT NOT NULL DEFAULT 0`,
	`UPDATE model_version SET updated = created`,
	`CREATE INDEX model_version_updated ON model_version (updated DESC, name, version DESC, project)`,
	`CREATE INDEX model_name ON model (name, project)`,
	`CREATE TABLE model_tag (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		key TEXT NOT NULL,
		value TEXT NOT NULL,
		PRIMARY KEY (project, name, key))`,
	`CREATE TABLE model_version_tag (
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		version BIGINT NOT NULL,
		key TEXT NOT NULL,
		value TEXT NOT NULL,
		PRIMARY KEY (project, name, version, key))`,
	`CREATE TABLE model_stage_change (
		number SERIAL KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		version BIGINT NOT NULL,
		stage TEXT NOT NULL,
		before TEXT NOT NULL,
		at BIGINT NOT NULL,
		actor TEXT NOT NULL)`,
	`CREATE INDEX model_stage_change_of ON model_stage_change (project, name, number)`,
	`CREATE TABLE model_webhook (
		id TEXT NOT NULL PRIMARY KEY,
		project TEXT NOT NULL,
		name TEXT NOT NULL,
		description TEXT NOT NULL,
		url TEXT NOT NULL,
		topic TEXT NOT NULL,
		secret BLOB,
		active BIGINT NOT NULL,
		created BIGINT NOT NULL,
		updated BIGINT NOT NULL)`,
	`CREATE TABLE model_webhook_message (
		number SERIAL KEY,
		id TEXT NOT NULL,
		webhook TEXT NOT NULL,
		body TEXT NOT NULL,
		state TEXT NOT NULL,
		attempts BIGINT NOT NULL,
		next BIGINT NOT NULL,
		error TEXT NOT NULL,
		created BIGINT NOT NULL,
		sent BIGINT NOT NULL)`,
	`CREATE INDEX model_webhook_message_due ON model_webhook_message (state, next)`,
}}

const versionColumns = `project, name, version, content, size, source, run, dataset, code, environment, output, training,
	window_from, window_to, row_count, signature, feature_range, state, created, actor, stage, origin, description`

func scanVersion(r db.Scanner) (v slipway.ModelVersion, err error) {
	err = r.Scan(&v.Project, &v.Name, &v.Version, &v.Content, &v.Size, &v.Source, &v.Run, db.JSON(&v.Dataset), &v.Commit, &v.Environment,
		db.JSON(&v.Output), &v.Training, &v.Window.From, &v.Window.To, &v.Rows, db.JSON(&v.Signature), db.JSON(&v.Range), &v.State, &v.Created, &v.Actor,
		&v.Stage, &v.Origin, &v.Description)
	return v, err
}

// known reports whether a run has brought nothing new: the newest version has
// these files or, for a run that only used a model again which an earlier one
// made, any version does. (An earlier run may have made the model and failed
// afterwards; then it is new.)
func (s *Service) known(ctx context.Context, v slipway.ModelVersion, made bool) (bool, error) {
	if made {
		newest, err := s.Version(ctx, v.Project, v.Name, 0)
		if slipway.IsCode(err, slipway.NotFound) {
			return false, nil
		}
		return err == nil && newest.Content == v.Content, err
	}
	var n int
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM model_version WHERE project = ? AND name = ? AND content = ?`, v.Project, v.Name, v.Content).Scan(&n)
	})
	return n > 0, err
}

// arrival is a version that is to be registered.
type arrival struct {
	slipway.ModelVersion
	cause       string // the event that it is registered for; handling it again makes no second version
	always      bool   // even when its files are the newest version's; the model must exist
	runLink     string
	loggedModel string
	tag         []Tag
}

// insert gives a version the next number and records it. A version whose files
// are the newest one's, or that was registered for the same cause, is not made
// again: insert returns the one that is there.
func (s *Service) insert(ctx context.Context, a arrival) (slipway.ModelVersion, error) {
	if a.Actor == "" {
		a.Actor = slipway.PrincipalOf(ctx).Name
	}
	if a.Stage == "" {
		a.Stage = StageNone
	}
	out := a.ModelVersion
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		out = a.ModelVersion
		found, err := present(tx, a)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			out = found[0]
			return nil
		}
		out.Created = tx.Now()
		if out.Version, err = s.next(tx, out); err != nil {
			return err
		}
		if err := write(tx, a, out); err != nil {
			return err
		}
		if err := announce(tx, out.Project, VersionCreated, arrived(a, out)); err != nil {
			return err
		}
		return tx.Record(registered(out))
	})
	s.ring()
	return out, err
}

// present finds the version that makes an arrival needless.
func present(tx *db.Tx, a arrival) ([]slipway.ModelVersion, error) {
	if a.always {
		_, err := living(tx, a.Project, a.Name)
		return nil, err
	}
	return db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM model_version WHERE project = ? AND name = ? AND (cause = ?
		OR content = ? AND version = (SELECT MAX(version) FROM model_version WHERE project = ? AND name = ? AND state <> ?))`,
		a.Project, a.Name, a.cause, a.Content, a.Project, a.Name, slipway.ModelDeleted)
}

func write(tx *db.Tx, a arrival, v slipway.ModelVersion) error {
	var cause any
	if a.cause != "" {
		cause = a.cause
	}
	_, err := tx.Exec(`INSERT INTO model_version (cause, run_link, logged_model, updated, `+versionColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		cause, a.runLink, a.loggedModel, v.Created, v.Project, v.Name, v.Version, v.Content, v.Size, v.Source, v.Run, db.JSON(v.Dataset), v.Commit,
		v.Environment, db.JSON(v.Output), v.Training, v.Window.From, v.Window.To, v.Rows, db.JSON(v.Signature), db.JSON(v.Range), v.State,
		v.Created, v.Actor, v.Stage, v.Origin, v.Description)
	for i := 0; err == nil && i < len(a.tag); i++ {
		err = putVersionTag(tx, v.Project, v.Name, v.Version, a.tag[i])
	}
	return err
}

// next takes the next number of a model, which it makes when it is new. A
// number is never given twice, even when its version was deleted.
func (s *Service) next(tx *db.Tx, v slipway.ModelVersion) (n int, err error) {
	_, err = living(tx, v.Project, v.Name)
	if slipway.IsCode(err, slipway.NotFound) {
		err = revive(tx, Card{Project: v.Project, Name: v.Name, Actor: v.Actor, Created: v.Created})
	}
	if err == nil {
		_, err = tx.Exec(`UPDATE model SET newest = newest + 1, updated = ? WHERE project = ? AND name = ?`, v.Created, v.Project, v.Name)
	}
	if err == nil {
		err = tx.QueryRow(`SELECT newest FROM model WHERE project = ? AND name = ?`, v.Project, v.Name).Scan(&n)
	}
	return n, err
}

// registered is the event that tells of a version, with the lineage of its
// files.
func registered(v slipway.ModelVersion) slipway.Event {
	verb := "model.registered"
	var links []slipway.Link
	if v.Content == "" {
		verb = "model.referred" // there is nothing that a gate could judge
	} else {
		links = append(links, slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindArtifact, string(v.Content))})
	}
	if v.Run != "" {
		links = append(links, slipway.Link{Relation: slipway.From, Ref: slipway.NewRef(slipway.KindRun, v.Run)})
	}
	for _, d := range v.Dataset {
		links = append(links, slipway.Link{Relation: slipway.From, Ref: d})
	}
	data, _ := json.Marshal(map[string]any{"source": v.Source, "content": v.Content, "task": v.Signature.Task, "inputs": len(v.Signature.Input), "rows": v.Rows, "origin": v.Origin})
	return slipway.Event{Project: v.Project, Actor: v.Actor, Verb: verb, Subject: v.Ref(), Link: links, Data: data}
}

// Version reads version n of a model, 0 for the newest. It fails with NotFound,
// also for a deleted one.
func (s *Service) Version(ctx context.Context, project, name string, n int) (v slipway.ModelVersion, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		v, err = version(tx, project, name, n)
		return err
	})
	return v, err
}

func version(tx *db.Tx, project, name string, n int) (slipway.ModelVersion, error) {
	v, err := db.One(tx, scanVersion, `SELECT `+versionColumns+` FROM model_version
		WHERE project = ? AND name = ? AND (version = ? OR ? = 0) AND state <> ? ORDER BY version DESC LIMIT 1`, project, name, n, n, slipway.ModelDeleted)
	if slipway.IsCode(err, slipway.NotFound) {
		v = slipway.ModelVersion{Name: name, Version: n}
		id := v.ID()
		if n == 0 {
			id = name
		}
		return v, slipway.Errorf(slipway.NotFound, "there is no model %s in %s", id, project).WithHint("`slipway model ls` lists them")
	}
	return v, err
}

// List reads every model of a project by name, with versions that are not
// deleted and without the histories of aliases. The prompts of MLflow's clients
// are left out.
func (s *Service) List(ctx context.Context, project string) (out []Model, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		if out, err = models(tx, project, ""); err != nil {
			return err
		}
		for i := range out {
			if err := fill(tx, project, &out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Model reads one model. It fails with NotFound.
func (s *Service) Model(ctx context.Context, project, name string) (m Model, err error) {
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		found, err := models(tx, project, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return slipway.Errorf(slipway.NotFound, "there is no model %s in %s", name, project).WithHint("`slipway model ls` lists them")
		}
		m = found[0]
		if err := fill(tx, project, &m); err != nil {
			return err
		}
		m.History, err = db.All(tx, func(r db.Scanner) (c AliasChange, err error) {
			err = r.Scan(&c.Alias, &c.Version, &c.Before, &c.At, &c.Actor)
			return c, err
		}, `SELECT alias, version, before, at, actor FROM model_alias_change WHERE project = ? AND name = ? ORDER BY number DESC`, project, name)
		return err
	})
	return m, err
}

func models(tx *db.Tx, project, name string) ([]Model, error) {
	return db.All(tx, func(r db.Scanner) (m Model, err error) {
		err = r.Scan(&m.Name, &m.Created, &m.Actor, &m.Description)
		return m, err
	}, `SELECT name, created, actor, description FROM model WHERE project = ? AND (name = ? OR ? = '' AND NOT EXISTS (SELECT 1 FROM model_tag t
		WHERE t.project = model.project AND t.name = model.name AND t.key = ? AND t.value = 'true')) AND gone = 0 ORDER BY name`, project, name, name, promptTag)
}

func fill(tx *db.Tx, project string, m *Model) (err error) {
	m.Version, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM model_version
		WHERE project = ? AND name = ? AND state <> ? ORDER BY version DESC`, project, m.Name, slipway.ModelDeleted)
	if err != nil {
		return err
	}
	m.Alias, err = db.All(tx, func(r db.Scanner) (a Alias, err error) {
		err = r.Scan(&a.Alias, &a.Version, &a.At, &a.Actor)
		return a, err
	}, `SELECT alias, version, at, actor FROM model_alias WHERE project = ? AND name = ? ORDER BY alias`, project, m.Name)
	return err
}

// setState writes down what a gate said. A deleted version stays deleted.
func (s *Service) setState(ctx context.Context, project, name string, n int, state slipway.ModelState) error {
	return s.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE model_version SET state = ? WHERE project = ? AND name = ? AND version = ? AND state <> ?`,
			state, project, name, n, slipway.ModelDeleted)
		return err
	})
}

// Roots are the digests of content that versions need: their files, and the
// rows that their runs wrote. Garbage collection keeps them.
func (s *Service) Roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		var all []slipway.ModelVersion
		err := s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
			all, err = db.All(tx, scanVersion, `SELECT `+versionColumns+` FROM model_version WHERE state <> ?`, slipway.ModelDeleted)
			return err
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, v := range all {
			if v.Content != "" && !yield(v.Content, nil) {
				return
			}
			for _, out := range v.Output {
				if !yield(out.Digest, nil) {
					return
				}
			}
		}
	}
}
