package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/compat/inference/oip"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// opaque hides that a model whose name begins with "opaque:" explains itself.
type opaque struct{ files }

func (o opaque) Load(ctx context.Context, project string, name slipway.Digest, s *slipway.Signature) (predictor.Model, error) {
	rest, hidden := strings.CutPrefix(string(name), "opaque:")
	m, err := o.files.Load(ctx, project, slipway.Digest(rest), s)
	if hidden && err == nil {
		return struct{ predictor.Model }{m}, nil
	}
	return m, err
}

func (o opaque) Version(_ context.Context, _, model string) (slipway.Digest, slipway.Signature, error) {
	if !strings.HasSuffix(model, "@v3") {
		return "", slipway.Signature{}, slipway.Errorf(slipway.NotFound, "there is no %s", model)
	}
	return "binary.txt", slipway.Signature{}, nil
}

// Learned is what the model was trained on, as far as these tests know.
func (o opaque) Learned(context.Context, string, string) (*slipway.Frame, error) {
	f := &slipway.Frame{Rows: 40, Series: []slipway.Series{{Name: "air_time", Type: slipway.Float}, {Name: "carrier", Type: slipway.Text},
		{Name: "hour", Type: slipway.Int}, {Name: "gate", Type: slipway.Int}}}
	for i := range f.Rows {
		f.Series[0].Float = append(f.Series[0].Float, float64(20*i))
		f.Series[1].Text = append(f.Series[1].Text, []string{"DL", "UA", "AA"}[i%3])
		f.Series[2].Float = append(f.Series[2].Float, float64(i%24))
		f.Series[3].Float = append(f.Series[3].Float, float64(i))
	}
	return f, nil
}

