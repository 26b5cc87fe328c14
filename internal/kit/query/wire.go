package query

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// A verb is what a worker is asked to do.
type verb string

const (
	verbRows     verb = "rows"
	verbFrame    verb = "frame"
	verbWrite    verb = "write"
	verbDescribe verb = "describe"
	verbSummary  verb = "summary"
)

// wireRequest is what travels to a worker: four bytes of length, then JSON.
type wireRequest struct {
	Verb      verb    `json:"verb"`
	Tables    []Table `json:"tables"`
	SQL       string  `json:"sql"`
	Params    []Param `json:"params,omitempty"`
	Format    Format  `json:"format,omitzero"`
	Path      string  `json:"path,omitempty"`
	Limit     int     `json:"limit,omitempty"`
	BatchRows int     `json:"batch_rows"`
	Timezone  string  `json:"timezone"`
	Memory    int64   `json:"memory"`
	Threads   int     `json:"threads"`
	TempDir   string  `json:"temp_dir"`

	Summary *summaryOptions `json:"summary,omitempty"`
}

// The answers of a worker: a tag, four bytes of length, then the body.
const (
	tagSchema    = 'S' // JSON slipway.Schema, once, before the batches
	tagBatch     = 'B' // see batch.encode
	tagDescribed = 'X' // JSON described
	tagSummary   = 'Z' // JSON Summary
	tagDone      = 'D' // JSON done; the last answer
	tagError     = 'E' // JSON slipway.Error; the last answer
)

// described answers verbDescribe.
type described struct {
	Schema slipway.Schema `json:"schema"`
	CSV    CSV            `json:"csv"`
}

// done ends a request that went well.
type done struct {
	Rows   int64          `json:"rows"`             // written to the output
	Schema slipway.Schema `json:"schema,omitempty"` // of the output
	Memory int64          `json:"memory"`           // bytes that the worker holds now, 0 where unknown
}

const (
	maxMessage = 1 << 30 // most bytes of a message that anybody believes
	batchBytes = 16 << 20
)

var errProtocol = slipway.Errorf(slipway.Internal, "the query worker said something unexpected")

func newWireRequest(r Request, v verb) wireRequest {
	out := wireRequest{
		Verb: v, Tables: r.Tables, SQL: r.SQL, Format: r.Output.Format, Path: r.Output.Path, Limit: r.Limit,
		BatchRows: defaultBatch, Timezone: r.Timezone, Memory: r.Memory, Threads: r.Threads,
	}
	for _, p := range r.Params {
		out.Params = append(out.Params, Param{p})
	}
	if out.Timezone == "" {
		out.Timezone = "UTC"
	}
	return out
}

