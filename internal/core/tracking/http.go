package tracking

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// FindExperiments asks for the experiments of a project.
type FindExperiments struct {
	Project string `path:"project"`
	Filter  string `query:"filter" doc:"such as name LIKE 'flight%' AND tags.team = 'ops'"`
	View    View   `query:"view" enum:"active,deleted,all" default:"active"`
	Limit   int    `query:"limit" doc:"at most 50000; 1000 when left out"`
	Page    string `query:"page" doc:"next of the page before"`
}

// ExperimentPage is some experiments.
type ExperimentPage struct {
	Experiments []Experiment `json:"experiments"`
	Next        string       `json:"next,omitempty"`
}

// FindRuns asks for runs of a project.
type FindRuns struct {
	Project    string   `path:"project"`
	Experiment string   `query:"experiment" doc:"name of one experiment; all when left out"`
	Filter     string   `query:"filter" doc:"such as metrics.auc > 0.8 AND params.model = 'lgbm'"`
	Order      []string `query:"order" doc:"such as metrics.auc DESC; newest first when left out"`
	Column     []string `query:"column" doc:"metrics.NAME, params.NAME or tags.NAME to return; all when left out"`
	View       View     `query:"view" enum:"active,deleted,all" default:"active"`
	Kind       Kind     `query:"kind" doc:"client, pipeline or step; all when left out"`
	Limit      int      `query:"limit" doc:"at most 50000; 1000 when left out"`
	Offset     int      `query:"offset" minimum:"0" doc:"runs to pass over, instead of page"`
	Page       string   `query:"page" doc:"next of the page before"`
}

// RunPage is some runs.
type RunPage struct {
	Runs []*Run `json:"runs"`
	Next string `json:"next,omitempty"`
}

// NamedRun names a run.
type NamedRun struct {
	Project string `path:"project"`
	Run     string `path:"run" doc:"its id, or enough of its beginning"`
}

// CurveOf asks for the history of a metric.
type CurveOf struct {
	NamedRun
	Key    string `query:"key" required:"true" doc:"the metric"`
	Points int    `query:"points" minimum:"2" maximum:"100000" default:"1000" doc:"thins a longer history to about so many, keeping lows and highs"`
}

// Curve is the history of a metric.
type Curve struct {
	Key    string  `json:"key"`
	Total  int     `json:"total"` // points that were logged
	Points []Point `json:"points"`
}

// CompareRuns asks how runs differ.
type CompareRuns struct {
	Project string   `path:"project"`
	Run     []string `query:"run" required:"true" minItems:"2" maxItems:"50"`
}

// ArtifactsOf asks for a folder of a run's artifacts.
type ArtifactsOf struct {
	NamedRun
	Path string `query:"path" doc:"a folder; the root when left out"`
}

// Operations on what was tracked.
var (
	OpExperiments = web.Op[FindExperiments, ExperimentPage]{Method: "GET", Path: "/api/v1/projects/{project}/experiments", Needs: slipway.Reader, Tag: "tracking", Summary: "Experiments of a project, newest change first"}
	OpRuns        = web.Op[FindRuns, RunPage]{Method: "GET", Path: "/api/v1/projects/{project}/runs", Needs: slipway.Reader, Tag: "tracking", Summary: "Runs of a project"}
	OpRun         = web.Op[NamedRun, *Run]{Method: "GET", Path: "/api/v1/projects/{project}/runs/{run}", Needs: slipway.Reader, Tag: "tracking", Summary: "One run"}
	OpCurve       = web.Op[CurveOf, Curve]{Method: "GET", Path: "/api/v1/projects/{project}/runs/{run}/curve", Needs: slipway.Reader, Tag: "tracking", Summary: "The history of a metric"}
	OpCompare     = web.Op[CompareRuns, Comparison]{Method: "GET", Path: "/api/v1/projects/{project}/runs/compare", Needs: slipway.Reader, Tag: "tracking", Summary: "How runs differ"}
	OpArtifacts   = web.Op[ArtifactsOf, []Artifact]{Method: "GET", Path: "/api/v1/projects/{project}/runs/{run}/artifacts", Needs: slipway.Reader, Tag: "tracking", Summary: "A folder of a run's artifacts"}
)

// Routes adds the operations. The bytes of an artifact are at
// /api/v1/projects/{project}/runs/{run}/artifact?path=….
func (s *Service) Routes(a *web.API) {
	OpExperiments.Serve(a, s.findExperiments)
	s.tableRoutes(a)
	OpRuns.Serve(a, s.findRuns)
	OpRun.Serve(a, func(ctx context.Context, in NamedRun) (*Run, error) { return s.named(ctx, in.Project, in.Run) })
	OpCurve.Serve(a, s.curve)
	OpCompare.Serve(a, s.compareRuns)
	OpImport.Serve(a, s.serveImport)
	OpCollect.Serve(a, s.serveCollect)
	OpArtifacts.Serve(a, func(ctx context.Context, in ArtifactsOf) ([]Artifact, error) {
		r, err := s.named(ctx, in.Project, in.Run)
		if err != nil {
			return nil, err
		}
		return s.ListArtifacts(ctx, Place{r.ID, in.Path})
	})
	a.Handle("GET /api/v1/projects/{project}/runs/{run}/artifact", slipway.Reader, func(w http.ResponseWriter, r *http.Request) error {
		run, err := s.named(r.Context(), r.PathValue("project"), r.PathValue("run"))
		if err != nil {
			return err
		}
		return s.Serve(w, r, Place{run.ID, r.URL.Query().Get("path")})
	})
}

