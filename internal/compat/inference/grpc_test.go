package inference

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/inference/oip"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// startRPC answers for s over gRPC; the token "operator" makes an operator of a
// caller, and callers without one are writers.
func startRPC(t testing.TB, s *serving.Service, limit ...*Limiter) (oip.GRPCInferenceServiceClient, string) {
	t.Helper()
	return startWatched(t, s, slices.Concat(limit, []*Limiter{nil})[0], nil)
}

func startWatched(t testing.TB, s *serving.Service, limit *Limiter, watch *Watch) (oip.GRPCInferenceServiceClient, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := &web.Door{Anyone: slipway.Principal{Name: "anyone", Role: slipway.Writer}, Token: func(_ *http.Request, token string) (slipway.Principal, error) {
		if token != "operator" {
			return slipway.Principal{}, slipway.Errorf(slipway.Unauthenticated, "the token is not known")
		}
		return slipway.Principal{Name: "o", Role: slipway.Operator}, nil
	}}
	stop := ListenGRPC(s, "test", door.Caller, limit, watch, l)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stop(ctx)
	})
	return oip.NewGRPCInferenceServiceClient(conn), l.Addr().String()
}

func contents(name, kind string, c *oip.InferTensorContents) *oip.ModelInferRequest_InferInputTensor {
	return &oip.ModelInferRequest_InferInputTensor{Name: name, Datatype: kind, Shape: []int64{1}, Contents: c}
}

// rpcRow is the row that the constant of the same name spells in JSON.
func rpcRow() *oip.ModelInferRequest {
	return &oip.ModelInferRequest{ModelName: "delay", Inputs: []*oip.ModelInferRequest_InferInputTensor{
		contents("air_time", "FP64", &oip.InferTensorContents{Fp64Contents: []float64{150.5}}),
		contents("carrier", "BYTES", &oip.InferTensorContents{BytesContents: [][]byte{[]byte("DL")}}),
		contents("hour", "INT64", &oip.InferTensorContents{Int64Contents: []int64{7}}),
		contents("gate", "INT32", &oip.InferTensorContents{IntContents: []int32{20}}),
	}}
}

func raw(parts ...any) (out [][]byte) {
	for _, p := range parts {
		var b bytes.Buffer
		if text, ok := p.(string); ok {
			_ = binary.Write(&b, binary.LittleEndian, uint32(len(text)))
			p = []byte(text)
		}
		_ = binary.Write(&b, binary.LittleEndian, p)
		out = append(out, b.Bytes())
	}
	return out
}

func rawRow() *oip.ModelInferRequest {
	in := rpcRow()
	for _, t := range in.Inputs {
		t.Contents = nil
	}
	in.RawInputContents = raw(150.5, "DL", int64(7), int32(20))
	return in
}

func TestGRPCAnswersAsREST(t *testing.T) {
	srv, s := start(t, delay())
	c, _ := startRPC(t, s)
	want := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+row+`]}`).Outputs[0].Data[0]
	in := rpcRow()
	in.Id, in.ModelVersion = "seven", "3"
	in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "probability"}}
	in.Parameters = map[string]*oip.InferParameter{
		"flight":  {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "UA17"}},
		"at":      {ParameterChoice: &oip.InferParameter_StringParam{StringParam: "2013-04-01T05:15:00-04:00"}},
		"explain": {ParameterChoice: &oip.InferParameter_BoolParam{BoolParam: true}},
	}
	got, err := c.ModelInfer(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*oip.ModelInferResponse_InferOutputTensor{}
	for _, o := range got.Outputs {
		byName[o.Name] = o
	}
	if got.Id != "seven" || got.ModelVersion != "3" || byName["probability"].Contents.Fp64Contents[0] != want || len(byName["shap_values"].Contents.Fp64Contents) != 4 {
		t.Errorf("%v", got)
	}
	if got.Parameters["release"].GetStringParam() != "r1" || len(got.Parameters["prediction_id"].GetStringParam()) != 32 {
		t.Errorf("%v", got.Parameters)
	}
	got, err = c.ModelInfer(t.Context(), rawRow())
	if err != nil {
		t.Fatal(err)
	}
	if p := math.Float64frombits(binary.LittleEndian.Uint64(got.RawOutputContents[0])); p != want || got.Outputs[0].Contents != nil || got.Outputs[0].Datatype != "FP64" {
		t.Errorf("%v, want %v", got, want)
	}
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := false
	for g, err := range s.Segments(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range g.Batches() {
			i := slices.Index(b.Key, "UA17")
			found = found || err == nil && i >= 0 && b.Time[i].Format("15:04") == "09:15"
		}
	}
	if !found {
		t.Error("the key of the call is not in the log")
	}
}

