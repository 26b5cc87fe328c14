package local

import (
	"io/fs"
	"slices"
	"strings"
)

// sortAsKeys orders directory entries as the keys below them order.
func sortAsKeys(entries []fs.DirEntry) []fs.DirEntry {
	name := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(name(x), name(y)) })
	return entries
}
