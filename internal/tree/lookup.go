package tree

// patternWords answers what chunk c asks: one word for each bit of its pattern,
// one bit for each row.
func patternWords[M mask](x *Explainer, masks []M, c *chunk, word *[8]uint64) {
	literal := x.literal[c.literal:]
	for j := range int(c.bits) & 15 {
		all := ^M(0)
		count := literal[0]
		for _, l := range literal[1:][:count] {
			all &= masks[l>>1] ^ -M(l&1)
		}
		word[j&7] = uint64(all)
		literal = literal[1+count:]
	}
}

// addFew looks up what all chunks contribute to n <= 8 rows. The tables do not
// fit a cache, and a row reads one line of each: the time is that of waiting for
// memory. So the places of several chunks are worked out first and touched one
// after another, which lets the processor wait for them all at once.
func addFew[M mask](x *Explainer, w *workspace[M], n int) {
	const group = 32
	var pattern [group]uint64
	for from := 0; from < len(x.chunks); from += group {
		chunks := x.chunks[from:min(from+group, len(x.chunks))]
		for i := range chunks {
			var word [8]uint64
			patternWords(x, w.masks, &chunks[i], &word)
			pattern[i&(group-1)] = transpose8(gather8(&word))
		}
		for r := range n {
			var at [group]uint32
			var touch float32
			for i := range chunks {
				c := &chunks[i]
				k := c.table + uint32(pattern[i&(group-1)]>>(8*r)&0xff)<<(c.shift&7)
				at[i&(group-1)] = k
				touch += x.table[k]
			}
			w.touched = touch
			for i := range chunks {
				c := &chunks[i]
				features := x.feature[c.feature:][:c.count]
				row := x.table[at[i&(group-1)]:][:len(features)]
				phi := w.phi[int(c.output)*len(x.e.Features)*8+r:]
				for j, f := range features {
					phi[int(f)*8] += float64(row[j])
				}
			}
		}
	}
}

// addMany looks up what all chunks contribute to a block of 64 rows (those that
// are not in use get numbers that nobody reads). The table of a chunk fits the
// first cache, where the rows meet it one feature at a time.
func addMany[M mask](x *Explainer, w *workspace[M]) {
	var at [64]uint16
	for i := range x.chunks {
		c := &x.chunks[i]
		var word [8]uint64
		patternWords(x, w.masks, c, &word)
		transpose64(&word)
		shift := c.shift & 7
		for b, bytes := range word {
			p := transpose8(bytes)
			for r := range 8 {
				at[8*b+r] = uint16(p >> (8 * r) & 0xff << shift)
			}
		}
		table := x.table[c.table:][:1<<(c.bits+c.shift)]
		phi := w.phi[int(c.output)*len(x.e.Features)*64:]
		for j, f := range x.feature[c.feature:][:c.count] {
			sum := (*[64]float64)(phi[int(f)*64:])
			values := table[j:]
			for r := range sum {
				sum[r] += float64(values[at[r]])
			}
		}
	}
}

// gather8 puts the low bytes of eight words into one, word 0 lowest.
func gather8(w *[8]uint64) uint64 {
	return w[0]&0xff | w[1]&0xff<<8 | w[2]&0xff<<16 | w[3]&0xff<<24 |
		w[4]&0xff<<32 | w[5]&0xff<<40 | w[6]&0xff<<48 | w[7]&0xff<<56
}

// transpose8 transposes eight bytes as a matrix of 8×8 bits, by exchanging ever
// larger quadrants (Warren, "Hacker's Delight", 7-3).
func transpose8(x uint64) uint64 {
	t := (x ^ x>>7) & 0x00AA00AA00AA00AA
	x ^= t ^ t<<7
	t = (x ^ x>>14) & 0x0000CCCC0000CCCC
	x ^= t ^ t<<14
	t = (x ^ x>>28) & 0x00000000F0F0F0F0
	return x ^ t ^ t<<28
}

// transpose64 transposes eight words as a matrix of 8×8 bytes: byte j of word i
// becomes byte i of word j.
func transpose64(w *[8]uint64) {
	swap := func(a, b *uint64, shift uint, mask uint64) {
		t := (*a>>shift ^ *b) & mask
		*b ^= t
		*a ^= t << shift
	}
	for i := range 4 {
		swap(&w[i], &w[i+4], 32, 0x00000000FFFFFFFF)
	}
	for _, i := range [4]int{0, 1, 4, 5} {
		swap(&w[i], &w[i+2], 16, 0x0000FFFF0000FFFF)
	}
	for i := 0; i < 8; i += 2 {
		swap(&w[i], &w[i+1], 8, 0x00FF00FF00FF00FF)
	}
}
