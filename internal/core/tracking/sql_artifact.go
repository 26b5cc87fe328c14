package tracking

import (
	"context"
	"iter"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

const artifactColumns = `path, digest, size, at`

func scanArtifact(r db.Scanner) (a Artifact, err error) {
	err = r.Scan(&a.Path, &a.Digest, &a.Size, &a.At)
	return a, err
}

// ownerProject is the project of a run or a logged model. Files that nobody
// owns are the default project's.
func ownerProject(tx *db.Tx, owner string) (project string, err error) {
	if owner == "" {
		return DefaultProject, nil
	}
	table, column := "run", "uuid"
	if strings.HasPrefix(owner, modelPrefix) {
		table, column = "logged_model", "id"
	}
	err = tx.QueryRow(`SELECT project FROM `+table+` WHERE `+column+` = ?`, owner).Scan(&project)
	if slipway.IsCode(err, slipway.NotFound) {
		if table == "run" {
			return "", noRun(owner)
		}
		return "", noModel(owner)
	}
	return project, err
}

func (s *Service) allowOwner(ctx context.Context, need slipway.Role, owner string) error {
	return s.read(ctx, func(tx *db.Tx) error {
		project, err := ownerProject(tx, owner)
		if err != nil {
			return err
		}
		return slipway.Allow(ctx, need, project)
	})
}

// setArtifacts writes the rows of stored files.
func (s *Service) setArtifacts(ctx context.Context, owner string, files []Artifact) error {
	return s.write(ctx, func(tx *db.Tx) error {
		if _, err := ownerProject(tx, owner); err != nil {
			return err
		}
		for _, a := range files {
			if _, err := tx.Exec(`INSERT INTO run_artifact (owner, path, digest, size, at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (owner, path) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at`,
				owner, a.Path, a.Digest, a.Size, a.At); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Service) findArtifact(ctx context.Context, at Place) (a Artifact, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		a, err = db.One(tx, scanArtifact, `SELECT `+artifactColumns+` FROM run_artifact WHERE owner = ? AND path = ?`, at.Owner, at.Path)
		if slipway.IsCode(err, slipway.NotFound) {
			return noArtifact(at)
		}
		return err
	})
	return a, err
}

// artifactsBelow lists every file below a folder, by path.
func (s *Service) artifactsBelow(ctx context.Context, at Place) (out []Artifact, err error) {
	err = s.read(ctx, func(tx *db.Tx) error {
		out, err = artifactsIn(tx, at)
		return err
	})
	return out, err
}

func artifactsIn(tx *db.Tx, at Place) ([]Artifact, error) {
	if at.Path == "" {
		return db.All(tx, scanArtifact, `SELECT `+artifactColumns+` FROM run_artifact WHERE owner = ? ORDER BY path`, at.Owner)
	}
	// "0" is the byte after "/": the range holds exactly what begins with path/.
	return db.All(tx, scanArtifact, `SELECT `+artifactColumns+` FROM run_artifact WHERE owner = ? AND path > ? AND path < ? ORDER BY path`,
		at.Owner, at.Path+"/", at.Path+"0")
}

func (s *Service) removeArtifacts(ctx context.Context, at Place) error {
	return s.write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM run_artifact WHERE owner = ? AND (path = ? OR path > ? AND path < ?)`,
			at.Owner, at.Path, at.Path+"/", at.Path+"0")
		return err
	})
}

// Roots yields the digest of every artifact: what garbage collection keeps.
func (s *Service) Roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		after := ""
		for {
			var part []string
			err := s.read(ctx, func(tx *db.Tx) (err error) {
				part, err = db.All(tx, func(r db.Scanner) (d string, err error) {
					err = r.Scan(&d)
					return d, err
				}, `SELECT DISTINCT digest FROM run_artifact WHERE digest > ? ORDER BY digest LIMIT 10000`, after)
				return err
			})
			if err != nil {
				yield("", err)
				return
			}
			for _, d := range part {
				if !yield(slipway.Digest(d), nil) {
					return
				}
				after = d
			}
			if len(part) == 0 {
				return
			}
		}
	}
}
