package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

const models = "../../backend/predictor/trees/testdata/"

// files loads models by their file names.
type files struct{ dir string }

func (f files) Load(ctx context.Context, _ string, name slipway.Digest, s *slipway.Signature) (predictor.Model, error) {
	return trees.Loader{}.Load(ctx, predictor.Spec{Path: f.dir + string(name), Signature: s})
}

// start serves the models of the trees package behind a handler in which
// everyone is a writer.
func start(t testing.TB, endpoints ...slipway.Endpoint) (*httptest.Server, *serving.Service) {
	t.Helper()
	return startIn(t, models, endpoints...)
}

func startIn(t testing.TB, dir string, endpoints ...slipway.Endpoint) (*httptest.Server, *serving.Service) {
	t.Helper()
	s, err := serving.New(context.Background(), serving.Options{Dir: t.TempDir(), Loader: files{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(context.Background(), slipway.Manifest{Number: 1, Endpoint: endpoints}); err != nil {
		t.Fatal(err)
	}
	h := Handler(s, "test", nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "test", Role: slipway.Writer})))
	}))
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv, s
}

func delay() slipway.Endpoint {
	return slipway.Endpoint{Project: "p", Name: "delay", Key: []string{"flight"}, Time: "at",
		Variant: []slipway.Variant{{Release: "r1", Role: slipway.Champion, Model: "delay@v3", Content: "binary.txt"}}}
}

func send(t testing.TB, method, url, contentType, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

type reply struct {
	Model      string `json:"model_name"`
	Version    string `json:"model_version"`
	ID         string `json:"id"`
	Parameters struct {
		PredictionID []string `json:"prediction_id"`
		Variant      string   `json:"variant"`
		Release      string   `json:"release"`
		Explanation  struct {
			Features []string `json:"features"`
			Space    string   `json:"space"`
		} `json:"explanation"`
	} `json:"parameters"`
	Outputs []struct {
		Name     string    `json:"name"`
		Datatype string    `json:"datatype"`
		Shape    []int     `json:"shape"`
		Data     []float64 `json:"data"`
	} `json:"outputs"`
}

func infer(t testing.TB, srv *httptest.Server, path, body string) reply {
	t.Helper()
	status, raw := send(t, "POST", srv.URL+path, "application/json", body)
	if status != 200 {
		t.Fatalf("%s: %d %s", path, status, raw)
	}
	var out reply
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out
}

const row = `{"name":"air_time","shape":[1],"datatype":"FP64","data":[150.5]},{"name":"carrier","shape":[1],"datatype":"BYTES","data":["DL"]},
	{"name":"hour","shape":[1],"datatype":"INT64","data":[7]},{"name":"gate","shape":[1],"datatype":"INT64","data":[20]}`

func TestInfer(t *testing.T) {
	srv, s := start(t, delay())
	got := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+row+`,{"name":"flight","shape":[1],"datatype":"BYTES","data":["UA17"]},
		{"name":"at","shape":[1],"datatype":"BYTES","data":["2013-04-01T05:15:00-04:00"]}]}`)
	if got.Model != "delay" || got.Version != "3" || len(got.Parameters.PredictionID) != 1 || got.ID != got.Parameters.PredictionID[0] || got.Parameters.Release != "r1" {
		t.Errorf("%+v", got)
	}
	if got.Outputs[0].Name != "probability" || got.Outputs[0].Datatype != "FP64" || !cmp.Equal(got.Outputs[0].Shape, []int{1}) {
		t.Errorf("%+v", got.Outputs)
	}
	if err := s.Seal(context.Background()); err != nil {
		t.Fatal(err)
	}
	for g, err := range s.Segments(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range g.Batches() {
			if err != nil || b.ID[0] != got.ID || b.Key[0] != "UA17" || b.Time[0].Format("15:04") != "09:15" || b.Input.Column("carrier").Text[0] != "DL" {
				t.Errorf("logged %+v, %v", b, err)
			}
		}
	}
	probability := got.Outputs[0].Data[0]
	same := map[string]string{
		"data before shape, other order, nested, id": `{"id":"mine","inputs":[{"data":[[20]],"name":"gate","datatype":"INT64","shape":[1,1]},{"name":"hour","data":[7.0],"shape":[1],"datatype":"FP32"},
			{"name":"carrier","shape":[1],"datatype":"BYTES","data":["\u0044L"]},{"name":"air_time","parameters":{"x":[1,{"y":"]"}]},"shape":[1],"datatype":"FP64","data":[1.505e2]}],"later":{"a":[null]}}`,
		"key and time as parameters": `{"parameters":{"flight":"UA17","at":"2013-04-01"},"inputs":[` + row + `]}`,
	}
	for name, body := range same {
		if again := infer(t, srv, "/v2/models/delay/versions/3/infer", body); again.Outputs[0].Data[0] != probability {
			t.Errorf("%s: %+v", name, again)
		}
	}
	if again := infer(t, srv, "/v2/models/p%2Fdelay/infer", same["data before shape, other order, nested, id"]); again.ID != "mine" {
		t.Errorf("the caller's id came back as %q", again.ID)
	}
}

