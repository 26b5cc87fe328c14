package content

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// finder looks content up in many packs. At first it asks each pack; when that
// has been done often enough to pay for it, it builds a hash table over the
// packs that are full, so that a store of a million pieces answers in a few
// hundred nanoseconds and a command that asks once builds nothing.
//
// Store.mu guards it: find needs it for reading, the rest for writing.
type finder struct {
	rest  []*pack // asked one by one, newest first
	table *table
	work  atomic.Int64 // packs asked since there was no table
}

// worthTable is how many packs are asked before a table is built. A question
// costs 0.1 µs, an entry of the table 0.02 µs.
const worthTable = 1 << 16

// table maps part of a digest to the pack that may hold it. A slot is 0, or 16
// bits of the digest and the number of the pack plus one.
type table struct {
	slots []uint32
	shift int // the first bits of a digest choose the slot
	used  int
	packs []*pack
}

// find returns the place of k. It says `build` when a table has become worth
// its while.
func (f *finder) find(k key) (loc place, ok, build bool) {
	asked := len(f.rest)
	for i, p := range f.rest {
		if e, found := p.find(k); found {
			loc, ok, asked = place{e, p}, true, i+1
			break
		}
	}
	if f.table == nil {
		return loc, ok, f.work.Add(int64(asked)) > worthTable && len(f.rest) > 8
	}
	if !ok {
		loc, ok = f.table.find(k)
	}
	return loc, ok, false
}

// arrange takes in the packs there are now, newest first.
func (f *finder) arrange(order []*pack) {
	if f.table != nil && !f.table.extend(order) {
		f.table = nil
		f.work.Store(0)
	}
	f.rest = f.rest[:0:0]
	for _, p := range order {
		if f.table == nil || !f.table.has(p) {
			f.rest = append(f.rest, p)
		}
	}
}

// build makes the table anew, with room to double.
func (f *finder) build(order []*pack) {
	f.work.Store(0)
	n := 0
	for _, p := range order {
		if p.sealed() {
			n += p.idx.count
		}
	}
	size := bits.Len(uint(n)) + 2 // slots: two to four times n
	f.table = &table{slots: make([]uint32, 1<<size), shift: 64 - size}
	f.arrange(order)
}

func (t *table) has(p *pack) bool { return p.tabled == t }

// extend adds the full packs that are new. It says false if the table must go:
// a pack has vanished, or there is no room.
func (t *table) extend(order []*pack) bool {
	present := 0
	for _, p := range order {
		if t.has(p) {
			present++
		}
	}
	if present < len(t.packs) {
		return false
	}
	for _, p := range order {
		if t.has(p) || !p.sealed() || len(t.packs) == 1<<16-1 {
			continue
		}
		if t.used += p.idx.count; t.used > len(t.slots)/10*8 {
			return false
		}
		t.packs = append(t.packs, p)
		p.tabled = t
		for i := range p.idx.count {
			t.insert(p.idx.short(i), uint32(len(t.packs)))
		}
	}
	return true
}

func (t *table) insert(short uint64, number uint32) {
	i := short >> t.shift
	for t.slots[i] != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = uint32(short)<<16 | number
}

func (t *table) find(k key) (place, bool) {
	short := binary.BigEndian.Uint64(k[:])
	for i := short >> t.shift; t.slots[i] != 0; i = (i + 1) & uint64(len(t.slots)-1) {
		if slot := t.slots[i]; uint16(slot>>16) == uint16(short) {
			p := t.packs[slot&0xffff-1]
			if e, ok := p.find(k); ok {
				return place{e, p}, true
			}
		}
	}
	return place{}, false
}
