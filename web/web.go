// Package web embeds the built interface. `make ui` rebuilds dist/.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed all:dist
var dist embed.FS

// Handler serves the interface: files of dist/ where they exist, else
// index.html, whose router reads the path. Who accepts gzip gets it.
func Handler() http.Handler {
	files, err := read(dist, "dist")
	if err != nil {
		panic(err) // dist is embedded above: it cannot be absent
	}
	return serve(files)
}

func serve(files map[string]*file) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "pages are read with GET", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		f, ok := files[name]
		hashed := strings.HasPrefix(name, "assets/")
		switch {
		case !ok && hashed: // of another build: a page would be taken for a script
			http.NotFound(w, r)
			return
		case !ok:
			f = files["index.html"]
		}
		// The names under assets/ say what is in them. Everything else may
		// change under its name, and is asked for again.
		if hashed {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache")
		}
		f.serve(w, r)
	})
}

// file is one file of the interface. It is compressed when first asked for.
type file struct {
	kind  string // media type
	tag   string // hash of the content
	plain []byte
	zip   func() []byte // nil where it would save nothing
}

func read(from fs.FS, root string) (map[string]*file, error) {
	out := map[string]*file{}
	err := fs.WalkDir(from, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(from, p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(plain)
		f := &file{kind: mediaType(p), tag: hex.EncodeToString(sum[:8]), plain: plain}
		if strings.HasPrefix(f.kind, "text/") && len(plain) > 1024 {
			f.zip = sync.OnceValue(func() []byte { return compress(plain) })
		}
		out[strings.TrimPrefix(p, root+"/")] = f
		return nil
	})
	return out, err
}

// mediaType does not ask the system for the types of what the interface is made
// of, since some have odd ones for scripts and a browser refuses those.
func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	default:
		return mime.TypeByExtension(ext)
	}
}

func compress(plain []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails for levels that are none
	_, _ = z.Write(plain)                                 // a Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	body, tag := f.plain, f.tag
	h := w.Header()
	if f.zip != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = f.zip(), f.tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
	}
	if f.kind != "" {
		h.Set("Content-Type", f.kind)
	}
	h.Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	other := false
	for _, part := range strings.Split(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(weight), "q="); ok {
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				q = n
			}
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return q > 0
		case "*":
			other = q > 0
		}
	}
	return other
}
