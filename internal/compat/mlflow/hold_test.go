package mlflow_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// crashServer tells the test binary to be the server that is killed: the
// database and the folder for content, parted by a line break.
const crashServer = "SLIPWAY_MLFLOW_CRASH_TEST"

func TestMain(m *testing.M) {
	if where := os.Getenv(crashServer); where != "" {
		fmt.Println("error:", serveUntilKilled(where))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func serveUntilKilled(where string) error {
	dsn, dir, _ := strings.Cut(where, "\n")
	d, err := db.Open(context.Background(), dsn, db.Options{Migrations: []db.Migration{tracking.Migration}})
	if err != nil {
		return err
	}
	c, err := content.Open(dir, content.Options{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, handler(tracking.New(tracking.Options{DB: d, Content: c})))
}

func handler(s *tracking.Service) http.Handler {
	a := web.NewAPI("test")
	mlflow.New(mlflow.Options{Tracking: s}).Routes(a)
	return (&web.Door{Anyone: slipway.Principal{Name: "anyone", Role: slipway.Writer}}).Wrap(a.Mux, false)
}

// client is one program that logs.
type client struct {
	base string
	http *http.Client
}

// status posts and returns the status, 0 when the server is gone.
func (c client) status(path, body string, out any) (int, http.Header) {
	resp, err := c.http.Post(c.base+api+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || out != nil && json.Unmarshal(b, out) != nil {
		return 0, nil
	}
	return resp.StatusCode, resp.Header
}

func (c client) newRun() (string, bool) {
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	status, _ := c.status("runs/create", `{"experiment_id":"0"}`, &out)
	return out.Run.Info.ID, status == http.StatusOK
}

// acknowledged is what servers said they had written: points by run, and where
// a run has a param.
type acknowledged struct {
	mu     sync.Mutex
	points map[string]map[int64]bool
	params map[string]map[string]bool
	n      int
}

func newAcknowledged() *acknowledged {
	return &acknowledged{points: map[string]map[int64]bool{}, params: map[string]map[string]bool{}}
}

func (a *acknowledged) run(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.points[id], a.params[id] = map[int64]bool{}, map[string]bool{}
}

func (a *acknowledged) add(run string, from, to int64, param string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for step := from; step < to; step++ {
		a.points[run][step] = true
	}
	if param != "" {
		a.params[run][param] = true
	}
	a.n++
	return a.n
}

// check looks for everything that was acknowledged.
func (a *acknowledged) check(t *testing.T, s *tracking.Service) {
	t.Helper()
	ctx := asWriter(t.Context())
	lost, total := 0, 0
	for run, steps := range a.points {
		points, err := s.History(ctx, run, "loss", tracking.EveryStep)
		if err != nil {
			t.Errorf("run %s: %v", run, err)
			continue
		}
		there := map[int64]bool{}
		for _, p := range points {
			if there[p.Step] {
				t.Errorf("step %d of %s is there twice", p.Step, run)
			}
			there[p.Step] = true
		}
		r, err := s.Run(ctx, run)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Params {
			delete(a.params[run], p.Key)
		}
		lost += len(a.params[run])
		for step := range steps {
			if total++; !there[step] {
				lost++
			}
		}
	}
	if lost > 0 || total == 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, total)
	}
}

// hammer logs to a run until the server is gone or stop says so: single
// metrics, batches long and short, and params.
func (c client) hammer(a *acknowledged, stop func(n int) bool) {
	run, ok := c.newRun()
	if !ok {
		return
	}
	a.run(run)
	for step, i := int64(0), 0; ; i++ {
		next, path, param := step+1, "runs/log-metric", ""
		body := fmt.Sprintf(`{"run_id":%q,"key":"loss","value":0.5,"timestamp":%d,"step":%d}`, run, step, step)
		if i%5 == 4 {
			next, path, param = step+int64(1+i%40), "runs/log-batch", fmt.Sprint("p", i)
			var b bytes.Buffer
			for s := step; s < next; s++ {
				fmt.Fprintf(&b, `,{"key":"loss","value":0.5,"timestamp":%d,"step":%d}`, s, s)
			}
			body = fmt.Sprintf(`{"run_id":%q,"metrics":[%s],"params":[{"key":%q,"value":"x"}]}`, run, b.Bytes()[1:], param)
		}
		if status, _ := c.status(path, body, nil); status != http.StatusOK {
			return
		}
		if stop(a.add(run, step, next, param)) {
			return
		}
		step = next
	}
}

// A server is killed without warning in the middle of its work, three times
// over one database. All that it had acknowledged is there, once.
func TestAcknowledgedLogsSurviveKill(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		a, dir := newAcknowledged(), t.TempDir()
		for round := range 3 {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), crashServer+"="+dsn+"\n"+dir)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || strings.HasPrefix(line, "error:") {
				t.Fatal(line, err)
			}
			c := client{"http://" + strings.TrimSpace(line), &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
			var work sync.WaitGroup
			for range 8 {
				work.Go(func() {
					c.hammer(a, func(n int) bool {
						if n == 400*(round+1) {
							if err := child.Process.Kill(); err != nil {
								t.Error(err)
							}
						}
						return false
					})
				})
			}
			work.Wait()
			_ = child.Wait() // it was killed
		}
		s, _ := store(t, dsn)
		a.check(t, s)
	})
}

