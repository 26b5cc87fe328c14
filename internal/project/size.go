package project

import (
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Size is an amount of memory in bytes, written 512MB or 4GB. KB, MB, GB and
// TB are powers of 1000; KiB, MiB, GiB and TiB powers of 1024.
type Size int64

var units = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// String writes the size as it is read, in its largest whole unit.
func (s Size) String() string {
	best := units[len(units)-1]
	for _, u := range units {
		if s != 0 && int64(s)%u.size == 0 && u.size > best.size {
			best = u
		}
	}
	return strconv.FormatInt(int64(s)/best.size, 10) + best.name
}

// ParseSize reads a size that is not negative. It fails with Invalid.
func ParseSize(text string) (Size, error) {
	bad := slipway.Errorf(slipway.Invalid, "%q is not a size", text).WithHint("write 512MB, 4GB or 2GiB")
	for _, u := range units {
		n, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n = strings.TrimSpace(n)
		if n == "" || strings.Trim(n, "0123456789.") != "" {
			return 0, bad
		}
		v, err := strconv.ParseFloat(n, 64)
		if err != nil || v*float64(u.size) >= 1<<62 {
			return 0, bad
		}
		return Size(v * float64(u.size)), nil
	}
	return 0, bad
}

// MarshalText writes the size, so that a Size is a string in JSON.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the size.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}
