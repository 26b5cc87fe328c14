package serving

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway"
)

func TestLogKeepsWhatWasSent(t *testing.T) {
	s, _ := open1(t, Options{})
	publish(t, s, manifest(1, champion("twice")))
	h, err := s.Find("m", "")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	at := time.Date(2013, 4, 1, 5, 0, 0, 0, time.UTC)
	l := h.Layout()
	r := &Request{Rows: 2, Column: make([]slipway.Series, len(l.Field))}
	r.Column[0] = slipway.Series{Name: "x", Type: slipway.Float, Float: []float64{1.5, 2}}
	r.Column[1] = slipway.Series{Name: "city", Type: slipway.Text, Text: []string{"", "Bergen"}, Null: []bool{true, false}}
	r.Column[2] = slipway.Series{Name: "id", Type: slipway.Float, Float: []float64{7, 123456789}}
	r.Column[3] = slipway.Series{Name: "at", Type: slipway.Time, Float: []float64{float64(at.UnixMicro()), float64(at.Add(time.Hour).UnixMicro())}}
	a, err := h.Answer(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	got := logged(t, s)[slipway.Champion]
	want := []*slipway.PredictionBatch{{
		Project: "p", Endpoint: "m", Release: "r-twice", Role: slipway.Champion, Model: "m@v1",
		ID: []string{a.ID[0].String(), a.ID[1].String()}, Key: []string{"7", "123456789"}, Time: []time.Time{at, at.Add(time.Hour)},
		Failure: []string{"", ""},
		Input: &slipway.Frame{Rows: 2, Series: []slipway.Series{
			{Name: "x", Type: slipway.Float, Float: []float64{1.5, 2}},
			{Name: "city", Type: slipway.Text, Text: []string{"", "Bergen"}, Null: []bool{true, false}}}},
		Output: &slipway.Frame{Rows: 2, Series: []slipway.Series{{Name: "prediction", Type: slipway.Float, Float: []float64{3, 4}}}},
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(slipway.PredictionBatch{}, "At", "Latency")); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if len(got[0].At) != 2 || time.Since(got[0].At[1]) > time.Minute {
		t.Errorf("answered at %v", got[0].At)
	}
}

func TestSegmentsAreNumberedForEver(t *testing.T) {
	dir := t.TempDir()
	numbers := func(s *Service, after int64) (out []int64) {
		for g, err := range s.Segments(context.Background(), after) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, g.Number)
		}
		return out
	}
	for round := range 3 {
		s, _ := open1(t, Options{Dir: dir})
		publish(t, s, manifest(1, champion("twice")))
		if _, err := one(s, "k", 1); err != nil {
			t.Fatal(err)
		}
		logged(t, s)
		logged(t, s) // nothing new: no new segment
		if got := numbers(s, int64(round)); !cmp.Equal(got, []int64{int64(round + 1)}) {
			t.Fatalf("after %d: %v", round, got)
		}
		if err := s.Forget(context.Background(), "local", int64(round+1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullSegmentsAreSealed(t *testing.T) {
	s, _ := open1(t, Options{SegmentSize: 10_000})
	publish(t, s, manifest(1, champion("twice")))
	for i := range 500 {
		if _, err := one(s, "k", float64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(ids(logged(t, s)[slipway.Champion])); got != 500 {
		t.Errorf("%d predictions in the segments", got)
	}
	if list, err := s.log.list(); err != nil || len(list) < 5 {
		t.Errorf("%d segments, %v", len(list), err)
	}
}

// failing is a disk that is full while full is set; it takes half of a write.
type failing struct {
	*os.File
	full *bool
}

func (f failing) Write(b []byte) (int, error) {
	if *f.full {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, &os.PathError{Op: "write", Path: f.Name(), Err: errTest}
	}
	return f.File.Write(b)
}

func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	for _, d := range []Durability{Process, Sync} {
		t.Run(string(d), func(t *testing.T) {
			s, _ := open1(t, Options{Durability: d})
			full := false
			s.log.create = func(path string) (segmentFile, error) {
				f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
				return failing{f, &full}, err
			}
			publish(t, s, manifest(1, champion("twice")))
			for i := range 30 {
				full = i%3 == 1
				_, err := one(s, "k", float64(i))
				if full != slipway.IsCode(err, slipway.Unavailable) || full != (s.Ready() != nil) {
					t.Fatalf("request %d with full=%v: %v, ready %v", i, full, err, s.Ready())
				}
				if full && !strings.Contains(err.Error(), "no space left") {
					t.Fatalf("%v", err)
				}
			}
			if got := len(ids(logged(t, s)[slipway.Champion])); got != 20 {
				t.Errorf("%d predictions are logged, want the 20 that were answered", got)
			}
		})
	}
}

func TestATornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s, _ := open1(t, Options{Dir: dir})
	publish(t, s, manifest(1, champion("twice")))
	for i := range 10 {
		if _, err := one(s, "k", float64(i)); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(s.log.path)
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Base(s.log.path)
	for cut := 0; cut < 200; cut += 7 {
		other := t.TempDir()
		if err := os.MkdirAll(filepath.Join(other, "log"), 0o700); err != nil {
			t.Fatal(err)
		}
		torn := append([]byte(nil), whole[:len(whole)-cut]...)
		if cut > 0 && cut%2 == 0 {
			torn[len(torn)-1] ^= 0xff // and a page that was never written
		}
		if err := os.WriteFile(filepath.Join(other, "log", base), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		again, _ := open1(t, Options{Dir: other})
		got := len(ids(logged(t, again)[slipway.Champion]))
		if cut == 0 && got != 10 || cut > 0 && (got < 7 || got > 9) {
			t.Errorf("cut by %d: %d predictions", cut, got)
		}
	}
}

// TestKillMinusNine starts a process that predicts as fast as it can, tells of
// every answer, and is killed: every answer that it told of is in the log.
func TestKillMinusNine(t *testing.T) {
	if dir := os.Getenv("SLIPWAY_TEST_PREDICT"); dir != "" {
		s, err := New(context.Background(), Options{Dir: dir, Loader: newHouse()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(context.Background(), manifest(1, champion("twice"))); err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			a, err := one(s, "k", float64(i))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("answered", a.ID[0])
		}
	}
	dir := t.TempDir()
	told := map[string]bool{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=TestKillMinusNine")
		cmd.Env = append(os.Environ(), "SLIPWAY_TEST_PREDICT="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if id, ok := strings.CutPrefix(lines.Text(), "answered "); ok {
				told[id] = true
			}
			if n == 50+37*round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}
	s, _ := open1(t, Options{Dir: dir})
	got := ids(logged(t, s)[slipway.Champion])
	for id := range told {
		if !got[id] {
			t.Fatalf("%s was answered and is not in the log", id)
		}
	}
	if len(told) < 200 {
		t.Fatalf("only %d answers", len(told))
	}
}

func FuzzSegment(f *testing.F) {
	whole := appendHeader(nil, "local", 1, time.Now())
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "000000000001.log")
		stream := newStream(&variant{endpoint: &endpoint{}}, nil)
		record := append(open(nil), kindPrediction)
		record = seal(append(binary.LittleEndian.AppendUint64(record, stream.hash), b...), 0)
		if err := os.WriteFile(path, append(append(append([]byte(nil), whole...), stream.record...), record...), 0o600); err != nil {
			t.Fatal(err)
		}
		for range (Segment{path: path}).Batches() { // no panic, and an end
		}
	})
}
