package inference

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// thirty is a request of 30 features, a tensor each, with a key and a time.
func thirty() string {
	var b strings.Builder
	b.WriteString(`{"inputs":[`)
	for f := range 30 {
		fmt.Fprintf(&b, `{"name":"f%d","shape":[1],"datatype":"FP64","data":[%v]},`, f, float64(f*37%100)/100)
	}
	b.WriteString(`{"name":"flight","shape":[1],"datatype":"BYTES","data":["UA1545-2013-01-01"]},{"name":"at","shape":[1],"datatype":"BYTES","data":["2013-01-01T05:15:00Z"]}]}`)
	return b.String()
}

func m500(b *testing.B) (*httptest.Server, *serving.Service) {
	dir := b.TempDir() + "/"
	writeNumbers(b, dir+"m500.txt", 30, 500)
	e := delay()
	e.Variant[0].Content = "m500.txt"
	e.Breaker = slipway.Breaker{Failures: 10, Of: 100}
	return startIn(b, dir, e)
}

// BenchmarkHandler is the whole path less the socket: parse, 500 trees, log,
// reply.
func BenchmarkHandler(b *testing.B) {
	srv, _ := m500(b)
	body := []byte(thirty())
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/v2/models/delay/infer", bytes.NewReader(body))
		w := httptest.NewRecorder()
		srv.Config.Handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkSocket asks over keep-alive connections with a client that does
// little more than write and read. It reports CPU of the whole process (server
// and client) a request, user and system.
func BenchmarkSocket(b *testing.B) {
	srv, _ := m500(b)
	body := thirty()
	request := []byte("POST /v2/models/delay/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	const connections = 16
	var usage [2]syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage[0])
	b.ResetTimer()
	var workers sync.WaitGroup
	for range connections {
		workers.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReader(c)
			for range b.N / connections {
				if _, err := c.Write(request); err != nil {
					b.Error(err)
					return
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil || resp.StatusCode != 200 {
					b.Error(resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
			}
		})
	}
	workers.Wait()
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage[1])
	cpu := usage[1].Utime.Nano() - usage[0].Utime.Nano() + usage[1].Stime.Nano() - usage[0].Stime.Nano()
	b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-µs/req")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkParse is the parser alone.
func BenchmarkParse(b *testing.B) {
	_, s := m500(b)
	h, err := s.Find("delay", "")
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	body := []byte(thirty())
	b.ReportAllocs()
	for b.Loop() {
		p := newParser(body, h.Layout())
		if _, err := p.infer(); err != nil {
			b.Fatal(err)
		}
		p.free()
	}
}

func FuzzInfer(f *testing.F) {
	_, s := start(f, delay())
	h, err := s.Find("delay", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(h.Close)
	for _, seed := range []string{`{"inputs":[` + row + `]}`, thirty(), `{"parameters":{"explain":true,"at":1},"inputs":[]}`, `{"dataframe_split":{"columns":["hour"],"data":[[1]]}}`,
		`{"inputs":[{"name":"x","shape":[1,4],"data":[[1,2,3,4]],"datatype":"FP64"}]}`, `{"instances":[[1,"a",3,4]]}`, "hour,gate\n1,2\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func(*parser) (*serving.Request, error){
			(*parser).infer,
			func(p *parser) (*serving.Request, error) { return p.invocation("application/json") },
			func(p *parser) (*serving.Request, error) { return p.invocation("text/csv") },
		} {
			p := newParser(body, h.Layout())
			r, err := read(p)
			if err != nil && !slipway.IsCode(err, slipway.Invalid) {
				t.Fatalf("%v", err)
			}
			if err == nil {
				for i := range r.Column {
					if c := &r.Column[i]; c.Name != "" && len(c.Float)+len(c.Text) != r.Rows {
						t.Fatalf("column %s has %d values for %d rows", c.Name, len(c.Float)+len(c.Text), r.Rows)
					}
				}
				_, _ = h.Answer(t.Context(), r)
			}
			p.free()
		}
	})
}
