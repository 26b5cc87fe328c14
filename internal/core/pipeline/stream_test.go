package pipeline

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestThousandLogStreams: a thousand clients follow the log of one step. Others
// are answered meanwhile, a client that reads nothing holds up nobody, and every
// stream gets every line and ends with the step.
func TestThousandLogStreams(t *testing.T) {
	const streams = 1000
	dbtest.Each(t, []db.Migration{Migration}, func(t *testing.T, d *db.DB) {
		var h *house
		running, print, end := make(chan Assignment, 1), make(chan string), make(chan struct{})
		h = newHouse(t, d, stepper(&h, map[string]func(context.Context, Assignment) (string, map[string]string){
			"long": func(ctx context.Context, a Assignment) (string, map[string]string) {
				running <- a
				for offset := int64(0); ; {
					select {
					case text := <-print:
						_, size, err := h.s.logs.append(a.Pipeline, a.Step, 1, offset, []byte(text))
						if err != nil {
							t.Error(err)
						}
						offset = size
					case <-end:
						return "", nil
					case <-ctx.Done():
						return "stopped", nil
					}
				}
			},
		}))
		h.s.o.Lease = 2 * time.Minute // the step renews nothing
		h.write(map[string]string{"slipway.yaml": "project: p\npipeline:\n  long:\n    run: \"true\"\n    out: {o: o.txt}\n"})
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.mustRun(Request{})
		}()
		a := <-running
		api := web.NewAPI("test")
		h.s.Routes(api)
		srv := httptest.NewServer((&web.Door{Anyone: owner}).Wrap(api.Mux, false))
		t.Cleanup(srv.Close)
		get := func(path string) *http.Response {
			resp, err := srv.Client().Get(srv.URL + "/api/v1/projects/p/pipeline/runs" + path)
			if err != nil {
				t.Error(err)
				return nil
			}
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, resp.Status)
			}
			return resp
		}
		print <- "first\n"
		follow := "/" + a.Pipeline + "/logs/long?follow=1"
		if silent := get(follow); silent != nil { // it is never read
			t.Cleanup(func() { silent.Body.Close() })
		}
		var open, whole atomic.Int64
		var all sync.WaitGroup
		opened := make(chan struct{})
		for range streams {
			all.Go(func() {
				resp := get(follow)
				if resp == nil {
					return
				}
				defer resp.Body.Close()
				if open.Add(1) == streams {
					close(opened)
				}
				b, err := io.ReadAll(resp.Body)
				if err == nil && bytes.Equal(b, []byte("first\nsecond\nthird\n")) {
					whole.Add(1)
				}
			})
		}
		<-opened
		for _, line := range []string{"second\n", "third\n"} {
			print <- line
			begin := time.Now()
			resp := get("")
			if resp == nil {
				t.Fatal("nobody answers")
			}
			_, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if took := time.Since(begin); err != nil || took > 10*time.Second {
				t.Errorf("with %d streams another request took %v, %v", streams, took, err)
			} else {
				t.Logf("with %d streams another request took %v", streams, took)
			}
		}
		close(end)
		<-done
		all.Wait()
		if n := whole.Load(); n != streams {
			t.Errorf("%d of %d streams got every line", n, streams)
		}
	})
}
