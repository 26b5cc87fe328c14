package content

import (
	"hash"
	"io"
	"os"
)

// Pieces of a stream that is hashed and written at the same time.
const (
	copyPiece  = 1 << 20
	copyPieces = 4 // in the hands of the reader and the hasher
	syncEvery  = 16 << 20
)

// copyHashed copies r to the empty file f and into sum, and returns how many
// bytes there were. Reading and writing, and hashing, take a goroutine each.
func copyHashed(f *os.File, sum hash.Hash, r io.Reader) (n int64, err error) {
	free, full := make(chan []byte, copyPieces), make(chan []byte, copyPieces)
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for b := range full {
			sum.Write(b)
			free <- b[:copyPiece]
		}
	}()
	defer func() {
		close(full)
		<-hashed
	}()
	synced := int64(0)
	for made, more := 0, true; more; {
		var b []byte
		if made < copyPieces {
			made++
			b = make([]byte, copyPiece)
		} else {
			b = <-free
		}
		got, err := readUpTo(r, b)
		if err != nil {
			return n, err
		}
		more = got == len(b)
		if _, err := f.Write(b[:got]); err != nil {
			return n, err
		}
		n += int64(got)
		full <- b[:got]
		if n-synced >= syncEvery {
			beginSync(f, synced, n)
			synced = n
		}
	}
	return n, nil
}
