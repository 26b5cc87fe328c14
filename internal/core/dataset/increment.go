package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// increment replaces the files of an incremental addition by one Parquet file
// of the rows that the newest version does not have: those whose event time is
// after its last row, or whose key it does not know. Parquet, so that rows of
// many fetches read alike whatever they were written as. It says false when no
// row is new.
func (w *work) increment(ctx context.Context) (bool, error) {
	given, err := w.o.Content.GetTree(ctx, w.add.Tree)
	if err != nil {
		return false, err
	}
	if w.last.Number > 0 && w.last.Spec.Format != query.FormatParquet {
		return false, slipway.Errorf(slipway.Conflict, "%s was added as %s files, and an incremental source keeps Parquet", w.last.ID(), w.last.Spec.Format).
			WithHint("begin a dataset of another name, or remove incremental")
	}
	t, err := w.open(ctx, w.version.Name, given, w.add.Spec, w.last.Schema)
	if err != nil {
		return false, err
	}
	defer t.close()
	if t.spec.Format == FilesOnly {
		return false, slipway.Errorf(slipway.Invalid, "an incremental source gives rows: CSV, JSON lines or Parquet")
	}
	sql, params, others, err := w.unknown(ctx, t)
	if err != nil {
		return false, err
	}
	defer others()
	dir, err := os.MkdirTemp(w.o.Dir, "increment-")
	if err != nil {
		return false, diskError(err)
	}
	defer os.RemoveAll(dir)
	r := t.request(sql, params...)
	file := filepath.Join(dir, "rows.parquet")
	r.Output = query.ToParquet(file)
	res, err := w.o.Query.Run(ctx, r)
	if err != nil {
		return false, err
	}
	if res.RowCount == 0 {
		if w.last.Number == 0 {
			return false, slipway.Errorf(slipway.Invalid, "the source of %s gives no rows", w.version.Name)
		}
		return false, nil
	}
	d, size, err := w.o.Content.PutFile(ctx, file)
	if err != nil {
		return false, err
	}
	tree, err := content.NewTree([]content.Entry{{Path: fmt.Sprintf("rows-%06d.parquet", w.last.Number+1), Digest: d, Size: size}})
	if err != nil {
		return false, err
	}
	w.add.Tree, err = w.o.Content.PutTree(ctx, tree)
	w.add.Append = true
	w.add.Spec.Format, w.add.Spec.CSV, w.add.Spec.Columns = query.FormatParquet, query.CSV{}, nil
	return true, err
}

// unknown is the SQL of the rows that the newest version does not have. done
// closes what it reads.
func (w *work) unknown(ctx context.Context, t *table) (sql string, params []any, done func(), err error) {
	done = func() {}
	all := "SELECT * FROM " + t.ref()
	switch {
	case w.add.New != "time" && w.add.New != "key":
		return "", nil, done, slipway.Errorf(slipway.Invalid, "rows are new by time or by key, not by %q", w.add.New)
	case w.add.New == "time" && t.time() == "":
		return "", nil, done, slipway.Errorf(slipway.Invalid, "dataset %s has no time, so its rows cannot be new by time", t.name).WithHint("add time to data.%s in slipway.yaml, or say --time", t.name)
	case w.add.New == "key" && len(t.spec.Key) == 0:
		return "", nil, done, slipway.Errorf(slipway.Invalid, "dataset %s has no key, so its rows cannot be new by key", t.name).WithHint("add key to data.%s in slipway.yaml, or say --key", t.name)
	}
	if w.last.Number == 0 {
		return all, nil, done, nil
	}
	if w.add.New == "time" {
		return all + " WHERE " + t.time() + " >= ?", []any{w.last.Covers.To}, done, nil
	}
	known, err := w.openVersion(ctx, w.last)
	if err != nil {
		return "", nil, done, err
	}
	known.source.Name = "slipway_known"
	t.around = &around{tables: map[string]*table{"slipway_known": known}}
	keys := make([]string, len(t.spec.Key))
	for i, k := range t.spec.Key {
		keys[i] = quoted(k)
	}
	return all + " ANTI JOIN slipway_known USING (" + strings.Join(keys, ", ") + ")", nil, func() { t.around = nil; known.close() }, nil
}
