package measure

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Load is what a phase of requests came to.
type Load struct {
	Requests int
	Elapsed  time.Duration
	CPU      time.Duration // of the server
	Latency  []float64     // of every request, ms, ascending
}

// Rate is requests a second.
func (l Load) Rate() float64 { return float64(l.Requests) / l.Elapsed.Seconds() }

// CPUEach is the server's processor time a request, in µs.
func (l Load) CPUEach() float64 { return float64(l.CPU.Microseconds()) / float64(max(1, l.Requests)) }

// Quantile is the latency in ms that a share q of the requests stayed under.
func (l Load) Quantile(q float64) float64 {
	if len(l.Latency) == 0 {
		return 0
	}
	return l.Latency[int(q*float64(len(l.Latency)-1))]
}

// Send posts JSON bodies to a server over keep-alive connections for a time.
// body gives the next request of a connection. The client writes requests by
// hand, so that little of the machine goes to it.
func Send(s *Server, address, path string, connections int, d time.Duration, body func(connection, i int) []byte) (Load, error) {
	return SendAt(s, address, path, connections, d, 0, body)
}

// SendAt sends at a rate, in requests a second over all connections; 0 is as
// fast as the replies come. A latency counts from the moment at which the
// request was due, so that one slow reply does not hide the wait of the next.
func SendAt(s *Server, address, path string, connections int, d time.Duration, rate float64, body func(connection, i int) []byte) (Load, error) {
	var l Load
	var mu sync.Mutex
	var failed error
	var work sync.WaitGroup
	cpu, begin := s.CPU(), time.Now()
	for c := range connections {
		work.Go(func() {
			pace := pacer{begin: begin}
			if rate > 0 {
				pace.every = time.Duration(float64(connections) / rate * float64(time.Second))
				pace.begin = begin.Add(pace.every * time.Duration(c) / time.Duration(connections))
			}
			latency, err := sendOne(address, path, begin.Add(d), pace, func(i int) []byte { return body(c, i) })
			mu.Lock()
			defer mu.Unlock()
			l.Latency = append(l.Latency, latency...)
			if err != nil {
				failed = err
			}
		})
	}
	work.Wait()
	l.Elapsed, l.CPU, l.Requests = time.Since(begin), s.CPU()-cpu, len(l.Latency)
	slices.Sort(l.Latency)
	return l, failed
}

// pacer says when requests are due; every is 0 for at once.
type pacer struct {
	begin time.Time
	every time.Duration
}

func (p pacer) wait(i int) time.Time {
	if p.every == 0 {
		return time.Now()
	}
	due := p.begin.Add(time.Duration(i) * p.every)
	time.Sleep(time.Until(due))
	return due
}

func sendOne(address, path string, until time.Time, pace pacer, body func(int) []byte) (latency []float64, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	var request []byte
	for i := 0; time.Now().Before(until); i++ {
		b := body(i)
		request = append(request[:0], "POST "+path+" HTTP/1.1\r\nHost: "+address+"\r\nContent-Type: application/json\r\nContent-Length: "...)
		request = append(strconv.AppendInt(request, int64(len(b)), 10), "\r\n\r\n"...)
		request = append(request, b...)
		begin := pace.wait(i)
		if _, err := c.Write(request); err != nil {
			return latency, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return latency, err
		}
		reply, err := io.ReadAll(resp.Body)
		if err != nil {
			return latency, err
		}
		if resp.StatusCode != http.StatusOK {
			return latency, fmt.Errorf("POST %s: %s: %s", path, resp.Status, reply[:min(len(reply), 300)])
		}
		latency = append(latency, time.Since(begin).Seconds()*1e3)
		if resp.Close {
			return latency, fmt.Errorf("%s closes connections", address)
		}
	}
	return latency, nil
}
