package content

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// maxAsked is how many digests one request may ask about.
const maxAsked = 100_000

// AskMissing asks which content has to be sent.
type AskMissing struct {
	Body struct {
		Digests []slipway.Digest `json:"digests"`
	}
}

// OpMissing is the operation by which a client finds out what to send.
var OpMissing = web.Op[AskMissing, []slipway.Digest]{Method: "POST", Path: "/api/v1/content/missing", Tag: "content", MaxBody: 16 << 20,
	Summary: "Which of some content the server does not hold"}

// OpDamaged tells a client that adds what is there already whether to look twice.
var OpDamaged = web.Op[web.None, []slipway.Digest]{Method: "GET", Path: "/api/v1/content/damaged", Tag: "content",
	Summary: "Content that was found damaged and not been repaired since"}

// Routes lets clients read and send content. Content belongs to no project, so
// a principal of any one may name a digest; who knows a digest has seen a place
// that refers to it.
func (s *Store) Routes(a *web.API) {
	OpMissing.Serve(a, func(ctx context.Context, in AskMissing) ([]slipway.Digest, error) {
		if err := allow(ctx, slipway.Reader); err != nil {
			return nil, err
		}
		if len(in.Body.Digests) > maxAsked {
			return nil, slipway.Errorf(slipway.Invalid, "a request may ask for %d digests", maxAsked)
		}
		missing, err := s.Missing(ctx, in.Body.Digests...)
		if missing == nil {
			missing = []slipway.Digest{}
		}
		return missing, err
	})
	OpDamaged.Serve(a, func(ctx context.Context, _ web.None) ([]slipway.Digest, error) {
		if err := allow(ctx, slipway.Reader); err != nil {
			return nil, err
		}
		return s.Damaged(ctx)
	})
	OpPlace.Serve(a, s.place)
	a.Handle("POST /api/v1/content", "", s.receive)
	a.Handle("POST /api/v1/content/many", "", s.sendMany)
	a.Handle("PUT /api/v1/content/{digest}", "", s.receiveOne)
	a.Handle("GET /api/v1/content/{digest}", "", s.send)
}

// allow checks a role in whichever project the principal is at home.
func allow(ctx context.Context, need slipway.Role) error {
	return slipway.Allow(ctx, need, slipway.PrincipalOf(ctx).Project)
}

// send answers with content, or the part that a Range header asks for.
func (s *Store) send(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), slipway.Reader); err != nil {
		return err
	}
	d, err := slipway.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	content, err := s.Open(r.Context(), d)
	if err != nil {
		return err
	}
	defer content.Close()
	// The type is fixed, so that a browser never runs what somebody stored.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+string(d)+`"`)
	w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

func (s *Store) receiveOne(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), slipway.Writer); err != nil {
		return err
	}
	d, err := slipway.ParseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	if err := s.PutExpect(r.Context(), d, r.Body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// receive stores the files of a tar stream, each named by its digest, and
// answers when all are durable: one fsync instead of one a file.
func (s *Store) receive(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r.Context(), slipway.Writer); err != nil {
		return err
	}
	batch := s.Batch(r.Context())
	for files := tar.NewReader(r.Body); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "the upload is not a whole tar stream: %v", err)
		}
		want, err := slipway.ParseDigest(h.Name)
		if err != nil {
			return err
		}
		got, _, err := batch.Put(files)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return slipway.Errorf(slipway.Invalid, "the upload broke off in content %s", want)
		}
		if err != nil {
			return err
		}
		if got != want {
			return slipway.Errorf(slipway.Conflict, "content %s changed while it was sent", want)
		}
	}
	if err := batch.Commit(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
