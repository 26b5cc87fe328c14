package inference

import (
	"encoding/json"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersReadAsTheStandardLibraryReadsThem(t *testing.T) {
	number := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string { return strconv.FormatFloat(rapid.Float64().Draw(t, "v"), 'g', -1, 64) }),
		rapid.Custom(func(t *rapid.T) string { return strconv.FormatInt(rapid.Int64().Draw(t, "v"), 10) }),
		rapid.StringMatching(`-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?`),
		rapid.StringMatching(`-?[0-9]{1,8}\.[0-9]{1,8}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := number.Draw(t, "text")
		s := scanner{b: []byte(text + ",")}
		got, err := s.number()
		want, werr := strconv.ParseFloat(text, 64)
		if werr != nil || err != nil { // out of range: infinite, which columns refuse
			return
		}
		if got != want || s.at != len(text) {
			t.Fatalf("%s reads as %v up to byte %d, want %v", text, got, s.at, want)
		}
	})
}

func TestStringsReadAsTheStandardLibraryReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "text")
		raw, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		s := scanner{b: raw}
		if got, err := s.str(); err != nil || string(got) != want || s.at != len(raw) {
			t.Fatalf("%s reads as %q, %v", raw, got, err)
		}
	})
}
