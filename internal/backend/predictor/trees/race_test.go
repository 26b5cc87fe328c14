//go:build race

package trees_test

// raceEnabled: the race detector makes a pool forget on purpose.
const raceEnabled = true
