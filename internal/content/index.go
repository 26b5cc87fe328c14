package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"slices"
	"sort"

	"golang.org/x/sys/unix"
)

// An index file stands beside a pack and says what is in it, so that opening
// a store reads no packs. It covers the first `covered` bytes of the pack;
// records behind them are found by scanning. It can always be made again.
//
//	header, 64 bytes: magic 16 · count 8 · covered 8 · mark 8 · sealed 1 ·
//	    zero 15 · CRC-32C of the body 4 · CRC-32C of the above 4
//	body: count × the first 8 bytes of the digest, ascending (big endian) ·
//	    count × (digest 32 · offset 4 · length 4 · size and kind 8), likewise
//
// The short column comes first because a search touches only it.
const (
	indexMagic      = "slipway index 1\n"
	indexHeaderSize = 64
	indexShort      = 8
	indexLong       = 48
)

// index is an index file mapped into memory.
type index struct {
	data    []byte // the whole file
	count   int
	covered int64
	mark    packMark
	sealed  bool // the pack will not grow
	mapped  bool
}

// encodeIndex sorts entries and drops repeated digests.
func encodeIndex(entries []entry, covered int64, m packMark, sealed bool) []byte {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(x, y entry) int { return bytes.Compare(x.digest[:], y.digest[:]) })
	entries = slices.CompactFunc(entries, func(x, y entry) bool { return x.digest == y.digest })
	n := len(entries)
	b := make([]byte, indexHeaderSize+n*(indexShort+indexLong))
	copy(b, indexMagic)
	binary.LittleEndian.PutUint64(b[16:], uint64(n))
	binary.LittleEndian.PutUint64(b[24:], uint64(covered))
	copy(b[32:], m[:])
	if sealed {
		b[40] = 1
	}
	short, long := b[indexHeaderSize:], b[indexHeaderSize+n*indexShort:]
	for i, e := range entries {
		copy(short[i*indexShort:], e.digest[:indexShort])
		row := long[i*indexLong:]
		copy(row, e.digest[:])
		binary.LittleEndian.PutUint32(row[32:], uint32(e.offset))
		binary.LittleEndian.PutUint32(row[36:], e.length)
		binary.LittleEndian.PutUint64(row[40:], uint64(e.size)<<8|uint64(e.kind))
	}
	binary.LittleEndian.PutUint32(b[56:], crc32.Checksum(b[indexHeaderSize:], castagnoli))
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeIndex checks the header only; the body is checked by checkBody.
func decodeIndex(data []byte) (*index, error) {
	if len(data) < indexHeaderSize || string(data[:16]) != indexMagic ||
		binary.LittleEndian.Uint32(data[60:]) != crc32.Checksum(data[:60], castagnoli) {
		return nil, fmt.Errorf("index header: %w", errDamaged)
	}
	n := binary.LittleEndian.Uint64(data[16:])
	if n > maxPayload || uint64(len(data)) != indexHeaderSize+n*(indexShort+indexLong) {
		return nil, fmt.Errorf("index of %d entries in %d bytes: %w", n, len(data), errDamaged)
	}
	return &index{
		data: data, count: int(n), covered: int64(binary.LittleEndian.Uint64(data[24:])),
		mark: packMark(data[32:40]), sealed: data[40] == 1,
	}, nil
}

func (x *index) checkBody() error {
	if binary.LittleEndian.Uint32(x.data[56:]) != crc32.Checksum(x.data[indexHeaderSize:], castagnoli) {
		return fmt.Errorf("index body: %w", errDamaged)
	}
	return nil
}

// openIndex maps an index file. The file is replaced, never changed, so the
// mapping stays valid until close.
func openIndex(path string) (*index, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < indexHeaderSize {
		return nil, fmt.Errorf("index of %d bytes: %w", info.Size(), errDamaged)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	x, err := decodeIndex(data)
	if err != nil {
		unix.Munmap(data)
		return nil, err
	}
	x.mapped = true
	return x, nil
}

func (x *index) close() {
	if x != nil && x.mapped {
		unix.Munmap(x.data)
		x.data, x.count, x.mapped = nil, 0, false
	}
}

func (x *index) short(i int) uint64 {
	return binary.BigEndian.Uint64(x.data[indexHeaderSize+i*indexShort:])
}

func (x *index) at(i int) entry {
	row := x.data[indexHeaderSize+x.count*indexShort+i*indexLong:][:indexLong]
	packed := binary.LittleEndian.Uint64(row[40:])
	return entry{
		digest: key(row[:32]), kind: kind(packed),
		offset: int64(binary.LittleEndian.Uint32(row[32:])), length: binary.LittleEndian.Uint32(row[36:]),
		size: int64(packed >> 8),
	}
}

// find looks up a digest. Digests are uniform, so the place is first guessed
// and then approached in doubling steps, which touches two or three cache
// lines where halving would touch a dozen.
func (x *index) find(k key) (entry, bool) {
	if x.count == 0 {
		return entry{}, false
	}
	want := binary.BigEndian.Uint64(k[:])
	guess, _ := bits.Mul64(want, uint64(x.count))
	lo, hi := int(guess), int(guess) // the answer is in [lo, hi)
	for step := 8; lo > 0 && x.short(lo) >= want; step *= 2 {
		hi, lo = lo, max(0, lo-step)
	}
	for step := 8; hi < x.count && x.short(hi) < want; step *= 2 {
		lo, hi = hi, min(x.count, hi+step)
	}
	n := sort.Search(hi-lo, func(i int) bool { return x.short(lo+i) >= want })
	for i := lo + n; i < x.count && x.short(i) == want; i++ {
		if e := x.at(i); e.digest == k {
			return e, true
		}
	}
	return entry{}, false
}
