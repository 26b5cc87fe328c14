package dataset

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Release is a person's word that a batch is to be used although it broke its
// contract.
type Release struct {
	Quarantine string    `json:"quarantine"` // id of the batch
	Reason     string    `json:"reason"`
	Actor      string    `json:"actor"`
	At         time.Time `json:"at"`
	Version    int       `json:"version"` // that it became
}

// Release makes a version of a batch in quarantine: its files come to those of
// the newest version, or take the place of files under the same paths. The
// contract is not asked again; the version keeps the report and says who
// released it and why. It fails with NotFound, with Invalid without a reason,
// and with Conflict for a batch that was released before.
func (s *Service) Release(ctx context.Context, project, id, reason string, say func(web.Progress)) (out Outcome, err error) {
	reason = strings.TrimSpace(reason)
	if reason == "" {
		return out, slipway.Errorf(slipway.Invalid, "a release needs a reason").WithHint("it is kept in the audit log")
	}
	q, err := s.quarantined(ctx, project, id)
	if err != nil {
		return out, err
	}
	if q.Released != nil {
		return out, q.released()
	}
	var report Report
	if err := s.recall(ctx, q.Report, &report); err != nil {
		return out, err
	}
	w := &work{Service: s, say: say, add: Addition{Tree: q.Tree, Spec: q.Spec, Message: q.Message}}
	if w.last, err = s.find(ctx, project, q.Name, 0); err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return out, err
	}
	w.version = Version{Project: project, Name: q.Name, Message: q.Message, Contract: report.Contract, Report: q.Report, Verdict: Refused,
		Released: &Release{Quarantine: q.ID, Reason: reason}}
	if err := w.trees(ctx); err != nil {
		return out, err
	}
	if err := w.join(ctx); err != nil {
		return out, err
	}
	w.version.Tree, w.version.Files, w.version.Bytes = w.digest, len(w.tree), w.tree.Size()
	if out, err = w.finish(ctx, nil); err != nil {
		return out, err
	}
	out.Report = &report
	return out, nil
}

// join puts the batch's files among those of the last version.
func (w *work) join(ctx context.Context) (err error) {
	var entries []content.Entry
	for _, e := range w.before {
		if _, replaced := w.tree.Find(e.Path); !replaced {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if w.tree, err = content.NewTree(append(entries, w.tree...)); err != nil {
		return err
	}
	w.digest, err = w.o.Content.PutTree(ctx, w.tree)
	return err
}

func (q Quarantined) released() error {
	return slipway.Errorf(slipway.Conflict, "%s released this batch already", q.Released.Actor).WithHint("it is %s@v%d", q.Name, q.Released.Version)
}

// quarantined finds one refused batch.
func (s *Service) quarantined(ctx context.Context, project, id string) (Quarantined, error) {
	all, err := s.Quarantine(ctx, project, "")
	if err != nil {
		return Quarantined{}, err
	}
	for _, q := range all {
		if q.ID == id {
			return q, nil
		}
	}
	return Quarantined{}, slipway.Errorf(slipway.NotFound, "there is no batch %s in quarantine", id).WithHint("slipway data quarantine lists them")
}

// event is what the audit log says of a release.
func (r *Release) event(v Version) (slipway.Event, error) {
	data, err := json.Marshal(map[string]any{"quarantine": r.Quarantine, "reason": r.Reason, "report": v.Report})
	return slipway.Event{Project: v.Project, Verb: "dataset.released", Subject: v.Ref(), Data: data}, err
}
