package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// askRows is how many rows of a file go in one request.
const askRows = 2048

// BatchResult is what scoring a file came to.
type BatchResult struct {
	Rows     int64    `json:"rows"`
	Endpoint string   `json:"endpoint"`
	Model    []string `json:"model"` // the versions that answered
	Out      string   `json:"out"`
	Seconds  float64  `json:"seconds"`
}

// batch scores --data by requests like anyone's, so that the same checks,
// predictors and log apply, and writes it again with the answers beside it.
func (o *predictOptions) batch(ctx context.Context, e *cli.Env, local Local, endpoint string) (err error) {
	if ext := filepath.Ext(o.out); ext != ".parquet" && ext != ".csv" {
		return slipway.Errorf(slipway.Invalid, "--out %q names no file for the answers", o.out).WithHint("name one that ends in .parquet or .csv")
	}
	if o.row != "" || o.model != "" && endpoint != "" {
		return slipway.Errorf(slipway.Invalid, "give one of -d and --data, and one of an endpoint and --model")
	}
	files, err := o.files(ctx, e, local)
	if err != nil {
		return err
	}
	c := newClient(e.Getenv)
	if o.model != "" {
		dir, err := os.MkdirTemp("", "slipway-predict-")
		if err != nil {
			return slipway.Errorf(slipway.Unavailable, "no folder for the prediction log: %v", err)
		}
		defer os.RemoveAll(dir)
		s, name, err := OpenPath(ctx, e.Path(o.model), "", dir, local.Loaders...)
		if err != nil {
			return err
		}
		defer s.Close()
		c = &client{address: "http://localhost", http: web.InProcess(local.Handler(s), slipway.Principal{Name: "caller", Role: slipway.Writer}).HTTP}
		endpoint = name
	}
	if endpoint, err = c.endpoint(ctx, endpoint); err != nil {
		return err
	}
	engine := query.New(query.Options{})
	defer engine.Close()
	b := &scoring{c: c, e: e, engine: engine, endpoint: endpoint, table: query.Table{Name: "data", Files: files}, timezone: o.time}
	result, err := b.run(ctx, e.Path(o.out))
	if err != nil {
		return err
	}
	return e.Print(result, func(w io.Writer) {
		fmt.Fprintf(w, "%s rows scored by %s in %s: %s\n", term.Count(result.Rows), strings.Join(result.Model, ", "), term.Duration(time.Duration(result.Seconds*float64(time.Second))), o.out)
	})
}

func (o *predictOptions) files(ctx context.Context, e *cli.Env, local Local) ([]string, error) {
	path := e.Path(o.data)
	if _, err := os.Stat(path); err == nil {
		return []string{path}, nil
	}
	if found, err := filepath.Glob(path); err == nil && len(found) > 0 {
		return found, nil
	}
	if local.Files != nil && strings.Contains(o.data, "@") {
		return local.Files(ctx, e, o.data)
	}
	return nil, slipway.Errorf(slipway.NotFound, "there is no file %s", o.data).WithHint("a version of a dataset is written with its number: --data flights@v3")
}

// scoring is one file being scored.
type scoring struct {
	c        *client
	e        *cli.Env
	engine   *query.Engine
	endpoint string
	table    query.Table
	timezone string
	takes    map[string]bool // columns to send; nil for all
	answers  slipway.Frame   // prediction_id and the outputs so far
	models   []string
}

func (b *scoring) run(ctx context.Context, out string) (BatchResult, error) {
	result := BatchResult{Endpoint: b.endpoint, Out: out}
	start := time.Now()
	schema, csv, err := b.engine.Describe(ctx, b.table)
	if err != nil {
		return result, err
	}
	b.table.CSV, b.table.Columns = csv, schema
	if err := b.wants(ctx, schema); err != nil {
		return result, err
	}
	counted, err := b.engine.Run(ctx, query.Request{Tables: []query.Table{b.table}, SQL: "SELECT COUNT(*) FROM data"})
	if err != nil {
		return result, err
	}
	bar := b.e.IO.Progress("predict", counted.Rows[0][0].(int64), term.Count)
	defer bar.Stop()
	request := query.Request{Tables: []query.Table{b.table}, SQL: "SELECT * FROM data", Timezone: b.timezone}
	for f, err := range b.engine.Batches(ctx, request, askRows) {
		if err == nil {
			err = b.score(ctx, f)
		}
		if err != nil {
			return result, err
		}
		bar.Set(int64(b.answers.Rows))
	}
	bar.Done()
	if err := b.write(ctx, out); err != nil {
		return result, err
	}
	result.Rows, result.Model, result.Seconds = int64(b.answers.Rows), b.models, time.Since(start).Seconds()
	return result, nil
}

// wants asks the endpoint which columns it takes, and refuses a file that
// cannot be answered before the first row is sent.
func (b *scoring) wants(ctx context.Context, schema slipway.Schema) error {
	name, _, _ := strings.Cut(b.endpoint, "@")
	raw, err := b.c.do(ctx, http.MethodGet, "/v2/models/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	var about struct {
		Inputs, Outputs []struct{ Name string }
		Parameters      struct{ Optional []string }
	}
	if err := json.Unmarshal(raw, &about); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the endpoint %s does not say what it takes: %v", b.endpoint, err)
	}
	for _, out := range append(about.Outputs, struct{ Name string }{idColumn}) {
		if schema.Index(out.Name) >= 0 {
			return slipway.Errorf(slipway.Invalid, "the data has a column %s already, which the answers would have too", out.Name).WithHint("leave it out of the file")
		}
	}
	if len(about.Inputs) == 0 {
		return nil
	}
	b.takes = map[string]bool{}
	for _, in := range about.Inputs {
		b.takes[in.Name] = true
		if schema.Index(in.Name) < 0 {
			return slipway.Errorf(slipway.Invalid, "the data has no column %q, which the model takes", in.Name)
		}
	}
	for _, name := range about.Parameters.Optional {
		b.takes[name] = true
	}
	return nil
}

