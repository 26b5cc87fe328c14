package monitor

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// storedImports are the plans of every endpoint that was imported.
func (s *Service) storedImports(ctx context.Context) (map[place]ImportPlan, error) {
	out := map[place]ImportPlan{}
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT project, endpoint, detail FROM monitor_import`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var at place
			var plan ImportPlan
			if err := rows.Scan(&at.project, &at.endpoint, db.JSON(&plan)); err != nil {
				return err
			}
			out[at] = plan
		}
		return rows.Err()
	})
	return out, err
}

// beginImport makes room for an import: what an earlier one of the same name
// left goes. It fails with Conflict when requests are served under that name.
func (s *Service) beginImport(ctx context.Context, project string, plan ImportPlan) error {
	at := place{project, plan.Name}
	if _, err := s.number(ctx, at); err != nil {
		return err
	}
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		e, err := db.One(tx, scanEndpoint, `SELECT `+endpointColumns+` FROM monitor_endpoint WHERE project = ? AND name = ?`, project, plan.Name)
		if err != nil {
			return err
		}
		var before ImportPlan
		err = tx.QueryRow(`SELECT detail FROM monitor_import WHERE project = ? AND endpoint = ?`, project, plan.Name).Scan(db.JSON(&before))
		if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			return err
		}
		if err != nil && !e.seen.IsZero() {
			return slipway.Errorf(slipway.Conflict, "%s is an endpoint that is served here", plan.Name).WithHint("give the import another name with --name")
		}
		for _, table := range []string{"prediction", "prediction_part", "prediction_count", "monitor_variant", "drift", "dirty_day", "quality", "quality_window", "paired_loss"} {
			if _, err := tx.Exec(`DELETE FROM `+table+` WHERE endpoint = ?`, e.number); err != nil {
				return err
			}
		}
		for _, do := range []struct {
			sql  string
			args []any
		}{
			{`UPDATE monitor_endpoint SET seen = 0, decided = 0, matured = 0, runs = ?, feed = '{}' WHERE number = ?`, []any{[]byte{}, e.number}},
			{`DELETE FROM reference WHERE project = ? AND model = ?`, []any{project, importedModel(plan.Name)}},
			{`DELETE FROM monitor_gateway WHERE gateway = ?`, []any{"import " + project + "/" + plan.Name}},
			{`INSERT INTO monitor_import (project, endpoint, detail, at) VALUES (?, ?, ?, ?)
				ON CONFLICT (project, endpoint) DO UPDATE SET detail = excluded.detail, at = excluded.at`, []any{project, plan.Name, db.JSON(plan), tx.Now()}},
		} {
			if _, err := tx.Exec(do.sql, do.args...); err != nil {
				return err
			}
		}
		return nil
	})
	s.mu.Lock()
	s.imports = nil
	s.mu.Unlock()
	s.scored.clear()
	return err
}
