package term

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bytes writes a number of bytes with a decimal prefix: 999 B, 1.2 kB, 35 MB.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-max(n, -math.MaxInt64))
	}
	return scaled(float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}, " ")
}

// Count writes a whole number with separators below a million, and with a
// prefix from there: 12,345, 1.2M, 3.4G.
func Count(n int64) string {
	if n < 0 {
		return "-" + Count(-max(n, -math.MaxInt64))
	}
	if n >= 1e6 {
		return scaled(float64(n), []string{"", "k", "M", "G", "T", "P", "E"}, "")
	}
	s := strconv.FormatInt(n, 10)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// scaled divides v by thousands until two or three digits are left.
func scaled(v float64, units []string, space string) string {
	i := 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	if i == 0 || v >= 9.95 {
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64) + space + units[i]
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + space + units[i]
}

// Duration writes a length of time with two units at most: 850µs, 12ms, 3.4s,
// 2m05s, 3h10m, 4d02h.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-max(d, -math.MaxInt64))
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// Ago writes a time as seen from now: "just now", "3 minutes ago", "in 2 days".
// Beyond a year it is the date.
func Ago(now, at time.Time) string {
	d := now.Sub(at)
	ahead := d < 0
	d = d.Abs()
	var s string
	switch {
	case d < 5*time.Second:
		return "just now"
	case d < time.Minute:
		s = plural(int(d.Seconds()), "second")
	case d < time.Hour:
		s = plural(int(d.Minutes()), "minute")
	case d < 24*time.Hour:
		s = plural(int(d.Hours()), "hour")
	case d < 365*24*time.Hour:
		s = plural(int(d.Hours()/24), "day")
	default:
		return at.UTC().Format(time.DateOnly)
	}
	if ahead {
		return "in " + s
	}
	return s + " ago"
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// Time writes t for a person on a terminal, in RFC 3339 UTC for a pipe, and a
// dash for no time.
func (t IO) Time(at time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case t.TTY && t.Now != nil:
		return Ago(t.Now(), at)
	}
	return at.UTC().Format(time.RFC3339)
}

// Float writes a measured number with four significant digits, without an
// exponent where people would not expect one.
func Float(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e9) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	if math.Abs(v) >= 1000 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

var sparks = []rune("▁▂▃▄▅▆▇█")

// Spark draws values as a line of bars between their least and greatest; a
// missing value (NaN, infinity) is a space.
func Spark(values []float64) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if finite(v) {
			low, high = min(low, v), max(high, v)
		}
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case !finite(v):
			b.WriteByte(' ')
		case high == low:
			b.WriteRune(sparks[len(sparks)/2-1])
		default:
			// Halved first, so that a range wider than a float64 stays finite.
			share := (v/2 - low/2) / (high/2 - low/2)
			b.WriteRune(sparks[min(int(share*float64(len(sparks))), len(sparks)-1)])
		}
	}
	return b.String()
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

var eighths = []string{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"}

// Bar draws a fraction of 1 as a bar of width columns, in eighths of a column.
func Bar(fraction float64, width int) string {
	if math.IsNaN(fraction) {
		fraction = 0
	}
	n := int(math.Round(min(max(fraction, 0), 1) * float64(width) * 8))
	s := strings.Repeat("█", n/8) + eighths[n%8]
	used := n / 8
	if n%8 > 0 {
		used++
	}
	return s + strings.Repeat(" ", max(0, width-used))
}
