package dataset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// float is a number that came from a query, nil where there is none.
func float(v any) *float64 {
	var f float64
	switch v := v.(type) {
	case float64:
		f = v
	case int64:
		f = float64(v)
	case bool:
		if v {
			f = 1
		}
	default:
		return nil
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// in says where err happened, in the message itself: what wraps an error is not
// told to a client.
func in(err error, format string, args ...any) error {
	var told *slipway.Error
	if !errors.As(err, &told) {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	out := *told
	out.Message = fmt.Sprintf(format, args...) + ": " + told.Message
	return &out
}

// exact writes a number in SQL so that it is read back as it is.
func exact(f float64) string { return literal(strconv.FormatFloat(f, 'g', -1, 64)) }

// shorten keeps a profile small where a column holds long texts.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= maxTopLength {
		return s
	}
	return string([]rune(s)[:maxTopLength]) + "…"
}

// share writes a part of a whole in percent.
func share(part, whole int64) string {
	if whole == 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case p > 0 && p < 0.1:
		return "under 0.1 %"
	case p > 99.9 && part < whole:
		return "over 99.9 %"
	case p < 10 && p != math.Trunc(p):
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.0f %%", p)
}