// TestGolden holds the wire to LightGBM's own answers and explanations.
func TestGolden(t *testing.T) {
	raw, err := os.ReadFile(models + "golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]struct {
		Prediction [][]float64 `json:"prediction"`
		Value      [][]float64 `json:"value"`
		Base       []float64   `json:"base"`
	}
	var rows struct {
		Rows json.RawMessage `json:"rows"`
	}
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "rows")
	golden = map[string]struct {
		Prediction [][]float64 `json:"prediction"`
		Value      [][]float64 `json:"value"`
		Base       []float64   `json:"base"`
	}{}
	for name, raw := range all {
		g := golden[name]
		if json.Unmarshal(raw, &g) == nil && len(g.Prediction) > 0 {
			golden[name] = g
		}
	}
	body := goldenRequest(t, rows.Rows)
	for _, name := range []string{"binary.txt", "multiclass.txt"} {
		e := delay()
		e.Variant[0].Content = slipway.Digest(name)
		srv, _ := start(t, e)
		got := infer(t, srv, "/v2/models/delay/infer", strings.Replace(body, "{", `{"parameters":{"explain":true},`, 1))
		want := golden[name]
		for o := range want.Prediction {
			if diff := cmp.Diff(want.Prediction[o], got.Outputs[o].Data, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		shap := got.Outputs[len(got.Outputs)-2]
		var flat []float64
		for _, v := range want.Value {
			flat = append(flat, v...)
		}
		if diff := cmp.Diff(flat, shap.Data, cmpopts.EquateApprox(0, 1e-7)); diff != "" || shap.Name != "shap_values" || len(shap.Shape) != 3 {
			t.Errorf("%s: %s %v: %s", name, shap.Name, shap.Shape, diff)
		}
		if diff := cmp.Diff(want.Base, got.Outputs[len(got.Outputs)-1].Data, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		only := infer(t, srv, "/v2/models/delay/explain", body)
		if len(only.Parameters.PredictionID) != 0 || !cmp.Equal(only.Parameters.Explanation.Features, []string{"air_time", "carrier", "hour", "gate"}) {
			t.Errorf("%+v", only.Parameters)
		}
	}
}

// goldenRequest writes the golden rows, an object of columns, as tensors.
func goldenRequest(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var columns map[string][]any
	if err := json.Unmarshal(raw, &columns); err != nil {
		t.Fatal(err)
	}
	type tensor struct {
		Name     string `json:"name"`
		Shape    []int  `json:"shape"`
		Datatype string `json:"datatype"`
		Data     []any  `json:"data"`
	}
	var inputs []tensor
	for name, data := range columns {
		kind := "FP64"
		if name == "carrier" {
			kind = "BYTES"
		}
		name = strings.ReplaceAll(name, " ", "_") // as LightGBM writes it
		inputs = append(inputs, tensor{name, []int{len(data)}, kind, data})
	}
	out, err := json.Marshal(map[string]any{"inputs": inputs})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestRefusals(t *testing.T) {
	srv, _ := start(t, delay())
	with := func(old, replacement string) string {
		if !strings.Contains(row, old) {
			t.Fatalf("%q is not in the row", old)
		}
		return `{"inputs":[` + strings.Replace(row, old, replacement, 1) + `]}`
	}
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"text for a number":     {"", "", with("[150.5]", `["fast"]`), 400, `column "air_time" takes float, and row 1 is the text "fast"`},
		"number for text":       {"", "", with(`["DL"]`, `[17]`), 400, `column "carrier" takes text, and row 1 is a number`},
		"infinity":              {"", "", with("150.5", "1e999"), 400, `column "air_time" takes float, and row 1 is infinite`},
		"python's infinity":     {"", "", with("150.5", "Infinity"), 400, `row 1 is infinite`},
		"missing column":        {"", "", `{"inputs":[{"name":"hour","shape":[1],"datatype":"INT64","data":[7]}]}`, 400, `column "air_time" is missing`},
		"unknown column":        {"", "", with(`"gate"`, `"gat"`), 400, `does not take the column "gat"`},
		"column twice":          {"", "", with(`"gate"`, `"hour"`), 400, `"hour" is there twice`},
		"rows that differ":      {"", "", with(`[20]`, `[20,30]`), 400, `"gate" has 2 values, which its shape [1] does not hold`},
		"columns that differ":   {"", "", with(`"shape":[1],"datatype":"INT64","data":[20]`, `"shape":[2],"datatype":"INT64","data":[20,30]`), 400, `"gate" has 2 rows`},
		"an object for a value": {"", "", with("150.5", "{}"), 400, `column "air_time" takes one value a row`},
		"datatype":              {"", "", with("FP64", "FLOAT"), 400, `"FLOAT" is no datatype`},
		"no data":               {"", "", `{"inputs":[{"name":"hour","shape":[1],"datatype":"INT64"}]}`, 400, `"hour" has no data`},
		"no inputs":             {"", "", `{}`, 400, "no inputs"},
		"no columns":            {"", "", `{"inputs":[]}`, 400, "no columns"},
		"a time that is none":   {"", "", `{"inputs":[` + row + `,{"name":"at","shape":[1],"datatype":"BYTES","data":["yesterday"]}]}`, 400, `column "at" takes time, and row 1 is "yesterday"`},
		"broken off":            {"", "", `{"inputs":[{"name":"hour`, 400, "not the JSON"},
		"rubbish after":         {"", "", `{"inputs":[` + row + `]} x`, 400, "want the end"},
		"not JSON":              {"", "", `hello`, 400, "want '{' at byte 0"},
		"empty":                 {"", "", ``, 400, "want '{'"},
		"deep":                  {"", "", `{"x":` + strings.Repeat("[", 5000) + `}`, 400, "less nesting"},
		"output":                {"", "", `{"outputs":[{"name":"odds"}],"inputs":[` + row + `]}`, 400, `no output "odds"`},
		"matrix width":          {"", "", `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP64","data":[1,2,3]}]}`, 400, "has 3 columns, and the model takes 4"},
		"unknown model":         {"", "/v2/models/dela/infer", `{}`, 404, `no endpoint "dela": there is delay`},
		"unknown version":       {"", "/v2/models/delay/versions/9/infer", `{}`, 404, "no version 9"},
		"unknown path":          {"GET", "/v9/models/delay", ``, 404, "nothing at"},
		"method":                {"GET", "/v2/models/delay/infer", ``, 405, "another method"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = "POST"
			}
			if c.path == "" {
				c.path = "/v2/models/delay/infer"
			}
			status, raw := send(t, c.method, srv.URL+c.path, "application/json", c.body)
			var e struct {
				Error string `json:"error"`
			}
			if err := json.Unmarshal([]byte(raw), &e); err != nil || status != c.status || !strings.Contains(e.Error, c.says) {
				t.Errorf("%d %s; want %d and %q", status, raw, c.status, c.says)
			}
		})
	}
}

