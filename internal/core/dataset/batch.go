package dataset

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// contract reads the contract of an addition, nil when there is none, keeps its
// text, and takes from it what the spec does not say.
func (w *work) contract(ctx context.Context) (*Contract, error) {
	if w.add.Contract == "" {
		return nil, nil
	}
	c, err := ParseContract([]byte(w.add.Contract), w.version.Name)
	if err != nil {
		return nil, err
	}
	w.add.Spec.Types = c.types()
	if len(w.add.Spec.Key) == 0 {
		w.add.Spec.Key = c.key()
	}
	w.version.Contract, _, err = w.o.Content.Put(ctx, strings.NewReader(w.add.Contract))
	return c, err
}

// check asks the contract about the new files, and about repeated values among
// all of them. A batch that fails is put into quarantine.
func (w *work) check(ctx context.Context, whole *table, c *Contract) (Outcome, error) {
	v := &w.version
	if !v.Table() {
		return Outcome{}, slipway.Errorf(slipway.Invalid, "%s has a contract, but its files are no table", v.Name)
	}
	batch := w.batch(v.Contract)
	report, err := w.examine(ctx, whole, batch, c)
	if err != nil {
		return Outcome{}, err
	}
	report.Contract = v.Contract
	if v.Report, err = w.keep(ctx, report); err != nil {
		return Outcome{}, err
	}
	v.Verdict = report.Verdict
	if report.Verdict != Refused {
		return Outcome{Report: report}, nil
	}
	return w.refuse(ctx, batch, report)
}

// examine checks the batch, which may be all of whole.
func (w *work) examine(ctx context.Context, whole *table, batch []content.Entry, c *Contract) (*Report, error) {
	a, err := w.surround(ctx, w.version.Project, c, w.last)
	if err != nil {
		return nil, err
	}
	defer a.close()
	whole.around = a
	defer func() { whole.around = nil }()
	part := whole
	if len(batch) < len(w.tree) {
		opened, err := w.open(ctx, whole.name, batch, w.add.Spec, nil)
		if err != nil {
			return nil, err
		}
		defer opened.close()
		if opened.spec.Format != FilesOnly {
			part = opened
			part.around = a
			a.batch = true
		}
	}
	checks, err := c.compile(part)
	if err != nil {
		return nil, err
	}
	if part != whole {
		checks = slices.DeleteFunc(checks, func(c check) bool { return c.whole })
	}
	report, err := w.inspect(ctx, part, checks)
	if err != nil || part == whole {
		report.name(w.tree)
		return report, err
	}
	report.name(batch)
	return report, w.repeats(ctx, whole, c, report)
}

// name writes down which files were checked.
func (r *Report) name(entries []content.Entry) {
	if r == nil {
		return
	}
	for _, e := range entries {
		r.Files = append(r.Files, e.Path)
	}
}

// repeats asks about values that the batch shares with rows that were there.
func (w *work) repeats(ctx context.Context, whole *table, c *Contract, report *Report) error {
	checks, err := c.compile(whole)
	if err != nil {
		return err
	}
	checks = slices.DeleteFunc(checks, func(c check) bool { return len(c.distinct) == 0 && !c.whole })
	if len(checks) == 0 {
		return nil
	}
	among, err := w.inspect(ctx, whole, checks)
	if err != nil {
		return err
	}
	for _, f := range among.Checks {
		if f.Name == "" {
			f.Name = f.Kind
		}
		f.Name += " among all rows"
		report.Checks = append(report.Checks, f)
	}
	report.decide()
	return nil
}

// refuse keeps a batch apart and says why.
func (w *work) refuse(ctx context.Context, batch []content.Entry, report *Report) (Outcome, error) {
	tree, err := content.NewTree(batch)
	if err != nil {
		return Outcome{}, err
	}
	id := make([]byte, 16)
	if _, err := io.ReadFull(rand.Reader, id); err != nil {
		return Outcome{}, err
	}
	v := w.version
	q := &Quarantined{ID: hex.EncodeToString(id), Project: v.Project, Name: v.Name, Report: v.Report, Spec: v.Spec, Message: v.Message}
	if q.Tree, err = w.o.Content.PutTree(ctx, tree); err != nil {
		return Outcome{}, err
	}
	for _, f := range report.failed() {
		if f.Severity == Error {
			q.Checks++
			q.Rows = max(q.Rows, f.Rows)
		}
	}
	if err := w.quarantine(ctx, q); err != nil {
		return Outcome{}, err
	}
	e := slipway.Errorf(slipway.Refused, "%s broke its contract: %d of %d checks failed", v.Name, q.Checks, len(report.Checks))
	if w.last.Number > 0 {
		e = e.WithHint("%s stays the newest version; the batch is in quarantine, see `slipway data quarantine`", w.last.ID())
	} else {
		e = e.WithHint("the batch is in quarantine, see `slipway data quarantine`")
	}
	return Outcome{Report: report, Quarantine: q}, e
}
