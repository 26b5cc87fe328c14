package mlflow_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
)

// send sends a value as JSON and returns the status, the code of the error and
// the body.
func send(t *testing.T, srv *httptest.Server, path string, in any) (int, string, map[string]any) {
	t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	status, out := say(t, srv, "POST", api+path, string(b))
	code, _ := out["error_code"].(string)
	return status, code, out
}

type object = map[string]any

func long(n int) string { return strings.Repeat("é", n) }

// pairs makes n params or tags.
func pairs(n int) []object {
	out := make([]object, n)
	for i := range out {
		out[i] = object{"key": fmt.Sprint("k", i), "value": "v"}
	}
	return out
}

func points(n int) []object {
	out := make([]object, n)
	for i := range out {
		out[i] = object{"key": "many", "value": i, "timestamp": i, "step": i}
	}
	return out
}

// dataset makes the body of log-inputs with one field of its dataset replaced.
func dataset(run, field, value string) object {
	d := object{"name": "d", "digest": "1", "source_type": "local", "source": "{}"}
	d[field] = value
	return object{"run_id": run, "datasets": []object{{"dataset": d}}}
}

// TestLimits tries each limit of MLflow at its value and one over it. Lengths
// are in characters, of two bytes here.
func TestLimits(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		srv := server(t, dsn, nil)
		run := newRun(t, srv)
		one := func(key string, value any) object {
			return object{"run_id": run, "key": key, "value": value, "timestamp": 1}
		}
		batch := func(metrics, params, tags int) object {
			return object{"run_id": newRun(t, srv), "metrics": points(metrics), "params": pairs(params), "tags": pairs(tags)}
		}
		for _, c := range []struct {
			what, path string
			at, over   object
		}{
			{"key of a metric", "runs/log-metric", one(long(250), 1), one(long(251), 1)},
			{"key of a param", "runs/log-parameter", one(long(250), "v"), one(long(251), "v")},
			{"key of a tag", "runs/set-tag", one(long(250), "v"), one(long(251), "v")},
			{"metrics of a batch", "runs/log-batch", batch(1000, 0, 0), batch(1001, 0, 0)},
			{"params of a batch", "runs/log-batch", batch(0, 100, 0), batch(0, 101, 0)},
			{"tags of a batch", "runs/log-batch", batch(0, 0, 100), batch(0, 0, 101)},
			{"all of a batch", "runs/log-batch", batch(900, 50, 50), batch(900, 51, 50)},
			{"name of an experiment", "experiments/create", object{"name": long(500)}, object{"name": long(501)}},
			{"tag of an experiment", "experiments/set-experiment-tag", object{"experiment_id": "0", "key": "t", "value": long(20000)},
				object{"experiment_id": "0", "key": "t", "value": long(20001)}},
			{"name of a dataset", "runs/log-inputs", dataset(run, "name", long(500)), dataset(run, "name", long(501))},
			{"digest of a dataset", "runs/log-inputs", dataset(run, "digest", long(36)), dataset(run, "digest", long(37))},
			{"source of a dataset", "runs/log-inputs", dataset(run, "source", strings.Repeat("s", 1<<16-1)), dataset(run, "source", strings.Repeat("s", 1<<16))},
			{"schema of a dataset", "runs/log-inputs", dataset(run, "schema", strings.Repeat("s", 1<<20-1)), dataset(run, "schema", strings.Repeat("s", 1<<20))},
			{"profile of a dataset", "runs/log-inputs", dataset(run, "profile", strings.Repeat("p", 1<<24-1)), dataset(run, "profile", strings.Repeat("p", 1<<24))},
			{"page of runs", "runs/search", object{"experiment_ids": []string{"0"}, "max_results": 50000}, object{"experiment_ids": []string{"0"}, "max_results": 50001}},
			{"page of experiments", "experiments/search", object{"max_results": 50000}, object{"max_results": 50001}},
		} {
			if status, _, out := send(t, srv, c.path, c.at); status != 200 {
				t.Errorf("%s at its limit: %d %.300v", c.what, status, out)
			}
			if status, code, out := send(t, srv, c.path, c.over); status != 400 || code != "INVALID_PARAMETER_VALUE" {
				t.Errorf("%s over its limit: %d %.300v", c.what, status, out)
			}
		}
	})
}

// TestLongValuesAreCut: values of params and tags of runs are cut, not refused,
// as MLflow does unless MLFLOW_TRUNCATE_LONG_VALUES is off.
func TestLongValuesAreCut(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	for path, limit := range map[string]int{"runs/log-parameter": 6000, "runs/set-tag": 8000} {
		for _, n := range []int{limit, limit + 1} {
			key := fmt.Sprint(path[5:8], n)
			if status, _, out := send(t, srv, path, object{"run_id": run, "key": key, "value": long(n)}); status != 200 {
				t.Errorf("%s of %d: %d %.200v", path, n, status, out)
			}
			if got := valueOf(t, srv, run, key); got != long(limit) {
				t.Errorf("%s of %d characters came back with %d", path, n, len([]rune(got)))
			}
		}
	}
}

// valueOf reads a param or a tag.
func valueOf(t *testing.T, srv *httptest.Server, run, key string) string {
	t.Helper()
	_, out := say(t, srv, "GET", api+"runs/get?run_id="+run, "")
	data := out["run"].(map[string]any)["data"].(map[string]any)
	for _, list := range []string{"params", "tags"} {
		for _, p := range data[list].([]any) {
			if p := p.(map[string]any); p["key"] == key {
				return p["value"].(string)
			}
		}
	}
	return ""
}

