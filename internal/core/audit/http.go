package audit

import (
	"context"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

type (
	// ReadLog asks for events of the log.
	ReadLog struct {
		Project string `query:"project"`
		Actor   string `query:"actor"`
		Verb    string `query:"verb" doc:"one or several by comma; drift. is all that begin so"`
		Subject string `query:"subject"`
		After   int64  `query:"after" doc:"only events with a number above it"`
		Limit   int    `query:"limit" maximum:"10000"`
		Newest  bool   `query:"newest" doc:"newest first"`
	}
	// ReadTrace asks for the lineage of one thing.
	ReadTrace struct {
		Project   string `path:"project"`
		Ref       string `query:"ref" required:"true" doc:"kind:id, such as prediction:1f2e…"`
		Direction string `query:"direction" enum:"back,forward,both" default:"both"`
	}
)

// Project is a project of the workspace.
type Project struct {
	Name string `json:"name"`
}

// Operations on the log and its lineage.
var (
	OpProjects = web.Op[web.None, []Project]{Method: "GET", Path: "/api/v1/projects", Tag: "audit", Summary: "Projects of the workspace"}
	OpLog      = web.Op[ReadLog, []slipway.Event]{Method: "GET", Path: "/api/v1/audit/events", Needs: slipway.Reader, Tag: "audit", Summary: "Events of the log"}
	OpVerify   = web.Op[web.None, Checkpoint]{Method: "POST", Path: "/api/v1/audit/verify", Needs: slipway.Reader, Tag: "audit", Summary: "Check the whole log's hash chain and sign its end"}
	OpTrace    = web.Op[ReadTrace, Trace]{Method: "GET", Path: "/api/v1/projects/{project}/trace", Needs: slipway.Reader, Tag: "audit", Summary: "Lineage of one thing, back to the rows and forward to the predictions"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpProjects.Serve(a, s.listProjects)
	OpLog.Serve(a, func(ctx context.Context, in ReadLog) ([]slipway.Event, error) {
		return s.Log(ctx, Filter{in.Project, in.Actor, in.Verb, in.Subject, in.After, in.Limit, in.Newest})
	})
	OpVerify.Serve(a, func(ctx context.Context, _ web.None) (Checkpoint, error) { return s.Verify(ctx) })
	OpTrace.Serve(a, func(ctx context.Context, in ReadTrace) (Trace, error) {
		ref, err := slipway.ParseRef(in.Ref)
		if err != nil {
			return Trace{}, err
		}
		return s.Trace(ctx, in.Project, ref, Direction(in.Direction))
	})
	a.Handle("GET /api/v1/audit/export", slipway.Reader, func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "application/jsonl")
		return s.Export(r.Context(), w)
	})
	a.Handle("GET /api/v1/events", slipway.Reader, s.stream)
}

// stream sends sealed events as they come: those after ?after=, or from now on.
func (s *Service) stream(w http.ResponseWriter, r *http.Request) error {
	after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		if after, err = s.o.DB.LastEvent(r.Context()); err != nil {
			return err
		}
	}
	send := web.EventStream(w)
	for {
		events, err := s.o.DB.Events(r.Context(), after, 500)
		if err != nil {
			return nil // the stream has begun; the reader comes back with its last number
		}
		for _, e := range events {
			if send(e) != nil {
				return nil
			}
			after = e.Number
		}
		if s.o.DB.WaitEvent(r.Context(), after) != nil {
			return nil
		}
	}
}

// listProjects lists the projects that the caller may look at.
func (s *Service) listProjects(ctx context.Context, _ web.None) ([]Project, error) {
	who := slipway.PrincipalOf(ctx)
	if err := slipway.Allow(ctx, slipway.Reader, who.Project); err != nil {
		return nil, err
	}
	names, err := s.Projects(ctx)
	out := []Project{}
	for _, name := range names {
		if who.Project == "" || who.Project == name {
			out = append(out, Project{name})
		}
	}
	return out, err
}
