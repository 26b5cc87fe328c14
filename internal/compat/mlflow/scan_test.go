package mlflow

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var batches = []string{
	`{"run_id":"r","metrics":[{"key":"a","value":1.5,"timestamp":10,"step":-3},{"key":"a","value":-2e-3,"timestamp":11,"step":4}],"params":[{"key":"p","value":"ä"}],"tags":[]}`,
	` { "metrics" : [ ] , "run_id" : "r" } `,
	`{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1,"model_id":"m-1","dataset_name":"d","dataset_digest":"x"}]}`,
	`{}`,
}

func TestScannerReadsWhatClientsSend(t *testing.T) {
	for _, b := range batches {
		if _, _, ok := scanBatch([]byte(b)); !ok {
			t.Errorf("gave up on %s", b)
		}
	}
	for _, b := range []string{`{"run_id":"r\u0041"}`, `{"run_uuid":"r"}`, `{"run_id":"r","metrics":[{"key":"a","value":"NaN"}]}`, `{"run_id":"r","metrics":[{"key":"a"}]}`,
		`{"run_id":"r"} x`, `{"run_id":"r","run_id":"s"}`, `{"run_id":"r","metrics":[{"key":"a","value":01}]}`, `{"run_id":"r","x":1}`, ``, `{`, `[]`, `{"run_id":"r",}`} {
		if _, _, ok := scanBatch([]byte(b)); ok {
			t.Errorf("accepted %s, which encoding/json must judge", b)
		}
	}
}

// FuzzScanner: whatever the scanner accepts, encoding/json reads alike.
func FuzzScanner(f *testing.F) {
	for _, b := range batches {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		id, got, ok := scanBatch(b)
		if !ok {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("accepted what is no JSON: %q", b)
		}
		if id == "" {
			return
		}
		wantID, want, err := decodeBatch(&call{httptest.NewRequest("POST", "/", strings.NewReader("")), b})
		if err != nil || id != wantID {
			t.Fatalf("%q: %q; encoding/json reads %q, %v", b, id, wantID, err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); d != "" {
			t.Fatalf("%q: %s", b, d)
		}
	})
}

func TestPlace(t *testing.T) {
	run := strings.Repeat("0a", 16)
	for p, want := range map[string][2]string{
		"0/" + run + "/artifacts/a/b":                 {run, "a/b"},
		"0/" + run + "/artifacts":                     {run, ""},
		"5/models/m-" + run + "/artifacts/x":          {"m-" + run, "x"},
		"0/" + run + "/artifacts/artifacts/a":         {run, "artifacts/a"},
		"folder/artifacts/a":                          {"", "folder/artifacts/a"},
		"0/" + strings.ToUpper(run) + "/artifacts/a":  {"", "0/" + strings.ToUpper(run) + "/artifacts/a"},
		"deep/er/" + run + "/artifacts/" + run + "/x": {run, run + "/x"},
	} {
		at, err := place(p)
		if err != nil || at.Owner != want[0] || at.Path != want[1] {
			t.Errorf("place(%s) = %+v, %v; want %v", p, at, err, want)
		}
	}
	for _, p := range []string{"../x", "0/../" + run + "/artifacts/x", "./x"} {
		if _, err := place(p); err == nil {
			t.Errorf("place(%s) was accepted", p)
		}
	}
}
