package serving

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Segment is a sealed piece of the prediction log. Gateway and Number name it
// for ever: who has taken it in need never take it in again.
type Segment struct {
	Gateway string
	Number  int64
	Bytes   int64
	path    string
}

// Segments lists the sealed segments after a number, in order.
func (s *Service) Segments(ctx context.Context, after int64) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		list, err := s.log.list()
		if err != nil {
			yield(Segment{}, err)
			return
		}
		for _, g := range list {
			if g.Number <= after || g.Bytes == 0 {
				continue
			}
			if ctx.Err() != nil {
				yield(Segment{}, ctx.Err())
				return
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

// Forget removes a gateway's sealed segments up to a number, which somebody has
// taken in. The last one of the own log stays, since it remembers the number.
func (s *Service) Forget(ctx context.Context, gateway string, through int64) error {
	if gateway != s.o.Gateway {
		if err := s.drop(gateway, through); err != nil {
			return err
		}
		return ctx.Err()
	}
	list, err := s.log.list()
	if err != nil {
		return err
	}
	for i, g := range list {
		if g.Number > through || i == len(list)-1 {
			break
		}
		if err := os.Remove(g.path); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *log) list() ([]Segment, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the prediction log cannot be read: %v", err)
	}
	var out []Segment
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".log")
		n, err := strconv.ParseInt(base, 10, 64)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, Segment{Gateway: l.gateway, Number: n, Bytes: info.Size(), path: filepath.Join(l.dir, e.Name())})
	}
	slices.SortFunc(out, func(a, b Segment) int { return int(a.Number - b.Number) })
	return out, nil
}

// batchRows is about how many rows a PredictionBatch of a segment has at most.
const batchRows = 8192

// Batches reads the segment. The predictions of a variant come in the order in
// which they were made. A damaged segment ends with an Internal error.
func (g Segment) Batches() iter.Seq2[*slipway.PredictionBatch, error] {
	return func(yield func(*slipway.PredictionBatch, error) bool) {
		c := collector{streams: map[uint64]streamHead{}, open: map[string]*slipway.PredictionBatch{}}
		stopped := false
		_, err := scan(g.path, func(payload []byte) error {
			full, err := c.take(payload)
			if err == nil && full != nil && !yield(full, nil) {
				stopped, err = true, errStop
			}
			return err
		})
		if stopped {
			return
		}
		if err != nil {
			yield(nil, slipway.Errorf(slipway.Internal, "segment %d of the prediction log is damaged: %v", g.Number, err))
			return
		}
		for _, key := range c.order {
			if b := c.open[key]; b != nil && len(b.ID) > 0 && !yield(b, nil) {
				return
			}
		}
	}
}

// All is the segment's batches at once.
func (g Segment) All() ([]slipway.PredictionBatch, error) {
	var out []slipway.PredictionBatch
	for b, err := range g.Batches() {
		if err != nil {
			return nil, err
		}
		out = append(out, *b)
	}
	return out, nil
}

var (
	errStop = errors.New("stop")
	errTorn = errors.New("a record is torn")
)

// scan visits the payloads of a segment and gives the bytes of the whole
// records. A record that is cut off or whose checksum differs is errTorn.
func scan(path string, visit func(payload []byte) error) (size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
		return 0, errTorn
	}
	size = int64(len(magic))
	var payload []byte
	for first := true; ; first = false {
		var frame [8]byte
		if _, err := io.ReadFull(r, frame[:]); err == io.EOF {
			return size, nil
		} else if err != nil {
			return size, errTorn
		}
		n := int(binary.LittleEndian.Uint32(frame[:]))
		if n == 0 || n > maxRecord {
			return size, errTorn
		}
		if cap(payload) < n {
			payload = make([]byte, n)
		}
		payload = payload[:n]
		if _, err := io.ReadFull(r, payload); err != nil {
			return size, errTorn
		}
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(frame[4:]) {
			return size, errTorn
		}
		if !first {
			if err := visit(payload); err != nil {
				return size, err
			}
		}
		size += int64(8 + n)
	}
}

// maxRecord bounds a record; a request's body is bounded far below it.
const maxRecord = 1 << 30

// intact is how many bytes of a segment are whole records, and whether any of
// them are predictions.
func intact(path string) (size int64, predictions int, err error) {
	size, err = scan(path, func(payload []byte) error {
		if payload[0] == kindPrediction {
			predictions++
		}
		return nil
	})
	if err != nil && !errors.Is(err, errTorn) {
		return 0, 0, slipway.Errorf(slipway.Unavailable, "the prediction log cannot be read: %v", err)
	}
	return size, predictions, nil
}

// collector joins the requests of each stream into batches.
type collector struct {
	streams map[uint64]streamHead
	open    map[string]*slipway.PredictionBatch
	order   []string
}

// take adds a record, and gives a batch that it filled.
func (c *collector) take(payload []byte) (*slipway.PredictionBatch, error) {
	switch payload[0] {
	case kindStream:
		var h streamHead
		if err := json.Unmarshal(payload[1:], &h); err != nil {
			return nil, err
		}
		c.streams[h.Hash] = h
		return nil, nil
	case kindPrediction:
	default:
		return nil, nil // of a newer version; nothing to read here
	}
	d := &decoder{b: payload[1:]}
	rec := d.prediction()
	h, known := c.streams[rec.hash]
	if d.failed || !known {
		return nil, errors.New("a record does not make sense")
	}
	key := strconv.FormatUint(rec.hash, 16) + rec.shape
	b := c.open[key]
	if b == nil {
		b = &slipway.PredictionBatch{Project: h.Project, Endpoint: h.Endpoint, Release: h.Release, Role: h.Role, Model: h.Model}
		if _, again := c.open[key]; !again {
			c.order = append(c.order, key)
		}
		c.open[key] = b
	}
	rec.join(b)
	if len(b.ID) < batchRows {
		return nil, nil
	}
	c.open[key] = nil
	return b, nil
}
