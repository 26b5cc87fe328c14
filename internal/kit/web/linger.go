package web

import (
	"io"
	"net/http"
	"time"
)

// A reply that comes while the caller still sends would be lost: closing a
// connection with unread bytes resets it, and most clients then report the
// reset and never read the reply. So the rest of a body that a handler did not
// want is read and thrown away, up to these bounds (nginx calls it
// lingering_close).
const (
	lingerBytes = 1 << 30
	lingerTime  = 15 * time.Second
	lingerFree  = 256 << 10 // what net/http reads away by itself
)

// linger reads what a handler left of a large body. A caller that waits to be
// told whether to send at all is told no by the reply alone.
func linger(w http.ResponseWriter, r *http.Request, body io.Reader) {
	if body == nil || r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, body, lingerBytes) // the caller may be gone
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// large reports whether a body may be longer than net/http reads away.
func large(r *http.Request) bool { return r.ContentLength < 0 || r.ContentLength > lingerFree }
