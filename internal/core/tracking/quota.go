package tracking

import (
	"io"
	"sync"
	"time"

	"github.com/slipway-ml/slipway"
)

// Quota is what clients may use; 0 is any number. Runs and files of pipelines
// and imports are counted, and not refused.
type Quota struct {
	File  int64 // bytes of one file
	Bytes int64 // bytes of all files of a project, each counted as often as it is logged
	Runs  int64 // runs of a project, deleted ones too until they are collected
}

// usage is what a project uses, as it was counted and what was added since.
type usage struct {
	runs, bytes int64
	at          time.Time
}

// usages remembers what projects use, so that a request need not count.
type usages struct {
	mu sync.Mutex
	of map[string]usage
}

// A count is believed for so long, for other processes may write too; one that
// refuses a request is older than recountAfter at most, so that what was freed
// can be used.
const (
	believeCount = 30 * time.Second
	recountAfter = time.Second
)

// get is what a project uses, counted again when enough is false of what is
// remembered.
func (u *usages) get(project string, now time.Time, enough func(usage) bool, count func() (usage, error)) (usage, error) {
	u.mu.Lock()
	is, ok := u.of[project]
	u.mu.Unlock()
	if age := now.Sub(is.at); ok && (age < recountAfter || age < believeCount && enough(is)) {
		return is, nil
	}
	is, err := count()
	if err != nil {
		return is, err
	}
	is.at = now
	u.set(project, is)
	return is, nil
}

func (u *usages) set(project string, is usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[string]usage{}
	}
	u.of[project] = is
}

// add counts a file that was logged.
func (u *usages) add(project string, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if is, ok := u.of[project]; ok {
		is.bytes += bytes
		u.of[project] = is
	}
}

// addRun counts a run that was made.
func (u *usages) addRun(project string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if is, ok := u.of[project]; ok {
		is.runs++
		u.of[project] = is
	}
}

// limited is a file on its way in. It fails with Exhausted when it grows over
// what is left.
type limited struct {
	from    io.Reader
	project string
	left    int64 // < 0: any number
	err     error // what is said when that is used up
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return l.from.Read(b)
	}
	n, err := l.from.Read(b[:min(int64(len(b)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		l.left = 0
		return 0, l.err
	}
	return n, err
}

func tooLarge(limit int64) error {
	return slipway.Errorf(slipway.Exhausted, "the file has more than %d bytes, which is what a file may have here", limit).
		WithHint("log less, or have SLIPWAY_ARTIFACT_BYTES raised on the server")
}

func noRoom(project string, limit int64) error {
	return slipway.Errorf(slipway.Exhausted, "the files of project %s would have more than the %d bytes that they may have", project, limit).
		WithHint("delete runs that nobody needs and have `slipway gc --yes` run, or have SLIPWAY_PROJECT_BYTES raised on the server")
}

func tooManyRuns(project string, limit int64) error {
	return slipway.Errorf(slipway.Exhausted, "project %s has the %d runs that it may have, deleted ones counted", project, limit).
		WithHint("delete runs that nobody needs and have `slipway gc --yes` run, or have SLIPWAY_PROJECT_RUNS raised on the server")
}
