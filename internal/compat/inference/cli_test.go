package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/backend/predictor/trees"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/serving"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestMain lets the test binary be its own query worker, and the server of a
// benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "query-worker" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	if dir := os.Getenv(benchServer); dir != "" {
		serveBench(dir)
		return
	}
	os.Exit(m.Run())
}

// shell runs commands in a folder, against the inference address in env.
type shell struct {
	t      *testing.T
	dir    string
	env    map[string]string
	client web.Client
}

func (s *shell) run(ctx context.Context, out io.Writer, in string, args ...string) error {
	tio := term.New(strings.NewReader(in), out, io.Discard, func(string) string { return "" })
	e := &cli.Env{IO: tio, Dir: s.dir, ProjectFlag: "p", Getenv: func(name string) string { return s.env[name] },
		Client: func(context.Context) (web.Client, error) { return s.client, nil }}
	root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().BoolVar(&tio.JSON, "json", false, "")
	root.AddCommand(serving.Commands(e, serving.Local{Quick: Quick, Loaders: []predictor.Loader{trees.Loader{}},
		Handler: func(s *serving.Service) http.Handler { return Handler(s, "test", nil) },
		Check:   func() error { return nil },
		GRPC: func(s *serving.Service, who func(*http.Request) (slipway.Principal, error), l net.Listener) func(context.Context) {
			return ListenGRPC(s, "test", who, nil, nil, l)
		}})...)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func (s *shell) must(args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	if err := s.run(context.Background(), &out, "", args...); err != nil {
		s.t.Fatalf("slipway %v: %v", args, err)
	}
	return out.String()
}

func newShell(t *testing.T, inference string) *shell {
	return &shell{t: t, dir: t.TempDir(), env: map[string]string{"SLIPWAY_INFERENCE": inference}}
}

func modelPath(t *testing.T, name string) string {
	path, err := filepath.Abs(models + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServeAFile is the five minutes of somebody who has a model and nothing
// else: serve it, paste the example, ask why, stop.
func TestServeAFile(t *testing.T) {
	for _, name := range []string{"binary.txt", "multiclass.json"} {
		s := newShell(t, "")
		ctx, cancel := context.WithCancel(context.Background())
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			err := s.run(ctx, w, "", "serve", modelPath(t, name), "--listen", "127.0.0.1:0", "--json", "--log", "kept")
			_ = w.CloseWithError(io.EOF)
			ended <- err
		}()
		var info struct{ Endpoint, URL, Example string }
		if err := json.NewDecoder(r).Decode(&info); err != nil {
			t.Fatal(err, <-ended)
		}
		go io.Copy(io.Discard, r)
		if status, raw := send(t, "POST", info.URL, "", info.Example); status != 200 || !strings.Contains(raw, "prediction_id") {
			t.Errorf("the example: %d %s", status, raw)
		}
		if path, err := exec.LookPath("curl"); err == nil {
			out, err := exec.Command(path, "-s", info.URL, "-d", info.Example).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "prediction_id") {
				t.Errorf("curl: %v %s", err, out)
			}
		}
		s.env["SLIPWAY_INFERENCE"], _, _ = strings.Cut(strings.TrimPrefix(info.URL, "http://"), "/")
		if out := s.must("explain", "--row", info.Example); !strings.Contains(out, "carrier") || !strings.Contains(out, "margin") {
			t.Errorf("explain: %s", out)
		}
		if err := s.run(context.Background(), io.Discard, "", "serve", modelPath(t, name), "--listen", s.env["SLIPWAY_INFERENCE"]); !slipway.IsCode(err, slipway.Conflict) {
			t.Errorf("a port in use: %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve ended with %v", err)
		}
		if found, _ := filepath.Glob(filepath.Join(s.dir, "kept", "log", "*.log")); len(found) != 1 {
			t.Errorf("the log: %v", found)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	s := newShell(t, "")
	if err := os.WriteFile(filepath.Join(s.dir, "notes.txt"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code slipway.Code
	}{
		{[]string{"serve", "absent.txt", "--listen", "127.0.0.1:0"}, slipway.NotFound},
		{[]string{"serve", "notes.txt", "--listen", "127.0.0.1:0"}, slipway.Invalid},
		{[]string{"serve", modelPath(t, "binary.txt"), "--listen", "0.0.0.0:0"}, slipway.Invalid},
		{[]string{"serve", modelPath(t, "binary.txt"), "--listen", "nowhere"}, slipway.Invalid},
		{[]string{"predict", "delay"}, slipway.Invalid},
		{[]string{"predict", "delay", "-d", "{"}, slipway.Invalid},
		{[]string{"predict", "delay", "-d", "[1]"}, slipway.Invalid},
		{[]string{"predict", "--data", "rows.csv", "--out", "x.xlsx"}, slipway.Invalid},
		{[]string{"predict", "--data", "rows.csv", "--out", "x.csv"}, slipway.NotFound},
		{[]string{"explain"}, slipway.Invalid},
	} {
		if err := s.run(context.Background(), io.Discard, "", c.args...); !slipway.IsCode(err, c.code) {
			t.Errorf("%v: %v, want %s", c.args, err, c.code)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.env["SLIPWAY_INFERENCE"] = l.Addr().String()
	l.Close()
	if err := s.run(context.Background(), io.Discard, "", "predict", "delay", "-d", "{}"); !slipway.IsCode(err, slipway.Unavailable) {
		t.Errorf("nobody answers: %v", err)
	}
}

// TestPredictAndExplainByID asks a server on the command line, and then why.
func TestPredictAndExplainByID(t *testing.T) {
	srv, service := start(t, delay())
	s := newShell(t, srv.URL)
	api := web.NewAPI("test")
	service.Routes(api)
	s.client = web.InProcess(api.Mux, slipway.Principal{Name: "test", Role: slipway.Operator})
	out := s.must("predict", "--json", "-d", `{"carrier":"DL","hour":7,"gate":20,"air_time":150.5,"flight":"UA17"}`)
	var r reply
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for _, sealed := range []bool{false, true} {
		if sealed {
			if err := service.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		var x serving.LoggedExplanation
		if err := json.Unmarshal([]byte(s.must("explain", r.Parameters.PredictionID[0], "--json")), &x); err != nil {
			t.Fatal(err)
		}
		sum := x.Explained[0].Base
		for _, f := range x.Explained[0].Feature {
			sum += f.Value
		}
		if p := 1 / (1 + math.Exp(-sum)); math.Abs(p-r.Outputs[0].Data[0]) > 1e-6 || x.Model != "delay@v3" || len(x.Explained[0].Feature) != 4 {
			t.Errorf("sealed=%v: %+v adds up to %v, predicted %v", sealed, x, p, r.Outputs[0].Data[0])
		}
	}
	if err := s.run(context.Background(), io.Discard, "", "explain", strings.Repeat("0", 32)); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("an unknown prediction: %v", err)
	}
	if out := s.must("endpoints"); !strings.Contains(out, "delay@v3") || !strings.Contains(out, "100%") {
		t.Errorf("%s", out)
	}
}

// TestScoreAFile scores the same rows by an endpoint and by a model file.
func TestScoreAFile(t *testing.T) {
	srv, service := start(t, delay())
	s := newShell(t, srv.URL)
	var rows strings.Builder
	rows.WriteString("flight,at,carrier,hour,gate,air_time,note\n")
	const n = 5000
	for i := range n {
		fmt.Fprintf(&rows, "F%d,2013-04-0%d 05:00:00,%s,%d,%d,%d,\"a, b\"\n", i, i%9+1, []string{"DL", "UA", ""}[i%3], i%24, 10*(i%4+1), i%300)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "rows.csv"), []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("predict", "delay", "--data", "rows.csv", "--out", "a.parquet")
	s.must("predict", "--model", modelPath(t, "binary.txt"), "--data", "rows.csv", "--out", "b.parquet")
	engine := query.New(query.Options{})
	defer engine.Close()
	got, err := engine.Run(context.Background(), query.Request{
		Tables: []query.Table{{Name: "a", Files: []string{filepath.Join(s.dir, "a.parquet")}}, {Name: "b", Files: []string{filepath.Join(s.dir, "b.parquet")}}},
		SQL:    "SELECT COUNT(*), SUM(CASE WHEN a.probability = b.probability AND a.hour = b.hour THEN 1 ELSE 0 END), COUNT(DISTINCT a.prediction_id), COUNT(DISTINCT a.probability) FROM a JOIN b USING (flight)"})
	if err != nil {
		t.Fatal(err)
	}
	if r := got.Rows[0]; fmt.Sprint(r[0], r[1], r[2]) != fmt.Sprint(n, n, n) || fmt.Sprint(r[3]) == "1" {
		t.Errorf("rows, equal, ids, values: %v", r)
	}
	if st := service.Endpoints("p")[0].Variant[0]; st.Rows != n {
		t.Errorf("%d rows are logged", st.Rows)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "less.csv"), []byte("carrier,hour\nDL,7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.run(context.Background(), io.Discard, "", "predict", "delay", "--data", "less.csv", "--out", "c.parquet"); !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), "air_time") {
		t.Errorf("a missing column: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "c.parquet")); err == nil {
		t.Error("a file was left behind")
	}
}

// TestTrial serves a version as a gate wants it.
func TestTrial(t *testing.T) {
	h, path, end, err := (Trial{files{models}}).Serve(context.Background(), slipway.ModelVersion{Project: "p", Name: "delay", Version: 2, Content: "binary.txt"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	resp, err := web.InProcess(h, slipway.Principal{}).HTTP.Post("http://localhost"+path, "application/json", strings.NewReader(`{"inputs":[`+row+`]}`))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}
