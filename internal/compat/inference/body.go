package inference

import (
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"sync"

	"github.com/slipway-ml/slipway"
)

var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 8192); return &b }}

func freeBody(b *[]byte) {
	if cap(*b) <= 1<<20 {
		bodies.Put(b)
	}
}

// readBody reads the whole body; give it back with freeBody.
func readBody(r *http.Request) (*[]byte, error) {
	if r.ContentLength > MaxBody {
		return nil, tooLarge
	}
	from, err := plain(r)
	if err != nil {
		return nil, err
	}
	b := bodies.Get().(*[]byte)
	if n := int(r.ContentLength); n >= 0 && n <= 1<<20 && from == r.Body { // a longer one must first come
		if cap(*b) < n {
			*b = make([]byte, 0, n)
		}
		*b = (*b)[:n]
		_, err = io.ReadFull(r.Body, *b)
	} else if *b, err = io.ReadAll(io.LimitReader(from, MaxBody+1)); err == nil && len(*b) > MaxBody {
		return nil, tooLarge
	}
	if err != nil {
		freeBody(b)
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		return nil, slipway.Errorf(slipway.Invalid, "the body broke off: %v", err)
	}
	return b, nil
}

// plain is the body without the compression that its header names. Whoever
// reads it bounds what comes out.
func plain(r *http.Request) (from io.Reader, err error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		from, err = gzip.NewReader(r.Body)
	case "deflate":
		from, err = zlib.NewReader(r.Body)
	default:
		return nil, errMedia
	}
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "the body is not compressed as its header says: %v", err)
	}
	return from, nil
}
