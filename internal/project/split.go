package project

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Split divides the rows of a dataset into parts, of which none leaks into
// another. A part is named in brackets: flights[train].
type Split struct {
	// By says what a row's part depends on. key: its key, or the whole row without one, so that a row stays in its part whatever comes later. group: the columns in on, so that a group is never parted. time: its event time, so that no row of a part is older than a row of the part before. stratified: like key, with the same shares of each value of on. Defaults to key.
	By string `json:"by,omitempty" jsonschema:"enum=key,enum=time,enum=group,enum=stratified"`
	// On names the columns of the group or of the stratum.
	On Names `json:"on,omitempty"`
	// Parts are names with shares of the rows that come to 100 %, such as [train 70%, valid 15%, test 15%].
	Parts Names `json:"parts,omitempty"`
	// Folds makes parts for cross-validation, in place of parts: test-1 to test-N, and train-1 to train-N of the rows that train for each. By time, a train part holds only what is older than its test part.
	Folds int `json:"folds,omitempty" jsonschema:"minimum=2,maximum=100"`
}

var share = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9_-]{0,63})\s+([0-9]+(?:\.[0-9]+)?)\s*%$`)

// interval is where the position of a row lies: from ≤ position < to, of 1.
type interval struct{ from, to float64 }

// parts are the names of all parts, in order, and where their rows lie.
func (s *Split) parts() (names []string, at map[string][]interval, err error) {
	at = map[string][]interval{}
	add := func(name string, where ...interval) {
		names = append(names, name)
		at[name] = where
	}
	for i := 1; i <= s.Folds; i++ {
		n, blocks := float64(i), float64(s.Folds)
		train, test := "train-"+strconv.Itoa(i), "test-"+strconv.Itoa(i)
		if s.By == "time" {
			add(train, interval{0, n / (blocks + 1)})
			add(test, interval{n / (blocks + 1), (n + 1) / (blocks + 1)})
			continue
		}
		add(train, interval{0, (n - 1) / blocks}, interval{n / blocks, 1})
		add(test, interval{(n - 1) / blocks, n / blocks})
	}
	sum := 0.0
	for _, text := range s.Parts {
		m := share.FindStringSubmatch(text)
		if m == nil {
			return nil, nil, slipway.Errorf(slipway.Invalid, "%q is not a part", short(text)).WithHint("write [train 70%%, valid 15%%, test 15%%]")
		}
		percent, _ := strconv.ParseFloat(m[2], 64) // as the pattern says
		if _, twice := at[m[1]]; twice || percent <= 0 {
			return nil, nil, slipway.Errorf(slipway.Invalid, "the part %s stands here twice, or is empty", m[1])
		}
		add(m[1], interval{sum / 100, (sum + percent) / 100})
		sum += percent
	}
	if s.Folds == 0 && (sum < 99.999 || sum > 100.001) {
		return nil, nil, slipway.Errorf(slipway.Invalid, "the parts come to %g %%, not to 100 %%", sum)
	}
	return names, at, nil
}

// Check finds mistakes that need no data. It fails with Invalid.
func (s *Split) Check() error {
	switch {
	case (s.Folds > 0) == (len(s.Parts) > 0):
		return slipway.Errorf(slipway.Invalid, "a split has either parts or folds").WithHint("parts: [train 80%%, test 20%%], or folds: 5")
	case s.Folds < 0 || s.Folds == 1 || s.Folds > 100:
		return slipway.Errorf(slipway.Invalid, "there are 2 to 100 folds, not %d", s.Folds)
	case !slices.Contains([]string{"", "key", "time", "group", "stratified"}, s.By):
		return slipway.Errorf(slipway.Invalid, "a split is by key, time, group or stratified, not by %q", short(s.By))
	case (s.By == "group" || s.By == "stratified") != (len(s.On) > 0):
		return slipway.Errorf(slipway.Invalid, "on belongs to a split by group or stratified, and those to on").WithHint("{by: group, on: patient, …}")
	}
	_, _, err := s.parts()
	return err
}

// PartNames are the names of the parts, in order.
func (s *Split) PartNames() []string {
	names, _, _ := s.parts()
	return names
}

// SQL selects the rows of a part from a table or a query in parentheses, called
// slipway_rows there. time is the SQL of a row's event time, "" if there is
// none; key names the columns that tell rows apart. Rows without a time are in
// no part of a split by time. It fails with Invalid.
//
// What a row is cut by is hashed with MD5 and its first 52 bits are a position
// between 0 and 1: the same on every machine and in every version. Positions by
// time and in a stratum are ranks, where rows that are alike share one, so that
// they are never parted.
func (s *Split) SQL(from, time string, key []string, part string) (string, error) {
	names, at, err := s.parts()
	if err != nil {
		return "", err
	}
	where, ok := at[part]
	if !ok {
		return "", slipway.Errorf(slipway.Invalid, "there is no part %q", short(part)).WithHint("the parts are %s", strings.Join(names, ", "))
	}
	identity := "CAST(slipway_rows AS VARCHAR)"
	if len(key) > 0 {
		identity = joined(key)
	}
	position, only := hashed(identity), ""
	switch s.By {
	case "group":
		position = hashed(joined(s.On))
	case "stratified":
		position = "(rank() OVER (PARTITION BY " + joined(s.On) + " ORDER BY " + hashed(identity) + ") - 1) / count(*) OVER (PARTITION BY " + joined(s.On) + ")"
	case "time":
		if time == "" {
			return "", slipway.Errorf(slipway.Invalid, "rows without a time cannot be split by time").WithHint("add time to the dataset in slipway.yaml")
		}
		position, only = "(rank() OVER (ORDER BY "+time+") - 1) / count(*) OVER ()", " WHERE ("+time+") IS NOT NULL"
	}
	var within []string
	for _, w := range where {
		if w.from < w.to {
			within = append(within, fmt.Sprintf("slipway_at >= %s AND slipway_at < %s", precise(w.from), precise(w.to)))
		}
	}
	return "SELECT * EXCLUDE (slipway_at) FROM (SELECT *, " + position + " AS slipway_at FROM " + from + " AS slipway_rows" + only + ") WHERE (" + strings.Join(within, ") OR (") + ")", nil
}

// hashed is the SQL of a position for a text.
func hashed(text string) string {
	return "(CAST('0x' || left(md5(" + text + "), 13) AS BIGINT) / 4503599627370496.0::DOUBLE)"
}

// joined is the SQL of a text that is the same for the same values of columns,
// missing ones too.
func joined(columns []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = `coalesce(replace(CAST("` + strings.ReplaceAll(c, `"`, `""`) + `" AS VARCHAR), chr(31), chr(31) || chr(31)), chr(30))`
	}
	return "concat_ws(' ' || chr(31) || ' ', " + strings.Join(parts, ", ") + ")"
}

// precise writes a bound so that neighbours in two parts meet at the same number.
func precise(f float64) string { return strconv.FormatFloat(f, 'e', 17, 64) + "::DOUBLE" }
