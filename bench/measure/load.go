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
	var l Load
	var mu sync.Mutex
	var failed error
	var work sync.WaitGroup
	cpu, begin := s.CPU(), time.Now()
	for c := range connections {
		work.Go(func() {
			latency, err := sendOne(address, path, begin.Add(d), func(i int) []byte { return body(c, i) })
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

func sendOne(address, path string, until time.Time, body func(int) []byte) (latency []float64, err error) {
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
		begin := time.Now()
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
