package dataset

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-ml/slipway"
)

// openVersion is the table of a version, read as it was when it was added.
func (s *Service) openVersion(ctx context.Context, v Version) (*table, error) {
	tree, err := s.o.Content.GetTree(ctx, v.Tree)
	if err != nil {
		return nil, err
	}
	if !v.Table() {
		return nil, slipway.Errorf(slipway.Invalid, "%s holds files and no table", v.ID())
	}
	return s.open(ctx, v.Name, tree, v.Spec, v.Schema)
}

// DatasetRows reads the rows of a window of version n of a dataset (0 is the
// newest). columns chooses among those that there are, in the order given; nil
// is all. It fails with NotFound, and with Invalid when a window is asked of
// rows without a time.
func (s *Service) DatasetRows(ctx context.Context, project, name string, n int, w slipway.Window, columns []string) (*slipway.Frame, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return nil, err
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.close()
	list := "*"
	if columns != nil {
		var names []string
		for _, c := range columns {
			if t.schema.Index(c) >= 0 {
				names = append(names, quoted(c))
			}
		}
		if len(names) == 0 {
			return &slipway.Frame{}, nil
		}
		list = strings.Join(names, ", ")
	}
	where, params, err := t.within(w)
	if err != nil {
		return nil, err
	}
	return s.o.Query.Frame(ctx, t.request("SELECT "+list+" FROM "+t.ref()+where, params...))
}

// Head reads the first rows of a version, at most limit (0 is 10). It fails with
// NotFound, and with Invalid where the files are no table.
func (s *Service) Head(ctx context.Context, project, name string, n, limit int, view View) (Rows, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return Rows{}, err
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return Rows{}, err
	}
	defer t.close()
	if limit <= 0 {
		limit = 10
	}
	sql, params, err := t.viewed(view)
	if err != nil {
		return Rows{}, err
	}
	r := t.request(sql+fmt.Sprintf(" LIMIT %d", limit), params...)
	res, err := s.o.Query.Run(ctx, r)
	if err != nil {
		return Rows{}, err
	}
	jsonable(res.Rows)
	return Rows{Schema: res.Schema, Rows: res.Rows}, nil
}

// within is the condition that a row lies in a window.
func (t *table) within(w slipway.Window) (where string, params []any, err error) {
	if w.IsZero() {
		return "", nil, nil
	}
	if t.time() == "" {
		return "", nil, slipway.Errorf(slipway.Invalid, "dataset %s has no time, so it has no windows", t.name).WithHint("add time to data.%s in slipway.yaml", t.name)
	}
	var parts []string
	if !w.From.IsZero() {
		parts, params = append(parts, t.time()+" >= ?"), append(params, w.From)
	}
	if !w.To.IsZero() {
		parts, params = append(parts, t.time()+" < ?"), append(params, w.To)
	}
	return " WHERE " + strings.Join(parts, " AND "), params, nil
}
