package python

import (
	"strings"
	"sync"
)

// tail keeps the last bytes that a worker printed, so that an error can show
// them.
type tail struct {
	mu   sync.Mutex
	ring [8 << 10]byte
	n    int // bytes ever written
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := len(p)
	if skip := len(p) - len(t.ring); skip > 0 {
		t.n += skip
		p = p[skip:]
	}
	for len(p) > 0 {
		n := copy(t.ring[t.n%len(t.ring):], p)
		t.n += n
		p = p[n:]
	}
	return all, nil
}

// String is what is kept, from the start of a line if earlier text was lost.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n <= len(t.ring) {
		return strings.TrimSpace(string(t.ring[:t.n]))
	}
	at := t.n % len(t.ring)
	text := string(t.ring[at:]) + string(t.ring[:at])
	_, text, _ = strings.Cut(text, "\n")
	return strings.TrimSpace(text)
}

// last is the last n lines, for an error's hint.
func (t *tail) last(n int) string {
	lines := strings.Split(t.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