// explaining serves the model of delay as it is, and as "blind" without reasons of
// its own.
func explaining(t *testing.T) (*httptest.Server, *serving.Service) {
	know := opaque{files{models}}
	s, err := serving.New(t.Context(), serving.Options{Dir: t.TempDir(), Loader: know, Versions: know, Background: know})
	if err != nil {
		t.Fatal(err)
	}
	blind := delay()
	blind.Name, blind.Variant = "blind", []slipway.Variant{{Release: "r2", Role: slipway.Champion, Model: "blind@v1", Content: "opaque:binary.txt"}}
	if err := s.Publish(t.Context(), slipway.Manifest{Number: 1, Endpoint: []slipway.Endpoint{delay(), blind}}); err != nil {
		t.Fatal(err)
	}
	a := web.NewAPI("test")
	s.Routes(a)
	a.Mux.Handle("/", Handler(s, "test", nil))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.Mux.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "test", Role: slipway.Writer})))
	}))
	t.Cleanup(func() {
		srv.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return srv, s
}

const two = `"inputs":[{"name":"air_time","shape":[2],"datatype":"FP64","data":[150.5,20]},{"name":"carrier","shape":[2],"datatype":"BYTES","data":["DL","UA"]},
	{"name":"hour","shape":[2],"datatype":"INT64","data":[7,19]},{"name":"gate","shape":[2],"datatype":"INT64","data":[20,3]}]`

// explained is a reply with its explanation.
type explained struct {
	Parameters struct {
		Explanation *explanationHead `json:"explanation"`
	} `json:"parameters"`
	tensor map[string][]float64
	shape  map[string]string
}

func ask(t *testing.T, srv *httptest.Server, path, explain string) explained {
	t.Helper()
	status, raw := send(t, "POST", srv.URL+path, "application/json", `{"parameters":{"explain":`+explain+`},`+two+`}`)
	if status != 200 {
		t.Fatalf("%s %s: %d %s", path, explain, status, raw)
	}
	out := explained{tensor: map[string][]float64{}, shape: map[string]string{}}
	var tensors reply
	if json.Unmarshal([]byte(raw), &out) != nil || json.Unmarshal([]byte(raw), &tensors) != nil {
		t.Fatalf("%s", raw)
	}
	for _, o := range tensors.Outputs {
		out.tensor[o.Name], out.shape[o.Name] = o.Data, fmt.Sprint(o.Shape)
	}
	return out
}

// addsUp holds base and values of each explained row to the answer, to which link
// leads.
func (x explained) addsUp(t *testing.T, link func(float64) float64) {
	t.Helper()
	rows := x.Parameters.Explanation.Explained
	if rows == nil {
		rows = []int{0, 1}
	}
	for i, r := range rows {
		sum := x.tensor["shap_base"][0]
		for _, v := range x.tensor["shap_values"][4*i : 4*i+4] {
			sum += v
		}
		if got, want := link(sum), x.tensor["probability"][r]; math.Abs(got-want) > 1e-6 {
			t.Errorf("row %d adds up to %v, and the answer is %v", r, got, want)
		}
	}
}

func sigmoid(x float64) float64  { return 1 / (1 + math.Exp(-x)) }
func identity(x float64) float64 { return x }

const own = `[{"air_time":100,"carrier":"UA","hour":12,"gate":10},{"air_time":300,"carrier":"DL","hour":6,"gate":30}]`

// TestWaysToExplain asks for every way over HTTP, and holds each to what it says
// of itself.
func TestWaysToExplain(t *testing.T) {
	srv, _ := explaining(t)
	for name, c := range map[string]struct {
		endpoint, explain, method, space string
		link                             func(float64) float64
	}{
		"its own":             {"delay", `true`, predictor.MethodPath, predictor.Margin, sigmoid},
		"its own, said twice": {"delay", `{}`, predictor.MethodPath, predictor.Margin, sigmoid},
		"training rows":       {"delay", `{"method":"interventional","background":8}`, predictor.MethodBackground, predictor.Margin, sigmoid},
		"rows of the request": {"delay", `{"background_rows":` + own + `}`, predictor.MethodBackground, predictor.Margin, sigmoid},
		"probabilities":       {"delay", `{"space":"prediction","background":8}`, predictor.MethodBackground, predictor.PredictionSpace, identity},
		"pairs":               {"delay", `{"interactions":true}`, predictor.MethodPath, predictor.Margin, sigmoid},
		"as text":             {"delay", `"{\"space\":\"prediction\"}"`, predictor.MethodBackground, predictor.PredictionSpace, identity},
		"sampled":             {"blind", `true`, predictor.MethodPermute, predictor.PredictionSpace, identity},
		"kernel":              {"blind", `{"method":"kernel","background_rows":` + own + `}`, predictor.MethodKernel, predictor.PredictionSpace, identity},
		"kernel of trees":     {"delay", `{"method":"kernel"}`, predictor.MethodKernel, predictor.PredictionSpace, identity},
	} {
		for _, path := range []string{"/v2/models/" + c.endpoint + "/infer", "/v2/models/" + c.endpoint + "/explain"} {
			t.Run(name+path, func(t *testing.T) {
				x := ask(t, srv, path, c.explain)
				about := x.Parameters.Explanation
				if about.Method != c.method || about.Space != c.space || x.shape["shap_values"] != "[2 1 4]" {
					t.Fatalf("%+v %v", about, x.shape)
				}
				x.addsUp(t, c.link)
				sampled := c.method == predictor.MethodPermute || c.method == predictor.MethodKernel
				if _, there := x.tensor["shap_error"]; there != sampled {
					t.Errorf("errors are there: %t", there)
				}
				if _, there := x.tensor["shap_interactions"]; there != (name == "pairs") {
					t.Errorf("interactions are there: %t", there)
				}
				if (about.Background != "") != (c.method == predictor.MethodBackground) {
					t.Errorf("the background is %q", about.Background)
				}
			})
		}
	}
	all := ask(t, srv, "/v2/models/delay/explain", `{"interactions":true}`)
	for i, v := range all.tensor["shap_values"] {
		sum := 0.0
		for _, pair := range all.tensor["shap_interactions"][4*i : 4*i+4] {
			sum += pair
		}
		if math.Abs(sum-v) > 1e-6 {
			t.Errorf("the interactions of value %d add up to %v, not %v", i, sum, v)
		}
	}
}

// TestExplainOnlyWhere: a filter chooses the rows whose reasons are worth their
// time.
func TestExplainOnlyWhere(t *testing.T) {
	srv, s := explaining(t)
	p := ask(t, srv, "/v2/models/delay/infer", `false`)
	if p.Parameters.Explanation != nil || len(p.tensor) != 1 {
		t.Fatalf("%+v", p)
	}
	first, second := p.tensor["probability"][0], p.tensor["probability"][1]
	between := (first + second) / 2
	if first == second {
		t.Fatal("both rows have one answer")
	}
	above := 0
	if second > first {
		above = 1
	}
	for filter, want := range map[string][]int{
		fmt.Sprintf("probability > %v", between):                  {above},
		fmt.Sprintf("probability <= %v", between):                 {1 - above},
		"probability < 0":                                         nil,
		"carrier = 'UA' AND hour >= 19":                           {1},
		"carrier IN ('UA', 'DL') AND probability >= 0":            {0, 1},
		fmt.Sprintf("probability > %v AND hour != 20", between-1): {0, 1},
	} {
		raw, _ := json.Marshal(filter)
		x := ask(t, srv, "/v2/models/delay/infer", string(raw))
		about := x.Parameters.Explanation
		if len(want) == 0 {
			if about != nil || x.tensor["shap_values"] != nil {
				t.Errorf("%s: %+v", filter, about)
			}
			continue
		}
		if fmt.Sprint(about.Explained) != fmt.Sprint(want) || len(x.tensor["shap_values"]) != 4*len(want) {
			t.Errorf("%s: rows %v, want %v", filter, about.Explained, want)
		}
		x.addsUp(t, sigmoid)
	}
	c, _ := startRPC(t, s)
	in := rpcRow()
	in.Parameters = map[string]*oip.InferParameter{"explain": {ParameterChoice: &oip.InferParameter_StringParam{StringParam: `{"space":"prediction","when":"hour = 7"}`}}}
	got, err := c.ModelInfer(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var about explanationHead
	if err := json.Unmarshal([]byte(got.Parameters["explanation"].GetStringParam()), &about); err != nil || about.Space != predictor.PredictionSpace || len(about.Explained) != 1 {
		t.Errorf("%+v %v", about, err)
	}
}

func TestExplainRefuses(t *testing.T) {
	srv, _ := explaining(t)
	for explain, says := range map[string]string{
		`"probability >"`:                              "numeric value",
		`"nobody > 1"`:                                 "nobody",
		`"carrier LIKE 'U%'"`:                          "LIKE",
		`{"method":"guess"}`:                           "guess",
		`{"space":"outer"}`:                            "outer",
		`{"mehtod":"kernel"}`:                          "mehtod",
		`{"rows":[{"hour":1}]}`:                        "rows to explain",
		`{"background":99999}`:                         "up to",
		`{"background_rows":[{"hour":1}]}`:             "air_time",
		`{"interactions":true,"space":"prediction"}`:   "interactions",
		`{"method":"permutation","rounds":1000}`:       "rounds",
		`17`:                                           "explain is not understood",
		`{"method":"permutation","interactions":true}`: "interactions",
	} {
		if status, got := send(t, "POST", srv.URL+"/v2/models/delay/infer", "application/json", `{"parameters":{"explain":`+explain+`},`+two+`}`); status != 400 || !strings.Contains(got, says) {
			t.Errorf("%s: %d %s", explain, status, got)
		}
	}
}

// TestKServeExplainsByParameters: the alias takes the same wishes.
func TestKServeExplainsByParameters(t *testing.T) {
	srv, _ := explaining(t)
	body := `{"instances":[{"air_time":150.5,"carrier":"DL","hour":7,"gate":20}],"parameters":{"explain":{"method":"kernel","background_rows":` + own + `}}}`
	status, got := send(t, "POST", srv.URL+"/v1/models/blind:explain", "application/json", body)
	var out struct {
		Explanations struct {
			explanationHead
			Rows []explainedRow
		}
	}
	if status != 200 || json.Unmarshal([]byte(got), &out) != nil || len(out.Explanations.Rows) != 1 || len(out.Explanations.Rows[0].Errors) != 1 || out.Explanations.Method != predictor.MethodKernel {
		t.Errorf("%d %s", status, got)
	}
}

// TestAttributionOverHTTP asks the operations behind the interface's plots.
func TestAttributionOverHTTP(t *testing.T) {
	srv, _ := explaining(t)
	base := srv.URL + "/api/v1/projects/p/model-versions/delay@v3/attribution"
	status, got := send(t, "POST", base, "application/json", `{"rows":`+own+`,"space":"prediction","background":10}`)
	var x serving.Attribution
	if status != 200 || json.Unmarshal([]byte(got), &x) != nil || len(x.Value) != 2 || x.Background == "" || x.Space != predictor.PredictionSpace {
		t.Fatalf("%d %s", status, got)
	}
	status, got = send(t, "GET", base+"?rows=20&feature=hour", "", "")
	var g serving.GlobalAttribution
	if status != 200 || json.Unmarshal([]byte(got), &g) != nil || g.Rows != 20 || len(g.Output) != 1 || len(g.Output[0].Feature) != 4 || len(g.Output[0].Point) != 20 {
		t.Fatalf("%d %s", status, got)
	}
	for url, want := range map[string]int{base + "?feature=nobody": 404, strings.Replace(base, "delay@v3", "delay@v9", 1): 404, base + "?rows=99999": 400} {
		if status, got := send(t, "GET", url, "", ""); status != want {
			t.Errorf("%s: %d %s", url, status, got)
		}
	}
	if status, got := send(t, "POST", base, "application/json", `{"rows":[{"hour":1}]}`); status != 400 || !strings.Contains(got, "air_time") {
		t.Errorf("%d %s", status, got)
	}
}
