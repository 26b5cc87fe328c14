package content

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/slipway-ml/slipway"
)

// A pack is a header followed by records; nothing in it is ever changed, only
// appended. All numbers are little endian.
//
//	pack header, 32 bytes: magic 16 · mark 8 · zero 4 · CRC-32C of the above 4
//	record header, 64 bytes: mark 8 · kind 1 · zero 3 · payload length 4 ·
//	    content size 8 · digest 32 · CRC-32C of the payload 4 · of the above 4
//	payload: the bytes themselves, or the recipe of cut content
//
// The mark is random, one a pack. It lets a scan find the next record behind a
// damaged one, and nobody can smuggle in a record inside a payload without
// knowing it.
const (
	packMagic        = "slipway pack 1\n\x00"
	packHeaderSize   = 32
	recordHeaderSize = 64
	maxPayload       = 1 << 30
	recipeLine       = sha256.Size + 4 // one chunk in a recipe: digest, length
)

// kind says what a record's payload is; the bits combine.
type kind byte

const (
	kindBytes  kind = 1    // the payload is the content
	kindRecipe kind = 2    // the payload lists the chunks of the content
	kindTree   kind = 0x80 // the content begins like an encoded Tree, so GC looks inside
)

func (k kind) recipe() bool { return k&kindRecipe != 0 }
func (k kind) tree() bool   { return k&kindTree != 0 }

// key is a digest in binary.
type key [sha256.Size]byte

type packMark [8]byte

// entry says where in a pack a piece of content stands.
type entry struct {
	digest key
	kind   kind
	offset int64  // of the record's header
	length uint32 // of the payload
	size   int64  // of the content
}

