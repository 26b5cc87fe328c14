package project

import (
	"regexp"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Duration is a length of time, written 90d, 12h, 30m or 15s. A day is 24
// hours.
type Duration time.Duration

// D is the length as the standard library counts it.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the length as it is read, in its largest whole units.
func (d Duration) String() string {
	s := slipway.FormatDuration(time.Duration(d))
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// lengthForm keeps out signs, exponents and NaN, which the parsers below let
// pass.
var lengthForm = regexp.MustCompile(`^([0-9]*\.?[0-9]+(w|d|h|m|s|ms|us|µs|ns))+$`)

// ParseDuration reads a length of time that is not negative and shorter than
// a hundred years. It fails with Invalid.
func ParseDuration(s string) (Duration, error) {
	const hint = "write 90d, 2w, 12h, 30m or 15s"
	if !lengthForm.MatchString(s) {
		return 0, slipway.Errorf(slipway.Invalid, "%q is not a length of time", s).WithHint(hint)
	}
	d, err := slipway.ParseDuration(s)
	if err != nil {
		return 0, slipway.Errorf(slipway.Invalid, "%q is not a length of time", s).WithHint(hint)
	}
	if d < 0 || d > 36525*24*time.Hour {
		return 0, slipway.Errorf(slipway.Invalid, "%q is longer than a hundred years", s).WithHint(hint)
	}
	return Duration(d), nil
}

// MarshalText writes the length, so that a Duration is a string in JSON.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the length.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}
