package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/audit"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

var (
	commit  = slipway.NewRef(slipway.KindCommit, "c0ffee")
	data    = slipway.VersionRef(slipway.KindDataset, "flights", 1)
	run     = slipway.NewRef(slipway.KindRun, "r1")
	model   = slipway.VersionRef(slipway.KindModel, "delay", 1)
	release = slipway.NewRef(slipway.KindRelease, "rel1")
)

// world is a model that was trained, registered and released.
func world(t *testing.T, d *db.DB, p audit.Predictions) *audit.Service {
	t.Helper()
	s := audit.New(audit.Options{DB: d, Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), Predictions: p})
	ana := slipway.WithPrincipal(t.Context(), slipway.Principal{Name: "ana"})
	for _, e := range []slipway.Event{
		{Verb: "dataset.versioned", Subject: data, Link: []slipway.Link{{Relation: slipway.From, Ref: commit}}, Data: []byte(`{"rows":80789}`)},
		{Verb: "run.finished", Subject: run, Link: []slipway.Link{{Relation: slipway.From, Ref: data}, {Relation: slipway.From, Ref: commit}}},
		{Verb: "model.registered", Subject: model, Link: []slipway.Link{{Relation: slipway.From, Ref: run}}},
		{Verb: "release.created", Subject: release, Link: []slipway.Link{{Relation: slipway.From, Ref: model}}},
	} {
		e.Project = "p"
		if err := d.Write(ana, func(tx *db.Tx) error { return tx.Record(e) }); err != nil {
			t.Fatal(err)
		}
	}
	events, err := d.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // handling an event twice changes nothing
		for _, e := range events {
			if err := s.Handle(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

type served struct{}

func (served) Prediction(_ context.Context, _, id string) (audit.Prediction, error) {
	if id != "q1" {
		return audit.Prediction{}, slipway.Errorf(slipway.NotFound, "no prediction %s", id)
	}
	return audit.Prediction{ID: id, Release: release.ID, Data: map[string]any{"probability": 0.25}}, nil
}

func (served) Served(context.Context, string, string, int) (int64, []string, error) {
	return 253_000, nil, nil
}

func TestTraceWalksBackToTheRowsAndForwardToThePredictions(t *testing.T) {
	dbtest.Each(t, []db.Migration{audit.Migration}, func(t *testing.T, d *db.DB) {
		s := world(t, d, served{})
		for _, c := range []struct {
			from slipway.Ref
			way  audit.Direction
			want []slipway.Ref
		}{
			{slipway.NewRef(slipway.KindPrediction, "q1"), audit.Back, []slipway.Ref{slipway.NewRef(slipway.KindPrediction, "q1"), release, model, run, commit, data}},
			{data, audit.Forward, []slipway.Ref{data, run, model, release}},
			{model, audit.Both, []slipway.Ref{model, run, commit, data, release}},
		} {
			got, err := s.Trace(t.Context(), "p", c.from, c.way)
			if err != nil {
				t.Fatalf("trace %s: %v", c.from, err)
			}
			var refs []slipway.Ref
			for _, n := range got.Node {
				refs = append(refs, n.Ref)
				if n.Ref == release && n.Distance > 0 && n.Count != 253_000 {
					t.Errorf("trace %s: the release made %d predictions; want 253000", c.from, n.Count)
				}
			}
			if diff := cmp.Diff(c.want, refs); diff != "" {
				t.Errorf("trace %s %s (-want +got):\n%s", c.from, c.way, diff)
			}
		}
		for _, absent := range []slipway.Ref{slipway.NewRef(slipway.KindRun, "r2"), slipway.NewRef(slipway.KindPrediction, "q2")} {
			if _, err := s.Trace(t.Context(), "p", absent, audit.Both); !slipway.IsCode(err, slipway.NotFound) {
				t.Errorf("trace %s = %v; want not_found", absent, err)
			}
		}
		if _, err := s.Trace(t.Context(), "other", model, audit.Both); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("another project's model is found: %v", err)
		}
	})
}

func TestExportVerifiesByItself(t *testing.T) {
	dbtest.Each(t, []db.Migration{audit.Migration}, func(t *testing.T, d *db.DB) {
		s := world(t, d, nil)
		var log bytes.Buffer
		if err := s.Export(t.Context(), &log); err != nil {
			t.Fatal(err)
		}
		end, err := audit.VerifyExport(bytes.NewReader(log.Bytes()))
		if err != nil || end.Number != 4 {
			t.Fatalf("VerifyExport = %+v, %v; want 4 events", end, err)
		}
		lines := strings.SplitAfter(strings.TrimSuffix(log.String(), "\n"), "\n")
		for name, text := range map[string]string{
			"an event is changed":            strings.Replace(log.String(), "80789", "80790", 1),
			"an event is missing":            strings.Join(append(append([]string{}, lines[:1]...), lines[2:]...), ""),
			"the end is cut off":             strings.Join(lines[:3], ""),
			"the count is changed":           strings.Join(lines[:3], "") + lines[4],
			"the signature is not its key's": strings.Replace(log.String(), `"signature":"`, `"signature":"AA`, 1),
		} {
			if _, err := audit.VerifyExport(strings.NewReader(text)); err == nil {
				t.Errorf("%s: the log verifies", name)
			}
		}
	})
}

func TestLogIsFiltered(t *testing.T) {
	dbtest.Each(t, []db.Migration{audit.Migration}, func(t *testing.T, d *db.DB) {
		s := world(t, d, nil)
		for _, c := range []struct {
			filter audit.Filter
			want   int
		}{
			{audit.Filter{}, 4},
			{audit.Filter{Actor: "ana", Verb: "run.finished"}, 1},
			{audit.Filter{Verb: "run."}, 1},
			{audit.Filter{Verb: "run"}, 0},
			{audit.Filter{Verb: "run., dataset.versioned,model."}, 3},
			{audit.Filter{Actor: "bob"}, 0},
			{audit.Filter{Subject: model.String()}, 1},
			{audit.Filter{After: 3}, 1},
			{audit.Filter{Limit: 2, Newest: true}, 2},
		} {
			got, err := s.Log(t.Context(), c.filter)
			if err != nil || len(got) != c.want {
				t.Errorf("Log(%+v) = %d events, %v; want %d", c.filter, len(got), err, c.want)
			}
		}
	})
}
