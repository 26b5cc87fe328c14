package db

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	sync  walSync
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

func newWriter(d *DB, c *sqliteConn, path string) *writer {
	w := &writer{db: d, conn: c, queue: make(chan *write, maxBatch), quit: make(chan struct{}), gone: make(chan struct{}),
		sync: walSync{path: path + "-wal", data: syncData}}
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
	return errors.Join(w.sync.close(), w.conn.close())
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
	if err := w.begin(); err != nil {
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

// begin opens the transaction of a batch.
func (w *writer) begin() error {
	if w.sync.sick {
		if err := w.sync.heal(w.conn); err != nil {
			return err
		}
	}
	return w.control("BEGIN IMMEDIATE")
}

// control runs BEGIN, COMMIT and the like.
func (w *writer) control(sql string) error {
	if _, err := w.conn.exec(context.Background(), sql, nil); err != nil {
		return w.conn.fault(sql, err)
	}
	return nil
}
