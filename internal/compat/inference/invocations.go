package inference

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// invocations answers as MLflow's scoring server and SageMaker containers do
// (mlflow/pyfunc/scoring_server): one model, and one of five forms of rows.
// Where several endpoints are served, ?endpoint= names the one that is meant.
func (h *handler) invocations(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("endpoint")
	if name == "" {
		all := h.s.Endpoints("")
		if len(all) != 1 {
			return slipway.Errorf(slipway.NotFound, "%d endpoints are served, and /invocations is for one", len(all)).
				WithHint("name it: /invocations?endpoint=NAME")
		}
		name = all[0].Project + "/" + all[0].Name
	}
	e, err := h.s.Find(name, "")
	if err != nil {
		return err
	}
	defer e.Close()
	if err := slipway.Allow(r.Context(), slipway.Writer, e.Project()); err != nil {
		return err
	}
	return h.rows(w, r, e, false)
}

// rows answers rows in one of MLflow's forms.
func (h *handler) rows(w http.ResponseWriter, r *http.Request, e serving.Handle, explain bool) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	defer freeBody(body)
	// Counted from here: a client that sends slowly takes nobody's place.
	leave, err := h.limit.enter(slipway.PrincipalOf(r.Context()), r.RemoteAddr)
	if err != nil {
		return err
	}
	defer leave()
	start := time.Now()
	p := newParser(*body, e.Layout())
	defer p.free()
	req, err := p.invocation(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	req.Header = r.Header.Get
	req.Parse = time.Since(start)
	call := e.Answer
	if explain {
		call = e.Explain
	}
	a, err := call(r.Context(), req)
	if err != nil {
		return err
	}
	start = time.Now()
	out := append([]byte(`{"predictions": `), predictions(a.Output)...)
	if a.Explanation != nil {
		raw, err := json.Marshal(explanations(&a))
		if err != nil {
			return err
		}
		out = append(append(out, `, "explanations": `...), raw...)
	}
	if len(a.ID) > 0 {
		w.Header().Set("X-Slipway-Prediction-Id", a.ID[0].String())
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(append(out, '}'))
	a.Wrote(time.Since(start))
	return nil
}

// predictions is a list of values, or of objects when there are several outputs.
func predictions(f *slipway.Frame) []byte {
	b := []byte{'['}
	for i := range f.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		if len(f.Series) == 1 {
			b = appendValue(b, &f.Series[0], i)
			continue
		}
		b = append(b, '{')
		for j := range f.Series {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, f.Series[j].Name), ':')
			b = appendValue(b, &f.Series[j], i)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// invocation reads the body by its content type.
func (p *parser) invocation(contentType string) (*serving.Request, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if contentType == "" {
		media, err = "application/json", nil
	}
	if charset := params["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, errMedia
	}
	switch media {
	case "text/csv":
		err = p.csv()
	case "application/json", "application/x-www-form-urlencoded": // what curl -d says
		err = p.forms()
	default:
		return nil, errMedia
	}
	if err != nil {
		return nil, err
	}
	return p.request()
}

// forms reads dataframe_split, dataframe_records, instances or inputs.
func (p *parser) forms() error {
	found := 0
	err := p.each(func(key []byte) error {
		name := string(key)
		raw, err := p.skip()
		if err != nil {
			return err
		}
		switch name {
		case "params", "parameters":
			if json.Unmarshal(raw, &p.params) != nil {
				return slipway.Errorf(slipway.Invalid, "%s is no object", name)
			}
			return nil
		case "dataframe_split", "dataframe_records", "instances", "inputs":
			found++
			return p.form(name, raw)
		}
		return slipway.Errorf(slipway.Invalid, "the member %q is not understood", clip(key)).
			WithHint("send one of dataframe_split, dataframe_records, instances and inputs")
	})
	if err == nil {
		err = p.end()
	}
	if err == nil && found != 1 {
		err = slipway.Errorf(slipway.Invalid, "the body has %d of dataframe_split, dataframe_records, instances and inputs, and must have one", found)
	}
	return err
}

// form reads the rows of one form. A list of objects is records, a list of
// lists rows in the signature's order, an object columns.
func (p *parser) form(name string, raw []byte) error {
	if name == "dataframe_split" {
		var split struct {
			Columns []string            `json:"columns"`
			Data    [][]json.RawMessage `json:"data"`
		}
		if err := decode(raw, &split); err != nil {
			return err
		}
		return p.rowwise(split.Columns, split.Data)
	}
	first := (&scanner{b: raw}).peek()
	if first == '{' && name != "dataframe_records" {
		return p.columnwise(raw)
	}
	var records []map[string]json.RawMessage
	if decode(raw, &records) == nil {
		return p.records(records)
	}
	var rows [][]json.RawMessage
	if name == "dataframe_records" || decode(raw, &rows) != nil {
		return slipway.Errorf(slipway.Invalid, "%s is no list of rows", name).WithHint("write each row as an object of its columns")
	}
	return p.rowwise(nil, rows)
}

// decode reads JSON in which Python may have written NaN.
func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into); err == nil {
		return nil
	}
	err := json.Unmarshal(plainNaN(raw), into)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the rows are not understood: %v", err)
	}
	return nil
}

