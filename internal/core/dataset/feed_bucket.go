package dataset

import (
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// bucketMargin is how long before a version an object must have been changed
// last to be known to be in it: for clocks that differ, and for uploads in
// parts, which have the time at which they began.
const bucketMargin = 24 * time.Hour

// fetchBucket downloads the objects below an address, whose end may be a
// pattern such as *.csv.gz. An incremental feed leaves out what was not changed
// since well before the newest version.
func (f *feed) fetchBucket(ctx context.Context, folder string, last Version, said func(int64)) (bool, error) {
	address, pattern := splitPattern(f.bucket)
	if _, err := path.Match(pattern, ""); err != nil {
		return false, slipway.Errorf(slipway.Invalid, "%q is not a pattern of names", pattern)
	}
	b, err := f.open(address)
	if err != nil {
		return false, err
	}
	fresh, found := 0, 0
	for info, err := range b.List(ctx, "") {
		if err != nil {
			return false, err
		}
		if strings.HasSuffix(info.Key, "/") || pattern != "" && !matches(pattern, info.Key) {
			continue
		}
		found++
		if f.by != "" && last.Number > 0 && info.Modified.Before(last.Created.Add(-bucketMargin)) {
			continue
		}
		if err := content.CheckPath(info.Key); err != nil {
			return false, err
		}
		r, err := b.Get(ctx, info.Key, 0, -1)
		if err != nil {
			return false, err
		}
		out, err := create(folder, info.Key)
		if err == nil {
			_, err = io.Copy(io.MultiWriter(out, told(said)), r)
			err = errors.Join(err, out.Close())
		}
		if err = errors.Join(err, r.Close()); err != nil {
			return false, err
		}
		fresh++
	}
	if found == 0 {
		return false, slipway.Errorf(slipway.NotFound, "there are no objects at %s", f)
	}
	return fresh > 0, nil
}

// splitPattern parts an address before its first segment with a pattern; what
// comes after ? stays with the address.
func splitPattern(address string) (before, pattern string) {
	rest, settings := address, ""
	if i := strings.LastIndex(address, "?"); i >= 0 && strings.Contains(address[i:], "=") {
		rest, settings = address[:i], address[i:]
	}
	i := strings.IndexAny(rest, "*[")
	if i < 0 {
		return address, ""
	}
	cut := strings.LastIndex(rest[:i], "/")
	return rest[:cut] + settings, rest[cut+1:]
}

// matches reports whether a key, or its last segment where the pattern has one
// segment, matches.
func matches(pattern, key string) bool {
	if !strings.Contains(pattern, "/") {
		key = path.Base(key)
	}
	ok, err := path.Match(pattern, key)
	return ok && err == nil
}
