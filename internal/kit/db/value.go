package db

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	slipway "github.com/slipway-ml/slipway"
)

// kind is how a value is stored.
type kind uint8

const (
	null kind = iota
	integer
	float
	text
	blob
)

func (k kind) String() string {
	return [...]string{"NULL", "an integer", "a number", "text", "bytes"}[k]
}

// value is one stored value, without a box around it.
type value struct {
	kind kind
	i    int64
	f    float64
	s    string
	b    []byte
}

// JSON passes v as JSON text: as an argument v is marshalled, and as a
// destination, JSON(&v), it is filled. NULL and empty text leave it as it is.
func JSON(v any) any { return jsonValue{v} }

type jsonValue struct{ v any }

// valueOf says how an argument is stored. It fails with Invalid for text that
// not both databases can keep, and plainly for a type that has no stored form.
func valueOf(arg any) (value, error) {
	switch a := arg.(type) {
	case nil:
		return value{}, nil
	case string:
		return textValue(a)
	case []byte:
		if a == nil {
			return value{}, nil
		}
		return value{kind: blob, b: a}, nil
	case int:
		return value{kind: integer, i: int64(a)}, nil
	case int64:
		return value{kind: integer, i: a}, nil
	case float64:
		return value{kind: float, f: a}, nil
	case bool:
		return boolValue(a), nil
	case time.Time:
		return value{kind: integer, i: micros(a)}, nil
	case jsonValue:
		b, err := json.Marshal(a.v)
		if err != nil {
			return value{}, slipway.Errorf(slipway.Invalid, "cannot be written as JSON: %v", err)
		}
		return textValue(string(b))
	case json.RawMessage:
		if a == nil {
			return value{}, nil
		}
		return textValue(string(a))
	case slipway.Ref:
		if a == (slipway.Ref{}) {
			return value{kind: text}, nil
		}
		return textValue(a.String())
	}
	return reflectValue(arg)
}

// reflectValue handles named types, pointers and text marshallers.
func reflectValue(arg any) (value, error) {
	v := reflect.ValueOf(arg)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return value{}, nil
		}
		return valueOf(v.Elem().Interface())
	}
	if m, ok := arg.(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			return value{}, err
		}
		return textValue(string(b))
	}
	switch v.Kind() {
	case reflect.String:
		return textValue(v.String())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return value{kind: integer, i: v.Int()}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() > math.MaxInt64 {
			return value{}, slipway.Errorf(slipway.Invalid, "%d is too large to store", v.Uint())
		}
		return value{kind: integer, i: int64(v.Uint())}, nil
	case reflect.Float32, reflect.Float64:
		return value{kind: float, f: v.Float()}, nil
	case reflect.Bool:
		return boolValue(v.Bool()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return valueOf(v.Bytes())
		}
	}
	return value{}, fmt.Errorf("db: %T is no argument; wrap it in db.JSON", arg)
}

// textValue refuses what Postgres cannot keep, on SQLite too.
func textValue(s string) (value, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return value{}, slipway.Errorf(slipway.Invalid, "text contains a NUL character")
	}
	if !utf8.ValidString(s) {
		return value{}, slipway.Errorf(slipway.Invalid, "text is not valid UTF-8")
	}
	return value{kind: text, s: s}, nil
}

func boolValue(b bool) value {
	if b {
		return value{kind: integer, i: 1}
	}
	return value{kind: integer}
}

// micros is t as it is stored: UTC microseconds, and 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// any is v as the plain Go value that a driver takes.
func (v value) any() any {
	switch v.kind {
	case integer:
		return v.i
	case float:
		return v.f
	case text:
		return v.s
	case blob:
		return v.b
	}
	return nil
}