func TestMissingValuesAreAnswered(t *testing.T) {
	srv, _ := start(t, delay())
	var first float64
	for i, missing := range []string{"null", "NaN"} {
		got := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+strings.Replace(strings.Replace(row, "150.5", missing, 1), `"DL"`, "null", 1)+`]}`)
		if i > 0 && got.Outputs[0].Data[0] != first {
			t.Errorf("%s gives %v, null %v", missing, got.Outputs[0].Data[0], first)
		}
		first = got.Outputs[0].Data[0]
	}
}

func TestABodyOf100MBIsRefused(t *testing.T) {
	srv, _ := start(t, delay())
	for _, length := range []int64{100 << 20, -1} { // announced, and chunked
		req, err := http.NewRequest("POST", srv.URL+"/v2/models/delay/infer", io.LimitReader(zeros{}, 100<<20))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 413 || !bytes.Contains(raw, []byte("larger than 64 MB")) {
			t.Errorf("length %d: %d %s", length, resp.StatusCode, raw)
		}
	}
	infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+row+`]}`)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestInvocations(t *testing.T) {
	srv, _ := start(t, delay())
	want := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+row+`]}`).Outputs[0].Data[0]
	for name, c := range map[string]struct{ media, body string }{
		"split":     {"application/json", `{"dataframe_split":{"columns":["hour","air_time","carrier","gate"],"data":[[7,150.5,"DL",20],[7,NaN,"NaN",20]]}}`},
		"records":   {"application/json; charset=utf-8", `{"dataframe_records":[{"hour":7,"air_time":150.5,"carrier":"DL","gate":20},{"hour":7,"gate":20,"carrier":"AA"}]}`},
		"instances": {"application/json", `{"instances":[{"hour":7,"air_time":150.5,"carrier":"DL","gate":20}]}`},
		"rows":      {"", `{"instances":[[150.5,"DL",7,20]]}`},
		"inputs":    {"application/json", `{"inputs":{"hour":[7],"air_time":[150.5],"carrier":["DL"],"gate":[20]}}`},
		"csv":       {"text/csv", "hour,air_time,carrier,gate\n7,150.5,DL,20\n8,,DL,20\n"},
	} {
		status, raw := send(t, "POST", srv.URL+"/invocations", c.media, c.body)
		var got struct{ Predictions []float64 }
		if err := json.Unmarshal([]byte(raw), &got); err != nil || status != 200 || got.Predictions[0] != want {
			t.Errorf("%s: %d %s, want %v", name, status, raw, want)
		}
	}
	for name, c := range map[string]struct {
		media, body string
		status      int
		says        string
	}{
		"media":    {"application/parquet", "", 415, "content type"},
		"charset":  {"text/csv; charset=latin1", "", 415, "content type"},
		"two":      {"application/json", `{"instances":[[150.5,"DL",7,20]],"inputs":{"hour":[7]}}`, 400, "twice"},
		"none":     {"application/json", `{}`, 400, "has 0 of"},
		"messages": {"application/json", `{"messages":[]}`, 400, "not understood"},
		"csv":      {"text/csv", "hour,air_time,carrier,gate\n7,soon,DL,20\n", 400, `takes float, and row 1 is the text`},
	} {
		if status, raw := send(t, "POST", srv.URL+"/invocations", c.media, c.body); status != c.status || !strings.Contains(raw, c.says) {
			t.Errorf("%s: %d %s", name, status, raw)
		}
	}
	other := delay()
	other.Name = "delay-staging"
	two, _ := start(t, delay(), other)
	if status, raw := send(t, "POST", two.URL+"/invocations", "text/csv", "hour\n7\n"); status != 404 || !strings.Contains(raw, "endpoint=NAME") {
		t.Errorf("two endpoints: %d %s", status, raw)
	}
	if status, raw := send(t, "POST", two.URL+"/invocations?endpoint=delay", "text/csv", "hour,air_time,carrier,gate\n7,150.5,DL,20\n"); status != 200 {
		t.Errorf("two endpoints: %d %s", status, raw)
	}
}

