package monitor

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// The columns of a partition, besides the inputs and outputs of the model.
const (
	colID      = "id"
	colKey     = "key"
	colTime    = "time"
	colAt      = "at"
	colLatency = "latency_us"
	colFailure = "failure"
	colRole    = "role"

	inputPrefix  = "in."
	outputPrefix = "out."
)

// partKey names what a partition holds: the predictions of one release of one
// endpoint whose event time falls on one day.
type partKey struct {
	endpoint int64
	release  string
	day      time.Time
}

// part collects rows of one partition.
type part struct {
	rows    int
	id, key column
	time    column
	at      column
	latency column
	failure column
	role    column
	model   []column
	index   map[string]int // of model, by prefixed name
}

func newPart() *part {
	text := func(name string) column { return newSeries(name, slipway.Text, 0) }
	return &part{id: text(colID), key: text(colKey), time: newSeries(colTime, slipway.Time, 0), at: newSeries(colAt, slipway.Time, 0),
		latency: newSeries(colLatency, slipway.Int, 0), failure: text(colFailure), role: text(colRole), index: map[string]int{}}
}

// add appends row i of a batch.
func (p *part) add(b *slipway.PredictionBatch, i int) {
	p.id.Text, p.id.Null = append(p.id.Text, b.ID[i]), append(p.id.Null, false)
	p.key.Text, p.key.Null = append(p.key.Text, b.Key[i]), append(p.key.Null, false)
	p.time.Float = append(p.time.Float, float64(b.Time[i].UnixMicro()))
	p.at.Float = append(p.at.Float, float64(b.At[i].UnixMicro()))
	p.latency.Float = append(p.latency.Float, float64(b.Latency[i].Microseconds()))
	p.failure.Text, p.failure.Null = append(p.failure.Text, b.Failure[i]), append(p.failure.Null, false)
	p.role.Text, p.role.Null = append(p.role.Text, string(b.Role)), append(p.role.Null, false)
	p.copy(inputPrefix, b.Input, i)
	p.copy(outputPrefix, b.Output, i)
	p.rows++
	for k := range p.model {
		if c := &p.model[k]; c.len() < p.rows {
			c.missing(p.rows - c.len())
		}
	}
}

func (p *part) copy(prefix string, f *slipway.Frame, i int) {
	if f == nil || i >= f.Rows {
		return
	}
	for s := range f.Series {
		from := &f.Series[s]
		k, known := p.index[prefix+from.Name]
		if !known {
			k = len(p.model)
			p.index[prefix+from.Name] = k
			p.model = append(p.model, newSeries(prefix+from.Name, from.Type, 0))
			p.model[k].missing(p.rows)
		}
		p.model[k].copy(from, i)
	}
}

func (p *part) frame() *slipway.Frame {
	f := &slipway.Frame{Rows: p.rows}
	for _, c := range append([]column{p.id, p.key, p.time, p.at, p.latency, p.failure, p.role}, p.model...) {
		f.Series = append(f.Series, c.done())
	}
	return f
}

// stored is a partition as the database knows it: its bytes while its day
// lasts, and the digest of its content from then on.
type stored struct {
	number  int64
	release string
	rows    int64
	body    []byte
	digest  slipway.Digest
}

// load reads columns of a partition, all when none is named.
func (s *Service) load(ctx context.Context, p stored, names ...string) (*slipway.Frame, error) {
	if p.digest == "" {
		return decode(strings.NewReader(string(p.body)), int64(len(p.body)), names...)
	}
	r, err := s.o.Content.Open(ctx, p.digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return decode(r, r.Size(), names...)
}

// rowsOf reads columns of everything that an endpoint's releases ("" for all)
// logged on a day. A day without rows is a frame of none.
func (s *Service) rowsOf(ctx context.Context, endpoint int64, release string, start time.Time, names ...string) (*slipway.Frame, error) {
	parts, err := s.parts(ctx, endpoint, release, start)
	if err != nil || len(parts) == 0 {
		return &slipway.Frame{}, err
	}
	frames := make([]*slipway.Frame, len(parts))
	for i, p := range parts {
		if frames[i], err = s.load(ctx, p, names...); err != nil {
			return nil, err
		}
	}
	return concat(frames), nil
}

// packAfter is how many batches of one release and day are put together before
// the day is over, so that a busy server does not gather thousands.
const packAfter = 96

// pack turns the batches of days that are over, and of days with too many,
// into files of the content store.
func (s *Service) pack(ctx context.Context, now time.Time) error {
	due, err := s.packable(ctx, now.Add(-day), packAfter)
	if err != nil {
		return err
	}
	for _, k := range due {
		if err := s.packOne(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) packOne(ctx context.Context, k partKey) error {
	parts, err := s.hotParts(ctx, k)
	if err != nil || len(parts) == 0 {
		return err
	}
	frames := make([]*slipway.Frame, len(parts))
	for i, p := range parts {
		if frames[i], err = s.load(ctx, p); err != nil {
			return err
		}
	}
	all := concat(frames)
	body, err := encode(all)
	if err != nil {
		return err
	}
	digest, _, err := s.o.Content.Put(ctx, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	return s.replaceParts(ctx, k, parts, int64(all.Rows), digest)
}
