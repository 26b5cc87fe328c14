package tracking

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// Number is a float64 that survives JSON: NaN travels as the string "NaN".
type Number float64

// MarshalJSON writes a number, or "NaN".
func (n Number) MarshalJSON() ([]byte, error) { return n.AppendJSON(nil), nil }

// AppendJSON appends what MarshalJSON returns.
func (n Number) AppendJSON(b []byte) []byte {
	v := storedValue(float64(n))
	if math.IsNaN(v) {
		return append(b, `"NaN"`...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// UnmarshalJSON reads a number, or a string such as "NaN" or "Infinity".
func (n *Number) UnmarshalJSON(b []byte) error {
	if len(b) > 1 && b[0] == '"' {
		b = b[1 : len(b)-1]
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil && !math.IsInf(v, 0) {
		return &json.UnmarshalTypeError{Value: string(b), Type: reflect.TypeFor[Number]()}
	}
	*n = Number(v)
	return nil
}

var _ json.Unmarshaler = (*Number)(nil)

// Point is one value of a metric.
type Point struct {
	Step  int64  `json:"step"`
	Time  int64  `json:"time_ms"` // milliseconds since 1970, as the client said
	Value Number `json:"value"`
}

// compare orders points as MLflow finds the latest: by step, time, value.
func (p Point) compare(q Point) int {
	return cmp.Or(cmp.Compare(p.Step, q.Step), cmp.Compare(p.Time, q.Time), compareValue(p.Value, q.Value))
}

// compareHistory orders points as a history is told: by time, step, value.
func (p Point) compareHistory(q Point) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Step, q.Step), compareValue(p.Value, q.Value))
}

// compareValue puts NaN above every number, as both databases do.
func compareValue(a, b Number) int {
	switch x, y := math.IsNaN(float64(a)), math.IsNaN(float64(b)); {
	case x && y:
		return 0
	case x:
		return 1
	case y:
		return -1
	}
	return cmp.Compare(a, b)
}

// tidy sorts points into the order of a history and drops exact duplicates.
func tidy(points []Point) []Point {
	if !slices.IsSortedFunc(points, Point.compareHistory) {
		slices.SortFunc(points, Point.compareHistory)
	}
	return slices.CompactFunc(points, func(p, q Point) bool { return p.compareHistory(q) == 0 })
}

// Sizes of the storage of points.
const (
	directChunk = 16   // points of one series in one batch that go into a chunk at once
	fullChunk   = 4096 // points of a chunk that merging makes
	smallChunk  = 1024 // a chunk with fewer is merged again
	smallWeight = 64   // what a small chunk adds to a series' looseness; a tail point adds 1
	mergeAt     = 1024 // looseness at which a series is merged
)

// encodePoints writes a chunk: for each point the zigzag varint difference of
// step and of time to the point before, then the value's eight bytes.
func encodePoints(points []Point) []byte {
	b := make([]byte, 0, len(points)*12)
	var step, at int64
	for _, p := range points {
		b = binary.AppendVarint(b, p.Step-step)
		b = binary.AppendVarint(b, p.Time-at)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(p.Value)))
		step, at = p.Step, p.Time
	}
	return b
}

// decodePoints appends the points of a chunk to dst. It fails with Internal
// when the bytes are not a chunk.
func decodePoints(dst []Point, b []byte) ([]Point, error) {
	var step, at int64
	for len(b) > 0 {
		ds, n := binary.Varint(b)
		if n <= 0 {
			return dst, errChunk
		}
		b = b[n:]
		dt, n := binary.Varint(b)
		if n <= 0 || len(b) < n+8 {
			return dst, errChunk
		}
		step, at = step+ds, at+dt
		dst = append(dst, Point{step, at, Number(math.Float64frombits(binary.LittleEndian.Uint64(b[n:])))})
		b = b[n+8:]
	}
	return dst, nil
}

var errChunk = slipway.Errorf(slipway.Internal, "a chunk of metric points is damaged")

// Sample thins a history to about n points for drawing: it is cut into n/2
// parts of equally many points, and of each the lowest and the highest value
// stay, so that no spike disappears. NaN stays out unless a part holds nothing
// else. A history of at most n points is returned as it is.
func Sample(points []Point, n int) []Point {
	if n < 2 || len(points) <= n {
		return points
	}
	parts := n / 2
	out := make([]Point, 0, n)
	for i := range parts {
		part := points[i*len(points)/parts : (i+1)*len(points)/parts]
		low, high := -1, -1
		for j, p := range part {
			if math.IsNaN(float64(p.Value)) {
				continue
			}
			if low < 0 || p.Value < part[low].Value {
				low = j
			}
			if high < 0 || p.Value > part[high].Value {
				high = j
			}
		}
		switch {
		case low < 0:
			out = append(out, part[0])
		case low == high:
			out = append(out, part[low])
		default:
			out = append(out, part[min(low, high)], part[max(low, high)])
		}
	}
	return out
}
