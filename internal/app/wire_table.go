package app

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// tables looks into the artifacts of runs by the query engine.
type tables struct{ engine *query.Engine }

// Head implements tracking.Tables.
func (t tables) Head(ctx context.Context, file, format string, limit int) (out tracking.Table, err error) {
	table := query.Table{Name: "artifact", Files: []string{file}, Format: query.Format(format)}
	if table.Columns, table.CSV, err = t.engine.Describe(ctx, table); err != nil {
		return out, err
	}
	res, err := t.engine.Run(ctx, query.Request{Tables: []query.Table{table}, SQL: fmt.Sprintf("SELECT * FROM artifact LIMIT %d", limit+1), Limit: limit, Timeout: 20 * time.Second})
	if err != nil {
		return out, err
	}
	for _, row := range res.Rows {
		for i, value := range row {
			if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				row[i] = fmt.Sprint(f) // JSON has no such numbers
			}
		}
	}
	return tracking.Table{Schema: res.Schema, Rows: res.Rows, Truncated: res.Truncated}, nil
}
