package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func ask(h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestEveryAddressIsAPage opens the embedded interface, and what it asks for.
func TestEveryAddressIsAPage(t *testing.T) {
	h := Handler()
	page := text(t, ask(h, "/").Body)
	for _, path := range []string{"/p/flights/models", "/assets/", "/assets", "/index.html", "/../web.go"} {
		r := ask(h, path)
		if path == "/assets/" {
			if r.StatusCode != http.StatusNotFound {
				t.Errorf("%s answers %d", path, r.StatusCode)
			}
			continue
		}
		if got := text(t, r.Body); r.StatusCode != http.StatusOK || got != page {
			t.Errorf("%s answers %d, %.60q", path, r.StatusCode, got)
		}
		if r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s may be kept: %q", path, r.Header.Get("Cache-Control"))
		}
	}
	assets := regexp.MustCompile(`/assets/[\w.-]+`).FindAllString(page, -1)
	if len(assets) < 2 {
		t.Fatalf("the page asks for %q", assets)
	}
	for _, path := range assets {
		r := ask(h, path)
		kind := map[bool]string{true: "text/javascript; charset=utf-8", false: "text/css; charset=utf-8"}[strings.HasSuffix(path, ".js")]
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != kind || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s answers %d, %v", path, r.StatusCode, r.Header)
		}
	}
	if r := ask(h, "/assets/index-ofanotherbuild.js"); r.StatusCode != http.StatusNotFound {
		t.Errorf("an asset of another build answers %d", r.StatusCode)
	}
}

// TestGzipIsForWhoAcceptsIt compares both forms of one file.
func TestGzipIsForWhoAcceptsIt(t *testing.T) {
	script := strings.Repeat("export const answer = 42\n", 400)
	files, err := read(fstest.MapFS{
		"d/index.html":     {Data: []byte("<p>")},
		"d/assets/a.js":    {Data: []byte(script)},
		"d/assets/tiny.js": {Data: []byte("1")},
	}, "d")
	if err != nil {
		t.Fatal(err)
	}
	h := serve(files)
	for accept, zipped := range map[string]bool{
		"":                         false,
		"gzip, deflate, br":        true,
		"br;q=1.0, gzip;q=0.5":     true,
		"gzip;q=0":                 false,
		"gzip; q=0, *":             false,
		"*":                        true,
		"br":                       false,
		"identity, GZIP":           true,
		"x-gzip":                   true,
		"gzip;q=nonsense, deflate": true,
	} {
		r := ask(h, "/assets/a.js", "Accept-Encoding", accept)
		body := io.Reader(r.Body)
		if zipped {
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Errorf("%q: %v", accept, err)
				continue
			}
		}
		if got := text(t, body); got != script || r.Header.Get("Vary") != "Accept-Encoding" || (r.Header.Get("Content-Encoding") == "gzip") != zipped {
			t.Errorf("%q: %d bytes, %v", accept, len(got), r.Header)
		}
		again := ask(h, "/assets/a.js", "Accept-Encoding", accept, "If-None-Match", r.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%q: asked again with its tag, it answers %d", accept, again.StatusCode)
		}
	}
	if r := ask(h, "/assets/tiny.js", "Accept-Encoding", "gzip"); text(t, r.Body) != "1" || r.Header.Get("Content-Encoding") != "" {
		t.Errorf("a file of a byte: %v", r.Header)
	}
}
