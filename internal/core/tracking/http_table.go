package tracking

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// RunCount is how many runs a search finds.
type RunCount struct {
	Runs int64 `json:"runs"`
}

// KeysOf asks for the names under which a project's runs log.
type KeysOf struct {
	Project string `path:"project"`
}

// Keys are the names that the newest runs of a project log under, the most
// common first.
type Keys struct {
	Runs    int64      `json:"runs"` // that were looked at
	Metrics []KeyCount `json:"metrics"`
	Params  []KeyCount `json:"params"`
	Tags    []KeyCount `json:"tags"`
}

// KeyCount is one name.
type KeyCount struct {
	Key     string `json:"key"`
	Runs    int64  `json:"runs"`
	Differs bool   `json:"differs,omitempty"` // a param or tag that is not the same everywhere
}

// CurvesOf asks for one metric of several runs.
type CurvesOf struct {
	Project string   `path:"project"`
	Run     []string `query:"run" required:"true" minItems:"1" maxItems:"50"`
	Key     string   `query:"key" required:"true" doc:"the metric"`
	Points  int      `query:"points" minimum:"2" maximum:"100000" default:"1000" doc:"thins longer histories to about so many each, keeping lows and highs"`
}

// RunCurve is the history of a metric in one run.
type RunCurve struct {
	Run string `json:"run"`
	Curve
}

// TableOf asks for the first rows of an artifact.
type TableOf struct {
	NamedRun
	Path  string `query:"path" required:"true"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

// Table is the first rows of a file.
type Table struct {
	Schema    slipway.Schema `json:"schema"`
	Rows      [][]any        `json:"rows"`
	Truncated bool           `json:"truncated,omitempty"` // there are more
}

// Operations for looking at many runs.
var (
	OpCount  = web.Op[FindRuns, RunCount]{Method: "GET", Path: "/api/v1/projects/{project}/runs/count", Needs: slipway.Reader, Tag: "tracking", Summary: "How many runs a filter finds"}
	OpKeys   = web.Op[KeysOf, Keys]{Method: "GET", Path: "/api/v1/projects/{project}/runs/keys", Needs: slipway.Reader, Tag: "tracking", Summary: "Metrics, params and tags that the newest runs log"}
	OpCurves = web.Op[CurvesOf, []RunCurve]{Method: "GET", Path: "/api/v1/projects/{project}/runs/curves", Needs: slipway.Reader, Tag: "tracking", Summary: "One metric of up to 50 runs; runs without it are left out"}
	OpTable  = web.Op[TableOf, Table]{Method: "GET", Path: "/api/v1/projects/{project}/runs/{run}/table", Needs: slipway.Reader, Tag: "tracking", Summary: "The first rows of an artifact: Parquet, CSV or JSON lines"}
)

func (s *Service) tableRoutes(a *web.API) {
	OpCount.Serve(a, func(ctx context.Context, in FindRuns) (out RunCount, err error) {
		q, err := s.searchOf(ctx, in)
		if err == nil {
			out.Runs, err = s.CountRuns(ctx, q)
		}
		return out, err
	})
	OpKeys.Serve(a, func(ctx context.Context, in KeysOf) (Keys, error) { return s.keys(ctx, in.Project) })
	OpCurves.Serve(a, s.curves)
	OpTable.Serve(a, s.artifactTable)
}

func (s *Service) curves(ctx context.Context, in CurvesOf) ([]RunCurve, error) {
	out := []RunCurve{}
	for _, id := range in.Run {
		r, err := s.named(ctx, in.Project, id)
		if err != nil {
			return nil, err
		}
		points, err := s.History(ctx, r.ID, in.Key, EveryStep)
		if err != nil {
			return nil, err
		}
		if len(points) == 0 {
			continue
		}
		slices.SortStableFunc(points, Point.compare)
		out = append(out, RunCurve{r.ID, Curve{in.Key, len(points), Sample(points, in.Points)}})
	}
	return out, nil
}

// Tables reads the first rows of local files.
type Tables interface {
	// Head reads up to limit rows of a file in a format: parquet, csv or json.
	// It fails with Invalid for a file that is malformed.
	Head(ctx context.Context, file, format string, limit int) (Table, error)
}

// tableFormat is how an artifact is read as a table, by its extension.
var tableFormat = map[string]string{".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json"}

// maxTable is the largest file that is opened as a table: what is asked of a
// server in passing must not keep it busy.
const maxTable = 2 << 30

func (s *Service) artifactTable(ctx context.Context, in TableOf) (Table, error) {
	r, err := s.named(ctx, in.Project, in.Run)
	if err != nil {
		return Table{}, err
	}
	at := Place{r.ID, in.Path}
	if err := s.allowOwner(ctx, slipway.Reader, at.Owner); err != nil {
		return Table{}, err
	}
	a, err := s.findArtifact(ctx, at)
	if err != nil {
		return Table{}, err
	}
	format := tableFormat[strings.ToLower(path.Ext(a.Path))]
	switch {
	case s.o.Tables == nil:
		return Table{}, slipway.Errorf(slipway.Unavailable, "tables cannot be read here")
	case format == "":
		return Table{}, slipway.Errorf(slipway.Invalid, "%s is no table", a.Path).WithHint("Parquet, CSV and JSON lines are")
	case a.Size > maxTable:
		return Table{}, slipway.Errorf(slipway.Invalid, "%s is too large to look into", a.Path).WithHint("download it")
	}
	file, err := s.o.Content.File(ctx, a.Digest)
	if err != nil {
		return Table{}, err
	}
	return s.o.Tables.Head(ctx, file, format, in.Limit)
}
