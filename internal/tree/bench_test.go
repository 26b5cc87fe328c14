//go:build unix

package tree

import (
	"syscall"
	"testing"
	"time"
)

// measure runs f and reports processor time, which a busy machine disturbs less
// than the clock: for each of units things in an operation, in the given unit.
func measure(b *testing.B, units int, unit time.Duration, name string, f func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	f() // warm
	n := 0
	start := used()
	for b.Loop() {
		f()
		n++
	}
	b.ReportMetric(float64(used()-start)/float64(unit)/float64(n*units), name)
}

func BenchmarkOneRow(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			e := s.make()
			p, n := NewPredictor(e), len(e.Features)
			x, dst := sample(e, 256, s.categorical, 3), make([]float64, 1)
			i := 0
			measure(b, 1, time.Microsecond, "cpu-µs/row", func() {
				p.Predict(dst, x[i%256*n:][:n], 1)
				i++
			})
		})
	}
}

func BenchmarkForestRow(b *testing.B) {
	e := forest()
	p, n := NewPredictor(e), len(e.Features)
	x, dst := sample(e, 256, 0, 3), make([]float64, 1)
	i := 0
	measure(b, 1, time.Microsecond, "cpu-µs/row", func() {
		p.Predict(dst, x[i%256*n:][:n], 1)
		i++
	})
}

func BenchmarkBatch(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			const rows = 1024
			e := s.make()
			p := NewPredictor(e)
			x, dst := sample(e, rows, s.categorical, 3), make([]float64, rows)
			measure(b, rows*len(e.Trees), time.Nanosecond, "cpu-ns/row/tree", func() { p.Predict(dst, x, rows) })
		})
	}
}

func BenchmarkShapOneRow(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			e := s.make()
			x, err := NewExplainer(e)
			if err != nil {
				b.Fatal(err)
			}
			n := len(e.Features)
			in, dst := sample(e, 256, s.categorical, 3), make([]float64, n+1)
			i := 0
			measure(b, 1, time.Microsecond, "cpu-µs/row", func() {
				x.Explain(dst, in[i%256*n:][:n], 1)
				i++
			})
		})
	}
}

func BenchmarkShapBatch(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			const rows = 256
			e := s.make()
			x, err := NewExplainer(e)
			if err != nil {
				b.Fatal(err)
			}
			in, dst := sample(e, rows, s.categorical, 3), make([]float64, rows*(len(e.Features)+1))
			measure(b, rows, time.Microsecond, "cpu-µs/row", func() { x.Explain(dst, in, rows) })
			b.ReportMetric(float64(4*len(x.table))/1e6, "MB")
		})
	}
}

func BenchmarkNewExplainer(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) {
			e := s.make()
			measure(b, 1, time.Millisecond, "cpu-ms", func() {
				if _, err := NewExplainer(e); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
