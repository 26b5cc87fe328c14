package project

import (
	"container/heap"
	"slices"
	"sort"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Needs is the names of the steps whose outputs a step reads, each once, in
// the order of its inputs.
func (s *Step) Needs() []string {
	var out []string
	seen := map[string]bool{}
	for _, in := range s.In {
		if in.Step != "" && !seen[in.Step] {
			seen[in.Step] = true
			out = append(out, in.Step)
		}
	}
	return out
}

// Order is the steps such that each stands after those whose outputs it reads;
// where that leaves a choice, the order of the file holds. A cycle fails with
// Invalid and is shown.
func (p Pipeline) Order() ([]*Step, error) {
	if cycle := p.cycle(); cycle != nil {
		return nil, slipway.Errorf(slipway.Invalid, "steps wait for each other: %s", strings.Join(cycle, " -> "))
	}
	out := make([]*Step, 0, len(p))
	// Each round takes the first step of the file that waits for nothing, so
	// that independent steps keep the order in which they were written.
	waits := map[string]int{}
	readers := map[string][]int{}
	for i := range p {
		for _, need := range p[i].Needs() {
			waits[p[i].Name]++
			readers[need] = append(readers[need], i)
		}
	}
	ready := &queue{}
	for i := range p {
		if waits[p[i].Name] == 0 {
			heap.Push(ready, i)
		}
	}
	for ready.Len() > 0 {
		s := &p[heap.Pop(ready).(int)]
		out = append(out, s)
		for _, i := range readers[s.Name] {
			if waits[p[i].Name]--; waits[p[i].Name] == 0 {
				heap.Push(ready, i)
			}
		}
	}
	return out, nil
}

// queue gives the smallest number first.
type queue struct{ sort.IntSlice }

func (q *queue) Push(v any) { q.IntSlice = append(q.IntSlice, v.(int)) }

func (q *queue) Pop() any {
	last := len(q.IntSlice) - 1
	v := q.IntSlice[last]
	q.IntSlice = q.IntSlice[:last]
	return v
}

// cycle finds steps that wait for each other: each reads an output of the
// next, and the last is the first again. It returns nil when there are none.
func (p Pipeline) cycle() []string {
	const walking, left = 1, 2
	step := make(map[string]*Step, len(p))
	for i := range p {
		step[p[i].Name] = &p[i]
	}
	state := map[string]int{}
	var trail []string
	var walk func(name string) []string
	walk = func(name string) []string {
		if state[name] == left || step[name] == nil {
			return nil
		}
		if state[name] == walking {
			return append(trail[slices.Index(trail, name):], name)
		}
		state[name] = walking
		trail = append(trail, name)
		for _, need := range step[name].Needs() {
			if found := walk(need); found != nil {
				return found
			}
		}
		trail = trail[:len(trail)-1]
		state[name] = left
		return nil
	}
	for i := range p {
		if found := walk(p[i].Name); found != nil {
			return found
		}
	}
	return nil
}
