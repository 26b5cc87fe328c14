package db

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Bounds of one commit, so that the first caller of a batch does not wait for
// ever while others keep coming.
const (
	maxBatch     = 1024
	maxBatchTime = 20 * time.Millisecond
)

// carefulFor is how many callers get a savepoint each after one has failed in
// the middle of its changes.
const carefulFor = 256

// writer owns the writing connection. Callers queue; its goroutine runs those
// that are there and commits once for all of them. While that commit reaches
// the disk the next batch gathers by itself, so no timer is needed.
//
// A savepoint for each caller would make SQLite copy every page that it
// touches, which costs more than the change itself. So callers run without:
// most that fail do so before they changed anything, and leave nothing to take
// back. When one fails later, the batch is rolled back and run again with
// savepoints, and so are the callers after it for a while.
type writer struct {
	db    *DB
	conn  *sqliteConn
	queue chan *write
	quit  chan struct{}
	gone  chan struct{}
	again []*write      // to run alone first
	redo  []*write      // to run together first, with savepoints
	wary  int           // how many more callers get a savepoint
	crowd int           // callers of the last commit
	price time.Duration // what the last commit took
	chain head          // the end of the event log inside the open transaction
}

// write is one caller.
type write struct {
	ctx    context.Context
	fn     func(*Tx) error
	done   chan struct{}
	state  atomic.Int32
	err    error
	panic  *writePanic
	exited bool // fn ended its goroutine, as testing's FailNow does
}

// States of a write: whoever moves it on from waiting owns what follows.
const (
	waiting int32 = iota
	taken
	abandoned
)

// writePanic carries a panic of fn to its caller, with the stack that is gone.
type writePanic struct {
	value any
	stack []byte
}

func (p *writePanic) String() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

func newWriter(d *DB, c *sqliteConn) *writer {
	w := &writer{db: d, conn: c, queue: make(chan *write, maxBatch), quit: make(chan struct{}), gone: make(chan struct{})}
	go w.loop()
	return w
}

// write queues fn and waits for the commit that makes it durable.
func (w *writer) write(ctx context.Context, fn func(*Tx) error) error {
	j := &write{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case w.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return errClosed
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		<-j.done
	case <-w.gone:
		if j.state.CompareAndSwap(waiting, abandoned) {
			return errClosed
		}
		<-j.done
	}
	if j.panic != nil {
		panic(j.panic)
	}
	if j.exited {
		runtime.Goexit()
	}
	return j.err
}

func (w *writer) close() error {
	close(w.quit)
	<-w.gone
	return w.conn.close()
}

// loop takes callers until the database closes.
func (w *writer) loop() {
	clean := false
	defer func() {
		if clean {
			close(w.gone)
			return
		}
		go w.loop() // fn ended the goroutine; another takes its place
	}()
	for {
		for len(w.again) > 0 {
			j := w.again[0]
			w.again = w.again[1:]
			w.batch(j, true)
		}
		if len(w.redo) > 0 {
			j := w.redo[0]
			w.redo = w.redo[1:]
			w.batch(j, false)
			continue
		}
		select {
		case j := <-w.queue:
			w.batch(j, false)
		case <-w.quit:
			clean = true
			return
		}
	}
}

// batch runs j and, unless it must be alone, everybody who waits, and commits
// them together. A failure of the commit itself cannot be laid at anybody's
// door, so each is then run again in a commit of its own.
func (w *writer) batch(j *write, alone bool) {
	if !j.take() {
		return
	}
	if err := w.control("BEGIN IMMEDIATE"); err != nil {
		j.finish(err)
		return
	}
	w.chain = head{}
	b := &batch{w: w, start: time.Now(), alone: alone, careful: w.wary > 0}
	defer b.unwind()
	for ; j != nil; j = b.next() {
		b.jobs = append(b.jobs, j)
		b.running = j
		b.run(j)
		b.running = nil
		if b.spoilt || w.conn.conn.AutocommitEnabled() {
			break // a full disk or the like has ended the transaction for all
		}
	}
	if b.spoilt {
		b.startOver()
		return
	}
	if w.wary > 0 {
		w.wary -= len(b.jobs)
	}
	b.end(b.commit())
}

// take claims j for the writer; false means that its caller has gone. A job
// that runs again was claimed before.
func (j *write) take() bool {
	return j.state.CompareAndSwap(waiting, taken) || j.state.Load() == taken
}

// startOver takes a whole batch back because one caller failed in the middle of
// its changes. A lone one is answered; others run again in the same order, so
// that each is told what came of it in the end.
func (b *batch) startOver() {
	w := b.w
	b.ended = true
	if err := w.control("ROLLBACK"); err != nil && !w.conn.conn.AutocommitEnabled() {
		b.ended = false // unwind tries once more
		return
	}
	if len(b.jobs) == 1 {
		b.jobs[0].finish(b.jobs[0].err)
		return
	}
	w.wary = max(carefulFor, len(b.jobs))
	w.redo = append(b.jobs, w.redo...)
}

