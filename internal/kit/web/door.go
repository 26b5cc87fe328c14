package web

import (
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Door decides who is asking before any handler runs. Loopback is not a
// permission: a page in a browser can reach it too, so Host and Origin are
// checked on every request, and operations that execute code or change policy
// need the owner's socket, a token, or the session from the link that
// `slipway up` prints.
type Door struct {
	// Anyone is who an unknown caller on a loopback address is; the zero
	// Principal admits nobody without a token.
	Anyone slipway.Principal
	// Owner is who a caller through the owner's 0600 socket is.
	Owner slipway.Principal
	// Session is the secret in the link; a browser trades it for a cookie.
	Session string
	// Token finds the principal of a bearer token.
	Token func(r *http.Request, token string) (slipway.Principal, error)
	// Host lists names, beside loopback ones, that requests may be addressed to.
	Host []string
	// AnyHost takes requests to any name. It is for doors through which nobody
	// comes without a token: a foreign page that a name was rebound for has none.
	AnyHost bool
	// Refuse answers a request that may not come in, for paths whose clients
	// expect another form than ours; nil is WriteError.
	Refuse func(w http.ResponseWriter, r *http.Request, err error)
}

const sessionCookie = "slipway_session"

// Shared by all replies: a header is replaced, never changed in place.
var nosniff, sameOrigin = []string{"nosniff"}, []string{"same-origin"}

// Wrap puts the door in front of next. socket says that the listener is the
// owner's socket.
func (d *Door) Wrap(next http.Handler, socket bool) http.Handler {
	refuse := d.Refuse
	if refuse == nil {
		refuse = WriteError
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head["X-Content-Type-Options"], head["Referrer-Policy"] = nosniff, sameOrigin
		if large(r) {
			body := r.Body
			defer linger(w, r, body)
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(body) // a closed body cannot be read away
		}
		if socket {
			next.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), d.Owner)))
			return
		}
		if err := d.checkAddress(r); err != nil {
			refuse(w, r, err)
			return
		}
		if d.trade(w, r) {
			return
		}
		p, err := d.principal(r)
		if err != nil {
			refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), p)))
	})
}

// checkAddress refuses requests that a foreign page made a browser send, or
// that reached us under a foreign name (DNS rebinding).
func (d *Door) checkAddress(r *http.Request) error {
	if !d.AnyHost && !d.known(r.Host) {
		return slipway.Errorf(slipway.Denied, "this server is not addressed as %q", r.Host).
			WithHint("use 127.0.0.1 or localhost, or start it with --host for that name")
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || !d.known(u.Host) {
		return slipway.Errorf(slipway.Denied, "requests from pages of %s are refused", origin)
	}
	return nil
}

func (d *Door) known(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if host == "localhost" || host == "127.0.0.1" {
		return true
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil && ip.IsLoopback() {
		return true
	}
	for _, h := range d.Host {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// trade turns ?session=SECRET into a cookie and redirects to the clean address.
func (d *Door) trade(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.RawQuery == "" {
		return false
	}
	secret := r.URL.Query().Get("session")
	if secret == "" || r.Method != http.MethodGet || !same(secret, d.Session) {
		return false
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	clean := *r.URL
	q := clean.Query()
	q.Del("session")
	clean.RawQuery = q.Encode()
	clean.Scheme, clean.Host = "", ""
	http.Redirect(w, r, clean.RequestURI(), http.StatusSeeOther)
	return true
}

// Caller finds who sends a request that came by another way than HTTP, from its
// Authorization header. It fails as Token does.
func (d *Door) Caller(r *http.Request) (slipway.Principal, error) {
	if len(r.Header) == 0 {
		return d.Anyone, nil
	}
	return d.principal(r)
}

func (d *Door) principal(r *http.Request) (slipway.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if len(r.Header["Authorization"]) == 0 && len(r.Header["Cookie"]) == 0 {
		return d.Anyone, nil
	}
	if user, password, basic := r.BasicAuth(); basic {
		if token, ok = password, true; token == "" {
			token = user
		}
	}
	if ok && d.Token != nil {
		return d.Token(r, token)
	}
	if c, err := r.Cookie(sessionCookie); err == nil && same(c.Value, d.Session) {
		return d.Owner, nil
	}
	return d.Anyone, nil
}

func same(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// Loopback reports whether an address to listen on is reached from this
// machine only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
