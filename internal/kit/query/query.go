// Package query runs SQL over files of data: CSV, JSON and Parquet. It is for
// every capability that looks at more rows than fit a loop: profiles, contracts,
// differences, windows, feature steps.
//
// DuckDB does the work, in a child process. A file from outside is parsed where
// a crash, a leak or a hostile byte hurts nobody: the child may open the given
// files and write the given output, loads no extension, has no network, and
// obeys limits of memory and time; to cancel is to kill it. An Engine keeps up
// to two idle children warm, since starting one costs tens of milliseconds.
//
// Only duck.go links DuckDB, and only when cgo is on. A binary built without it
// uses slipway-query, a program of five lines, from the folder it stands in.
package query

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// Format is how a file holds its rows.
type Format string

// The formats. The zero Format of a Table is detected by Detect.
const (
	FormatCSV     Format = "csv"
	FormatParquet Format = "parquet"
	FormatJSON    Format = "json" // one object a line, or one array of objects
)

// Table is a set of files that SQL sees under one name.
type Table struct {
	Name   string   `json:"name"`
	Files  []string `json:"files"` // local paths; no globs
	Format Format   `json:"format,omitzero"`
	CSV    CSV      `json:"csv,omitzero"` // zero: found out from the files
	// Columns are the exact columns that the table shall have, in this order:
	// others in the files are dropped, missing ones are Invalid, values that do
	// not fit are Invalid with their line. Empty: found out from the files.
	Columns slipway.Schema `json:"columns,omitempty"`
}

// Output says where the rows of a Request go. The zero Output returns them.
type Output struct {
	Format Format
	Path   string
}

// ToParquet writes the rows to a Parquet file (zstd, row groups of 122,880).
// The file appears whole or not at all. Unless Request.Threads says otherwise
// it is written by one thread, so that the same SQL over the same files gives
// the same bytes.
func ToParquet(path string) Output { return Output{FormatParquet, path} }

// ToCSV writes the rows to a CSV file with a header, times in RFC 3339 UTC. The
// file appears whole or not at all.
func ToCSV(path string) Output { return Output{FormatCSV, path} }

// Request is one query.
type Request struct {
	Tables   []Table
	SQL      string // one SELECT, or any other statement that gives rows and changes nothing
	Params   []any  // values of the ? in order: nil, bool, numbers, string, []byte, time.Time, or a slice of strings, int64 or float64
	Output   Output
	Limit    int           // most rows wanted; 0 means 10,000 for rows that are returned, else all
	Timezone string        // IANA name in which times without an offset are read; default UTC
	Memory   int64         // bytes; 0 means the engine's
	Threads  int           // 0 means the engine's
	Timeout  time.Duration // 0 means none but ctx's
	Progress func(fraction float64)
}

// Result is what a Request gave.
type Result struct {
	Schema    slipway.Schema
	Rows      [][]any // nil, bool, int64, float64, string, []byte or time.Time in UTC; nil when an Output was given
	RowCount  int64   // rows returned or written
	Truncated bool    // Limit left rows out of Rows
	Stats     Stats
}

// Stats tells what a Request cost.
type Stats struct {
	Time  time.Duration // from the request until the last row, waiting included
	Bytes int64         // size of the output file, or of the rows on their way
}

// Options configure an Engine. The zero value serves.
type Options struct {
	Command []string // starts a worker; default DefaultCommand
	Memory  int64    // limit of one query, in bytes; default 1 GiB
	Threads int      // of one query; default 2
	TempDir string   // where large sorts spill; default the system's
	Workers int      // how many Run, Frame and Describe at once, others wait; default 4
	Env     []string // environment of the workers; default the little that they need
}

// The limits of a query where nobody says otherwise.
const (
	defaultLimit   = 10_000
	defaultMemory  = 1 << 30
	defaultThreads = 2
	defaultWorkers = 4
	defaultBatch   = 65_536
)

// Engine runs queries in worker processes. It is safe for concurrent use.
type Engine struct {
	options Options
	pool    *pool
	turn    chan struct{} // one token for each query that runs
}

// New makes an Engine. It starts no process until the first query.
func New(o Options) *Engine {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Threads <= 0 {
		o.Threads = defaultThreads
	}
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	return &Engine{options: o, pool: newPool(o), turn: make(chan struct{}, o.Workers)}
}

// Close ends the idle workers; a query that runs ends as its caller decides.
func (e *Engine) Close() { e.pool.close() }

// Run answers r: with rows, or with the file that r.Output names. SQL that is
// wrong, a file that is malformed and a value that does not fit are Invalid; a
// file that is not there is NotFound; too little memory or time, or a worker
// that died, is Unavailable.
func (e *Engine) Run(ctx context.Context, r Request) (Result, error) {
	if r.Output.Path != "" {
		return e.write(ctx, r)
	}
	if r.Limit <= 0 {
		r.Limit = defaultLimit
	}
	wire := newWireRequest(r, verbRows)
	wire.Limit++ // one row more tells whether any were left out
	var out Result
	err := e.inTurn(ctx, r, func(ctx context.Context) error {
		return e.stream(ctx, wire, r.Progress, func(schema slipway.Schema, rows int, columns []values) error {
			out.Schema = schema
			return appendRows(&out, rows, columns, r.Limit)
		}, &out)
	})
	if err != nil {
		return Result{}, err
	}
	out.RowCount = int64(len(out.Rows))
	return out, nil
}

