package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
)

// logFile takes what a server has to say when nobody watches it: a one-shot
// command's. `slipway up` says it on its terminal instead.
type logFile struct {
	path string
	f    *os.File
}

// logBytes is when a log file is put aside. One older file is kept.
const logBytes = 8 << 20

// openLog makes the log in dir the one that package slog writes to.
func openLog(dir string) (*logFile, error) {
	l := &logFile{path: filepath.Join(dir, "slipway.log")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the log %s cannot be written: %v", l.path, errors.Unwrap(err))
	}
	if info, err := os.Stat(l.path); err == nil && info.Size() > logBytes {
		_ = os.Rename(l.path, l.path+".1") // else it grows for one more command
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the log %s cannot be written: %v", l.path, errors.Unwrap(err))
	}
	l.f = f
	slog.SetDefault(slog.New(slog.NewTextHandler(f, nil)))
	return l, nil
}

// Close makes package slog write to the terminal again.
func (l *logFile) Close() error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	return l.f.Close()
}
