package dataset

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// fetchCommand runs a command that writes rows to its standard output, or files
// into the folder that SLIPWAY_OUT names. SLIPWAY_SINCE is the newest event time
// that is known, in RFC 3339; empty when there is none.
func (f *feed) fetchCommand(ctx context.Context, folder string, since time.Time, said func(int64)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	argv := f.command.Argv()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = f.dir
	cmd.WaitDelay = 5 * time.Second // a child of it may hold the pipes
	text := ""
	if !since.IsZero() {
		text = since.UTC().Format(time.RFC3339Nano)
	}
	cmd.Env = append(cmd.Environ(), "SLIPWAY_OUT="+folder, "SLIPWAY_SINCE="+text)
	name := filepath.Join(folder, "rows."+f.extension())
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return diskError(err)
	}
	var size int64
	full := &failingWriter{w: out, stop: stop}
	var complaint tail
	cmd.Stdout, cmd.Stderr = io.MultiWriter(full, told(func(n int64) { size += n; said(n) })), &complaint
	err = cmd.Run()
	if cerr := out.Close(); full.err == nil {
		full.err = cerr
	}
	var exit *exec.ExitError
	switch {
	case full.err != nil:
		return diskError(full.err)
	case context.Cause(ctx) != nil && err != nil:
		return context.Cause(ctx)
	case errors.As(err, &exit):
		return slipway.Errorf(slipway.Invalid, "the command %s ended with %s", argv[len(argv)-1], exit).WithHint("%s", complaint.text())
	case err != nil:
		return slipway.Errorf(slipway.Invalid, "the command cannot be run: %v", err)
	}
	if size == 0 {
		if err := os.Remove(name); err != nil {
			return diskError(err)
		}
	}
	return nil
}

func (f *feed) extension() string {
	if f.format == "" || f.format == FilesOnly {
		return "csv"
	}
	return string(f.format)
}

// failingWriter ends the command when what it writes cannot be kept.
type failingWriter struct {
	w    io.Writer
	stop func()
	err  error
}

func (f *failingWriter) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err != nil && f.err == nil {
		f.err = err
		f.stop()
	}
	return n, err
}

// tail keeps the end of what a command complains of.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if len(t.b) > 4096 {
		t.b = append(t.b[:0], t.b[len(t.b)-2048:]...)
	}
	return len(b), nil
}

func (t *tail) text() string {
	lines := bytes.Split(bytes.TrimSpace(t.b), []byte("\n"))
	last := lines[max(0, len(lines)-5):]
	if s := strings.TrimSpace(string(bytes.Join(last, []byte("\n")))); s != "" {
		return "it said: " + s
	}
	return "it said nothing"
}
