package content

// Changes is what turns one tree into another. Every list is in the order of
// the paths (of the new path for moves).
type Changes struct {
	Added   []Entry  `json:"added,omitempty"`
	Removed []Entry  `json:"removed,omitempty"`
	Changed []Change `json:"changed,omitempty"` // same path, other content or mode
	Moved   []Change `json:"moved,omitempty"`   // same content and mode, other path
}

// Change is an entry before and after.
type Change struct {
	From Entry `json:"from"`
	To   Entry `json:"to"`
}

// Empty says that nothing differs.
func (c Changes) Empty() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Moved) == 0
}

// Diff compares two trees, both sorted as NewTree leaves them. A removed and an
// added entry with equal content and mode are one move; where several could be
// paired, the first in order of path are.
func Diff(from, to Tree) Changes {
	var c Changes
	for len(from) > 0 || len(to) > 0 {
		switch {
		case len(to) == 0 || len(from) > 0 && from[0].Path < to[0].Path:
			c.Removed = append(c.Removed, from[0])
			from = from[1:]
		case len(from) == 0 || to[0].Path < from[0].Path:
			c.Added = append(c.Added, to[0])
			to = to[1:]
		default:
			if from[0].Digest != to[0].Digest || from[0].Exec != to[0].Exec {
				c.Changed = append(c.Changed, Change{From: from[0], To: to[0]})
			}
			from, to = from[1:], to[1:]
		}
	}
	c.pairMoves()
	return c
}

// pairMoves takes pairs of equal content out of Removed and Added.
func (c *Changes) pairMoves() {
	type identity struct {
		digest string
		exec   bool
	}
	gone := map[identity][]int{}
	for i, e := range c.Removed {
		// Empty files are all equal; calling one of them moved tells nobody anything.
		if e.Size > 0 {
			id := identity{string(e.Digest), e.Exec}
			gone[id] = append(gone[id], i)
		}
	}
	paired := make(map[int]bool)
	var added []Entry
	for _, e := range c.Added {
		id := identity{string(e.Digest), e.Exec}
		from := gone[id]
		if len(from) == 0 {
			added = append(added, e)
			continue
		}
		gone[id] = from[1:]
		paired[from[0]] = true
		c.Moved = append(c.Moved, Change{From: c.Removed[from[0]], To: e})
	}
	var removed []Entry
	for i, e := range c.Removed {
		if !paired[i] {
			removed = append(removed, e)
		}
	}
	c.Added, c.Removed = added, removed
}
