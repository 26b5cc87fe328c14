package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Addition is what a client asks to be made a version. Its content has been
// sent before.
type Addition struct {
	Tree     slipway.Digest `json:"tree"`
	Append   bool           `json:"append,omitempty" doc:"the files come to those of the newest version"`
	Spec     Spec           `json:"spec,omitzero"`
	New      string         `json:"new,omitempty" enum:"time,key" doc:"add only the rows that the newest version does not have: after its last event time, or with a key that it does not know"`
	Contract string         `json:"contract,omitempty" doc:"the contract's YAML"`
	Message  string         `json:"message,omitempty"`
	Commit   string         `json:"commit,omitempty"`
	Run      string         `json:"run,omitempty"`
}

// Outcome is what became of an Addition.
type Outcome struct {
	Version    *Version     `json:"version,omitempty"`   // the new one, or the newest when nothing changed
	Unchanged  bool         `json:"unchanged,omitempty"` // the newest version has this content already
	Report     *Report      `json:"report,omitempty"`    // nil without a contract
	Quarantine *Quarantined `json:"quarantine,omitempty"`
}

// Add makes a version. A batch that breaks its contract fails with Refused; the
// Outcome then holds the report and the quarantine. Content that the newest
// version has already makes no new one. It fails with NotFound when content was
// not sent, with Invalid for files that are malformed.
func (s *Service) Add(ctx context.Context, project, name string, a Addition, say func(web.Progress)) (out Outcome, err error) {
	if err := checkName(name); err != nil {
		return out, err
	}
	w := &work{Service: s, say: say, add: a}
	if w.last, err = s.find(ctx, project, name, 0); err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return out, err
	}
	if w.last.Number > 0 {
		name = w.last.Name // that it has now
	}
	w.version = Version{Project: project, Name: name, Message: a.Message, Commit: a.Commit, Run: a.Run}
	contract, err := w.contract(ctx)
	if err != nil {
		return out, err
	}
	if w.last.Number > 0 && a.Tree == w.last.Tree && w.sameSpec() { // without a look at its files, of which there may be many
		return Outcome{Version: &w.last, Unchanged: true}, nil
	}
	if a.New != "" {
		if fresh, err := w.increment(ctx); err != nil || !fresh {
			return Outcome{Version: &w.last, Unchanged: err == nil}, err
		}
	}
	if err = w.trees(ctx); err != nil {
		return out, err
	}
	if len(w.tree) == 0 {
		return out, slipway.Errorf(slipway.Invalid, "dataset %s would have no files", name)
	}
	w.version.Tree, w.version.Files, w.version.Bytes = w.digest, len(w.tree), w.tree.Size()
	if w.last.Number > 0 && w.digest == w.last.Tree && w.sameSpec() {
		return Outcome{Version: &w.last, Unchanged: true}, nil
	}
	return w.finish(ctx, contract)
}

// work is one addition under way.
type work struct {
	*Service
	say     func(web.Progress)
	add     Addition
	last    Version      // Number 0: there is none
	before  content.Tree // its files
	tree    content.Tree // the files of the new version
	digest  slipway.Digest
	version Version
}

// trees reads the files of the last version and of the new one.
func (w *work) trees(ctx context.Context) (err error) {
	given, err := w.o.Content.GetTree(ctx, w.add.Tree)
	if err != nil {
		return err
	}
	missing, err := w.o.Content.Missing(ctx, given.Digests()...)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return slipway.Errorf(slipway.NotFound, "%d files of the version were not sent", len(missing)).WithHint("run the command again")
	}
	if w.last.Number > 0 {
		if w.before, err = w.o.Content.GetTree(ctx, w.last.Tree); err != nil {
			return err
		}
	}
	w.tree, w.digest = given, w.add.Tree
	if !w.add.Append || w.last.Number == 0 {
		return nil
	}
	entries := append([]content.Entry(nil), w.before...)
	for _, e := range given {
		old, there := w.before.Find(e.Path)
		switch {
		case !there:
			entries = append(entries, e)
		case old.Digest != e.Digest:
			return slipway.Errorf(slipway.Conflict, "%s holds another %s already", w.last.ID(), e.Path).
				WithHint("give the new file another name, or add all files without --append")
		}
	}
	if w.tree, err = content.NewTree(entries); err != nil {
		return err
	}
	w.digest, err = w.o.Content.PutTree(ctx, w.tree)
	return err
}

