package template

import (
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// strangers lists the few texts that stand among the numbers of a column: at
// least nine values in ten are numbers, and at most three different ones are
// not. Such a text means that a number is missing.
func strangers(s *slipway.Series, decimal string, known []string) []string {
	numbers, others := 0, map[string]int{}
	for i, v := range s.Text {
		v = strings.TrimSpace(v)
		if s.Missing(i) || v == "" || slices.Contains(known, v) {
			continue
		}
		if isNumber(v, decimal) {
			numbers++
		} else if others[v]++; len(others) > 3 {
			return nil
		}
	}
	strange := 0
	var out []string
	for v, n := range others {
		strange += n
		out = append(out, v)
	}
	// A first line of names over a column of numbers is one stranger, once.
	if strange == 0 || numbers < 20 || numbers < 9*strange {
		return nil
	}
	slices.Sort(out)
	return out
}

func isNumber(v, decimal string) bool {
	if decimal == "," {
		v = strings.Replace(v, ",", ".", 1)
	}
	_, err := strconv.ParseFloat(v, 64)
	return err == nil
}
