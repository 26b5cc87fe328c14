package serving

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
)

// The files beside the log.
const (
	manifestFile = "manifest.json"
	tripFile     = "tripped.json"
)

// Publish makes m the manifest that is served and returns when it is: its new
// models are loaded and warm, requests go to them, and the manifest would
// survive a crash. Requests under way end on the models they began on.
//
// It fails with Refused when m is not signed by Options.Key, and with Conflict
// when a newer one is served. An endpoint whose champion cannot be loaded stays
// as it was, a challenger or shadow that cannot be loaded is left out and
// counts as tripped; the error then names them, and the rest of m is served.
func (s *Service) Publish(ctx context.Context, m slipway.Manifest) error {
	if err := s.verify(m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return slipway.Errorf(slipway.Unavailable, "serving is closed")
	}
	if m.Number < s.manifest.Number {
		return slipway.Errorf(slipway.Conflict, "manifest %d is older than number %d, which is served", m.Number, s.manifest.Number)
	}
	if err := check(m); err != nil {
		return err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeDurably(filepath.Join(s.o.Dir, manifestFile), raw); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the manifest cannot be kept: %v", err)
	}
	return s.serve(ctx, m)
}

// verify checks the Ed25519 signature over the manifest's JSON without it.
func (s *Service) verify(m slipway.Manifest) error {
	if s.o.Key == nil {
		return nil
	}
	signature := m.Signature
	m.Signature = nil
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if !ed25519.Verify(s.o.Key, raw, signature) {
		return slipway.Errorf(slipway.Refused, "manifest %d is not signed by this workspace", m.Number)
	}
	return nil
}

// check refuses manifests that could not be served whatever the models are.
func check(m slipway.Manifest) error {
	seen := map[string]bool{}
	for _, e := range m.Endpoint {
		name := e.Project + "/" + e.Name
		if e.Name == "" || seen[name] {
			return slipway.Errorf(slipway.Invalid, "manifest %d names the endpoint %q twice or without a name", m.Number, name)
		}
		seen[name] = true
		champions, weight := 0, 0
		for _, v := range e.Variant {
			switch v.Role {
			case slipway.Champion:
				champions++
			case slipway.Challenger:
				weight += v.Weight
			case slipway.Shadow:
			default:
				return slipway.Errorf(slipway.Invalid, "the endpoint %s has a variant with the role %q", name, v.Role)
			}
			if v.Weight < 0 || v.Weight > 100 {
				return slipway.Errorf(slipway.Invalid, "the endpoint %s gives %s a weight of %d", name, v.Model, v.Weight)
			}
		}
		if champions != 1 || weight > 100 {
			return slipway.Errorf(slipway.Invalid, "the endpoint %s has %d champions, and challengers of %d %% of its callers", name, champions, weight)
		}
	}
	return nil
}

// serve loads what m names and swaps the table. The caller holds mu.
func (s *Service) serve(ctx context.Context, m slipway.Manifest) error {
	var errs []error
	var next []*endpoint
	old, before := s.table.Load(), maps.Clone(s.trips)
	named := map[string]Trip{}
	for _, spec := range m.Endpoint {
		if s.parked[spec.Project+"/"+spec.Name] {
			next = append(next, &endpoint{spec: spec, failure: errParked})
			s.keepTripped(spec, named)
			continue
		}
		e, err := s.assemble(ctx, spec, named)
		if err != nil {
			errs = append(errs, err)
		}
		if e.champion == nil {
			if was := old.byName[spec.Project+"/"+spec.Name]; was != nil && was.champion != nil {
				was.keep()
				e = was
			}
		}
		next = append(next, e)
	}
	s.manifest = m
	s.trips = named
	if !maps.Equal(named, before) {
		if err := s.keepTrips(); err != nil {
			errs = append(errs, err)
		}
	}
	for key := range s.record {
		if !names(m, key) {
			delete(s.record, key)
		}
	}
	s.retire(s.table.Swap(newTable(next)))
	for _, t := range named {
		s.tell(t)
	}
	return errors.Join(errs...)
}

// keepTripped carries over what was cut off behind an endpoint that is not loaded.
func (s *Service) keepTripped(spec slipway.Endpoint, named map[string]Trip) {
	for _, v := range spec.Variant {
		if t, tripped := s.trips[v.Release]; tripped && v.Role != slipway.Champion {
			named[v.Release] = t
		}
	}
}

func names(m slipway.Manifest, key string) bool {
	for _, e := range m.Endpoint {
		for _, v := range e.Variant {
			if recordKey(e, v) == key {
				return true
			}
		}
	}
	return false
}

// restore serves the manifest of the last process, as far as its models load.
func (s *Service) restore(ctx context.Context) error {
	raw, err := os.ReadFile(filepath.Join(s.o.Dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "the manifest cannot be read: %v", err)
	}
	var m slipway.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return slipway.Errorf(slipway.Invalid, "the manifest in %s is damaged: %v", s.o.Dir, err).WithHint("remove it: the control plane publishes it again")
	}
	if err := s.verify(m); err != nil {
		return err
	}
	if raw, err = os.ReadFile(filepath.Join(s.o.Dir, tripFile)); err == nil {
		if err := json.Unmarshal(raw, &s.trips); err != nil {
			return slipway.Errorf(slipway.Invalid, "%s in %s is damaged: %v", tripFile, s.o.Dir, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.serve(ctx, m); err != nil {
		slog.ErrorContext(ctx, "part of the manifest cannot be served", "manifest", m.Number, "error", err)
	}
	return nil
}

// keepTrips writes down who was cut off, so that a restart does not try them
// again. The caller holds mu.
func (s *Service) keepTrips() error {
	raw, err := json.Marshal(s.trips)
	if err == nil {
		err = writeDurably(filepath.Join(s.o.Dir, tripFile), raw)
	}
	if err != nil {
		return fmt.Errorf("the trips cannot be kept: %w", err)
	}
	return nil
}

// writeDurably replaces a file: it is the old or the new one after any crash.
func writeDurably(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