// appendRows turns decoded columns into rows, up to limit.
func appendRows(out *Result, rows int, columns []values, limit int) error {
	for i := range rows {
		if len(out.Rows) == limit {
			out.Truncated = true
			return nil
		}
		row := make([]any, len(columns))
		for c := range columns {
			v, err := columns[c].value(out.Schema[c].Type, i)
			if err != nil {
				return err
			}
			row[c] = v
		}
		out.Rows = append(out.Rows, row)
	}
	return nil
}

// Frame answers r with all its rows as columns, which is many times faster than
// Run for more than a few thousand rows. Binary values stand as text. The whole
// result is held in memory: use Batches where it may be large. r.Output must be
// zero.
func (e *Engine) Frame(ctx context.Context, r Request) (*slipway.Frame, error) {
	if r.Output.Path != "" {
		return nil, slipway.Errorf(slipway.Invalid, "a frame is not written to a file")
	}
	out := &slipway.Frame{}
	err := e.inTurn(ctx, r, func(ctx context.Context) error {
		wire := newWireRequest(r, verbFrame)
		return e.stream(ctx, wire, r.Progress, func(schema slipway.Schema, rows int, columns []values) error {
			return appendFrame(out, schema, rows, columns)
		}, nil)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// appendFrame adds a decoded batch to f, which takes the schema's columns first
// if it has none.
func appendFrame(f *slipway.Frame, schema slipway.Schema, rows int, columns []values) error {
	if f.Series == nil {
		f.Series = make([]slipway.Series, len(schema))
		for i, c := range schema {
			f.Series[i] = slipway.Series{Name: c.Name, Type: c.Type}
			if c.Type == slipway.Text || c.Type == slipway.Binary {
				f.Series[i].Text = []string{}
			} else {
				f.Series[i].Float = []float64{}
			}
		}
	}
	for i := range columns {
		if err := columns[i].appendTo(&f.Series[i]); err != nil {
			return err
		}
	}
	f.Rows += rows
	return nil
}

// Batches answers r frame by frame, each of at most batchRows rows (0 means
// 65,536) in the order of the query, so that a result of any size passes
// through little memory. Breaking off the loop ends the query. It does not wait
// its turn behind other queries, so that a loop may run queries of its own.
func (e *Engine) Batches(ctx context.Context, r Request, batchRows int) iter.Seq2[*slipway.Frame, error] {
	return func(yield func(*slipway.Frame, error) bool) {
		if r.Output.Path != "" {
			yield(nil, slipway.Errorf(slipway.Invalid, "batches are not written to a file"))
			return
		}
		wire := newWireRequest(r, verbFrame)
		if batchRows > 0 {
			wire.BatchRows = batchRows
		}
		ctx, cancel := withTimeout(ctx, r.Timeout)
		defer cancel()
		err := e.stream(ctx, wire, r.Progress, func(schema slipway.Schema, rows int, columns []values) error {
			f := &slipway.Frame{}
			if err := appendFrame(f, schema, rows, columns); err != nil {
				return err
			}
			if rows > 0 && !yield(f, nil) {
				return errStopped
			}
			return nil
		}, nil)
		if err != nil && err != errStopped {
			yield(nil, timeoutError(ctx, r.Timeout, err))
		}
	}
}

// Describe finds out what columns a table has, and for CSV how the files are
// written. A Table with both filled in is read without looking at it again.
// Only the first 64 MiB of text are looked at.
func (e *Engine) Describe(ctx context.Context, t Table) (slipway.Schema, CSV, error) {
	wire := newWireRequest(Request{Tables: []Table{t}}, verbDescribe)
	var told described
	err := e.inTurn(ctx, Request{}, func(ctx context.Context) error {
		return e.ask(ctx, wire, nil, func(tag byte, body []byte) error {
			if tag != tagDescribed {
				return errProtocol
			}
			return json.Unmarshal(body, &told)
		}, nil)
	})
	return told.Schema, told.CSV, err
}

// inTurn runs fn when fewer than Options.Workers others run, within r.Timeout.
func (e *Engine) inTurn(ctx context.Context, r Request, fn func(context.Context) error) error {
	ctx, cancel := withTimeout(ctx, r.Timeout)
	defer cancel()
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return timeoutError(ctx, r.Timeout, ctx.Err())
	}
	return timeoutError(ctx, r.Timeout, fn(ctx))
}

// errTooLong is the cause of a context that Request.Timeout ended.
var errTooLong = slipway.Errorf(slipway.Unavailable, "the query took too long")

func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, errTooLong)
}

// timeoutError names the limit when it is what ended the query.
func timeoutError(ctx context.Context, d time.Duration, err error) error {
	if err != nil && context.Cause(ctx) == errTooLong {
		return slipway.Errorf(slipway.Unavailable, "the query took longer than %s", d).WithHint("give it more time, fewer rows, or files in Parquet instead of CSV")
	}
	return err
}
