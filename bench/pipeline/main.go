// Command pipeline measures what running steps costs: a run of 1,000 steps that
// has nothing to do, and the time from asking for a step to its command's first
// instruction, alone and in a chain.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
)

func main() {
	log.SetFlags(0)
	bin := flag.String("slipway", "bin/slipway", "the program to measure")
	rounds := flag.Int("rounds", 5, "repetitions")
	steps := flag.Int("steps", 1000, "steps of the run that has nothing to do")
	chain := flag.Int("chain", 100, "steps of the chain")
	flag.Parse()
	program, err := filepath.Abs(*bin)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(program, *rounds, *steps, *chain); err != nil {
		log.Fatal(err)
	}
}

func run(bin string, rounds, steps, chain int) error {
	dir, err := os.MkdirTemp("", "bench-pipeline-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	t := measure.NewTable(fmt.Sprintf("pipeline: %d steps, and a chain of %d, each `date`", steps, chain))
	t.Want("nothing to do, without a server", "<= 300 ms")
	t.Want("a step of the chain", "<= 5 ms")
	wide, err := newProject(bin, filepath.Join(dir, "wide"), steps, false)
	if err != nil {
		return err
	}
	long, err := newProject(bin, filepath.Join(dir, "long"), chain, true)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := wide.slipway("run", "-q"); err != nil {
		return err
	}
	t.Add("first run, a step", "ms", "slipway", time.Since(begin).Seconds()*1e3/float64(steps))
	for range rounds {
		if err := wide.nothing(t, "nothing to do, without a server"); err != nil {
			return err
		}
		if err := long.chain(t, chain); err != nil {
			return err
		}
		shell(t, filepath.Join(dir, "shell"), chain)
	}
	server, err := measure.Start("http://"+wide.api+"/health", ".", wide.env, bin, "up")
	if err != nil {
		return err
	}
	defer server.Stop()
	for range rounds {
		if err := wide.nothing(t, "nothing to do, with a server"); err != nil {
			return err
		}
	}
	t.Print(os.Stdout)
	return nil
}

// folder is a project with a workspace of its own.
type folder struct {
	bin, dir, api string
	env           []string
	changes       int
}

func newProject(bin, dir string, steps int, chained bool) (*folder, error) {
	env, api, _, err := measure.Slipway(filepath.Join(dir, ".workspace"))
	if err != nil {
		return nil, err
	}
	f := &folder{bin: bin, dir: filepath.Join(dir, "project"), api: api, env: env}
	var b strings.Builder
	fmt.Fprintf(&b, "project: bench\npipeline:\n")
	for i := range steps {
		in := ""
		if chained && i > 0 {
			in = fmt.Sprintf("in: [s%d.t], ", i-1)
		}
		fmt.Fprintf(&b, "  s%d: {run: sh step.sh o%d, %sout: {t: o%d}, params: {n: %d}}\n", i, i, in, i, i)
	}
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(f.dir, "slipway.yaml"), []byte(b.String()), 0o644); err != nil {
		return nil, err
	}
	return f, f.change()
}

// change rewrites the script that every step runs.
func (f *folder) change() error {
	f.changes++
	script := fmt.Sprintf("# %d\ndate +%%s%%N > $1\n", f.changes)
	return os.WriteFile(filepath.Join(f.dir, "step.sh"), []byte(script), 0o644)
}

// slipway runs a command in the project and returns how long it took.
func (f *folder) slipway(args ...string) (time.Duration, error) {
	cmd := exec.Command(f.bin, args...)
	cmd.Dir, cmd.Env = f.dir, append(os.Environ(), f.env...)
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("slipway %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return time.Since(begin), nil
}

func (f *folder) nothing(t *measure.Table, quantity string) error {
	before := measure.UsedByChildren()
	d, err := f.slipway("run", "-q")
	t.Add(quantity, "ms", "slipway", d.Seconds()*1e3)
	t.Add(quantity+", its CPU", "ms", "slipway", (measure.UsedByChildren()-before).Seconds()*1e3)
	return err
}

// chain runs every step again, each after the one before it. From one command's
// first instruction to the next one's lie: the end of the command, its output
// into the content store, three durable writes, and the start of a process.
func (f *folder) chain(t *measure.Table, n int) error {
	if err := f.change(); err != nil {
		return err
	}
	before, begin := measure.UsedByChildren(), time.Now()
	if _, err := f.slipway("run", "-q"); err != nil {
		return err
	}
	t.Add("CPU of a step", "ms", "slipway", (measure.UsedByChildren()-before).Seconds()*1e3/float64(n))
	at := make([]int64, n)
	for i := range at {
		b, err := os.ReadFile(filepath.Join(f.dir, fmt.Sprint("o", i)))
		if err != nil {
			return err
		}
		if at[i], err = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err != nil {
			return err
		}
	}
	t.Add("from the command line to the first step", "ms", "slipway", float64(at[0]-begin.UnixNano())/1e6)
	gaps := make([]float64, n-1)
	for i := range gaps {
		gaps[i] = float64(at[i+1]-at[i]) / 1e6
	}
	t.Add("a step of the chain", "ms", "slipway", measure.Median(gaps))
	return nil
}

// shell runs the same commands one after the other: what no scheduler can beat.
func shell(t *measure.Table, out string, n int) {
	before, begin := measure.UsedByChildren(), time.Now()
	for range n {
		_ = exec.Command("sh", "-c", "date +%s%N > "+out).Run()
	}
	t.Add("a step of the chain", "ms", "sh alone", time.Since(begin).Seconds()*1e3/float64(n))
	t.Add("CPU of a step", "ms", "sh alone", (measure.UsedByChildren()-before).Seconds()*1e3/float64(n))
}
