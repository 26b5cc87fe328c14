package slipway

import (
	"strconv"
	"strings"
	"time"
)

// Window is a half-open interval of event time: From is in it, To is not. A
// zero bound is open.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Contains reports whether t lies in the window.
func (w Window) Contains(t time.Time) bool {
	return (w.From.IsZero() || !t.Before(w.From)) && (w.To.IsZero() || t.Before(w.To))
}

// IsZero reports whether the window is open at both ends.
func (w Window) IsZero() bool { return w.From.IsZero() && w.To.IsZero() }

// ParseDuration reads a length of time as people write it: 90d, 2w, 12h, 30m,
// 15s, or any form of time.ParseDuration. A day is 24 hours. It fails with
// Invalid.
func ParseDuration(s string) (time.Duration, error) {
	unit := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	for suffix, one := range unit {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err != nil {
				break
			}
			return time.Duration(v * float64(one)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, Errorf(Invalid, "%q is not a length of time", s).WithHint("write 90d, 2w, 12h, 30m or 15s")
	}
	return d, nil
}

// FormatDuration writes d as ParseDuration reads it, in days where it can.
func FormatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}
