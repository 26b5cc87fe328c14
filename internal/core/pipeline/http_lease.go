package pipeline

import (
	"context"
	"io"
	"net/http"
	"strconv"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// leaseHeader carries the token of a step's attempt. These operations need no
// role: the token is the permission, for this one attempt.
const leaseHeader = "Slipway-Lease"

type (
	leaseIn struct {
		Lease string `header:"Slipway-Lease"`
	}
	completeIn struct {
		Lease string `header:"Slipway-Lease"`
		Body  Completion
	}
)

// Completion is what a step's process says at its end.
type Completion struct {
	Exit    int               `json:"exit"`
	Message string            `json:"message,omitempty" doc:"why it failed; empty when it succeeded"`
	Output  map[string]Output `json:"output,omitempty"`
	Log     slipway.Digest    `json:"log,omitempty"`
}

// LogSize is how much of a log the server has.
type LogSize struct {
	Size int64 `json:"size"`
}

// Operations of a step's process.
var (
	OpLeaseBegin    = web.Op[leaseIn, Assignment]{Method: "POST", Path: "/api/v1/lease/begin", Tag: "lease", Summary: "What the step has to do"}
	OpLeaseRenew    = web.Op[leaseIn, web.None]{Method: "POST", Path: "/api/v1/lease/renew", Tag: "lease", Summary: "Still alive; denied when the step shall end"}
	OpLeaseComplete = web.Op[completeIn, web.None]{Method: "POST", Path: "/api/v1/lease/complete", Tag: "lease", Summary: "How the step ended"}
)

func (s *Service) leaseRoutes(a *web.API) {
	OpLeaseBegin.Serve(a, func(ctx context.Context, in leaseIn) (Assignment, error) { return s.assign(ctx, in.Lease) })
	OpLeaseRenew.Serve(a, func(ctx context.Context, in leaseIn) (web.None, error) {
		return web.None{}, s.heartbeat(ctx, in.Lease)
	})
	OpLeaseComplete.Serve(a, func(ctx context.Context, in completeIn) (web.None, error) {
		b := in.Body
		return web.None{}, s.complete(ctx, in.Lease, completion{Exit: b.Exit, Message: b.Message, Output: b.Output, Log: b.Log})
	})
	a.Handle("POST /api/v1/lease/log", "", s.serveLog)
	a.Handle("GET /api/v1/lease/content/{digest}", "", s.serveContent)
	a.Handle("PUT /api/v1/lease/content/{digest}", "", s.takeContent)
}

// maxPiece is the largest piece of a log in one request.
const maxPiece = 256 << 10

// serveLog takes a piece of a step's log that begins at ?offset=.
func (s *Service) serveLog(w http.ResponseWriter, r *http.Request) error {
	seat, err := s.seat(r.Context(), r.Header.Get(leaseHeader))
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
	if err != nil || offset < 0 {
		return slipway.Errorf(slipway.Invalid, "offset is no place in a log")
	}
	piece, err := io.ReadAll(io.LimitReader(r.Body, maxPiece))
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the piece broke off")
	}
	d := seat.drive
	fresh, size, err := s.logs.append(d.run.ID, seat.step, seat.attempt, offset, piece)
	if err != nil {
		return err
	}
	d.sayLines(seat.step, fresh)
	return web.WriteJSON(w, LogSize{size})
}

func (s *Service) serveContent(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.seat(r.Context(), r.Header.Get(leaseHeader)); err != nil {
		return err
	}
	d, err := slipway.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	return s.sendContent(w, r, d)
}

func (s *Service) takeContent(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.seat(r.Context(), r.Header.Get(leaseHeader)); err != nil {
		return err
	}
	d, err := slipway.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := s.o.Content.PutExpect(r.Context(), d, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