// 200 clients at once, every second of them on a run that all share: nobody is
// refused, and everything is counted.
func TestManyClients(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		s, srv := store(t, dsn)
		c := client{srv.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}}
		shared, ok := c.newRun()
		if !ok {
			t.Fatal("no run")
		}
		const clients, each = 200, 5
		var bad atomic.Int64
		var work sync.WaitGroup
		for i := range clients {
			work.Go(func() {
				run, ok := shared, true
				if i%2 == 0 {
					run, ok = c.newRun()
				}
				for n := range each {
					status, _ := c.status("runs/log-metric", fmt.Sprintf(`{"run_id":%q,"key":"loss","value":1,"timestamp":%d,"step":%d}`, run, i, i*each+n), nil)
					tagged, _ := c.status("runs/set-tag", fmt.Sprintf(`{"run_id":%q,"key":"last","value":"%d"}`, run, i), nil)
					ok = ok && status == http.StatusOK && tagged == http.StatusOK
				}
				if !ok {
					bad.Add(1)
				}
			})
		}
		work.Wait()
		if bad.Load() > 0 {
			t.Errorf("%d clients were refused", bad.Load())
		}
		points, err := s.History(asWriter(t.Context()), shared, "loss", tracking.EveryStep)
		if err != nil || len(points) != clients/2*each {
			t.Errorf("the shared run has %d points, %v; want %d", len(points), err, clients/2*each)
		}
	})
}

// refusals counts answers that are neither 200 nor 503 with Retry-After.
func refused(status int, h http.Header) error {
	if status == http.StatusOK || status == http.StatusServiceUnavailable && h.Get("Retry-After") != "" {
		return nil
	}
	return fmt.Errorf("status %d, Retry-After %q", status, h.Get("Retry-After"))
}

