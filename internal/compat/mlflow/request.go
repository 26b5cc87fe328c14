package mlflow

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// maxBody bounds a request that is no artifact: a dataset's profile may have
// 16 MB.
const maxBody = 32 << 20

// answer wraps an endpoint: it reads the body, and writes what comes back.
func answer(fn endpoint) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(w, r)
		var out any
		if err == nil {
			out, err = fn(r.Context(), &call{r, body})
		}
		if err != nil {
			writeError(w, r, err)
			return nil
		}
		raw, ok := out.([]byte)
		if !ok {
			if raw, err = json.Marshal(out); err != nil {
				writeError(w, r, err)
				return nil
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
		_, _ = w.Write(raw) // the client is gone, and there is nobody to tell
		return nil
	}
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	if n := r.ContentLength; n >= 0 {
		b := make([]byte, n)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return nil, brokenOff(r)
		}
		return b, nil
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large := (&http.MaxBytesError{}); errors.As(err, &large) {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, brokenOff(r)
	}
	return b, nil
}

func tooLarge() error {
	return slipway.Errorf(slipway.Invalid, "the request has more than %d bytes", maxBody)
}

func brokenOff(r *http.Request) error {
	if err := r.Context().Err(); err != nil {
		return err
	}
	return slipway.Errorf(slipway.Invalid, "the request's body broke off")
}

// Int is an int64 that travels as a number or as a string of one.
type Int int64

// UnmarshalJSON reads 3, "3" and 3.0.
func (n *Int) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" {
		return nil
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = Int(v)
		return nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) >= 1<<63 {
		return &json.UnmarshalTypeError{Value: string(b), Type: reflect.TypeFor[Int]()}
	}
	*n = Int(v)
	return nil
}

// Text is a string; clients that send a number for it are understood, as by
// MLflow's JSON reader.
type Text string

// UnmarshalJSON reads "a", and 3 as "3".
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	if string(b) == "null" {
		return nil
	}
	if _, err := strconv.ParseFloat(string(b), 64); err != nil {
		return &json.UnmarshalTypeError{Value: string(b), Type: reflect.TypeFor[Text]()}
	}
	*t = Text(b)
	return nil
}

// decode reads a call's JSON body, or its query when it has none. Unknown
// fields are left alone.
func decode[T any](c *call) (in T, err error) {
	if len(c.body) == 0 {
		return in, fillQuery(reflect.ValueOf(&in).Elem(), c.URL.Query())
	}
	if err := json.Unmarshal(c.body, &in); err != nil {
		if e := (&slipway.Error{}); errors.As(err, &e) {
			return in, e
		}
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return in, invalidValue(c.body, wrong)
		}
		return in, slipway.Errorf(slipway.Invalid, "the request is not JSON: %v", err)
	}
	return in, nil
}

// invalidValue says which parameter of a body has a value of the wrong type,
// and the value, as far as it is short.
func invalidValue(body []byte, wrong *json.UnmarshalTypeError) error {
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal(body, &fields) // a body that is no object has no fields
	for name := range strings.SplitSeq(wrong.Field, ".") {
		if value, ok := fields[name]; ok {
			return slipway.Errorf(slipway.Invalid, "Invalid value %.200s for parameter '%s' supplied: it must be %s. "+
				"See the API docs for more information about request parameters.", value, name, kindName(wrong.Type))
		}
	}
	return slipway.Errorf(slipway.Invalid, "the request is %s where it must be %s", wrong.Value, kindName(wrong.Type))
}

// kindName is what a field of a type takes, in words.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int64:
		return "a 64-bit integer"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	case reflect.Bool:
		return "true or false"
	}
	return "a string"
}

// fillQuery sets the fields of a struct from a query by their JSON names.
func fillQuery(v reflect.Value, q url.Values) error {
	t := v.Type()
	for i := range t.NumField() {
		if t.Field(i).Anonymous {
			if err := fillQuery(v.Field(i), q); err != nil {
				return err
			}
			continue
		}
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		values := q[name]
		if len(values) == 0 {
			continue
		}
		f := v.Field(i)
		if f.Kind() == reflect.Pointer {
			f.Set(reflect.New(f.Type().Elem()))
			f = f.Elem()
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString(values[0])
		case reflect.Bool:
			f.SetBool(strings.EqualFold(values[0], "true"))
		case reflect.Int64:
			var n Int
			if err := n.UnmarshalJSON([]byte(values[0])); err != nil {
				return slipway.Errorf(slipway.Invalid, "Invalid value %q for parameter '%s' supplied: it must be a 64-bit integer", values[0], name)
			}
			f.SetInt(int64(n))
		case reflect.Slice:
			if f.Type().Elem().Kind() == reflect.String {
				for _, s := range values {
					f.Set(reflect.Append(f, reflect.ValueOf(s).Convert(f.Type().Elem())))
				}
			}
		}
	}
	return nil
}

// required fails with Invalid when a parameter is empty.
func required(name string, value string) error {
	if value == "" {
		return slipway.Errorf(slipway.Invalid, "Missing value for required parameter '%s'. See the API docs for more information about request parameters.", name)
	}
	return nil
}

// experimentID reads an id.
func experimentID(s Text) (int64, error) {
	if err := required("experiment_id", string(s)); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return 0, slipway.Errorf(slipway.Invalid, "Invalid experiment ID '%s'. Experiment ID must be a valid integer.", s)
	}
	return n, nil
}

func experimentIDs(all []Text) ([]int64, error) {
	out := make([]int64, len(all))
	for i, s := range all {
		var err error
		if out[i], err = experimentID(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}