func TestMatrixInTheSignaturesOrder(t *testing.T) {
	dir := t.TempDir() + "/"
	writeNumbers(t, dir+"numbers.txt", 3, 1)
	e := delay()
	e.Variant[0].Content = "numbers.txt"
	srv, _ := startIn(t, dir, e)
	flat := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[{"name":"input-0","shape":[2,3],"datatype":"FP32","data":[0.9,0,0,0.1,0,0]}]}`)
	nested := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[{"name":"input-0","datatype":"FP32","data":[[0.9,0,0],[0.1,0,0]],"shape":[2,3]}]}`)
	if !cmp.Equal(flat.Outputs[0], nested.Outputs[0]) || flat.Outputs[0].Data[0] == flat.Outputs[0].Data[1] || len(flat.Parameters.PredictionID) != 2 {
		t.Errorf("%+v and %+v", flat, nested)
	}
}

func TestMetadata(t *testing.T) {
	srv, _ := start(t, delay())
	for path, want := range map[string]string{
		"/v2":                    `"name":"slipway"`,
		"/v2/health/live":        `"live":true`,
		"/v2/health/ready":       `"ready":true`,
		"/ping":                  `"live":true`,
		"/v2/models/delay":       `"inputs":[{"name":"air_time","datatype":"FP64","shape":[-1]},{"name":"carrier","datatype":"BYTES","shape":[-1]}`,
		"/v2/models/delay/ready": `"ready":true`,
		"/metrics":               `slipway_model_info{content="binary.txt",endpoint="delay",model="delay@v3",project="p",release="r1",role="champion"} 1`,
	} {
		if status, raw := send(t, "GET", srv.URL+path, "", ""); status != 200 || !strings.Contains(raw, want) {
			t.Errorf("%s: %d %s", path, status, raw)
		}
	}
	if status, raw := send(t, "POST", srv.URL+"/v2/repository/index", "", ""); status != 200 || !strings.Contains(raw, `{"name":"delay","version":"3","state":"READY"`) {
		t.Errorf("index: %d %s", status, raw)
	}
}