// A disk that is full answers 503 and says when to come again; reading goes on;
// with room again so does writing, and nothing acknowledged is lost.
func TestFullDisk(t *testing.T) {
	dsn := filepath.Join(t.TempDir(), "x.db")
	d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{tracking.Migration}})
	room := func(pages int) {
		t.Helper()
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			var n int
			return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s := tracking.New(tracking.Options{DB: d})
	srv := httptest.NewServer(handler(s))
	defer srv.Close()
	c, a := client{srv.URL, srv.Client()}, newAcknowledged()
	run, ok := c.newRun()
	if !ok {
		t.Fatal("no run")
	}
	a.run(run)
	log := func(from int64) int {
		var b bytes.Buffer
		for step := from; step < from+900; step++ {
			fmt.Fprintf(&b, `,{"key":"loss","value":%g,"timestamp":%d,"step":%d}`, math.Sqrt(float64(step)), step*7919, step)
		}
		status, h := c.status("runs/log-batch", fmt.Sprintf(`{"run_id":%q,"metrics":[%s]}`, run, b.Bytes()[1:]), nil)
		if err := refused(status, h); err != nil {
			t.Fatal(err)
		}
		if status == http.StatusOK {
			a.add(run, from, from+900, "")
		}
		return status
	}
	room(100)
	full := 0
	for i := range int64(60) {
		if log(i*900) != http.StatusOK {
			full++
		}
	}
	if full == 0 {
		t.Error("the disk never filled up")
	}
	if status, _ := c.status("runs/search", `{"experiment_ids":["0"]}`, nil); status != http.StatusOK {
		t.Errorf("searching while the disk is full: %d", status)
	}
	room(1_000_000)
	if status := log(100_000); status != http.StatusOK {
		t.Errorf("with room again: %d", status)
	}
	a.check(t, s)
}

// line is the way to a database, which can be cut.
type line struct {
	net.Listener
	to    string
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func (l *line) serve() {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		if l.cut {
			l.mu.Unlock()
			in.Close()
			continue
		}
		out, err := net.Dial("tcp", l.to)
		if err != nil {
			l.mu.Unlock()
			in.Close()
			continue
		}
		l.conns[in], l.conns[out] = true, true
		l.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			go func() {
				_, err := io.Copy(pair[0], pair[1])
				_ = errors.Join(err, pair[0].Close(), pair[1].Close()) // cut, or over
			}()
		}
	}
}

func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for c := range l.conns {
		c.Close()
	}
	clear(l.conns)
}

// A Postgres that goes away in the middle of the work and comes back: meanwhile
// 503 and when to come again, afterwards everything as before, and every
// acknowledged write is there.
func TestDatabaseGoesAwayAndComesBack(t *testing.T) {
	dsn := dbtest.Postgres(t)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Listener: listener, to: u.Host, conns: map[net.Conn]bool{}}
	go l.serve()
	defer l.Close()
	u.Host = listener.Addr().String()
	s, srv := store(t, u.String())
	c, a := client{srv.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}, newAcknowledged()
	var away atomic.Bool
	var seen, after atomic.Int64
	done := make(chan struct{})
	var work sync.WaitGroup
	for range 8 {
		run, ok := c.newRun()
		if !ok {
			t.Fatal("no run")
		}
		a.run(run)
		work.Go(func() {
			for step := int64(0); ; step++ {
				select {
				case <-done:
					return
				default:
				}
				status, h := c.status("runs/log-metric", fmt.Sprintf(`{"run_id":%q,"key":"loss","value":1,"timestamp":1,"step":%d}`, run, step), nil)
				if err := refused(status, h); err != nil {
					t.Error(err)
					return
				}
				switch {
				case status != http.StatusOK:
					seen.Add(1)
				default:
					a.add(run, step, step+1, "")
					if !away.Load() && seen.Load() > 0 {
						after.Add(1)
					}
				}
			}
		})
	}
	until := func(ok func() bool) {
		for !ok() && !t.Failed() {
			if _, err := s.Run(asWriter(t.Context()), "none"); err == nil {
				t.Error("a run that is not there was found")
			}
		}
	}
	count := func() int { a.mu.Lock(); defer a.mu.Unlock(); return a.n }
	until(func() bool { return count() > 100 })
	away.Store(true)
	l.set(true)
	until(func() bool { return seen.Load() > 20 })
	l.set(false)
	away.Store(false)
	until(func() bool { return after.Load() > 50 })
	close(done)
	work.Wait()
	a.check(t, s)
}
