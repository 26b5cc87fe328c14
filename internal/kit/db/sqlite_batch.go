package db

import (
	"runtime"
	"runtime/debug"
	"time"
)

// batch is the callers of one commit.
type batch struct {
	w        *writer
	start    time.Time
	alone    bool
	jobs     []*write
	running  *write
	recorded int
	wrote    bool // there is something to make durable
	unsure   bool // the commit happened, but may not be durable
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
	b.wrote = b.wrote || w.conn.wrote
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
	if err == nil && b.wrote {
		if err = b.w.sync.commit(); err != nil {
			b.unsure = true
		}
	}
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
		case len(b.jobs) == 1 || b.unsure:
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