// sameSpec reports whether the rows are read as in the last version. What was
// found out there and not declared here does not count.
func (w *work) sameSpec() bool {
	old, now := w.last.Spec, w.add.Spec
	if old.Guessed {
		old.Time, old.Guessed = "", false
	}
	if now.Format != "" && now.Format != old.Format {
		return false
	}
	csv := now.CSV
	if csv.Delimiter != "" && csv.Delimiter != old.CSV.Delimiter || csv.Header != nil && !reflect.DeepEqual(csv.Header, old.CSV.Header) ||
		csv.Null != nil && !reflect.DeepEqual(csv.Null, old.CSV.Null) {
		return false
	}
	old.Format, old.CSV, old.Types = "", now.CSV, nil
	now.Format, now.Types = "", nil
	return reflect.DeepEqual(old, now)
}

// batch is the files that the last version did not have: what the contract is
// asked about. Everything is, when there is no last version, when nothing is
// new, or when the contract or the columns' meaning changed since.
func (w *work) batch(contract slipway.Digest) []content.Entry {
	if w.last.Number == 0 || w.last.Contract != contract {
		return w.tree
	}
	had := map[slipway.Digest]bool{}
	for _, e := range w.before {
		had[e.Digest] = true
	}
	var fresh []content.Entry
	for _, e := range w.tree {
		if !had[e.Digest] {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return w.tree
	}
	return fresh
}

// finish looks at the rows, checks the contract and writes the version.
func (w *work) finish(ctx context.Context, contract *Contract) (out Outcome, err error) {
	v := &w.version
	w.say(web.Progress{Topic: v.Name, Message: "reading", State: "read"})
	t, err := w.open(ctx, v.Name, w.tree, w.add.Spec, nil)
	if err != nil {
		return out, err
	}
	defer t.close()
	v.Spec, v.Schema = t.spec, t.schema
	if contract != nil {
		w.say(web.Progress{Topic: v.Name, Message: "checking the contract", State: "check"})
		if out, err = w.check(ctx, t, contract); err != nil {
			return out, err
		}
	}
	if v.Table() {
		w.say(web.Progress{Topic: v.Name, Message: "profiling", State: "profile"})
		if err := w.describeRows(ctx, t); err != nil {
			return out, err
		}
	}
	w.compare()
	if err := w.insert(ctx, v); err != nil {
		return out, err
	}
	out.Version = v
	return out, nil
}

// describeRows profiles the rows into the version.
func (w *work) describeRows(ctx context.Context, t *table) error {
	p, err := w.profile(ctx, t)
	if err != nil {
		return err
	}
	v := &w.version
	v.Spec = t.spec // a time may have been found
	v.Rows, v.Covers, v.Odd = p.Rows, p.covers(), p.odd(t)
	if shifts, err := w.shifts(ctx, p); err != nil {
		return err
	} else if len(shifts) > 0 {
		v.Odd = append(shifts, v.Odd...)
	}
	v.Profile, err = w.keep(ctx, p)
	return err
}

// keep stores a value as JSON.
func (s *Service) keep(ctx context.Context, v any) (slipway.Digest, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	d, _, err := s.o.Content.Put(ctx, bytes.NewReader(raw))
	return d, err
}

// recall reads what keep stored.
func (s *Service) recall(ctx context.Context, d slipway.Digest, v any) error {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	return json.NewDecoder(r).Decode(v)
}

// compare fills in how the version differs from the last one.
func (w *work) compare() {
	v := &w.version
	c := content.Diff(w.before, w.tree)
	v.Change = Change{From: w.last.Number, Rows: v.Rows - w.last.Rows, Bytes: v.Bytes - w.last.Bytes,
		Added: len(c.Added), Removed: len(c.Removed), Changed: len(c.Changed) + len(c.Moved)}
}
