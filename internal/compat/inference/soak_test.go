package inference

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestSoak keeps a server under load of every kind, while its manifest changes and
// its log is taken in, for SLIPWAY_LOAD minutes (default a second): no request may fail
// that should not, and what the process keeps must not grow.
func TestSoak(t *testing.T) {
	long := time.Second
	if text := os.Getenv("SLIPWAY_LOAD"); text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		long = time.Duration(minutes * float64(time.Minute))
	}
	s, err := serving.New(t.Context(), serving.Options{Dir: t.TempDir(), Loader: files{models}, SegmentSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	number := int64(0)
	publish := func(version int) {
		number++
		e := delay()
		e.Variant[0].Model = fmt.Sprintf("delay@v%d", version)
		if err := s.Publish(context.Background(), slipway.Manifest{Number: number, Endpoint: []slipway.Endpoint{e}}); err != nil {
			t.Error(err)
		}
	}
	publish(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := &web.Door{Anyone: slipway.Principal{Name: "local", Role: slipway.Writer}}
	srv := &web.Server{HTTP: &http.Server{Handler: door.Wrap(Handler(s, "test", nil), false)}, Quick: Quick}
	go func() { _ = srv.Serve(l) }()
	defer func() { _ = srv.Close() }()
	rpc, _ := startRPC(t, s)

	var sent atomic.Int64
	load := func(d time.Duration) {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var callers sync.WaitGroup
		for n := range 4 {
			callers.Go(func() {
				for i := n; ctx.Err() == nil; i++ {
					if err := soakOne(l.Addr().String(), i); err != nil && ctx.Err() == nil {
						t.Error(err)
						return
					}
					sent.Add(1)
				}
			})
		}
		callers.Go(func() {
			for ctx.Err() == nil {
				if _, err := rpc.ModelInfer(t.Context(), rpcRow()); err != nil {
					t.Error(err)
					return
				}
			}
		})
		callers.Go(func() {
			for version := 0; ctx.Err() == nil; version++ { // a swap, and the log taken in, as fast as they go
				publish(1 + version%3)
				if err := s.Seal(t.Context()); err != nil {
					t.Error(err)
				}
				for g, err := range s.Segments(t.Context(), 0) {
					if err == nil {
						err = s.Forget(t.Context(), g.Gateway, g.Number)
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
		callers.Wait()
	}
	load(long / 4) // pools and caches fill
	before, routines := kept()
	load(long)
	after, now := kept()
	t.Logf("%d requests; kept %d KB, then %d KB; %d goroutines, then %d", sent.Load(), before>>10, after>>10, routines, now)
	if after > before+before/4+4<<20 {
		t.Errorf("what is kept grew from %d KB to %d KB", before>>10, after>>10)
	}
	if now > routines+16 {
		t.Errorf("goroutines grew from %d to %d", routines, now)
	}
}

// kept is the memory in use when nothing is left to collect, and the goroutines.
func kept() (bytes uint64, goroutines int) {
	var m runtime.MemStats
	for range 3 { // pools give up what they hold in two collections
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse, runtime.NumGoroutine()
}

// soakOne sends request i of the mixture and holds the reply to its kind.
func soakOne(address string, i int) error {
	path, body, want := "/v2/models/delay/infer", `{"inputs":[`+row+`]}`, 200
	switch i % 16 {
	case 3:
		body = `{"parameters":{"explain":"probability > 0.1"},"inputs":[` + row + `]}`
	case 7:
		path, body = "/invocations", `{"dataframe_records":[{"air_time":150.5,"carrier":"DL","hour":7,"gate":20}]}`
	case 11:
		body, want = `{"inputs":[`, 400
	case 13:
		path, want = "/v2/models/nobody/infer", 404
	}
	resp, err := http.Post("http://"+address+path, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s: %d %s", path, resp.StatusCode, raw)
	}
	return err
}