func (e entry) end() int64 { return e.offset + recordHeaderSize + int64(e.length) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func parseKey(d slipway.Digest) (k key, err error) {
	if _, err := slipway.ParseDigest(string(d)); err != nil {
		return k, err
	}
	_, err = hex.Decode(k[:], []byte(d))
	return k, err
}

func (k key) digest() slipway.Digest { return slipway.Digest(hex.EncodeToString(k[:])) }

func newMark() (m packMark) {
	rand.Read(m[:]) // never fails, see its documentation
	return m
}

func encodePackHeader(m packMark) []byte {
	b := make([]byte, packHeaderSize)
	copy(b, packMagic)
	copy(b[16:], m[:])
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

// errDamaged marks bytes that are not what was written.
var errDamaged = errors.New("damaged")

func decodePackHeader(b []byte) (m packMark, err error) {
	if len(b) < packHeaderSize || string(b[:16]) != packMagic ||
		binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return m, fmt.Errorf("pack header: %w", errDamaged)
	}
	return packMark(b[16:24]), nil
}

// encodeRecordHeader fills the first 64 bytes of record for the payload that
// follows them.
func encodeRecordHeader(record []byte, m packMark, k kind, size int64, digest key) {
	payload := record[recordHeaderSize:]
	copy(record, m[:])
	record[8], record[9], record[10], record[11] = byte(k), 0, 0, 0
	binary.LittleEndian.PutUint32(record[12:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(record[16:], uint64(size))
	copy(record[24:], digest[:])
	binary.LittleEndian.PutUint32(record[56:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(record[60:], crc32.Checksum(record[:60], castagnoli))
}

// decodeRecordHeader returns the entry of the record at offset and the
// checksum of its payload.
func decodeRecordHeader(b []byte, m packMark, offset int64) (entry, uint32, error) {
	if len(b) < recordHeaderSize || packMark(b[:8]) != m ||
		binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return entry{}, 0, fmt.Errorf("record header at %d: %w", offset, errDamaged)
	}
	e := entry{
		digest: key(b[24:56]), kind: kind(b[8]), offset: offset,
		length: binary.LittleEndian.Uint32(b[12:]), size: int64(binary.LittleEndian.Uint64(b[16:])),
	}
	if e.length > maxPayload || e.size < 0 || !e.kind.recipe() && e.size != int64(e.length) {
		return entry{}, 0, fmt.Errorf("record header at %d: %w", offset, errDamaged)
	}
	return e, binary.LittleEndian.Uint32(b[56:]), nil
}

// checkRecord verifies a whole record (header and payload) that should be e
// and returns its payload. Bytes are checked against their digest; a recipe
// cannot be, so it is checked against its checksum.
func checkRecord(record []byte, m packMark, e entry) ([]byte, error) {
	got, sum, err := decodeRecordHeader(record, m, e.offset)
	if err != nil {
		return nil, err
	}
	payload := record[recordHeaderSize:]
	if got.digest != e.digest || int(got.length) != len(payload) {
		return nil, fmt.Errorf("record at %d is not the one in the index: %w", e.offset, errDamaged)
	}
	if got.kind.recipe() {
		if crc32.Checksum(payload, castagnoli) != sum {
			return nil, fmt.Errorf("recipe at %d: %w", e.offset, errDamaged)
		}
	} else if sha256.Sum256(payload) != [sha256.Size]byte(e.digest) {
		return nil, fmt.Errorf("content at %d: %w", e.offset, errDamaged)
	}
	return payload, nil
}

// part is one chunk of cut content.
type part struct {
	digest key
	length uint32
	start  int64 // in the content
}

func decodeRecipe(payload []byte, size int64) ([]part, error) {
	if len(payload)%recipeLine != 0 {
		return nil, fmt.Errorf("recipe of %d bytes: %w", len(payload), errDamaged)
	}
	parts := make([]part, 0, len(payload)/recipeLine)
	var at int64
	for ; len(payload) > 0; payload = payload[recipeLine:] {
		p := part{digest: key(payload[:sha256.Size]), length: binary.LittleEndian.Uint32(payload[sha256.Size:]), start: at}
		at += int64(p.length)
		parts = append(parts, p)
	}
	if at != size {
		return nil, fmt.Errorf("recipe of %d bytes for content of %d: %w", at, size, errDamaged)
	}
	return parts, nil
}

func appendRecipe(b []byte, digest key, length int) []byte {
	b = append(b, digest[:]...)
	return binary.LittleEndian.AppendUint32(b, uint32(length))
}

// scan is what a walk over a pack found.
type scan struct {
	entries []entry
	end     int64   // behind the last whole record
	damaged int     // places inside, where bytes were skipped
	spoilt  []entry // records whose header is whole and whose payload is not
}

// scanRecords walks the records of a pack from offset `from` to `size`. A torn
// tail ends it; a damaged place inside is skipped by looking for the next
// record. Payloads are checked by checksum, so that a tail that a power
// failure left half on disk is not taken for content.
func scanRecords(r io.ReaderAt, m packMark, from, size int64) (scan, error) {
	w := &window{r: r, size: size}
	out := scan{end: from}
	skipped := false
	for at := from; at+recordHeaderSize <= size; {
		b, err := w.bytes(at, recordHeaderSize)
		if err != nil {
			return out, err
		}
		e, sum, err := decodeRecordHeader(b, m, at)
		if err == nil && e.end() <= size {
			var crc uint32
			if crc, err = w.checksum(at+recordHeaderSize, int64(e.length)); err != nil {
				return out, err
			}
			if crc != sum {
				out.spoilt = append(out.spoilt, e)
				at = e.end()
				continue
			}
			if skipped {
				out.damaged++
			}
			out.entries = append(out.entries, e)
			at, out.end, skipped = e.end(), e.end(), false
			continue
		}
		skipped = true
		if at, err = w.find(m[:], at+1); err != nil {
			return out, err
		}
	}
	return out, nil
}

// window reads a file forwards through one buffer.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	at   int64 // of buf in the file
}

const windowSize = 1 << 20

// bytes returns n ≤ windowSize bytes at offset; they must lie inside the file.
func (w *window) bytes(offset, n int64) ([]byte, error) {
	if offset < w.at || offset+n > w.at+int64(len(w.buf)) {
		if w.buf == nil {
			w.buf = make([]byte, 0, windowSize)
		}
		w.at, w.buf = offset, w.buf[:min(windowSize, w.size-offset)]
		if got, err := w.r.ReadAt(w.buf, offset); got < len(w.buf) {
			w.buf = w.buf[:0]
			return nil, fmt.Errorf("read pack: %w", err)
		}
	}
	return w.buf[offset-w.at:][:n], nil
}

func (w *window) checksum(offset, n int64) (crc uint32, err error) {
	for n > 0 {
		step := min(n, windowSize)
		b, err := w.bytes(offset, step)
		if err != nil {
			return 0, err
		}
		crc = crc32.Update(crc, castagnoli, b)
		offset, n = offset+step, n-step
	}
	return crc, nil
}

// find returns the first offset ≥ from at which mark stands, or the size.
func (w *window) find(mark []byte, from int64) (int64, error) {
	for from+int64(len(mark)) <= w.size {
		step := min(windowSize, w.size-from)
		b, err := w.bytes(from, step)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, mark); i >= 0 {
			return from + int64(i), nil
		}
		from += step - int64(len(mark)) + 1
	}
	return w.size, nil
}