func TestGRPCRefuses(t *testing.T) {
	_, s := start(t, delay())
	c, _ := startRPC(t, s)
	for name, x := range map[string]struct {
		change func(*oip.ModelInferRequest)
		code   codes.Code
		says   string
	}{
		"no endpoint": {func(in *oip.ModelInferRequest) { in.ModelName = "nobody" }, codes.NotFound, "nobody"},
		"no version":  {func(in *oip.ModelInferRequest) { in.ModelVersion = "9" }, codes.NotFound, "version 9"},
		"a column absent": {func(in *oip.ModelInferRequest) {
			in.Inputs, in.RawInputContents = in.Inputs[:2], in.RawInputContents[:2]
		}, codes.InvalidArgument, `"hour" is missing`},
		"twice":          {func(in *oip.ModelInferRequest) { in.Inputs[1] = in.Inputs[0] }, codes.InvalidArgument, `"air_time" is there twice`},
		"too few bytes":  {func(in *oip.ModelInferRequest) { in.RawInputContents[0] = []byte{1, 2, 3} }, codes.InvalidArgument, `"air_time" has 3 bytes`},
		"text cut":       {func(in *oip.ModelInferRequest) { in.RawInputContents[1] = []byte{9, 0, 0, 0, 'D'} }, codes.InvalidArgument, `"carrier" breaks off`},
		"shape":          {func(in *oip.ModelInferRequest) { in.Inputs[0].Shape = []int64{2} }, codes.InvalidArgument, "[2]"},
		"negative shape": {func(in *oip.ModelInferRequest) { in.Inputs[0].Shape = []int64{-1} }, codes.InvalidArgument, "-1"},
		"raw and typed": {func(in *oip.ModelInferRequest) {
			in.Inputs[0].Contents = &oip.InferTensorContents{Fp64Contents: []float64{1}}
		}, codes.InvalidArgument, "raw_input_contents"},
		"too few raw": {func(in *oip.ModelInferRequest) { in.RawInputContents = in.RawInputContents[:1] }, codes.InvalidArgument, "1 raw_input_contents for 4"},
		"no datatype": {func(in *oip.ModelInferRequest) { in.Inputs[0].Datatype = "FLOAT" }, codes.InvalidArgument, "FLOAT"},
		"wrong field": {func(in *oip.ModelInferRequest) {
			in.RawInputContents, in.Inputs = nil, rpcRow().Inputs
			in.Inputs[0].Contents = &oip.InferTensorContents{Fp32Contents: []float32{1}}
		}, codes.InvalidArgument, `"air_time" is FP64`},
		"no output": {func(in *oip.ModelInferRequest) {
			in.Outputs = []*oip.ModelInferRequest_InferRequestedOutputTensor{{Name: "x"}}
		}, codes.InvalidArgument, `no output "x"`},
	} {
		in := rawRow()
		x.change(in)
		_, err := c.ModelInfer(t.Context(), in)
		if status.Code(err) != x.code || !strings.Contains(status.Convert(err).Message(), x.says) {
			t.Errorf("%s: %v, want %v: %s", name, err, x.code, x.says)
		}
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer wrong")
	if _, err := c.ModelInfer(ctx, rawRow()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestGRPCRepository(t *testing.T) {
	_, s := start(t, delay())
	c, _ := startRPC(t, s)
	live, err := c.ServerLive(t.Context(), &oip.ServerLiveRequest{})
	if err != nil || !live.Live {
		t.Fatal(live, err)
	}
	m, err := c.ModelMetadata(t.Context(), &oip.ModelMetadataRequest{Name: "delay"})
	if err != nil || len(m.Inputs) != 4 || m.Versions[0] != "3" || m.Inputs[0].Shape[0] != -1 {
		t.Errorf("%v %v", m, err)
	}
	unload := &oip.RepositoryModelUnloadRequest{ModelName: "delay"}
	if _, err := c.RepositoryModelUnload(t.Context(), unload); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a writer unloaded: %v", err)
	}
	operator := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer operator")
	if _, err := c.RepositoryModelUnload(operator, unload); err != nil {
		t.Fatal(err)
	}
	if ready, err := c.ModelReady(t.Context(), &oip.ModelReadyRequest{Name: "delay"}); err != nil || ready.Ready {
		t.Errorf("an unloaded model: %v %v", ready, err)
	}
	if _, err := c.ModelInfer(t.Context(), rawRow()); status.Code(err) != codes.Unavailable {
		t.Errorf("an unloaded model: %v", err)
	}
	if ready, err := c.ServerReady(t.Context(), &oip.ServerReadyRequest{}); err != nil || !ready.Ready {
		t.Errorf("the server: %v %v", ready, err)
	}
	if _, err := c.RepositoryModelLoad(operator, &oip.RepositoryModelLoadRequest{ModelName: "delay"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ModelInfer(t.Context(), rawRow()); err != nil {
		t.Error(err)
	}
	if _, err := c.RepositoryModelLoad(operator, &oip.RepositoryModelLoadRequest{ModelName: "nobody"}); status.Code(err) != codes.NotFound {
		t.Errorf("nobody: %v", err)
	}
}

// TestBinaryTensors sends and asks for tensors behind the JSON.
func TestBinaryTensors(t *testing.T) {
	srv, _ := start(t, delay())
	want := infer(t, srv, "/v2/models/delay/infer", `{"inputs":[`+row+`]}`).Outputs[0].Data[0]
	head := `{"inputs":[{"name":"air_time","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}},
		{"name":"carrier","datatype":"BYTES","shape":[1,1],"parameters":{"binary_data_size":6}},
		{"name":"hour","shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":1}},
		{"name":"gate","shape":[1],"datatype":"INT64","data":[20]}],"outputs":[{"name":"probability","parameters":{"binary_data":true}}]}`
	tail := bytes.Join(raw(float32(150.5), "DL", uint8(7)), nil)
	post := func(length string, body []byte) (*http.Response, []byte) {
		req, _ := http.NewRequest("POST", srv.URL+"/v2/models/delay/infer", bytes.NewReader(body))
		req.Header.Set(headerLength, length)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, raw
	}
	body := append([]byte(head), tail...)
	resp, got := post(strconv.Itoa(len(head)), body)
	n, _ := strconv.Atoi(resp.Header.Get(headerLength))
	if resp.StatusCode != 200 || n == 0 || len(got) != n+8 || math.Float64frombits(binary.LittleEndian.Uint64(got[n:])) != want {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	if !json.Valid(got[:n]) || !bytes.Contains(got[:n], []byte(`"binary_data_size":8`)) {
		t.Errorf("%s", got[:n])
	}
	for name, c := range map[string]struct {
		length string
		body   []byte
	}{
		"more than the body": {"100000", body}, "negative": {"-1", body}, "no number": {"ten", body},
		"bytes left over": {strconv.Itoa(len(head)), append(body[:len(body):len(body)], 0)},
		"bytes missing":   {strconv.Itoa(len(head)), body[:len(body)-1]},
		"only bytes":      {"0", tail},
	} {
		if resp, got := post(c.length, c.body); resp.StatusCode != 400 || !json.Valid(got) {
			t.Errorf("%s: %d %s", name, resp.StatusCode, got)
		}
	}
}

func TestHalf(t *testing.T) {
	for bits, want := range map[uint16]float64{0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 1: math.Ldexp(1, -24), 0x3555: 0.333251953125, 0x7c00: math.Inf(1), 0xfc00: math.Inf(-1)} {
		if got := half(bits); got != want {
			t.Errorf("%04x is %v, want %v", bits, got, want)
		}
	}
	if !math.IsNaN(half(0x7e00)) {
		t.Error("7e00 is a number")
	}
}

// TestKServeV1 answers instances behind a colon.
func TestKServeV1(t *testing.T) {
	srv, _ := start(t, delay())
	body := `{"instances":[{"air_time":150.5,"carrier":"DL","hour":7,"gate":20}]}`
	status, got := send(t, "POST", srv.URL+"/v1/models/delay:predict", "application/json", body)
	var out struct {
		Predictions  []float64
		Explanations struct {
			Base []float64
			Rows []struct{ Values [][]float64 }
		}
	}
	if status != 200 || json.Unmarshal([]byte(got), &out) != nil || len(out.Predictions) != 1 {
		t.Fatalf("%d %s", status, got)
	}
	status, got = send(t, "POST", srv.URL+"/v1/models/delay:explain", "application/json", body)
	if status != 200 || json.Unmarshal([]byte(got), &out) != nil || len(out.Explanations.Rows) != 1 {
		t.Fatalf("%d %s", status, got)
	}
	sum := out.Explanations.Base[0]
	for _, v := range out.Explanations.Rows[0].Values[0] {
		sum += v
	}
	if p := 1 / (1 + math.Exp(-sum)); math.Abs(p-out.Predictions[0]) > 1e-6 {
		t.Errorf("the attributions add up to %v, and the answer is %v", p, out.Predictions[0])
	}
	for path, want := range map[string]int{"/v1/models/delay": 200, "/v1/models": 200, "/v1/models/nobody": 404, "/v1/models/delay:predict": 405} {
		if status, got := send(t, "GET", srv.URL+path, "", ""); status != want {
			t.Errorf("GET %s: %d %s", path, status, got)
		}
	}
	if status, got := send(t, "POST", srv.URL+"/v1/models/delay:train", "application/json", body); status != 404 {
		t.Errorf("%d %s", status, got)
	}
}

// TestPublicClients runs the clients that people have, unmodified.
func TestPublicClients(t *testing.T) {
	python := os.Getenv("SLIPWAY_TEST_PYTHON")
	if python == "" {
		t.Skip("SLIPWAY_TEST_PYTHON names no Python with tritonclient; `make test` makes one")
	}
	if err := exec.Command(python, "-c", "import tritonclient.grpc, tritonclient.http").Run(); err != nil {
		t.Skip("this Python has no tritonclient")
	}
	rest, s := start(t, delay())
	want := infer(t, rest, "/v2/models/delay/infer", `{"inputs":[`+row+`]}`).Outputs[0].Data[0]
	h := Handler(s, "test", nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(slipway.WithPrincipal(r.Context(), slipway.Principal{Name: "o", Role: slipway.Operator})))
	}))
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := ListenGRPC(s, "test", (&web.Door{Anyone: slipway.Principal{Name: "o", Role: slipway.Operator}}).Caller, nil, nil, l)
	defer stop(t.Context())
	cmd := exec.CommandContext(t.Context(), python, "testdata/clients.py", srv.Listener.Addr().String(), l.Addr().String(), "delay", strconv.FormatFloat(want, 'g', -1, 64))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("answered")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// FuzzWire holds the reader of protobuf to the generated code: what that reads,
// this answers the same; what is malformed is refused and nothing panics.
func FuzzWire(f *testing.F) {
	_, s := start(f, delay())
	h, err := s.Find("delay", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(h.Close)
	for _, in := range []*oip.ModelInferRequest{rpcRow(), rawRow(), {ModelName: "delay"}} {
		b, _ := proto.Marshal(in)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w := &wireRequest{}
		if err := w.read(body); err != nil {
			if proto.Unmarshal(body, &oip.ModelInferRequest{}) == nil {
				t.Fatalf("refused what protobuf reads: %v", err)
			}
			return
		}
		p := newParser(nil, h.Layout())
		defer p.free()
		req, err := p.wire(w)
		if err != nil {
			if !slipway.IsCode(err, slipway.Invalid) {
				t.Fatal(err)
			}
			return
		}
		for i := range req.Column {
			if c := &req.Column[i]; c.Name != "" && len(c.Float)+len(c.Text) != req.Rows {
				t.Fatalf("column %s has %d values for %d rows", c.Name, len(c.Float)+len(c.Text), req.Rows)
			}
		}
		a, err := h.Answer(t.Context(), req)
		if err != nil {
			return
		}
		out, err := appendWire(nil, "delay", p, &a, len(w.raw) > 0)
		if err == nil {
			if err := proto.Unmarshal(out, &oip.ModelInferResponse{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
