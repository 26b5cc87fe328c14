package stat

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/slipway-ml/slipway"
)

// Memories is over how many recent distinct values a feature is followed. With
// 1 the same value again and again is a run; with 4 or 16, so is a handful of
// values taking turns, as when the feeds of three airports all stand still.
var Memories = [...]int{1, 4, 16}

// Run follows one feature in event time and knows for how long nothing new has
// come: since when every value was among the last 1, 4 and 16 distinct ones. It
// costs a scan of 16 values and is not safe for concurrent use. The zero Run is
// ready.
type Run struct {
	recent  [16]float64 // distinct values, the latest first
	known   int
	since   [len(Memories)]int64
	last    int64
	longest [len(Memories)]int64
}

// Observe tells the value at an event time, in any unit. Times should ascend;
// one from before the latest is placed at the latest. NaN is no news and no
// repetition: it is not observed at all.
func (r *Run) Observe(time int64, v float64) {
	if v != v {
		return
	}
	if r.known == 0 || time > r.last {
		r.last = time
	}
	at := 0
	for at < r.known && r.recent[at] != v {
		at++
	}
	for m, memory := range Memories {
		// A value at place at has at distinct ones after it.
		if at == r.known || at >= memory {
			r.since[m] = r.last
		}
		r.longest[m] = max(r.longest[m], r.last-r.since[m])
	}
	if at == r.known {
		r.known = min(r.known+1, len(r.recent))
		at = r.known - 1
	}
	copy(r.recent[1:at+1], r.recent[:at])
	r.recent[0] = v
}

// Ages is for how long nothing new has come, by memory, up to the latest
// observation.
func (r *Run) Ages() []float64 {
	out := make([]float64, len(Memories))
	for m := range Memories {
		out[m] = float64(r.last - r.since[m])
	}
	return out
}

// Block ends a block: it returns the longest ages seen in it and goes on with
// the next, into which a running age continues.
func (r *Run) Block() []float64 {
	out := make([]float64, len(Memories))
	for m := range Memories {
		out[m] = float64(r.longest[m])
	}
	r.longest = [len(Memories)]int64{}
	return out
}

// MarshalBinary writes the run, so that it goes on after a restart.
func (r *Run) MarshalBinary() ([]byte, error) {
	return binary.Append(make([]byte, 0, runSize), binary.LittleEndian, runState{r.recent, int64(r.known), r.since, r.last, r.longest})
}

// UnmarshalBinary reads what MarshalBinary wrote. It fails with Invalid.
func (r *Run) UnmarshalBinary(b []byte) error {
	var s runState
	if n, err := binary.Decode(b, binary.LittleEndian, &s); err != nil || n != len(b) || s.Known < 0 || s.Known > int64(len(s.Recent)) {
		return slipway.Errorf(slipway.Invalid, "%d bytes are not a run", len(b))
	}
	*r = Run{s.Recent, int(s.Known), s.Since, s.Last, s.Longest}
	return nil
}

// runState is a Run as it is written.
type runState struct {
	Recent  [16]float64
	Known   int64
	Since   [len(Memories)]int64
	Last    int64
	Longest [len(Memories)]int64
}

var runSize = binary.Size(runState{})

// LongestRuns is the reference for Stuck: for each block of rows that stand in
// order of time, the longest ages by memory. block is ascending.
func LongestRuns(times []int64, values []float64, block []int) [][]float64 {
	var run Run
	var out [][]float64
	for i, t := range times {
		if i > 0 && block[i] != block[i-1] {
			out = append(out, run.Block())
		}
		run.Observe(t, values[i])
	}
	if len(times) > 0 {
		out = append(out, run.Block())
	}
	return out
}

// StuckFeature is the runs of one feature.
type StuckFeature struct {
	Name      string
	Reference [][]float64 // by block, then by memory: LongestRuns
	Current   []float64   // by memory: Run.Ages
	Block     float64     // length of a block, in the unit of the event times
}

// StuckVerdict says whether a feature has stopped bringing news.
type StuckVerdict struct {
	Feature string  `json:"feature"`
	Memory  int     `json:"memory"`  // distinct values that take turns
	Age     float64 `json:"age"`     // for how long, in the unit of the event times
	Typical float64 `json:"typical"` // median over the reference's blocks of the longest
	Longest float64 `json:"longest"` // in the reference
	PValue  float64 `json:"p_value"`
	QValue  float64 `json:"q_value"`
	Blocks  int     `json:"blocks"`
	State   State   `json:"state"`
	Stuck   bool    `json:"stuck"`
	Reason  string  `json:"reason"`
}