// plainNaN writes null for NaN outside strings.
func plainNaN(raw []byte) []byte {
	out, quoted := make([]byte, 0, len(raw)), false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quoted && c == '\\' && i+1 < len(raw):
			out = append(out, c)
			i++
			c = raw[i]
		case c == '"':
			quoted = !quoted
		case !quoted && bytes.HasPrefix(raw[i:], []byte("NaN")):
			out = append(out, "null"...)
			i += 2
			continue
		}
		out = append(out, c)
	}
	return out
}

// rowwise takes rows of values; names is nil for the signature's order.
func (p *parser) rowwise(names []string, rows [][]json.RawMessage) error {
	if names == nil {
		width := 0
		if len(rows) > 0 {
			width = len(rows[0])
		}
		if p.layout.Whole > 0 && width != p.layout.Whole {
			return slipway.Errorf(slipway.Invalid, "the rows have %d values, and the model takes %d", width, p.layout.Whole).WithHint("it takes %s", p.wanted())
		}
		for f := range width {
			if p.layout.Whole > 0 {
				names = append(names, p.layout.Field[f].Name)
			} else {
				names = append(names, strconv.Itoa(f))
			}
		}
	}
	for i, row := range rows {
		if len(row) != len(names) {
			return slipway.Errorf(slipway.Invalid, "row %d has %d values for %d columns", i+1, len(row), len(names))
		}
	}
	for f, name := range names {
		if err := p.gather(name, len(rows), func(i int) json.RawMessage { return rows[i][f] }); err != nil {
			return err
		}
	}
	return nil
}

// records takes rows as objects; what one lacks that another has is missing.
func (p *parser) records(rows []map[string]json.RawMessage) error {
	seen := map[string]bool{}
	for _, row := range rows {
		for name := range row {
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := p.gather(name, len(rows), func(i int) json.RawMessage { return rows[i][name] }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *parser) columnwise(raw []byte) error {
	var columns map[string]json.RawMessage
	if err := decode(raw, &columns); err != nil {
		return err
	}
	for name, raw := range columns {
		var values []json.RawMessage
		if json.Unmarshal(raw, &values) != nil {
			values = []json.RawMessage{raw} // a single row
		}
		if err := p.gather(name, len(values), func(i int) json.RawMessage { return values[i] }); err != nil {
			return err
		}
	}
	return nil
}

// gather reads a column from values of its own.
func (p *parser) gather(name string, rows int, value func(int) json.RawMessage) error {
	at, err := p.begin([]byte(name), "")
	if err != nil {
		return err
	}
	for i := range rows {
		raw := value(i)
		if raw == nil {
			p.column.addMissing()
			continue
		}
		if err := p.column.add(&scanner{b: raw}); err != nil {
			return err
		}
	}
	return p.put(at)
}

// csv reads a table with a header.
func (p *parser) csv() error {
	r := csv.NewReader(bytes.NewReader(p.b))
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return slipway.Errorf(slipway.Invalid, "the body is empty")
	}
	var rows [][]string
	if err == nil {
		rows, err = r.ReadAll()
	}
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "the CSV is malformed: %v", err)
	}
	for f, name := range head {
		at, err := p.begin([]byte(strings.TrimPrefix(name, "\ufeff")), "")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := p.column.addCell(row[f]); err != nil {
				return err
			}
		}
		if err := p.put(at); err != nil {
			return err
		}
	}
	return nil
}
