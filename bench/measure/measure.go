// Package measure is what the benchmarks share: it describes the machine, starts
// servers, reads from /proc what they use, and prints medians side by side.
//
// Benchmarks compare within one run: contestants take turns, so that whatever
// else the machine does disturbs all of them alike. Processor time is disturbed
// less than the clock, and is given wherever a process can be asked for it.
package measure

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// Median is the middle of values, or the mean of the two in the middle; 0 when
// there are none. It leaves values as they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// Table holds what was measured: a row a quantity, a column a contestant. The
// first contestant is the one that the others are compared with.
type Table struct {
	title       string
	contestants []string
	rows        []string
	unit        map[string]string
	target      map[string]string
	values      map[[2]string][]float64
}

// NewTable makes a Table; columns come into being as values are added.
func NewTable(title string) *Table {
	return &Table{title: title, unit: map[string]string{}, target: map[string]string{}, values: map[[2]string][]float64{}}
}

// Want states the goal of a quantity, in words.
func (t *Table) Want(quantity, target string) { t.target[quantity] = target }

// Add keeps one value of a quantity for a contestant.
func (t *Table) Add(quantity, unit, contestant string, value float64) {
	if !slices.Contains(t.rows, quantity) {
		t.rows = append(t.rows, quantity)
	}
	if !slices.Contains(t.contestants, contestant) {
		t.contestants = append(t.contestants, contestant)
	}
	t.unit[quantity] = unit
	at := [2]string{quantity, contestant}
	t.values[at] = append(t.values[at], value)
}

// Print writes medians with the smallest and the largest value, and for every
// other contestant how many times the first one's median its own is.
func (t *Table) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", t.title)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tw, "  \t%s\ttarget\n", strings.Join(t.contestants, "\t"))
	for _, q := range t.rows {
		fmt.Fprintf(tw, "  %s [%s]", q, t.unit[q])
		first := Median(t.values[[2]string{q, t.contestants[0]}])
		for i, c := range t.contestants {
			v := t.values[[2]string{q, c}]
			if len(v) == 0 {
				fmt.Fprint(tw, "\t-")
				continue
			}
			fmt.Fprintf(tw, "\t%s", number(Median(v)))
			if len(v) > 1 {
				fmt.Fprintf(tw, " (%s..%s)", number(slices.Min(v)), number(slices.Max(v)))
			}
			if i > 0 && first > 0 {
				fmt.Fprintf(tw, " = %s x", number(Median(v)/first))
			}
		}
		fmt.Fprintf(tw, "\t%s\n", t.target[q])
	}
	_ = tw.Flush()
}

// number writes three figures, or whole numbers when they are large.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Used is the processor time, user and system, of this process so far.
func Used() time.Duration { return usage(syscall.RUSAGE_SELF) }

// UsedByChildren is the processor time of children that have ended.
func UsedByChildren() time.Duration { return usage(syscall.RUSAGE_CHILDREN) }

func usage(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Machine describes where the figures come from, and how busy it is.
func Machine(w io.Writer) {
	model, load := "unknown processor", "unknown"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	fmt.Fprintf(w, "machine: %s, %d cores, %s/%s, %s; load %s\n", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), load)
}

// Peer finds the Python that has a module, or says that it is skipped. It is
// .tools/bench/bin/python, which bench/peers.sh makes, or BENCH_PYTHON.
func Peer(w io.Writer, module string) (python string, ok bool) {
	python = os.Getenv("BENCH_PYTHON")
	if python == "" {
		python = ".tools/bench/bin/python"
	}
	find := fmt.Sprintf("import importlib.util as u, sys; sys.exit(u.find_spec(%q) is None)", module)
	if exec.Command(python, "-c", find).Run() != nil {
		fmt.Fprintf(w, "skipped: %s is not installed; bench/peers.sh installs it\n", module)
		return "", false
	}
	return python, true
}