// control runs BEGIN, COMMIT and the like.
func (w *writer) control(sql string) error {
	if _, err := w.conn.exec(context.Background(), sql, nil); err != nil {
		return w.conn.fault(sql, err)
	}
	return nil
}

// batch is the callers of one commit.
type batch struct {
	w        *writer
	start    time.Time
	alone    bool
	jobs     []*write
	running  *write
	recorded int
	careful  bool // each caller has a savepoint
	spoilt   bool // a caller without one failed after it had changed something
	ended    bool
}

// next is another caller who waits, or nil when it is time to commit. Those
// whom the last commit answered are often just about to come back: committing
// without them would make every other batch a small one. So while fewer are
// here than were last time, the processor is handed on to them, for a quarter
// of a commit at most.
func (b *batch) next() *write {
	if w := b.w; len(w.redo) > 0 && !b.alone {
		j := w.redo[0]
		w.redo = w.redo[1:]
		return j
	}
	for !b.alone && len(b.jobs) < maxBatch && time.Since(b.start) < maxBatchTime {
		select {
		case j := <-b.w.queue:
			if j.take() {
				return j
			}
		default:
			if len(b.jobs) >= b.w.crowd || time.Since(b.start) > b.w.price/4 {
				return nil
			}
			runtime.Gosched()
		}
	}
	return nil
}

// run runs one caller's fn, in a savepoint where the batch is careful.
func (b *batch) run(j *write) {
	w := b.w
	if j.err = j.ctx.Err(); j.err != nil {
		return
	}
	if b.careful {
		if j.err = w.control("SAVEPOINT caller"); j.err != nil {
			return
		}
	}
	w.conn.wrote = false
	tx := &Tx{db: w.db, ctx: j.ctx, session: w.conn, writable: true, chain: w.chain}
	j.call(tx)
	tx.over = true
	failed := j.err != nil || j.panic != nil
	switch {
	case failed && w.conn.conn.AutocommitEnabled():
		return // there is nothing left to take back
	case failed && b.careful:
		b.undo(j)
		return
	case failed:
		b.spoilt = w.conn.wrote
		return
	case b.careful:
		if err := w.control("RELEASE caller"); err != nil {
			j.err = err
			b.undo(j)
			return
		}
	}
	w.chain = tx.chain
	b.recorded += tx.recorded
}

// undo takes back what one caller did. Where even that fails, the whole
// transaction goes, and the others run again.
func (b *batch) undo(j *write) {
	err := b.w.control("ROLLBACK TO caller")
	if err == nil {
		err = b.w.control("RELEASE caller")
	}
	if err == nil {
		return
	}
	if j.err == nil {
		j.err = err
	}
	if !b.w.conn.conn.AutocommitEnabled() {
		_ = b.w.control("ROLLBACK")
	}
}

// call runs fn and catches its panic.
func (j *write) call(tx *Tx) {
	j.panic = nil
	defer func() {
		if p := recover(); p != nil {
			j.panic = &writePanic{p, debug.Stack()}
			tx.closeRows()
		}
	}()
	j.err = tx.run(j.fn)
}

// commit makes the batch durable.
func (b *batch) commit() error {
	if b.w.conn.conn.AutocommitEnabled() {
		return errLost
	}
	start := time.Now()
	err := b.w.control("COMMIT")
	b.w.crowd, b.w.price = len(b.jobs), time.Since(start)
	if err != nil && !b.w.conn.conn.AutocommitEnabled() {
		// The commit's error is what counts; the connection is clean either way.
		_ = b.w.control("ROLLBACK")
	}
	return err
}

// end answers the callers.
func (b *batch) end(err error) {
	b.ended = true
	if err == nil && b.recorded > 0 {
		b.w.db.signal.advance(b.w.chain.number)
	}
	for _, j := range b.jobs {
		switch {
		case err == nil || j.panic != nil:
			j.finish(j.err)
		case len(b.jobs) == 1:
			if j.err == nil {
				j.err = err
			}
			j.finish(j.err)
		case j.err == nil || err == errLost:
			b.w.again = append(b.w.again, j)
		default:
			j.finish(j.err)
		}
	}
}

// unwind cleans up when fn ended the goroutine in the middle of a batch: its
// caller ends too, the others run again.
func (b *batch) unwind() {
	if b.ended {
		return
	}
	if j := b.running; j != nil {
		j.exited = true
		j.finish(nil)
		b.jobs = b.jobs[:len(b.jobs)-1]
	}
	b.w.conn.resetAll()
	if !b.w.conn.conn.AutocommitEnabled() {
		_ = b.w.control("ROLLBACK")
	}
	b.w.again = append(b.w.again, b.jobs...)
}

// resetAll ends every statement that is in the middle of its rows.
func (c *sqliteConn) resetAll() {
	for _, s := range c.cache {
		s.Reset()
	}
}

func (j *write) finish(err error) {
	j.err = err
	close(j.done)
}
