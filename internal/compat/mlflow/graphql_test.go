package mlflow_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGraphQL asks as MLflow's pages do.
func TestGraphQL(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	send(t, srv, "runs/log-metric", object{"run_id": run, "key": "loss", "value": "NaN", "timestamp": 7, "step": 2})
	send(t, srv, "runs/log-metric", object{"run_id": run, "key": "auc", "value": 0.5, "timestamp": 1})
	for query, want := range map[string]string{
		`{ mlflowGetRun(input: {runId: "@RUN"}) { run { info { status startTime endTime } experiment { name } data { metrics { key value step } params { key } } modelVersions { name } } } }`: `{"mlflowGetRun":{"run":{"info":{"status":"RUNNING","startTime":"1700000000000","endTime":"0"},"experiment":{"name":"Default"},` +
			`"data":{"metrics":[{"key":"auc","value":0.5,"step":"0"},{"key":"loss","value":null,"step":"2"}],"params":[]},"modelVersions":[]}}}`,
		`query q($run: String) { a: mlflowGetRun(input: {runUuid: $run}) { ...r } } fragment r on MlflowGetRunResponse { run { info { runId } } }`: `{"a":{"run":{"info":{"runId":"@RUN"}}}}`,
		`mutation { mlflowSearchRuns(input: {experimentIds: ["0"], filter: "metrics.auc > 0.1"}) { runs { info { runId } } nextPageToken } }`:      `{"mlflowSearchRuns":{"runs":[{"info":{"runId":"@RUN"}}],"nextPageToken":""}}`,
		`{ test(inputString: "abc") { output } __typename }`: `{"test":{"output":"abc"},"__typename":"query"}`,
	} {
		body, _ := json.Marshal(object{"query": strings.ReplaceAll(query, "@RUN", run), "variables": object{"run": run}})
		status, out := say(t, srv, "POST", "/graphql", string(body))
		var data any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(want, "@RUN", run)), &data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(data, out["data"]); status != 200 || out["errors"] != nil || diff != "" {
			t.Errorf("%s: %d %v %s", query, status, out["errors"], diff)
		}
	}
}

// TestGraphQLRefuses: errors are in the answer, whose status is 200.
func TestGraphQLRefuses(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	loop := `{ ...a } fragment a on Q { test { output } ...a }`
	for query, message := range map[string]string{
		`{`:                 "not GraphQL",
		`{ secrets { a } }`: "Cannot query field 'secrets'",
		`{ mlflowGetRun(input: {runId: "x"}) { run } }`:     "not found",
		`{ mlflowGetRun { run { info } } }`:                 "run_id",
		`{ ` + strings.Repeat(`test { output } `, 11) + `}`: "at most 10 root fields",
		`{ test { a: output b: output c: output d: output e: output f: output g: output h: output i: output j: output k: output } }`: "at most 10 aliases",
		strings.Repeat("{ a ", 12) + strings.Repeat("}", 12):                                                                         "maximum depth",
		`{ test { ` + strings.Repeat("x ", 1001) + `} }`:                                                                             "total selections",
		`query a { test { output } } query b { test { output } }`:                                                                    "no operation",
	} {
		body, _ := json.Marshal(object{"query": query})
		status, out := say(t, srv, "POST", "/graphql", string(body))
		errors, _ := out["errors"].([]any)
		if status != 200 || len(errors) != 1 || !strings.Contains(errors[0].(string), message) {
			t.Errorf("%.80s: %d %.300v, want %s", query, status, out, message)
		}
	}
	body, _ := json.Marshal(object{"query": loop})
	if status, _ := say(t, srv, "POST", "/graphql", string(body)); status != 200 {
		t.Errorf("a fragment in itself: %d", status)
	}
}
