package query

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	slipway "github.com/slipway-ml/slipway"
)

// The limits of what a gzip file may hold. Tables shrink ten- or twentyfold,
// logs that repeat themselves a hundredfold; a file made to fill a disk a
// thousandfold, which is the most that the format can do.
const (
	unpackedFree  = 1 << 30 // bytes that any file may hold
	unpackedRatio = 200     // else so many times its own size
	mostRatio     = 1032    // of deflate, RFC 1951
)

// checkUnpacked refuses a gzip file of f's that holds more than limit bytes, or
// than ratio times its size where that is more. Only a file that could is read,
// and no further than the limit.
func checkUnpacked(f *os.File, limit, ratio int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	limit = max(limit, ratio*info.Size())
	var magic [2]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || !isGzip(magic[:]) || info.Size() <= limit/mostRatio {
		return nil
	}
	z, err := gzip.NewReader(io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		return nil // who reads it says what is wrong
	}
	n, err := io.Copy(io.Discard, io.LimitReader(z, limit+1))
	if n > limit {
		return slipway.Errorf(slipway.Invalid, "%s unpacks to more than %d times its size: it is not read", filepath.Base(f.Name()), limit/max(1, info.Size())).
			WithHint("if that is meant, unpack it and add what comes out")
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, gzip.ErrChecksum) && !errors.Is(err, gzip.ErrHeader) {
		return fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return nil
}
