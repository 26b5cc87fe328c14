package dataset

import (
	"context"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// OfProject names a project.
	OfProject struct {
		Project string `path:"project"`
	}
	// OfDataset names a dataset.
	OfDataset struct {
		Project string `path:"project"`
		Name    string `path:"name"`
	}
	// OfVersion names a version of a dataset; 0 is the newest.
	OfVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Version int    `query:"version" minimum:"0" doc:"0 is the newest"`
		View    string `query:"view" doc:"a View as JSON: only a window or a part of the rows"`
	}
	// AddVersion asks for a version.
	AddVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Body    Addition
	}
	// CheckVersion asks a contract about rows.
	CheckVersion struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Body    Question
	}
	// CompareVersions names two versions of a dataset.
	CompareVersions struct {
		Project   string  `path:"project"`
		Name      string  `path:"name"`
		From      int     `query:"from" minimum:"0" doc:"0 is the one before"`
		To        int     `query:"to" minimum:"0" doc:"0 is the newest"`
		Key       string  `query:"key" doc:"columns that tell one row from all others, with commas between them; by default the version's key"`
		Ignore    string  `query:"ignore" doc:"columns whose changes do not matter, with commas between them"`
		Tolerance float64 `query:"tolerance" minimum:"0" doc:"numbers x and y are alike up to this times max(1, |x|, |y|)"`
		Sample    int     `query:"rows" minimum:"0" maximum:"10000" doc:"rows that differ to show; 0 is 10"`
		Coarse    bool    `query:"coarse" doc:"leave the rows out: files, columns and statistics only"`
		Keep      bool    `query:"keep" doc:"put every row that differs into content, as Parquet"`
	}
	// ReadRows asks for the first rows of a version.
	ReadRows struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Version int    `query:"version" minimum:"0" doc:"0 is the newest"`
		Limit   int    `query:"limit" minimum:"0" maximum:"1000" doc:"0 is 10"`
		View    string `query:"view" doc:"a View as JSON: only a window or a part of the rows"`
	}
	// MakeView asks for the rows of a view as a file.
	MakeView struct {
		Project string `path:"project"`
		Name    string `path:"name"`
		Body    struct {
			Version int          `json:"version,omitempty" minimum:"0" doc:"0 is the newest"`
			View    View         `json:"view,omitzero"`
			Format  query.Format `json:"format,omitempty" doc:"csv or parquet; empty is csv"`
		}
	}
	// Rows is some rows of a version.
	Rows struct {
		Schema    slipway.Schema `json:"schema"`
		Rows      [][]any        `json:"rows"`
		Truncated bool           `json:"truncated,omitempty"` // the limit left rows out
	}
	// ReadQuarantine lists refused batches.
	ReadQuarantine struct {
		Project string `path:"project"`
		Name    string `query:"name" doc:"only of this dataset"`
	}
	// AskRows is a question in SQL.
	AskRows struct {
		Project string `path:"project"`
		Body    struct {
			SQL   string          `json:"sql" doc:"one SELECT; flights is the newest version of a dataset, flights@v3 another"`
			Limit int             `json:"limit,omitempty" minimum:"0" maximum:"10000" doc:"most rows; 0 is 1000"`
			Views map[string]View `json:"views,omitempty" doc:"windows and parts that the SQL names, by their names there, such as flights@v3[train]"`
		}
	}
	// ReleaseBatch asks that a refused batch is used.
	ReleaseBatch struct {
		Project string `path:"project"`
		ID      string `path:"id"`
		Body    struct {
			Reason string `json:"reason"`
		}
	}
	// OneQuarantined names a refused batch.
	OneQuarantined struct {
		Project string `path:"project"`
		ID      string `path:"id"`
	}
)

const dataPath = "/api/v1/projects/{project}/data"