// Stuck decides, for each feature, whether nothing new has come for longer than
// ever in the reference, and for longer than the longest runs of its blocks
// make likely: Student's t predicting one more logarithm of a block's longest
// run, corrected for the memories (Bonferroni) and the features (Benjamini-
// Hochberg). A memory whose runs outlast a block in the reference is slow by
// nature and is not judged by. Fewer than MinWindows blocks, or no memory left,
// are InsufficientReference. level zero means 0.001: a feed that stands still
// gets less likely by the hour, so patience costs little.
func Stuck(features []StuckFeature, level float64) ([]StuckVerdict, error) {
	if level == 0 {
		level = 0.001
	}
	if !(level > 0 && level < 1) {
		return nil, slipway.Errorf(slipway.Invalid, "the level %v is not between 0 and 1", level)
	}
	out, p := make([]StuckVerdict, len(features)), make([]float64, len(features))
	for i, f := range features {
		if !(f.Block > 0) {
			return nil, slipway.Errorf(slipway.Invalid, "%s: a block of length %v", f.Name, f.Block)
		}
		if len(f.Current) != len(Memories) {
			return nil, slipway.Errorf(slipway.Invalid, "%s: ages of %d memories, not %d", f.Name, len(f.Current), len(Memories))
		}
		for _, b := range f.Reference {
			if len(b) != len(Memories) {
				return nil, slipway.Errorf(slipway.Invalid, "%s: runs of %d memories, not %d", f.Name, len(b), len(Memories))
			}
		}
		out[i] = f.judge()
		p[i] = out[i].PValue
	}
	for i, q := range FalseDiscovery(p) {
		v := &out[i]
		v.QValue = q
		if v.State == Enough {
			v.Stuck = q <= level && v.Age > v.Longest
			v.Reason = fmt.Sprintf("no new value for %.4g (memory %d); blocks of the reference have %.4g, at most %.4g (q %.2g)",
				v.Age, v.Memory, v.Typical, v.Longest, q)
		}
	}
	return out, nil
}

// judge finds the memory whose run is the least likely.
func (f StuckFeature) judge() StuckVerdict {
	v := StuckVerdict{Feature: f.Name, Blocks: len(f.Reference), State: Enough, PValue: math.NaN()}
	if v.Blocks < MinWindows {
		v.State = InsufficientReference
		v.Reason = fmt.Sprintf("insufficient reference: %d blocks, %d are needed", v.Blocks, MinWindows)
		return v
	}
	v.PValue = math.Inf(1)
	for m, memory := range Memories {
		runs := make([]float64, v.Blocks)
		for b := range runs {
			runs[b] = f.Reference[b][m]
		}
		sorted := slices.Sorted(slices.Values(runs))
		if sorted[len(sorted)-1] > f.Block {
			continue
		}
		if p := longerBy(runs, f.Current[m]); p < v.PValue {
			v.PValue, v.Memory, v.Age = p, memory, f.Current[m]
			v.Typical, v.Longest = Quantile(sorted, 0.5), sorted[len(sorted)-1]
		}
	}
	if v.Memory == 0 {
		v.State, v.PValue = InsufficientReference, math.NaN()
		v.Reason = "insufficient reference: values stay for longer than a block by nature"
		return v
	}
	v.PValue = min(1, v.PValue*float64(len(Memories)))
	return v
}

// longerBy is the chance that one more block has a longest run of at least age,
// and 1 for an age that the reference reached.
func longerBy(runs []float64, age float64) float64 {
	longest := slices.Max(runs)
	if age <= longest {
		return 1
	}
	// The logarithm is taken a quarter of the longest run above zero, so that
	// runs cut to whole hours or to nothing do not stretch the scale.
	x, above := make([]float64, len(runs)), max(longest, 1)/4
	for i, r := range runs {
		x[i] = math.Log(r + above)
	}
	mean, sd := meanAndDeviation(x)
	n := independent(x, 1, len(x))
	// A reference of like runs says little of how unlike they can be: at least
	// a tenth of the scale is taken for chance.
	sd = max(sd, 0.1) * math.Sqrt((1+1/n)/(1-1/n))
	return StudentTail((math.Log(age+above)-mean)/sd, n-1)
}
