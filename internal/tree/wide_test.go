//go:build amd64

package tree

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/cpu"
)

// processors are what the kernels may find; the last is one without vectors.
var processors = []struct {
	name         string
	avx512, avx2 bool
}{{"AVX-512", true, false}, {"AVX2", false, true}, {"pure Go", false, false}}

// pretend sets the processor for a test; false says that this one is not it.
func pretend(t testing.TB, i int) bool {
	t.Helper()
	p := processors[i]
	if p.avx512 && !cpu.X86.HasAVX512F || p.avx2 && !cpu.X86.HasAVX2 {
		return false
	}
	old512, old2 := hasAVX512, hasAVX2
	hasAVX512, hasAVX2 = p.avx512, p.avx2
	t.Cleanup(func() { hasAVX512, hasAVX2 = old512, old2 })
	return true
}

func TestVectorKernelsFollowTheRule(t *testing.T) {
	for i, p := range processors {
		t.Run(p.name, func(t *testing.T) {
			if !pretend(t, i) {
				t.Skip("this processor does not have it")
			}
			used := 0
			for seed := range uint64(200) {
				e, x, rows := awkward(seed, 1+int(seed)%7, []int{0, 0, 6}[seed%3], 12)
				pr := NewPredictor(e)
				if w := newWide(e, newColumns(e)); w != nil {
					used++
				}
				want, got := make([]float64, rows*e.Outputs), make([]float64, rows*e.Outputs)
				walkPlain(pr, want, x, rows)
				for _, n := range []int{rows, 8, 17, 64} {
					pr.Margin(got, x, n)
					for i := range n * e.Outputs {
						if got[i] != want[i] {
							t.Fatalf("model %d, %d rows, row %d: %v, by the rule %v", seed, n, i/e.Outputs, got[i], want[i])
						}
					}
				}
			}
			if vectors := p.avx512 || p.avx2; vectors != (used > 40) {
				t.Errorf("%d models went through the kernels", used)
			}
		})
	}
}

func BenchmarkVectors(b *testing.B) {
	for i, p := range processors {
		for depth := 3; depth <= 6; depth++ {
			b.Run(fmt.Sprintf("%s/depth%d", p.name, depth), func(b *testing.B) {
				if !pretend(b, i) {
					b.Skip("this processor does not have it")
				}
				const rows = 10000
				e := grown(500, depth, 0, 30, 0, true, 1)
				pr, x, dst := NewPredictor(e), sample(e, rows, 0, 3), make([]float64, rows)
				measure(b, rows*len(e.Trees), time.Nanosecond, "cpu-ns/row/tree", func() { pr.Margin(dst, x, rows) })
			})
		}
	}
}
