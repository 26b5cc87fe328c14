package content

import (
	"context"
	"crypto/sha256"
	"io"
	"sync"
)

// Content above 1 MB is cut by FastCDC (Xia et al., USENIX ATC 2016): a rolling
// "gear" hash of the last 64 bytes decides where a chunk ends, so that an
// insertion moves the cuts near it and leaves the others where the bytes are.
// The sizes, the masks and the table are part of the format: changing them
// stores every large file anew.
const (
	minChunk  = 16 << 10
	meanChunk = 64 << 10
	maxChunk  = 256 << 10

	// Normalised chunking: below the mean size a cut needs 18 zero bits, above
	// it 14, which draws the sizes towards 2^16.
	maskBelow = uint64(1<<18-1) << 46
	maskAbove = uint64(1<<14-1) << 50
)

// gear holds a pseudo-random number for each byte: splitmix64 (Steele, Lea and
// Flood, OOPSLA 2014) counted up from a fixed seed.
var gear = func() (table [256]uint64) {
	x := uint64(0x736c6970776179) // "slipway"
	for i := range table {
		x += 0x9e3779b97f4a7c15
		z := x
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		table[i] = z ^ z>>31
	}
	return table
}()

// cut returns the length of the chunk at the beginning of b. Unless b is the
// end of the content it must hold at least maxChunk bytes.
func cut(b []byte) int {
	if len(b) <= minChunk {
		return len(b)
	}
	b = b[:min(len(b), maxChunk)]
	hash := uint64(0)
	// The hash sees the 64 bytes before the first possible cut too.
	for _, c := range b[minChunk-64 : minChunk] {
		hash = hash<<1 + gear[c]
	}
	middle := min(len(b), meanChunk)
	for i, c := range b[minChunk:middle] {
		if hash = hash<<1 + gear[c]; hash&maskBelow == 0 {
			return minChunk + i + 1
		}
	}
	for i, c := range b[middle:] {
		if hash = hash<<1 + gear[c]; hash&maskAbove == 0 {
			return middle + i + 1
		}
	}
	return len(b)
}

// records lends buffers of one record with the longest payload that is not a
// recipe.
var records = sync.Pool{New: func() any {
	b := make([]byte, recordHeaderSize+wholeLimit+1)
	return &b
}}

// chunkBuffers lends buffers of one record with the longest chunk.
var chunkBuffers = sync.Pool{New: func() any {
	b := make([]byte, recordHeaderSize+maxChunk)
	return &b
}}

// chunked is content that has been cut and whose chunks are in packs.
type chunked struct {
	digest key
	size   int64
	kind   kind
	recipe []byte // the payload, after room for the header of its record
	at     []position
}

// piece travels from the cutter to the two hashers.
type piece struct {
	buf  *[]byte
	n    int
	left *sync.WaitGroup // both hashers have done with buf
}

func (p piece) payload() []byte { return (*p.buf)[recordHeaderSize:][:p.n] }

// putChunks cuts r and stores the chunks. The caller makes them durable and
// then writes the recipe. Cutting, hashing the whole, and hashing and storing
// the chunks each take a goroutine, since each runs at about 1 GB/s.
func (s *Store) putChunks(ctx context.Context, r io.Reader) (chunked, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	whole, store := make(chan piece, 8), make(chan piece, 8)
	out := chunked{recipe: make([]byte, recordHeaderSize), kind: kindRecipe}
	var work sync.WaitGroup
	var storeErr error
	sum := sha256.New()
	work.Go(func() {
		for p := range whole {
			sum.Write(p.payload())
			p.left.Done()
		}
	})
	work.Go(func() {
		for p := range store {
			if storeErr == nil {
				storeErr = s.putChunk(ctx, p, &out)
			}
			if storeErr != nil {
				cancel()
			}
			p.left.Wait()
			chunkBuffers.Put(p.buf)
		}
	})
	err := cutAll(ctx, r, func(b []byte) {
		p := piece{buf: chunkBuffers.Get().(*[]byte), n: len(b), left: &sync.WaitGroup{}}
		copy(p.payload(), b)
		p.left.Add(1)
		if out.size == 0 && isTree(b) {
			out.kind |= kindTree
		}
		out.size += int64(len(b))
		whole <- p
		store <- p
	})
	close(whole)
	close(store)
	work.Wait()
	if storeErr != nil {
		return out, storeErr
	}
	sum.Sum(out.digest[:0])
	return out, err
}

func (s *Store) putChunk(ctx context.Context, p piece, out *chunked) error {
	digest := key(sha256.Sum256(p.payload()))
	at, err := s.writer.put(ctx, (*p.buf)[:recordHeaderSize+p.n], bytesKind(p.payload()), int64(p.n), digest)
	if err != nil {
		return err
	}
	out.recipe = appendRecipe(out.recipe, digest, p.n)
	out.at = furthest(out.at, at)
	return nil
}

// furthest keeps one position a pack.
func furthest(at []position, next position) []position {
	for i := range at {
		if at[i].pack == next.pack {
			at[i].end = max(at[i].end, next.end)
			return at
		}
	}
	return append(at, next)
}

// cutAll calls emit with each chunk of r; the bytes are valid during the call.
func cutAll(ctx context.Context, r io.Reader, emit func([]byte)) error {
	buf := make([]byte, 4*maxChunk)
	var from, to int
	eof := false
	for {
		if !eof && to-from < maxChunk {
			copy(buf, buf[from:to])
			from, to = 0, to-from
			for to < len(buf) && !eof {
				n, err := r.Read(buf[to:])
				to += n
				if err == io.EOF {
					eof = true
				} else if err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if from == to {
			return nil
		}
		n := cut(buf[from:to])
		emit(buf[from : from+n])
		from += n
	}
}
