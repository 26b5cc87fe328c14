package monitor

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/stat"
)

// scored is what one release predicted on one day, with the truth where it is
// known: what metrics and paired losses are computed of.
type scored struct {
	task     slipway.Task
	classes  int       // of a multi-class model, else 0
	id       []string  // of every prediction that did not fail
	champion []bool    // whether it was the answer of a champion
	y        []float64 // NaN where no label is known
	p        []float64 // one value a row, or classes values
	failed   int
	invalid  int       // labels that are no class or number of the model
	lag      []float64 // of the labels, in seconds after the prediction
}

// labelledRows lists the rows with truth.
func (d *scored) labelledRows() []int {
	out := make([]int, 0, len(d.y))
	for i, y := range d.y {
		if y == y {
			out = append(out, i)
		}
	}
	return out
}

// width is how many values of p a row has.
func (d *scored) width() int { return max(1, d.classes) }

// loss is log-loss of row i, or squared error: what versions are compared by.
func (d *scored) loss(i int) float64 {
	const least = 1e-15 // as scikit-learn clips probabilities of float64
	clip := func(p float64) float64 { return min(max(p, least), 1-least) }
	switch {
	case d.task == slipway.Regression:
		e := d.y[i] - d.p[i]
		return e * e
	case d.classes > 0:
		return -math.Log(clip(d.p[i*d.classes+int(d.y[i])]))
	case d.y[i] == 1:
		return -math.Log(clip(d.p[i]))
	}
	return -math.Log(clip(1 - d.p[i]))
}

// into appends the labelled rows to s, and the block number of each.
func (d *scored) into(s *stat.Scored, block []int, number int) []int {
	s.Classes = d.classes
	for _, i := range d.labelledRows() {
		s.Y = append(s.Y, d.y[i])
		s.P = append(s.P, d.p[i*d.width():(i+1)*d.width()]...)
		block = append(block, number)
	}
	return block
}

// scoredOf reads what a release predicted on a day.
func (s *Service) scoredOf(ctx context.Context, e endpoint, v SeenRelease, zone *time.Location, start time.Time) (*scored, error) {
	k := scoredKey{e.number, v.Release, start.UnixMicro()}
	if d := s.scored.get(k); d != nil {
		return d, nil
	}
	parts, err := s.parts(ctx, e.number, v.Release, start)
	if err != nil || len(parts) == 0 {
		return &scored{}, err
	}
	ref, err := s.reference(ctx, modelKey{e.project, v.Model}, zone)
	if err != nil {
		return nil, err
	}
	var sig slipway.Signature
	if ref != nil {
		sig = ref.Signature
	}
	names := []string{colID, colTime, colFailure, colRole}
	for _, c := range sig.Output {
		names = append(names, outputPrefix+c.Name)
	}
	if len(sig.Output) == 0 {
		names = nil // the outputs are found among all columns
	}
	frame, err := s.rowsOf(ctx, e.number, v.Release, start, names...)
	if err != nil {
		return nil, err
	}
	labels, err := s.labelsOf(ctx, e.number, start)
	if err != nil {
		return nil, err
	}
	d := newScored(frame, sig, labels)
	s.scored.put(k, d)
	return d, nil
}

func newScored(f *slipway.Frame, sig slipway.Signature, labels map[string]labelled) *scored {
	outputs := outputsOf(f, &sig)
	d := &scored{task: sig.Task}
	if sig.Task == slipway.Multiclass || len(outputs) > 1 {
		d.classes = len(outputs)
	}
	id, at, failure, role := f.Column(colID), f.Column(colTime), f.Column(colFailure), f.Column(colRole)
	for i := range f.Rows {
		if failure.Text[i] != "" || !complete(outputs, i) {
			d.failed++
			continue
		}
		d.id = append(d.id, id.Text[i])
		d.champion = append(d.champion, role.Text[i] == string(slipway.Champion))
		for _, o := range outputs {
			d.p = append(d.p, o.Float[i])
		}
		y := nan
		if l, known := labels[id.Text[i]]; known {
			v, ok := truth(l.value, sig)
			if ok && (d.classes == 0 || int(v) < d.classes) {
				y = v
				d.lag = append(d.lag, float64(l.time.UnixMicro())/1e6-at.Float[i]/1e6)
			} else {
				d.invalid++
			}
		}
		d.y = append(d.y, y)
	}
	return d
}

// outputsOf finds the columns of numbers that a model gave, and fills in what
// the signature leaves open. A model that gives text (a label alone) has no
// scores.
func outputsOf(f *slipway.Frame, sig *slipway.Signature) []*slipway.Series {
	var out []*slipway.Series
	add := func(s *slipway.Series) {
		if s != nil && s.Text == nil {
			out = append(out, s)
		}
	}
	if len(sig.Output) > 0 {
		for _, c := range sig.Output {
			add(f.Column(outputPrefix + c.Name))
		}
	} else {
		for i := range f.Series {
			if strings.HasPrefix(f.Series[i].Name, outputPrefix) {
				add(&f.Series[i])
			}
		}
	}
	if sig.Task == "" && len(out) > 0 {
		switch {
		case len(out) > 1:
			sig.Task = slipway.Multiclass
		case out[0].Name == outputPrefix+predictor.Probability:
			sig.Task = slipway.BinaryTask
		default:
			sig.Task = slipway.Regression
		}
	}
	if sig.Task == slipway.Multiclass && len(sig.Classes) == 0 {
		for _, s := range out {
			sig.Classes = append(sig.Classes, strings.TrimPrefix(s.Name, outputPrefix))
		}
	}
	if sig.Task == slipway.Regression && len(out) > 1 {
		out = out[:1] // labels are about the first output
	}
	return out
}

// complete reports whether row i has every output, finite.
func complete(outputs []*slipway.Series, i int) bool {
	for _, o := range outputs {
		if v := o.Float[i]; math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return len(outputs) > 0
}

type scoredKey struct {
	endpoint int64
	release  string
	day      int64
}

// scoredCache keeps the latest days as they were read, since a window that
// slides by a day reads all but one of its days again.
type scoredCache struct {
	mu   sync.Mutex
	days map[scoredKey]*scored
	rows int
}

// cachedRows bounds the cache.
const cachedRows = 500_000

func newScoredCache() *scoredCache { return &scoredCache{days: map[scoredKey]*scored{}} }

func (c *scoredCache) get(k scoredKey) *scored {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.days[k]
}

func (c *scoredCache) put(k scoredKey, d *scored) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for old, o := range c.days {
		if c.rows+len(d.id) <= cachedRows {
			break
		}
		c.rows -= len(o.id)
		delete(c.days, old)
	}
	c.days[k] = d
	c.rows += len(d.id)
}

// clear forgets everything.
func (c *scoredCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.days)
	c.rows = 0
}

// drop forgets a day whose rows or labels changed.
func (c *scoredCache) drop(endpoint int64, day time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, d := range c.days {
		if k.endpoint == endpoint && k.day == day.UnixMicro() {
			c.rows -= len(d.id)
			delete(c.days, k)
		}
	}
}