// idColumn is beside the answers: what names each row in the prediction log.
const idColumn = "prediction_id"

// score asks about some rows.
func (b *scoring) score(ctx context.Context, f *slipway.Frame) error {
	r, _, err := b.c.ask(ctx, b.endpoint, "infer", b.body(f))
	if err != nil {
		from := b.answers.Rows
		var e *slipway.Error
		if errors.As(err, &e) {
			return (&slipway.Error{Code: e.Code, Message: fmt.Sprintf("among rows %d to %d: %s", from+1, from+f.Rows, e.Message)}).WithHint("%s", e.Hint)
		}
		return err
	}
	if b.answers.Series == nil {
		b.answers.Series = []slipway.Series{{Name: idColumn, Type: slipway.Text}}
		for _, t := range r.Outputs {
			s := slipway.Series{Name: t.Name, Type: slipway.Float}
			if t.Datatype == "BYTES" {
				s.Type = slipway.Text
			}
			b.answers.Series = append(b.answers.Series, s)
		}
	}
	if len(r.Parameters.Prediction) != f.Rows || len(r.Outputs) != len(b.answers.Series)-1 {
		return slipway.Errorf(slipway.Unavailable, "the endpoint answered %d of %d rows", len(r.Parameters.Prediction), f.Rows)
	}
	b.answers.Series[0].Text = append(b.answers.Series[0].Text, r.Parameters.Prediction...)
	for i, t := range r.Outputs {
		for _, v := range t.Data {
			addAnswer(&b.answers.Series[i+1], v)
		}
	}
	b.answers.Rows += f.Rows
	if n := len(b.models); n == 0 || b.models[n-1] != r.Parameters.Model {
		b.models = append(b.models, r.Parameters.Model)
	}
	return nil
}

// addAnswer appends an output as JSON gave it.
func addAnswer(s *slipway.Series, v any) {
	if s.Type == slipway.Text {
		text, ok := v.(string)
		s.Text, s.Null = append(s.Text, text), append(s.Null, !ok)
		return
	}
	x := math.NaN()
	switch v := v.(type) {
	case float64:
		x = v
	case bool:
		x = 0
		if v {
			x = 1
		}
	}
	s.Float = append(s.Float, x)
}

// body writes rows as a request.
func (b *scoring) body(f *slipway.Frame) []byte {
	out := []byte(`{"inputs":[`)
	for i := range f.Series {
		s := &f.Series[i]
		if b.takes != nil && !b.takes[s.Name] {
			continue
		}
		if out[len(out)-1] == '}' {
			out = append(out, ',')
		}
		kind := "FP64"
		if s.Text != nil || s.Type == slipway.Time || s.Type == slipway.Date {
			kind = "BYTES"
		}
		out = append(out, `{"name":`...)
		out = appendJSON(out, s.Name)
		out = append(out, `,"shape":[`...)
		out = strconv.AppendInt(out, int64(f.Rows), 10)
		out = append(out, `],"datatype":"`+kind+`","data":[`...)
		for j := range f.Rows {
			if j > 0 {
				out = append(out, ',')
			}
			out = appendCell(out, s, j)
		}
		out = append(out, "]}"...)
	}
	return append(out, "]}"...)
}

func appendJSON(b []byte, s string) []byte {
	raw, _ := json.Marshal(s) // any string marshals
	return append(b, raw...)
}

func appendCell(b []byte, s *slipway.Series, i int) []byte {
	switch {
	case s.Missing(i):
		return append(b, "null"...)
	case s.Text != nil:
		return appendJSON(b, s.Text[i])
	case s.Type == slipway.Time || s.Type == slipway.Date:
		b = append(b, '"')
		return append(time.UnixMicro(int64(s.Float[i])).UTC().AppendFormat(b, time.RFC3339Nano), '"')
	case math.IsInf(s.Float[i], 0):
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, s.Float[i], 'g', -1, 64)
}

// write puts the answers beside the rows that they belong to.
func (b *scoring) write(ctx context.Context, out string) error {
	if b.answers.Rows == 0 {
		return slipway.Errorf(slipway.Invalid, "the data has no rows")
	}
	dir, err := os.MkdirTemp("", "slipway-answers-")
	if err != nil {
		return slipway.Errorf(slipway.Unavailable, "no folder for the answers: %v", err)
	}
	defer os.RemoveAll(dir)
	answers := filepath.Join(dir, "answers.parquet")
	if err := b.engine.WriteParquet(ctx, &b.answers, answers); err != nil {
		return err
	}
	output := query.ToParquet(out)
	if filepath.Ext(out) == ".csv" {
		output = query.ToCSV(out)
	}
	_, err = b.engine.Run(ctx, query.Request{Tables: []query.Table{b.table, {Name: "answers", Files: []string{answers}}},
		SQL: "SELECT * FROM data POSITIONAL JOIN answers", Output: output, Timezone: b.timezone})
	return err
}
