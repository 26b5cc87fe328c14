package inference

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference/oip"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/web"
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

// serveBench is the server of BenchmarkSocket, in a process of its own: it
// prints its address, and for every line it reads the CPU time that it has used,
// user and system, in nanoseconds.
func serveBench(dir string) {
	ctx := context.Background()
	s, err := serving.New(ctx, serving.Options{Dir: dir, Loader: files{dir + "/"}})
	if err != nil {
		panic(err)
	}
	e := delay()
	e.Variant[0].Content = "m500.txt"
	e.Breaker = slipway.Breaker{Failures: 10, Of: 100}
	if err := s.Publish(ctx, slipway.Manifest{Number: 1, Endpoint: []slipway.Endpoint{e}}); err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	door := &web.Door{Anyone: slipway.Principal{Name: "local", Role: slipway.Writer}}
	handler := door.Wrap(Handler(s, "bench", NewLimiter(Limits{Concurrent: 1024})), false)
	srv := web.Server{HTTP: &http.Server{Handler: handler}, Quick: Quick}
	if os.Getenv(benchServer+"_PLAIN") != "" {
		srv.Quick = func(string) bool { return false }
	}
	go func() { _ = srv.Serve(l) }()
	rpc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ListenGRPC(s, "bench", door.Caller, NewLimiter(Limits{Concurrent: 1024}), nil, rpc)
	fmt.Println(l.Addr(), rpc.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
}

// otherProcess starts a server and gives its addresses and what CPU time it has
// used, user and system, in nanoseconds.
func otherProcess(b *testing.B) (http, rpc string, cpu func() int64) {
	dir := b.TempDir()
	writeNumbers(b, dir+"/m500.txt", 30, 500)
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), benchServer+"="+dir), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	said := bufio.NewScanner(out)
	said.Scan()
	http, rpc, _ = strings.Cut(said.Text(), " ")
	return http, rpc, func() int64 {
		fmt.Fprintln(in)
		said.Scan()
		n, _ := strconv.ParseInt(said.Text(), 10, 64)
		return n
	}
}

// BenchmarkSocket asks a server in another process over 16 keep-alive
// connections, a row of 30 features a request, 500 trees, logged. It reports the
// server's CPU a request, user and system.
func BenchmarkSocket(b *testing.B) { socket(b) }

// BenchmarkPlainSocket is the same through net/http.
func BenchmarkPlainSocket(b *testing.B) {
	b.Setenv(benchServer+"_PLAIN", "1")
	socket(b)
}

func socket(b *testing.B) {
	address, _, cpu := otherProcess(b)
	body := thirty()
	request := []byte("POST /v2/models/delay/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	concurrently(b, cpu, func(n int) error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for range n {
			if _, err := c.Write(request); err != nil {
				return err
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != 200 {
				return fmt.Errorf("%v %w", resp, err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
		}
		return nil
	})
}

// BenchmarkGRPC is the same over gRPC, on 16 connections.
func BenchmarkGRPC(b *testing.B) {
	_, address, cpu := otherProcess(b)
	in := &oip.ModelInferRequest{ModelName: "delay"}
	for f := range 30 {
		in.Inputs = append(in.Inputs, contents(fmt.Sprintf("f%d", f), "FP64", &oip.InferTensorContents{Fp64Contents: []float64{float64(f*37%100) / 100}}))
	}
	in.Inputs = append(in.Inputs, contents("flight", "BYTES", &oip.InferTensorContents{BytesContents: [][]byte{[]byte("UA1545-2013-01-01")}}),
		contents("at", "BYTES", &oip.InferTensorContents{BytesContents: [][]byte{[]byte("2013-01-01T05:15:00Z")}}))
	concurrently(b, cpu, func(n int) error {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		defer conn.Close()
		c := oip.NewGRPCInferenceServiceClient(conn)
		for range n {
			if _, err := c.ModelInfer(b.Context(), in); err != nil {
				return err
			}
		}
		return nil
	})
}

// concurrently has 16 callers ask b.N times together.
func concurrently(b *testing.B, cpu func() int64, ask func(n int) error) {
	const connections = 16
	before := cpu()
	b.ResetTimer()
	var callers sync.WaitGroup
	for range connections {
		callers.Go(func() {
			if err := ask(b.N/connections + 1); err != nil {
				b.Error(err)
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/1e3/float64(b.N), "server-µs/req")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// benchServer names the environment variable that makes a test binary the
// server of BenchmarkSocket.
const benchServer = "SLIPWAY_BENCH_SERVER"

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