// writeMessage sends body after its length and, when it is not 0, a tag.
func writeMessage(w io.Writer, tag byte, body []byte) error {
	if len(body) > maxMessage {
		return slipway.Errorf(slipway.Invalid, "one batch of rows is larger than 1 GiB").WithHint("ask for fewer columns, or leave out very long texts")
	}
	head := make([]byte, 0, 5)
	if tag != 0 {
		head = append(head, tag)
	}
	head = binary.LittleEndian.AppendUint32(head, uint32(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

func writeJSON(w io.Writer, tag byte, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeMessage(w, tag, body)
}

// readAnswer reads one tagged message into buf. Memory is taken as the bytes
// arrive, so that a false length costs nothing.
func readAnswer(r io.Reader, buf *bytes.Buffer) (tag byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	body, err = readBody(r, binary.LittleEndian.Uint32(head[1:]), buf)
	return head[0], body, err
}

// readRequest reads one message without a tag. It returns io.EOF when the
// engine is gone.
func readRequest(r io.Reader) (wireRequest, error) {
	var head [4]byte
	var out wireRequest
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return out, err
	}
	var buf bytes.Buffer
	body, err := readBody(r, binary.LittleEndian.Uint32(head[:]), &buf)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(body, &out)
}

func readBody(r io.Reader, size uint32, buf *bytes.Buffer) ([]byte, error) {
	if size > maxMessage {
		return nil, errProtocol
	}
	buf.Reset()
	n, err := io.CopyN(buf, r, int64(size))
	if err == io.EOF && n < int64(size) {
		err = io.ErrUnexpectedEOF
	}
	return buf.Bytes(), err
}

// Param is a value of the SQL's parameters on its way to the worker. JSON knows
// one kind of number and no bytes, hence the types beside the values.
type Param struct{ Value any }

type wireParam struct {
	Type  string      `json:"type"`
	Value string      `json:"value,omitempty"`
	List  []wireParam `json:"list,omitempty"`
}

// MarshalJSON fails with Invalid for a type that SQL has no value for.
func (p Param) MarshalJSON() ([]byte, error) {
	w, err := p.wire()
	if err != nil {
		return nil, err
	}
	return json.Marshal(w)
}

func (p Param) wire() (wireParam, error) {
	switch v := p.Value.(type) {
	case nil:
		return wireParam{Type: "null"}, nil
	case bool:
		return wireParam{Type: "bool", Value: strconv.FormatBool(v)}, nil
	case int:
		return wireParam{Type: "int", Value: strconv.Itoa(v)}, nil
	case int32:
		return wireParam{Type: "int", Value: strconv.FormatInt(int64(v), 10)}, nil
	case int64:
		return wireParam{Type: "int", Value: strconv.FormatInt(v, 10)}, nil
	case float32:
		return wireParam{Type: "float", Value: strconv.FormatUint(math.Float64bits(float64(v)), 16)}, nil
	case float64:
		return wireParam{Type: "float", Value: strconv.FormatUint(math.Float64bits(v), 16)}, nil
	case string:
		return wireParam{Type: "text", Value: v}, nil
	case []byte:
		return wireParam{Type: "bytes", Value: base64.StdEncoding.EncodeToString(v)}, nil
	case time.Time:
		return wireParam{Type: "time", Value: strconv.FormatInt(v.UnixMicro(), 10)}, nil
	case []string:
		return wireList("texts", v)
	case []int64:
		return wireList("ints", v)
	case []float64:
		return wireList("floats", v)
	}
	return wireParam{}, slipway.Errorf(slipway.Invalid, "a value of type %T cannot be a parameter of SQL", p.Value)
}

func wireList[T any](name string, list []T) (wireParam, error) {
	out := wireParam{Type: name}
	for _, v := range list {
		w, err := Param{v}.wire()
		if err != nil {
			return out, err
		}
		out.List = append(out.List, w)
	}
	return out, nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Param) UnmarshalJSON(b []byte) error {
	var w wireParam
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	v, err := w.value()
	p.Value = v
	return err
}

func (w wireParam) value() (any, error) {
	switch w.Type {
	case "null":
		return nil, nil
	case "bool":
		return strconv.ParseBool(w.Value)
	case "int":
		return strconv.ParseInt(w.Value, 10, 64)
	case "float":
		bits, err := strconv.ParseUint(w.Value, 16, 64)
		return math.Float64frombits(bits), err
	case "text":
		return w.Value, nil
	case "bytes":
		return base64.StdEncoding.DecodeString(w.Value)
	case "time":
		micros, err := strconv.ParseInt(w.Value, 10, 64)
		return time.UnixMicro(micros).UTC(), err
	case "texts":
		return listOf[string](w.List)
	case "ints":
		return listOf[int64](w.List)
	case "floats":
		return listOf[float64](w.List)
	}
	return nil, errProtocol
}

func listOf[T any](list []wireParam) ([]T, error) {
	out := make([]T, len(list))
	for i, w := range list {
		v, err := w.value()
		if err != nil {
			return nil, err
		}
		one, ok := v.(T)
		if !ok {
			return nil, errProtocol
		}
		out[i] = one
	}
	return out, nil
}
