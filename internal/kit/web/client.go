package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/slipway-ml/slipway"
)

// Client reaches a server: over TCP, through the socket of the workspace's
// owner, or the handler in this very process.
type Client struct {
	URL   string // scheme and host, no trailing slash
	Token string // sent as a bearer token when set
	HTTP  *http.Client
}

// Dial returns a Client for a server's address.
func Dial(address, token string) Client {
	return Client{URL: strings.TrimRight(address, "/"), Token: token, HTTP: &http.Client{}}
}

// DialSocket returns a Client that talks through a unix socket.
func DialSocket(path string) Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return Client{URL: "http://localhost", HTTP: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// InProcess returns a Client that calls h without a socket. p is who asks.
func InProcess(h http.Handler, p slipway.Principal) Client {
	return Client{URL: "http://localhost", HTTP: &http.Client{Transport: handlerTransport{h, p}}}
}

// Do sends a request and turns an error status into the Error in its body.
// The caller closes the body.
func (c Client) Do(req *http.Request) (*http.Response, error) {
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		if ctx := req.Context(); ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var coded *slipway.Error
		if errors.As(err, &coded) {
			return nil, coded
		}
		return nil, slipway.Errorf(slipway.Unavailable, "the server at %s does not answer: %v", c.URL, cause(err)).
			WithHint("start it with `slipway up`, or unset SLIPWAY_SERVER to work without one")
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var e slipway.Error
	if json.Unmarshal(raw, &e) != nil || e.Code == "" {
		e = slipway.Error{Code: slipway.CodeOfStatus(resp.StatusCode),
			Message: fmt.Sprintf("%s %s: %s", req.Method, req.URL.Path, resp.Status)}
	}
	return nil, &e
}

// Stream opens a request whose reply is read as it comes.
func (c Client) Stream(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.URL+path, body)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// cause is the innermost error, which says what happened without the URL.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// encodeInput spreads an input struct over path, query, header and body.
func encodeInput(path string, in any) (string, url.Values, http.Header, any) {
	query, header := url.Values{}, http.Header{}
	v := reflect.ValueOf(in)
	eachTagged(v, func(place, name string, f reflect.Value) {
		for _, text := range texts(f) {
			switch place {
			case "path":
				path = strings.Replace(path, "{"+name+"}", url.PathEscape(text), 1)
			case "query":
				query.Add(name, text)
			case "header":
				header.Add(name, text)
			}
		}
	})
	body, ok := bodyOf(v)
	if !ok {
		body = nil
	}
	return path, query, header, body
}

// eachTagged visits the fields that travel outside the body, embedded ones too.
func eachTagged(v reflect.Value, visit func(place, name string, f reflect.Value)) {
	if v.Kind() != reflect.Struct {
		return
	}
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Anonymous {
			eachTagged(v.Field(i), visit)
			continue
		}
		for _, place := range []string{"path", "query", "header"} {
			if tag := field.Tag.Get(place); tag != "" {
				name, _, _ := strings.Cut(tag, ",")
				visit(place, name, v.Field(i))
			}
		}
	}
}

// texts writes a field's value as huma reads it: lists joined by commas, zero
// values left out.
func texts(f reflect.Value) []string {
	if f.IsZero() {
		return nil
	}
	if f.Kind() == reflect.Slice {
		var parts []string
		for i := range f.Len() {
			parts = append(parts, fmt.Sprint(f.Index(i).Interface()))
		}
		return []string{strings.Join(parts, ",")}
	}
	if m, ok := f.Interface().(interface{ MarshalText() ([]byte, error) }); ok {
		if b, err := m.MarshalText(); err == nil {
			return []string{string(b)}
		}
	}
	return []string{fmt.Sprint(f.Interface())}
}
