package serving

import (
	"context"
	"errors"

	"github.com/slipway-ml/slipway"
)

// ErrLimit marks refusals of a caller who asks too much, or of a server that
// has as much as it can do. Repeating the request a little later helps.
var ErrLimit = errors.New("over the limit")

// errParked is why an endpoint that was unloaded does not answer.
var errParked = slipway.Errorf(slipway.Unavailable, "it was unloaded").WithHint("load it with POST /v2/repository/models/NAME/load")

// spec finds an endpoint of the manifest, loaded or not, by its name or by
// project/name. The caller holds mu.
func (s *Service) spec(name string) (slipway.Endpoint, error) {
	var found []slipway.Endpoint
	for _, e := range s.manifest.Endpoint {
		if e.Project+"/"+e.Name == name {
			return e, nil
		}
		if e.Name == name {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return slipway.Endpoint{}, slipway.Errorf(slipway.NotFound, "there is no endpoint %q", name)
	case 1:
		return found[0], nil
	}
	return slipway.Endpoint{}, slipway.Errorf(slipway.Invalid, "several projects have an endpoint %q", name).
		WithHint("write %s", found[0].Project+"%2F"+name)
}

// Owner is the project of an endpoint, loaded or not. It fails with NotFound.
func (s *Service) Owner(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.spec(name)
	return e.Project, err
}

// Unload takes an endpoint's models out of memory, after the requests under
// way. It answers nobody until Load, or until the process starts again; a new
// manifest does not bring it back.
func (s *Service) Unload(ctx context.Context, name string) error { return s.park(ctx, name, true) }

// Load brings an endpoint back, or tries again to load one that could not be.
// It fails as Publish does.
func (s *Service) Load(ctx context.Context, name string) error { return s.park(ctx, name, false) }

func (s *Service) park(ctx context.Context, name string, away bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return slipway.Errorf(slipway.Unavailable, "serving is closed")
	}
	e, err := s.spec(name)
	if err != nil {
		return err
	}
	full := e.Project + "/" + e.Name
	if away {
		s.parked[full] = true
	} else {
		delete(s.parked, full)
	}
	return s.serve(ctx, s.manifest)
}
