package tree

import (
	"cmp"
	"slices"
)

// answers are the distinct yes-or-no questions of an ensemble: does the row go
// right at this split? Splits of one column at one threshold share an answer.
// Those of a column are sorted by threshold, so one pass over a block's sorted
// values answers them all, for all rows at once.
type answers struct {
	e       *Ensemble
	columns *columns // nil where the model is too wide for it: then each split is asked plainly
	count   int
	of      map[*Node]uint32
	runs    []answerRun // numerical columns
	sets    []answerSet // categorical columns
	plain   []plainSplit
}

type answerRun struct {
	column    int
	first     int       // the answer of threshold[0]
	threshold []float64 // ascending
}

type answerSet struct {
	column, first, count int
}

type plainSplit struct {
	tree *Tree
	node *Node
}

func newAnswers(e *Ensemble) *answers {
	a := &answers{e: e, columns: newColumns(e), of: map[*Node]uint32{}}
	byColumn := map[int32][]*Node{}
	for i := range e.Trees {
		t := &e.Trees[i]
		for j := range t.Nodes {
			n := &t.Nodes[j]
			switch {
			case n.Leaf():
			case a.columns == nil:
				a.of[n] = uint32(a.count)
				a.plain = append(a.plain, plainSplit{t, n})
				a.count++
			default:
				column := a.columns.index[columnOf(n)]
				byColumn[column] = append(byColumn[column], n)
			}
		}
	}
	if a.columns == nil {
		return a
	}
	for column := range a.columns.list {
		nodes := byColumn[int32(column)]
		if cat := a.columns.cats[column]; cat != nil {
			a.sets = append(a.sets, answerSet{column, a.count, len(nodes)})
			for _, n := range nodes {
				a.of[n] = uint32(a.count) + a.columns.ordinal[n]
			}
			a.count += len(nodes)
			continue
		}
		if len(nodes) == 0 {
			continue
		}
		slices.SortFunc(nodes, func(m, n *Node) int { return cmp.Compare(a.columns.threshold(m), a.columns.threshold(n)) })
		run := answerRun{column: column, first: a.count}
		for _, n := range nodes {
			t := a.columns.threshold(n)
			if k := len(run.threshold); k == 0 || run.threshold[k-1] != t {
				run.threshold = append(run.threshold, t)
				a.count++
			}
			a.of[n] = uint32(a.count - 1)
		}
		a.runs = append(a.runs, run)
	}
	return a
}

// answerBlock answers all questions for n rows: bit r of an answer's mask is
// set where row r goes right.
func answerBlock[M mask](a *answers, w *workspace[M], in []float64, n int) {
	width := len(a.e.Features)
	for k, s := range a.plain {
		var m M
		for r := range n {
			m |= M(bit(a.e.right(s.tree, s.node, in[r*width+int(s.node.Feature)]))) << r
		}
		w.masks[k] = m
	}
	if a.columns == nil {
		return
	}
	stride := len(a.columns.list)
	for r := range n {
		fillRow(a.columns, in[r*width:][:width], w.rows[r*stride:][:stride], w.lines[r*stride:][:stride])
	}
	for i := range a.runs {
		run := &a.runs[i]
		m := sortColumn(w, run.column, stride, n)
		out := w.masks[run.first:][:len(run.threshold)]
		next := 0
		for next < n && !(m>>w.order[next]&1 != 0) {
			next++ // NaN, never to the right
		}
		for k, t := range run.threshold {
			for next < n && w.sorted[next] < t {
				m &^= 1 << w.order[next]
				next++
			}
			out[k] = m
		}
	}
	for _, s := range a.sets {
		for k := range s.count {
			var m M
			for r := range n {
				word := a.columns.bits[w.lines[r*stride+s.column]+uint32(k>>6)]
				m |= M(word>>(k&63)&1) << r
			}
			w.masks[s.first+k] = m
		}
	}
}

// sortColumn sorts the block's values of a column into w.sorted, NaN first, and
// returns the mask of the rows that are not NaN.
func sortColumn[M mask](w *workspace[M], column, stride, n int) M {
	var m M
	sorted, order := w.sorted[:n], w.order[:n]
	for r := range n {
		v := w.rows[r*stride+column]
		i := r
		if v == v {
			m |= 1 << r
			for ; i > 0 && v < sorted[i-1]; i-- {
				sorted[i], order[i] = sorted[i-1], order[i-1]
			}
		} else {
			for ; i > 0; i-- {
				sorted[i], order[i] = sorted[i-1], order[i-1]
			}
		}
		sorted[i], order[i] = v, uint8(r)
	}
	return m
}
