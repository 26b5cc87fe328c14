package term

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"
)

// Unit says how a progress writes its numbers.
type Unit func(int64) string

// Progress tells on Err how far some work is: a bar that redraws itself on a
// terminal, a line now and then in a pipe, nothing with --quiet or --json. It
// draws only when it is told something, and is safe for concurrent use. One
// Progress draws at a time.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	io    IO
	name  string
	unit  Unit
	total int64
	done  int64
	begun time.Time
	drawn time.Time
	width int // of what stands on the terminal's line
	ended bool
}

// How often a bar is redrawn, and how often a pipe gets a line.
const (
	redraw  = 100 * time.Millisecond
	restate = 10 * time.Second
)

// Progress begins to tell the progress of name. total is how much there is to
// do, 0 when nobody knows; unit is Bytes, Count or the like. It needs IO.Now,
// without which it is silent.
func (t IO) Progress(name string, total int64, unit Unit) *Progress {
	p := &Progress{io: t, w: t.Err, name: name, total: total, unit: unit}
	if t.Quiet || t.JSON || t.Now == nil || t.Err == nil {
		p.ended = true
		return p
	}
	p.begun = t.Now()
	p.drawn = p.begun
	if t.ErrTTY {
		p.draw()
	}
	return p
}

// Add tells that n more is done.
func (p *Progress) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.done + n)
}

// Set tells that n is done in all.
func (p *Progress) Set(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(n)
}

// Total corrects how much there is to do.
func (p *Progress) Total(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total = n
}

func (p *Progress) set(n int64) {
	p.done = n
	if p.ended {
		return
	}
	every := restate
	if p.io.ErrTTY {
		every = redraw
	}
	now := p.io.Now()
	if now.Sub(p.drawn) < every {
		return
	}
	p.drawn = now
	if p.io.ErrTTY {
		p.draw()
	} else {
		fmt.Fprintln(p.w, p.line(0))
	}
}

// Done ends the progress: the bar goes, and one line says what was done, except
// in a pipe when it was too quick to have said anything.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	took := p.io.Now().Sub(p.begun)
	if p.io.ErrTTY {
		p.clear()
	} else if took < restate {
		return
	}
	fmt.Fprintf(p.w, "%s %s in %s%s\n", p.name, p.unit(p.done), Duration(took), p.rate(took, ", "))
}

// Stop ends the progress without a word, for work that failed.
func (p *Progress) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended && p.io.ErrTTY {
		p.clear()
	}
	p.ended = true
}

func (p *Progress) clear() {
	fmt.Fprint(p.w, "\r"+strings.Repeat(" ", p.width)+"\r")
	p.width = 0
}

func (p *Progress) draw() {
	limit := p.io.Width
	if limit <= 0 {
		limit = 80
	}
	bar := 0
	if p.total > 0 {
		bar = min(24, limit/4)
	}
	// The last column stays free, since some terminals break the line there.
	s := runewidth.Truncate(p.line(bar), limit-1, "…")
	width := runewidth.StringWidth(s)
	fmt.Fprint(p.w, "\r"+s+strings.Repeat(" ", max(0, p.width-width)))
	p.width = width
}

// line says name, bar, share, amount, rate and time left, as far as they are
// known.
func (p *Progress) line(bar int) string {
	took := p.io.Now().Sub(p.begun)
	if p.total <= 0 {
		return fmt.Sprintf("%s %s%s", p.name, p.unit(p.done), p.rate(took, ", "))
	}
	share := min(float64(p.done)/float64(p.total), 1)
	s := p.name + " "
	if bar > 0 {
		s += Bar(share, bar) + " "
	}
	s += fmt.Sprintf("%3.0f%% (%s of %s%s", 100*share, p.unit(p.done), p.unit(p.total), p.rate(took, ", "))
	if share > 0 && share < 1 && took >= time.Second {
		s += ", " + Duration(time.Duration(float64(took)*(1-share)/share).Truncate(time.Second)) + " left"
	}
	return s + ")"
}

func (p *Progress) rate(took time.Duration, before string) string {
	if took < time.Second || p.done <= 0 {
		return ""
	}
	return before + p.unit(int64(float64(p.done)/took.Seconds())) + "/s"
}