// writeNumbers writes a LightGBM model of numeric features named f0, f1, …:
// complete trees of depth 6, or stumps when there is one tree.
func writeNumbers(t testing.TB, path string, features, trees int) {
	t.Helper()
	depth := 6
	if trees == 1 {
		depth = 1
	}
	var b strings.Builder
	names, infos := []string{}, []string{}
	for f := range features {
		names, infos = append(names, fmt.Sprintf("f%d", f)), append(infos, "[0:1]")
	}
	fmt.Fprintf(&b, "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=%d\nobjective=binary sigmoid:1\nfeature_names=%s\nfeature_infos=%s\n\n", features-1, strings.Join(names, " "), strings.Join(infos, " "))
	inner := 1<<depth - 1
	for n := range trees {
		line := func(key string, count int, value func(int) any) {
			fmt.Fprintf(&b, "%s=", key)
			for i := range count {
				if i > 0 {
					b.WriteByte(' ')
				}
				fmt.Fprint(&b, value(i))
			}
			b.WriteByte('\n')
		}
		child := func(i int) any {
			if i < inner {
				return i
			}
			return -(i - inner) - 1
		}
		fmt.Fprintf(&b, "Tree=%d\nnum_leaves=%d\nnum_cat=0\n", n, inner+1)
		line("split_feature", inner, func(i int) any { return (i*7 + n*3) % features })
		line("split_gain", inner, func(int) any { return 1 })
		line("threshold", inner, func(i int) any { return math.Mod(float64(i*37+n*11)*0.0137+0.3, 1) })
		line("decision_type", inner, func(int) any { return 2 })
		line("left_child", inner, func(i int) any { return child(2*i + 1) })
		line("right_child", inner, func(i int) any { return child(2*i + 2) })
		line("leaf_value", inner+1, func(i int) any { return math.Sin(float64(i+n)) / 100 })
		line("leaf_weight", inner+1, func(int) any { return 10 })
		line("leaf_count", inner+1, func(int) any { return 10 })
		line("internal_value", inner, func(int) any { return 0 })
		line("internal_weight", inner, func(int) any { return 20 })
		line("internal_count", inner, func(i int) any { return 20 })
		fmt.Fprint(&b, "is_linear=0\nshrinkage=1\n\n\n")
	}
	b.WriteString("end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
