package tracking

import (
	"context"
	"errors"
	"io"

	"github.com/slipway-ml/slipway"
)

// maxParts is how many parts one file may come in, as in S3.
const maxParts = 10_000

// AllowUpload checks that the principal may write where a file is to go, and
// that there is such a place. It fails as PutArtifact does.
func (s *Service) AllowUpload(ctx context.Context, at Place) error {
	return s.allowOwner(ctx, slipway.Writer, at.Owner)
}

// PutPart stores a part of a file that comes in several, and names it. A part
// that no file takes up is garbage to the content store, which spares it for
// its time of grace.
func (s *Service) PutPart(ctx context.Context, at Place, r io.Reader) (slipway.Digest, error) {
	body, err := s.admit(ctx, at.Owner, r)
	if err != nil {
		return "", err
	}
	d, _, err := s.o.Content.Put(ctx, body)
	return d, err
}

// JoinParts stores the parts, one after the other, as a file. It fails with
// Invalid when there are too many and NotFound when one is not there.
func (s *Service) JoinParts(ctx context.Context, at Place, parts []slipway.Digest) (Artifact, error) {
	if len(parts) == 0 || len(parts) > maxParts {
		return Artifact{}, slipway.Errorf(slipway.Invalid, "a file comes in 1 to %d parts, not %d", maxParts, len(parts))
	}
	readers := make([]io.Reader, len(parts))
	for i, d := range parts {
		readers[i] = &part{ctx: ctx, s: s, digest: d}
	}
	return s.PutArtifact(ctx, at, io.MultiReader(readers...))
}

// part opens its content when it is first read, so that one is open at a time.
type part struct {
	ctx    context.Context
	s      *Service
	digest slipway.Digest
	body   io.ReadCloser
}

func (p *part) Read(b []byte) (int, error) {
	if p.body == nil {
		r, err := p.s.o.Content.Open(p.ctx, p.digest)
		if err != nil {
			return 0, err
		}
		p.body = r
	}
	n, err := p.body.Read(b)
	if errors.Is(err, io.EOF) {
		err = errors.Join(p.body.Close())
		p.body = io.NopCloser(eof{})
		if err == nil {
			err = io.EOF
		}
	}
	return n, err
}

// eof is the reader of nothing.
type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
