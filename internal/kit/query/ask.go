package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// errStopped tells that the consumer of Batches broke off.
var errStopped = errors.New("stopped by the consumer")

func jsonInto(b []byte, v any) error {
	if json.Unmarshal(b, v) != nil {
		return errProtocol
	}
	return nil
}

// stream asks for rows or a frame and hands over the decoded batches. At least
// one call is made, so that a result without rows has its schema too. out, when
// given, receives what it cost.
func (e *Engine) stream(ctx context.Context, wire wireRequest, progress func(float64),
	use func(schema slipway.Schema, rows int, columns []values) error, out *Result) error {
	var schema slipway.Schema
	var bytes int64
	begun := time.Now()
	err := e.ask(ctx, wire, progress, func(tag byte, body []byte) error {
		bytes += int64(len(body))
		switch {
		case tag == tagSchema:
			if err := jsonInto(body, &schema); err != nil {
				return err
			}
			return use(schema, 0, make([]values, 0))
		case tag == tagBatch && schema != nil:
			rows, columns, err := decode(body, len(schema))
			if err != nil {
				return err
			}
			return use(schema, rows, columns)
		}
		return errProtocol
	}, nil)
	if out != nil {
		out.Stats = Stats{Time: time.Since(begun), Bytes: bytes}
	}
	return err
}

// ask gives a request to a worker. A warm worker that died while it was idle is
// replaced once, silently; one that ctx stops is killed.
func (e *Engine) ask(ctx context.Context, wire wireRequest, progress func(float64), on func(tag byte, body []byte) error, last *done) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if wire.Memory <= 0 {
		wire.Memory = e.options.Memory
	}
	if wire.Threads <= 0 {
		wire.Threads = e.options.Threads
	}
	if err := absolutePaths(&wire); err != nil {
		return err
	}
	for {
		w, fresh, err := e.pool.get()
		if err != nil {
			return err
		}
		answered, err := e.askWorker(ctx, w, wire, progress, on, last)
		if errors.Is(err, errGone) {
			if !fresh && !answered && ctx.Err() == nil {
				w.end()
				continue
			}
			return w.death(wire.Memory)
		}
		return err
	}
}

// errGone tells that a worker ended in the middle of a request.
var errGone = errors.New("the query worker is gone")

func (e *Engine) askWorker(ctx context.Context, w *worker, wire wireRequest, progress func(float64), on func(byte, []byte) error, last *done) (bool, error) {
	wire.TempDir = w.temp
	request, err := json.Marshal(wire)
	if err != nil {
		e.pool.put(w)
		var ours *slipway.Error
		if errors.As(err, &ours) {
			return true, ours
		}
		return true, fmt.Errorf("write the query: %w", err)
	}
	w.tell(progress)
	stop := context.AfterFunc(ctx, w.kill)
	fit, answered, told, err := w.converse(request, on)
	if !stop() {
		w.end()
		return true, ctx.Err()
	}
	w.tell(nil)
	var own handled
	var failure *slipway.Error
	switch {
	case fit && told.Memory < maxRetained:
		e.pool.put(w)
	case fit || errors.As(err, &own) || errors.As(err, &failure):
		w.end()
	default:
		return answered, errGone
	}
	if last != nil {
		*last = told
	}
	if own.error != nil {
		return true, own.error
	}
	return true, err
}

// absolutePaths makes the paths of a request hold in any working directory.
func absolutePaths(wire *wireRequest) error {
	tables := make([]Table, len(wire.Tables))
	for i, t := range wire.Tables {
		files := make([]string, len(t.Files))
		for j, f := range t.Files {
			path, err := filepath.Abs(f)
			if err != nil {
				return fmt.Errorf("find %s: %w", f, err)
			}
			files[j] = path
		}
		t.Files = files
		tables[i] = t
	}
	wire.Tables = tables
	return nil
}

// write answers a request whose rows go to a file: the worker writes beside it
// under a name that nobody reads, then the file takes its place.
func (e *Engine) write(ctx context.Context, r Request) (Result, error) {
	if r.Output.Format != FormatParquet && r.Output.Format != FormatCSV {
		return Result{}, slipway.Errorf(slipway.Invalid, "rows are written as Parquet or CSV, not as %q", r.Output.Format)
	}
	path, err := filepath.Abs(r.Output.Path)
	if err != nil {
		return Result{}, fmt.Errorf("find %s: %w", r.Output.Path, err)
	}
	temp, err := reserve(path)
	if err != nil {
		return Result{}, err
	}
	defer os.Remove(temp)
	wire := newWireRequest(r, verbWrite)
	wire.Path = temp
	if wire.Threads == 0 {
		wire.Threads = 1
	}
	begun := time.Now()
	var last done
	err = e.inTurn(ctx, r, func(ctx context.Context) error {
		return e.ask(ctx, wire, r.Progress, func(byte, []byte) error { return errProtocol }, &last)
	})
	if err != nil {
		return Result{}, err
	}
	size, err := publish(temp, path)
	if err != nil {
		return Result{}, err
	}
	return Result{Schema: last.Schema, RowCount: last.Rows, Stats: Stats{Time: time.Since(begun), Bytes: size}}, nil
}

// reserve makes an empty file beside path for the worker to write to.
func reserve(path string) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if errors.Is(err, os.ErrNotExist) {
		return "", slipway.Errorf(slipway.NotFound, "the folder %s does not exist", filepath.Dir(path))
	}
	if err != nil {
		return "", slipway.Errorf(slipway.Invalid, "%s cannot be written: %v", path, err)
	}
	return f.Name(), f.Close()
}

// publish makes temp durable, then puts it in the place of path.
func publish(temp, path string) (size int64, err error) {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Chmod(temp, 0o644); err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", path, err)
	}
	defer folder.Close()
	// Some file systems cannot sync a folder; the rename holds there anyway.
	_ = folder.Sync()
	return info.Size(), nil
}
