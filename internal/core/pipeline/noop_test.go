package pipeline

import (
	"fmt"
	"strings"
	"testing"
)

// manySteps is a pipeline of n steps in chains of ten, each naming a script.
func manySteps(n int) map[string]string {
	var b strings.Builder
	files := map[string]string{}
	b.WriteString("project: demo\npipeline:\n")
	for i := range n {
		in := ""
		if i%10 > 0 {
			in = fmt.Sprintf("in: [o%d.txt], ", i-1)
		}
		fmt.Fprintf(&b, "  s%d: {run: python s%d.py, %sout: [o%d.txt], params: {n: %d}}\n", i, i, in, i, i)
		files[fmt.Sprintf("s%d.py", i)] = "import shared\n"
	}
	files["shared.py"], files["slipway.yaml"] = "x = 1\n", b.String()
	return files
}

func TestOnlyWhatChangedRuns(t *testing.T) {
	h, _ := onFake(t, nil)
	h.write(manySteps(100))
	first := h.mustRun(Request{})
	if first.Nothing || len(first.Task) != 100 {
		t.Fatal("the first run runs everything")
	}
	if r := h.mustRun(Request{}); !r.Nothing {
		t.Errorf("nothing changed: %s", dump(r.Task[0]))
	}
	h.write(map[string]string{"s55.py": "import shared, os\n"})
	r := h.mustRun(Request{})
	ran := 0
	for _, task := range r.Task {
		if task.State == Succeeded {
			ran++
		}
	}
	if ran != 1 {
		t.Errorf("%d steps ran; the output of s55 is the same, so nothing follows from it", ran)
	}
}

func BenchmarkNothingToDo(b *testing.B) {
	h, _ := onFake(b, nil)
	h.write(manySteps(1000))
	h.mustRun(Request{})
	if _, _, err := h.command("run"); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for b.Loop() {
		if _, _, err := h.command("run"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStep is the engine's own share of a step: from the end of the one
// before it to its own, with a process that does nothing.
func BenchmarkStep(b *testing.B) {
	h, _ := onFake(b, nil)
	var y strings.Builder
	y.WriteString("project: demo\npipeline:\n  s0: {run: x, out: [o0.txt]}\n")
	const n = 200
	for i := 1; i < n; i++ {
		fmt.Fprintf(&y, "  s%d: {run: x, in: [o%d.txt], out: [o%d.txt]}\n", i, i-1, i)
	}
	h.write(map[string]string{"slipway.yaml": y.String()})
	for b.Loop() {
		h.mustRun(Request{Force: true})
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/step")
}