func (s *Service) findExperiments(ctx context.Context, in FindExperiments) (out ExperimentPage, err error) {
	out.Experiments, out.Next, err = s.SearchExperiments(ctx, Search{Project: in.Project, Filter: in.Filter, View: in.View, Limit: in.Limit, Page: in.Page})
	if out.Experiments == nil {
		out.Experiments = []Experiment{}
	}
	return out, err
}

func (s *Service) findRuns(ctx context.Context, in FindRuns) (out RunPage, err error) {
	q, err := s.searchOf(ctx, in)
	if err != nil {
		return out, err
	}
	columns, err := runGrammar.Order(in.Column)
	if err != nil {
		return out, err
	}
	if out.Runs, out.Next, err = s.SearchRuns(ctx, q); err != nil {
		return out, err
	}
	for i, r := range out.Runs {
		out.Runs[i] = r.only(columns)
	}
	return out, nil
}

// searchOf reads what is asked for.
func (s *Service) searchOf(ctx context.Context, in FindRuns) (Search, error) {
	q := Search{Project: in.Project, Filter: in.Filter, Order: in.Order, View: in.View, Kind: in.Kind, Skip: in.Offset, Limit: in.Limit, Page: in.Page}
	if in.Experiment != "" {
		e, err := s.ExperimentByName(ctx, in.Project, in.Experiment)
		if err != nil {
			return q, err
		}
		q.Experiments = []int64{e.ID}
	}
	return q, nil
}

// only is a copy of a run with no params, metrics and tags but the columns.
func (r *Run) only(columns []Order) *Run {
	if len(columns) == 0 {
		return r
	}
	keep := func(of Entity, key string) bool {
		return slices.ContainsFunc(columns, func(o Order) bool { return o.Of == of && o.Key == key })
	}
	out := &Run{number: r.number, ID: r.ID, Project: r.Project, Experiment: r.Experiment, Name: r.Name, Kind: r.Kind, Status: r.Status,
		User: r.User, Start: r.Start, End: r.End, Stage: r.Stage, Artifact: r.Artifact, Metrics: []Metric{}, Params: []Pair{}, Tags: []Pair{}}
	for _, m := range r.Metrics {
		if keep(OfMetric, m.Key) {
			out.Metrics = append(out.Metrics, m)
		}
	}
	for _, p := range r.Params {
		if keep(OfParam, p.Key) {
			out.Params = append(out.Params, p)
		}
	}
	for _, t := range r.Tags {
		if keep(OfTag, t.Key) {
			out.Tags = append(out.Tags, t)
		}
	}
	return out
}

// named finds a run of a project by its id, or by the beginning of it.
func (s *Service) named(ctx context.Context, project, id string) (*Run, error) {
	full, err := s.expand(ctx, project, id)
	if err != nil {
		return nil, err
	}
	r, err := s.Run(ctx, full)
	if err == nil && r.Project != project {
		return nil, noRun(id)
	}
	return r, err
}

func (s *Service) curve(ctx context.Context, in CurveOf) (Curve, error) {
	r, err := s.named(ctx, in.Project, in.Run)
	if err != nil {
		return Curve{}, err
	}
	points, err := s.History(ctx, r.ID, in.Key, EveryStep)
	if err != nil {
		return Curve{}, err
	}
	if len(points) == 0 {
		return Curve{}, slipway.Errorf(slipway.NotFound, "run %s has no metric %q", r.Name, in.Key).WithHint("`slipway runs show %s` lists its metrics", r.ID[:8])
	}
	slices.SortStableFunc(points, Point.compare)
	return Curve{in.Key, len(points), Sample(points, in.Points)}, nil
}

func (s *Service) compareRuns(ctx context.Context, in CompareRuns) (Comparison, error) {
	runs := make([]*Run, len(in.Run))
	for i, id := range in.Run {
		var err error
		if runs[i], err = s.named(ctx, in.Project, id); err != nil {
			return Comparison{}, err
		}
	}
	return Compare(runs), nil
}

// Serve answers with the bytes of an artifact, by ranges when asked. A browser
// downloads them: what a run wrote must not act as a page of this server.
func (s *Service) Serve(w http.ResponseWriter, r *http.Request, at Place) error {
	a, body, err := s.OpenArtifact(r.Context(), at)
	if err != nil {
		return err
	}
	defer body.Close()
	h := w.Header()
	h.Set("Content-Type", mediaType(a.Path))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(a.Path)}))
	h.Set("ETag", fmt.Sprintf("%q", a.Digest))
	// A whole file goes as such, so that the system sends it without a copy.
	if whole, ok := body.(content.File); ok {
		http.ServeContent(w, r, "", a.At, whole.File)
		return nil
	}
	http.ServeContent(w, r, "", a.At, io.NewSectionReader(body, 0, body.Size()))
	return nil
}

// plain is what is shown as text, by its extension or, without one, its name.
const plain = " txt log err cfg conf cnf cf ini properties prop hocon toml yaml yml xml json js py py3 csv tsv md rst MLmodel mlproject "

// mediaType is the type that MLflow's server gives a file: text for what people
// read, whatever else it is, so that no browser runs it.
func mediaType(name string) string {
	base := path.Base(name)
	extension := strings.TrimPrefix(path.Ext(base), ".")
	if extension == "" {
		extension = base
	}
	if strings.Contains(plain, " "+extension+" ") {
		return "text/plain"
	}
	kind, _, _ := strings.Cut(mime.TypeByExtension("."+extension), ";")
	if kind == "" {
		return "application/octet-stream"
	}
	return kind
}
