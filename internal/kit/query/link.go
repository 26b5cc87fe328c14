//go:build cgo && linux

package query

// DuckDB's own link flags export each of its sixty thousand symbols to shared
// libraries that a program may open later. This one opens none, and every
// process of it, also the many short ones, would map and search that table.

// #cgo LDFLAGS: -Wl,--no-export-dynamic
import "C"
