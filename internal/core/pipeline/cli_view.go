package pipeline

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// view tells a run while it goes on: a line for what happens, the steps' own
// output behind their names, and on a terminal a last line that moves.
type view struct {
	io      *term.IO
	w       io.Writer
	run     string // id of the run, once it is known
	mu      sync.Mutex
	tasks   map[string]Task
	told    map[string]State
	width   int
	status  bool // the last line shows
	stopped chan struct{}
	once    sync.Once
}

func newView(t *term.IO) *view {
	v := &view{io: t, w: t.Err, tasks: map[string]Task{}, told: map[string]State{}, stopped: make(chan struct{})}
	if t.JSON || t.Quiet {
		v.w = io.Discard
	} else if t.ErrTTY {
		go v.spin()
	}
	return v
}

// spin redraws the last line until the run ends.
func (v *view) spin() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.mu.Lock()
			v.clear()
			v.draw()
			v.mu.Unlock()
		case <-v.stopped:
			return
		}
	}
}

func (v *view) end() {
	v.once.Do(func() { close(v.stopped) })
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
}

// clear removes the last line. The caller holds mu.
func (v *view) clear() {
	if v.status {
		fmt.Fprint(v.w, "\r\x1b[K")
		v.status = false
	}
}

// draw writes the last line: what runs and for how long. The caller holds mu.
func (v *view) draw() {
	done, running := 0, []string{}
	for _, t := range v.tasks {
		if t.State.Done() {
			done++
		}
		if t.State == Running {
			running = append(running, t.Step+" "+term.Duration(time.Since(t.Started).Round(100*time.Millisecond)))
		}
	}
	if len(running) == 0 {
		return
	}
	line := fmt.Sprintf("%d of %d steps · %s", done, len(v.tasks), strings.Join(running, " · "))
	if v.io.Width > 0 && len(line) > v.io.Width-1 {
		line = line[:v.io.Width-1]
	}
	fmt.Fprint(v.w, v.io.Paint(term.Dim, line))
	v.status = true
}

// see takes one piece of news.
func (v *view) see(p web.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.clear()
	switch {
	case p.Topic == "" && p.State == string(Queued):
		v.run = p.Message
	case p.Stream != "":
		fmt.Fprintf(v.w, "%s %s\n", v.io.Paint(term.Dim, v.label(p.Topic)+" |"), p.Message)
	case len(p.Data) > 0:
		v.task(p)
	case p.Topic == "" && p.State == "":
		fmt.Fprintln(v.w, p.Message)
	case p.Topic != "":
		fmt.Fprintf(v.w, "%s  %s\n", v.label(p.Topic), p.Message)
	}
}

// task tells that a step has changed its state.
func (v *view) task(p web.Progress) {
	var t Task
	if json.Unmarshal(p.Data, &t) != nil {
		return
	}
	before := v.told[t.Step]
	v.tasks[t.Step], v.told[t.Step] = t, t.State
	v.width = max(v.width, len(t.Step))
	if before == t.State && t.State != Waiting {
		return
	}
	text := ""
	switch t.State {
	case Running:
		if text = "running: " + t.Why.Reason; t.Attempt > 1 {
			text = fmt.Sprintf("running again (attempt %d)", t.Attempt)
		}
	case Reused:
		text = v.io.Paint(term.Dim, "unchanged since run "+short(t.Why.Run))
	case Succeeded:
		text = v.io.Paint(term.OK, "done") + " in " + term.Duration(t.Ended.Sub(t.Started).Round(time.Millisecond))
	case Failed:
		text = v.io.Paint(term.Bad, "failed") + ": " + t.Message
	case Skipped, Cancelled:
		text = v.io.Paint(term.Warn, string(t.State)) + ": " + t.Message
	case Waiting:
		if t.Message == "" {
			return
		}
		text = v.io.Paint(term.Warn, "tried") + ": " + t.Message
	}
	fmt.Fprintf(v.w, "%s  %s\n", v.label(t.Step), text)
}

func (v *view) label(step string) string { return fmt.Sprintf("%-*s", v.width, step) }
