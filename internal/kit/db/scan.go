package db

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// into copies v to a destination pointer. NULL needs a destination that can
// say so: a pointer to a pointer, *any, *[]byte, *json.RawMessage or JSON.
func (v value) into(dst any) error {
	switch d := dst.(type) {
	case *string:
		return set(d, v.text)
	case *int64:
		return set(d, v.int)
	case *int:
		n, err := v.int()
		*d = int(n)
		return err
	case *float64:
		return set(d, v.float)
	case *bool:
		n, err := v.int()
		*d = n != 0
		return err
	case *time.Time:
		n, err := v.int()
		*d = fromMicros(n)
		return err
	case *[]byte:
		return set(d, v.bytes)
	case *any:
		*d = v.any()
		return nil
	case *json.RawMessage:
		b, err := v.bytes()
		*d = b
		return err
	case optional:
		if v.kind == null {
			return nil
		}
		return v.into(d.dst)
	case jsonValue:
		b, err := v.bytes()
		if err != nil || len(b) == 0 {
			return err
		}
		return json.Unmarshal(b, d.v)
	case *slipway.Ref:
		s, err := v.text()
		if err != nil || s == "" {
			*d = slipway.Ref{}
			return err
		}
		return d.UnmarshalText([]byte(s))
	}
	return v.reflectInto(dst)
}

// optional is a destination that NULL leaves as it is.
type optional struct{ dst any }

// reflectInto handles named types, optional values and text unmarshallers.
func (v value) reflectInto(dst any) error {
	p := reflect.ValueOf(dst)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("%T is no destination; pass a pointer", dst)
	}
	e := p.Elem()
	if e.Kind() == reflect.Pointer {
		if v.kind == null {
			e.SetZero()
			return nil
		}
		fresh := reflect.New(e.Type().Elem())
		e.Set(fresh)
		return v.into(fresh.Interface())
	}
	if u, ok := dst.(encoding.TextUnmarshaler); ok {
		s, err := v.text()
		if err != nil {
			return err
		}
		return u.UnmarshalText([]byte(s))
	}
	return v.kindInto(e, dst)
}

func (v value) kindInto(e reflect.Value, dst any) error {
	switch e.Kind() {
	case reflect.String:
		s, err := v.text()
		e.SetString(s)
		return err
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int, reflect.Int64:
		n, err := v.int()
		if err == nil && e.OverflowInt(n) {
			return fmt.Errorf("%d does not fit into %s", n, e.Type())
		}
		e.SetInt(n)
		return err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := v.int()
		if err == nil && (n < 0 || e.OverflowUint(uint64(n))) {
			return fmt.Errorf("%d does not fit into %s", n, e.Type())
		}
		e.SetUint(uint64(n))
		return err
	case reflect.Float32, reflect.Float64:
		f, err := v.float()
		e.SetFloat(f)
		return err
	case reflect.Bool:
		n, err := v.int()
		e.SetBool(n != 0)
		return err
	case reflect.Slice:
		if e.Type().Elem().Kind() == reflect.Uint8 {
			b, err := v.bytes()
			e.SetBytes(b)
			return err
		}
	}
	return fmt.Errorf("%T is no destination; wrap it in db.JSON", dst)
}

// set stores what get returns.
func set[T any](dst *T, get func() (T, error)) error {
	x, err := get()
	*dst = x
	return err
}

func (v value) text() (string, error) {
	switch v.kind {
	case text:
		return v.s, nil
	case blob:
		return string(v.b), nil
	}
	return "", v.mismatch("text")
}

func (v value) int() (int64, error) {
	switch {
	case v.kind == integer:
		return v.i, nil
	// Postgres sums integers into NUMERIC, which arrives here as a number. The
	// bounds are the exact range of int64: 2^63 itself does not fit.
	case v.kind == float && v.f == math.Trunc(v.f) && v.f >= -1<<63 && v.f < 1<<63:
		return int64(v.f), nil
	}
	return 0, v.mismatch("an integer")
}

func (v value) float() (float64, error) {
	switch {
	case v.kind == float:
		return v.f, nil
	case v.kind == integer:
		return float64(v.i), nil
	case v.kind == text && v.s == nanText:
		return math.NaN(), nil
	}
	return 0, v.mismatch("a number")
}

func (v value) bytes() ([]byte, error) {
	switch v.kind {
	case null:
		return nil, nil
	case blob:
		return v.b, nil
	case text:
		return []byte(v.s), nil
	}
	return nil, v.mismatch("bytes")
}

func (v value) mismatch(want string) error {
	if v.kind == null {
		return fmt.Errorf("it is NULL, not %s; scan into a pointer", want)
	}
	return fmt.Errorf("it holds %s, not %s", v.kind, want)
}
