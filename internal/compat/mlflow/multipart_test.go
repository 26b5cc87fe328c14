package mlflow_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestMultipartUpload goes the way of the client: ask for addresses, put the
// parts in any order, tell their tags.
func TestMultipartUpload(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	root := "/api/2.0/mlflow-artifacts/"
	dir := "/0/" + run + "/artifacts/data"
	parts := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 70_000), "c"}

	status, out := say(t, srv, "POST", root+"mpu/create"+dir, `{"path":"/home/ana/a b.bin","num_parts":3}`)
	if status != 200 {
		t.Fatal(status, out)
	}
	credentials := out["credentials"].([]any)
	tags := make([]string, len(parts))
	for _, i := range []int{2, 0, 1} {
		tags[i] = putPart(t, credentials[i].(map[string]any)["url"].(string), parts[i])
	}
	upload := out["upload_id"].(string)
	complete := func(list string) (int, map[string]any) {
		return say(t, srv, "POST", root+"mpu/complete"+dir, `{"path":"/home/ana/a b.bin","upload_id":"`+upload+`","parts":[`+list+`]}`)
	}
	part := func(number, tag string) string { return `{"part_number":` + number + `,"etag":` + tag + `}` }
	for name, list := range map[string]string{
		"none":          "",
		"a foreign tag": part("1", `"abc"`),
		"a gap":         part("1", tags[0]) + "," + part("3", tags[2]),
		"a part twice":  part("1", tags[0]) + "," + part("1", tags[0]),
	} {
		if status, out := complete(strings.ReplaceAll(list, `""`, `"`)); status != 400 {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	if status, out := complete(part("3", tags[2]) + "," + part("1", tags[0]) + "," + part("2", tags[1])); status != 200 {
		t.Fatal(status, out)
	}
	resp, err := http.Get(srv.URL + root + "artifacts" + dir + "/a%20b.bin")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); string(got) != strings.Join(parts, "") {
		t.Errorf("%d: %d bytes came back", resp.StatusCode, len(got))
	}
	if status, out := say(t, srv, "POST", root+"mpu/abort"+dir, `{"path":"x","upload_id":"u"}`); status != 200 {
		t.Errorf("abort: %d %v", status, out)
	}
	if status, out := say(t, srv, "POST", root+"mpu/create"+dir, `{"path":"x","num_parts":10001}`); status != 400 {
		t.Errorf("too many parts: %d %v", status, out)
	}
	none := strings.Repeat("0", 32)
	if status, out := say(t, srv, "POST", root+"mpu/create/0/"+none+"/artifacts", `{"path":"x","num_parts":1}`); status != 404 {
		t.Errorf("no such run: %d %v", status, out)
	}
}

// putPart sends a part and returns its tag as JSON.
func putPart(t *testing.T, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	return resp.Header.Get("ETag")
}

// TestWhatTheProxyDoesNot: answers that make clients take another way.
func TestWhatTheProxyDoesNot(t *testing.T) {
	srv := server(t, filepath.Join(t.TempDir(), "test.db"), nil)
	run := newRun(t, srv)
	status, out := say(t, srv, "GET", "/api/2.0/mlflow-artifacts/presigned/0/"+run+"/artifacts/a", "")
	if status != 501 || out["error_code"] != "NOT_IMPLEMENTED" {
		t.Errorf("presigned download: %d %v", status, out)
	}
	status, out = say(t, srv, "POST", api+"artifacts/presigned-upload-url", `{"run_id":"`+run+`","path":"a"}`)
	if status != 400 || out["error_code"] != "INVALID_PARAMETER_VALUE" {
		t.Errorf("presigned upload: %d %v", status, out)
	}
}