// TestNumbers: what comes back of each value that a client may send.
func TestNumbers(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		srv := server(t, dsn, nil)
		run := newRun(t, srv)
		for i, c := range []struct {
			sent string // JSON
			want any
		}{
			{`0.1`, 0.1}, {`"0.1"`, 0.1}, {`-0.0`, 0.0}, {`5e-324`, 5e-324}, {`1e308`, 1e308}, {`9007199254740993`, 9007199254740992.0},
			{`"NaN"`, "NaN"}, {`"Infinity"`, math.MaxFloat64}, {`"-Infinity"`, -math.MaxFloat64}, {`"inf"`, math.MaxFloat64}, {`1e999`, math.MaxFloat64},
		} {
			body := fmt.Sprintf(`{"run_id":"%s","key":"m%d","value":%s,"timestamp":1}`, run, i, c.sent)
			if status, out := say(t, srv, "POST", api+"runs/log-metric", body); status != 200 {
				t.Errorf("%s: %d %v", c.sent, status, out)
				continue
			}
			_, out := say(t, srv, "GET", api+fmt.Sprintf("metrics/get-history?run_id=%s&metric_key=m%d", run, i), "")
			if got := out["metrics"].([]any)[0].(map[string]any)["value"]; got != c.want {
				t.Errorf("%s came back as %v, want %v", c.sent, got, c.want)
			}
		}
		for _, bad := range []string{`"high"`, `true`, `null`, `{}`, `[1]`, `""`} {
			body := fmt.Sprintf(`{"run_id":"%s","key":"m","value":%s,"timestamp":1}`, run, bad)
			if status, out := say(t, srv, "POST", api+"runs/log-metric", body); status != 400 {
				t.Errorf("%s: %d %v", bad, status, out)
			}
		}
	})
}

// TestLatestIsByStepTimeValue: the latest value is that of the highest step,
// then time, then value, in whatever order they came; exact duplicates are one
// point, and another value at the same step is another.
func TestLatestIsByStepTimeValue(t *testing.T) {
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		srv := server(t, dsn, nil)
		run := newRun(t, srv)
		type p [3]int // step, timestamp, value
		sent := []p{{5, 10, 1}, {3, 99, 9}, {5, 10, 4}, {5, 10, 1}, {5, 9, 7}, {5, 10, 4}, {-2, 50, 3}}
		for _, x := range sent {
			send(t, srv, "runs/log-metric", object{"run_id": run, "key": "m", "step": x[0], "timestamp": x[1], "value": x[2]})
		}
		_, out := say(t, srv, "GET", api+"runs/get?run_id="+run, "")
		latest := out["run"].(map[string]any)["data"].(map[string]any)["metrics"].([]any)[0].(map[string]any)
		if latest["step"] != 5.0 || latest["timestamp"] != 10.0 || latest["value"] != 4.0 {
			t.Errorf("latest: %v", latest)
		}
		_, out = say(t, srv, "GET", api+"metrics/get-history?metric_key=m&run_id="+run, "")
		var got []p
		for _, m := range out["metrics"].([]any) {
			m := m.(map[string]any)
			got = append(got, p{int(m["step"].(float64)), int(m["timestamp"].(float64)), int(m["value"].(float64))})
		}
		want := []p{{5, 9, 7}, {5, 10, 1}, {5, 10, 4}, {-2, 50, 3}, {3, 99, 9}}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("history: %v, want %v", got, want)
		}
	})
}

// TestKeys: which names there may be.
func TestKeys(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	for key, ok := range map[string]bool{
		"größe": true, "损失": true, "a/b.c d:e-f_g": true, "1": true, "ω²": true,
		"": false, "a\x00b": false, "a\nb": false, "a;b": false, "😀": false, ".": false, "..": false, "../a": false, "a/../b": false, "/a": false,
		"a/": false, "a//b": false, "./a": false, "a\\b": false, "a%": false,
	} {
		for _, path := range []string{"runs/log-metric", "runs/log-parameter", "runs/set-tag", "runs/log-batch"} {
			in := object{"run_id": run, "key": key, "value": "1", "timestamp": 1}
			if path == "runs/log-batch" {
				in = object{"run_id": run, "metrics": []object{{"key": key, "value": 1, "timestamp": 1}}}
			}
			if status, _, out := send(t, srv, path, in); (status == 200) != ok || !ok && status != 400 {
				t.Errorf("%s %q: %d %v", path, key, status, out)
			}
		}
	}
}

// TestArtifactPathsStayBelow tries to leave the root at each door.
func TestArtifactPathsStayBelow(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	for _, p := range []string{"..%2Fx", "a%2F..%2F..%2Fx", "%2Fetc%2Fpasswd", "..%252Fx", "%252e%252e%252fx", "..%5Cx", "a%00b", "file:%2F%2F%2Fetc%2Fpasswd", "a%23b", "a%2F%2Fb", "a%2F.%2Fb"} {
		proxy := "/api/2.0/mlflow-artifacts/"
		for _, c := range [][2]string{
			{"PUT", proxy + "artifacts/0/" + run + "/artifacts/" + p}, {"GET", proxy + "artifacts/0/" + run + "/artifacts/" + p},
			{"DELETE", proxy + "artifacts/0/" + run + "/artifacts/" + p}, {"GET", proxy + "artifacts?path=" + p},
			{"GET", api + "artifacts/list?run_id=" + run + "&path=" + p}, {"GET", "/get-artifact?run_id=" + run + "&path=" + p},
			{"POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=" + run + "&path=" + p},
			{"GET", proxy + "presigned/" + p},
			{"POST", proxy + "mpu/create/" + p}, {"PUT", proxy + "mpu/part/u/1/" + p},
		} {
			status, out := say(t, srv, c[0], c[1], `{"path":"x"}`)
			if status != 400 || out["error_code"] != "INVALID_PARAMETER_VALUE" {
				t.Errorf("%s %s: %d %v", c[0], c[1], status, out)
			}
		}
	}
}
