package tree

import "math"

// wide runs shallow float32 trees on sixteen rows at a time, by the processor's
// vector instructions. Rows are laid out by column: block after block of sixteen
// rows, in each the sixteen values of one column after another. Leaves are added
// in the order of the trees, so sums equal the other engines' bit for bit.
type wide struct {
	columns   *columns
	depth     int
	kernel    wideKernel
	offset    []uint32 // of each node's column within a block, in bytes
	threshold []float32
	leaf      []float32
	output    []int32
}

// wideKernel adds the leaves of one tree to the sums of blocks of sixteen rows;
// stride is the size of a block of columns in bytes.
type wideKernel func(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

const (
	wideRows     = 16  // of a block
	wideBatch    = 128 // rows that pass one tree before the next
	minWideRows  = 8   // below it the other engine is faster
	minWideDepth = 3
	maxWideDepth = 6
)

// newWide is nil where the processor, or the model, is not of that kind.
func newWide(e *Ensemble, c *columns) *wide {
	if !e.Float32 || !completeFits(e, c) {
		return nil
	}
	w := &wide{columns: c, depth: minWideDepth}
	for i := range e.Trees {
		w.depth = max(w.depth, e.Trees[i].depth())
	}
	if w.depth > maxWideDepth {
		return nil
	}
	if w.kernel = kernelOf(w.depth); w.kernel == nil {
		return nil
	}
	inner, outer := 1<<w.depth-1, 1<<w.depth
	w.offset, w.threshold = make([]uint32, len(e.Trees)*inner), make([]float32, len(e.Trees)*inner)
	w.leaf = make([]float32, len(e.Trees)*outer)
	for i := range w.threshold {
		w.threshold[i] = float32(math.NaN()) // padding goes left
	}
	for i := range e.Trees {
		t := &e.Trees[i]
		w.output = append(w.output, int32(t.Output))
		var place func(n int32, at int)
		place = func(n int32, at int) {
			node := &t.Nodes[n]
			switch {
			case at >= inner:
				w.leaf[i*outer+at-inner] = float32(node.Value)
			case node.Leaf():
				place(n, 2*at+1)
			default:
				w.threshold[i*inner+at] = float32(c.threshold(node))
				w.offset[i*inner+at] = uint32(c.index[columnOf(node)]) * wideRows * 4
				place(node.Left, 2*at+1)
				place(node.Right, 2*at+2)
			}
		}
		place(0, 0)
	}
	return w
}

// wideScratch is what one call needs.
type wideScratch struct {
	row     []float32
	columns []float32
	sum     []float32 // outputs × wideBatch
}

func (w *wide) scratch(outputs int) *wideScratch {
	n := len(w.columns.list)
	return &wideScratch{row: make([]float32, n), columns: make([]float32, n*wideBatch), sum: make([]float32, outputs*wideBatch)}
}

// margins is engine.margins for rows rows, no fewer than minWideRows.
func (w *wide) margins(s *wideScratch, base []float32, dst, x []float64, width, rows int) {
	n, outputs := len(w.columns.list), len(base)
	for from := 0; from < rows; from += wideBatch {
		count := min(wideBatch, rows-from)
		for r := range count {
			fillRow(w.columns, x[(from+r)*width:][:width], s.row, nil)
			block := s.columns[r/wideRows*n*wideRows:][:n*wideRows]
			for i, v := range s.row {
				block[i*wideRows+r%wideRows] = v
			}
		}
		for k, b := range base {
			for r := range s.sum[k*wideBatch:][:wideBatch] {
				s.sum[k*wideBatch+r] = b
			}
		}
		blocks := (count + wideRows - 1) / wideRows
		inner, outer := 1<<w.depth-1, 1<<w.depth
		for i, k := range w.output {
			w.kernel(&s.columns[0], &w.offset[i*inner], &w.threshold[i*inner], &w.leaf[i*outer],
				&s.sum[int(k)*wideBatch], uintptr(blocks), uintptr(n*wideRows*4))
		}
		for r := range count {
			for k := range outputs {
				dst[(from+r)*outputs+k] = float64(s.sum[k*wideBatch+r])
			}
		}
	}
}