// Operations on datasets.
var (
	OpList    = web.Op[OfProject, []Version]{Method: "GET", Path: dataPath, Needs: slipway.Reader, Tag: "dataset", Summary: "The newest version of every dataset"}
	OpLog     = web.Op[OfDataset, []Version]{Method: "GET", Path: dataPath + "/{name}/versions", Needs: slipway.Reader, Tag: "dataset", Summary: "Versions of a dataset, newest first"}
	OpVersion = web.Op[OfVersion, Version]{Method: "GET", Path: dataPath + "/{name}", Needs: slipway.Reader, Tag: "dataset", Summary: "One version of a dataset"}
	OpAdd     = web.Op[AddVersion, web.Job]{Method: "POST", Path: dataPath + "/{name}/versions", Needs: slipway.Writer, Tag: "dataset", MaxBody: 16 << 20,
		Summary: "Make a version of content that was sent; the job's result is an Outcome"}
	OpProfile = web.Op[OfVersion, Profile]{Method: "GET", Path: dataPath + "/{name}/profile", Needs: slipway.Reader, Tag: "dataset", Summary: "What the rows of a version look like"}
	OpReport  = web.Op[OfVersion, Report]{Method: "GET", Path: dataPath + "/{name}/report", Needs: slipway.Reader, Tag: "dataset", Summary: "What the contract said of a version"}
	OpCheck   = web.Op[CheckVersion, web.Job]{Method: "POST", Path: dataPath + "/{name}/check", Needs: slipway.Writer, Tag: "dataset", MaxBody: 16 << 20,
		Summary: "Ask a contract about a version or files; the job's result is a Report"}
	OpDiff             = web.Op[CompareVersions, Diff]{Method: "GET", Path: dataPath + "/{name}/diff", Needs: slipway.Reader, Tag: "dataset", Summary: "What differs between two versions: files, schema, statistics, rows"}
	OpTree             = web.Op[OfVersion, content.Tree]{Method: "GET", Path: dataPath + "/{name}/tree", Needs: slipway.Reader, Tag: "dataset", Summary: "The files of a version"}
	OpRows             = web.Op[ReadRows, Rows]{Method: "GET", Path: dataPath + "/{name}/rows", Needs: slipway.Reader, Tag: "dataset", Summary: "The first rows of a version"}
	OpInfer            = web.Op[OfVersion, Proposal]{Method: "GET", Path: dataPath + "/{name}/contract/proposal", Needs: slipway.Reader, Tag: "dataset", Summary: "A contract that a version would keep"}
	OpContract         = web.Op[OfVersion, Proposal]{Method: "GET", Path: dataPath + "/{name}/contract", Needs: slipway.Reader, Tag: "dataset", Summary: "The contract under which a version was added"}
	OpQuarantine       = web.Op[ReadQuarantine, []Quarantined]{Method: "GET", Path: "/api/v1/projects/{project}/quarantine", Needs: slipway.Reader, Tag: "dataset", Summary: "Batches that broke their contract, newest first"}
	OpQuarantineReport = web.Op[OneQuarantined, Report]{Method: "GET", Path: "/api/v1/projects/{project}/quarantine/{id}", Needs: slipway.Reader, Tag: "dataset", Summary: "Why a batch was refused, with its failing rows"}
	OpRelease          = web.Op[ReleaseBatch, web.Job]{Method: "POST", Path: "/api/v1/projects/{project}/quarantine/{id}/release", Needs: slipway.Operator, Tag: "dataset", Summary: "Use a batch although it broke its contract; the job's result is an Outcome"}
	OpView             = web.Op[MakeView, web.Job]{Method: "POST", Path: dataPath + "/{name}/view", Needs: slipway.Reader, Tag: "dataset", Summary: "Write a window or a part of a version's rows into a file; the job's result is a Made, whose content can then be read"}
	OpAsk              = web.Op[AskRows, Rows]{Method: "POST", Path: "/api/v1/projects/{project}/sql", Needs: slipway.Reader, Tag: "dataset", Summary: "Ask versions of datasets in SQL, read-only"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	s.storeRoutes(a)
	OpList.Serve(a, func(ctx context.Context, in OfProject) ([]Version, error) { return s.List(ctx, in.Project) })
	OpLog.Serve(a, func(ctx context.Context, in OfDataset) ([]Version, error) { return s.Log(ctx, in.Project, in.Name) })
	OpVersion.Serve(a, func(ctx context.Context, in OfVersion) (Version, error) {
		return s.Version(ctx, in.Project, in.Name, in.Version)
	})
	OpAdd.Serve(a, func(ctx context.Context, in AddVersion) (web.Job, error) {
		return s.o.Jobs.Start(ctx, "dataset.add", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.Add(ctx, in.Project, in.Name, in.Body, say)
		}), nil
	})
	OpProfile.Serve(a, func(ctx context.Context, in OfVersion) (Profile, error) {
		view, err := readView(in.View)
		if err != nil {
			return Profile{}, err
		}
		return s.ProfileOf(ctx, in.Project, in.Name, in.Version, view)
	})
	OpReport.Serve(a, func(ctx context.Context, in OfVersion) (Report, error) {
		return s.Report(ctx, in.Project, in.Name, in.Version)
	})
	OpCheck.Serve(a, func(ctx context.Context, in CheckVersion) (web.Job, error) {
		return job(ctx, s.o.Jobs, "dataset.check", in.Project, func(ctx context.Context) (*Report, error) {
			return s.Check(ctx, in.Project, in.Name, in.Body)
		})
	})
	OpInfer.Serve(a, func(ctx context.Context, in OfVersion) (Proposal, error) {
		return s.Infer(ctx, in.Project, in.Name, in.Version)
	})
	OpContract.Serve(a, func(ctx context.Context, in OfVersion) (Proposal, error) {
		return s.Contract(ctx, in.Project, in.Name, in.Version)
	})
	OpQuarantine.Serve(a, func(ctx context.Context, in ReadQuarantine) ([]Quarantined, error) {
		return s.Quarantine(ctx, in.Project, in.Name)
	})
	OpQuarantineReport.Serve(a, func(ctx context.Context, in OneQuarantined) (Report, error) {
		return s.QuarantineReport(ctx, in.Project, in.ID)
	})
	OpRelease.Serve(a, func(ctx context.Context, in ReleaseBatch) (web.Job, error) {
		return s.o.Jobs.Start(ctx, "dataset.release", in.Project, func(ctx context.Context, say func(web.Progress)) (any, error) {
			return s.Release(ctx, in.Project, in.ID, in.Body.Reason, say)
		}), nil
	})
	OpAsk.Serve(a, func(ctx context.Context, in AskRows) (Rows, error) {
		return s.Ask(ctx, in.Project, in.Body.SQL, in.Body.Limit, in.Body.Views)
	})
	OpDiff.Serve(a, func(ctx context.Context, in CompareVersions) (Diff, error) {
		return s.Diff(ctx, in.Project, in.Name, Compare{From: in.From, To: in.To, Key: names(in.Key), Ignore: names(in.Ignore),
			Tolerance: in.Tolerance, Sample: in.Sample, Keep: in.Keep, Coarse: in.Coarse})
	})
	OpTree.Serve(a, func(ctx context.Context, in OfVersion) (content.Tree, error) {
		v, err := s.Version(ctx, in.Project, in.Name, in.Version)
		if err != nil {
			return nil, err
		}
		return s.o.Content.GetTree(ctx, v.Tree)
	})
	OpRows.Serve(a, func(ctx context.Context, in ReadRows) (Rows, error) {
		view, err := readView(in.View)
		if err != nil {
			return Rows{}, err
		}
		return s.Head(ctx, in.Project, in.Name, in.Version, in.Limit, view)
	})
	OpView.Serve(a, func(ctx context.Context, in MakeView) (web.Job, error) {
		return job(ctx, s.o.Jobs, "dataset.view", in.Project, func(ctx context.Context) (*Made, error) {
			return s.MakeView(ctx, in.Project, in.Name, in.Body.Version, in.Body.View, in.Body.Format)
		})
	})
}

// names splits a list of columns.
func names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
