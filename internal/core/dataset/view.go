package dataset

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// View is some rows of a version: those of a window of event time, and of these
// a part of a split. The zero View is all rows. It is described by who asks,
// since slipway.yaml says how a dataset is split; the files are never copied
// for it.
type View struct {
	Window slipway.Window `json:"window,omitzero"`
	Split  *project.Split `json:"split,omitempty"`
	Part   string         `json:"part,omitempty"`
}

// IsZero reports whether the view is all rows.
func (v View) IsZero() bool { return v.Window.IsZero() && v.Part == "" }

// readView reads the JSON of a view; "" is all rows.
func readView(text string) (v View, err error) {
	if text == "" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, slipway.Errorf(slipway.Invalid, "the view is not the JSON of one: %v", err)
	}
	return v, nil
}

// viewed is the SQL of the rows of a view. It fails with Invalid for a part that
// there is not, and for windows of rows without a time.
func (t *table) viewed(v View) (sql string, params []any, err error) {
	where, params, err := t.within(v.Window)
	if err != nil || v.Part == "" {
		return "SELECT * FROM " + t.ref() + where, params, err
	}
	if v.Split == nil {
		return "", nil, slipway.Errorf(slipway.Invalid, "the part %s belongs to no split", v.Part)
	}
	if err := v.Split.Check(); err != nil {
		return "", nil, err
	}
	for _, c := range v.Split.On {
		if t.schema.Index(c) < 0 {
			return "", nil, slipway.Errorf(slipway.Invalid, "dataset %s has no column %s to split by", t.name, c)
		}
	}
	from := t.ref()
	if where != "" {
		from = "(SELECT * FROM " + from + where + ")"
	}
	sql, err = v.Split.SQL(from, t.time(), t.spec.Key, v.Part)
	return sql, params, err
}

// narrow makes t a table of a view's rows alone.
func (s *Service) narrow(ctx context.Context, t *table, v View) error {
	if v.IsZero() {
		return nil
	}
	sql, params, err := t.viewed(v)
	if err != nil {
		return err
	}
	r := t.request(sql, params...)
	file := filepath.Join(t.dir, "slipway-view.parquet")
	r.Output = query.ToParquet(file)
	if _, err := s.o.Query.Run(ctx, r); err != nil {
		return err
	}
	t.source = query.Table{Name: t.source.Name, Files: []string{file}, Format: query.FormatParquet, Columns: t.source.Columns}
	return nil
}

// ProfileOf is Profile of a view's rows, which are looked at anew.
func (s *Service) ProfileOf(ctx context.Context, project, name string, n int, view View) (Profile, error) {
	if view.IsZero() {
		return s.Profile(ctx, project, name, n)
	}
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return Profile{}, err
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return Profile{}, err
	}
	defer t.close()
	if err := s.narrow(ctx, t, view); err != nil {
		return Profile{}, err
	}
	p, err := s.profile(ctx, t)
	if err != nil {
		return Profile{}, err
	}
	return *p, nil
}

// Made is a view's rows as a file. It is content that nothing refers to, and
// stays until garbage is collected.
type Made struct {
	Digest slipway.Digest `json:"digest"`
	Size   int64          `json:"size"`
	Rows   int64          `json:"rows"`
}

// MakeView writes the rows of a view into a file of content.
func (s *Service) MakeView(ctx context.Context, project, name string, n int, view View, format query.Format) (*Made, error) {
	v, err := s.find(ctx, project, name, n)
	if err != nil {
		return nil, err
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return nil, err
	}
	defer t.close()
	sql, params, err := t.viewed(view)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.o.Dir, "view-")
	if err != nil {
		return nil, diskError(err)
	}
	defer os.RemoveAll(dir)
	r := t.request(sql, params...)
	file := filepath.Join(dir, "rows")
	switch format {
	case "", query.FormatCSV:
		r.Output = query.ToCSV(file)
	case query.FormatParquet:
		r.Output = query.ToParquet(file)
	default:
		return nil, slipway.Errorf(slipway.Invalid, "rows are written as csv or parquet, not as %q", format)
	}
	res, err := s.o.Query.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	out := &Made{Rows: res.RowCount}
	out.Digest, out.Size, err = s.o.Content.PutFile(ctx, file)
	return out, err
}
