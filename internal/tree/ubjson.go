package tree

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/slipway-ml/slipway"
)

// ubj rewrites Universal Binary JSON (draft 12, ubjson.org), XGBoost's default
// format, as JSON text: numbers keep their exact value, and one reader serves
// both formats.
type ubj struct {
	in  []byte
	pos int
	out []byte
}

func jsonOfUBJ(data []byte) ([]byte, error) {
	u := &ubj{in: data, out: make([]byte, 0, min(4*len(data), maxModelBytes))}
	mark, err := u.mark()
	if err == nil {
		err = u.value(mark, 0)
	}
	if err != nil {
		return nil, err
	}
	return u.out, nil
}

func (u *ubj) fail(format string, args ...any) error {
	e := slipway.Errorf(slipway.Invalid, format, args...)
	return slipway.Errorf(slipway.Invalid, "the UBJSON is damaged at byte %d: %s", u.pos, e.Message)
}

func (u *ubj) take(n int) ([]byte, error) {
	if n < 0 || n > len(u.in)-u.pos {
		return nil, u.fail("it ends too early")
	}
	u.pos += n
	return u.in[u.pos-n : u.pos], nil
}

// mark reads the next type marker, passing over no-ops.
func (u *ubj) mark() (byte, error) {
	for {
		b, err := u.take(1)
		if err != nil || b[0] != 'N' {
			if err != nil {
				return 0, err
			}
			return b[0], nil
		}
	}
}

// integer reads an integer of the type that m marks.
func (u *ubj) integer(m byte) (int64, error) {
	size := map[byte]int{'i': 1, 'U': 1, 'I': 2, 'u': 2, 'l': 4, 'm': 4, 'L': 8}[m]
	if size == 0 {
		return 0, u.fail("%q marks no integer", m)
	}
	b, err := u.take(size)
	if err != nil {
		return 0, err
	}
	switch m {
	case 'i':
		return int64(int8(b[0])), nil
	case 'U':
		return int64(b[0]), nil
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case 'u':
		return int64(binary.BigEndian.Uint16(b)), nil
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case 'm':
		return int64(binary.BigEndian.Uint32(b)), nil
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// length reads a count: no more than the bytes left, since every element that a
// model has takes one.
func (u *ubj) length() (int, error) {
	m, err := u.mark()
	if err != nil {
		return 0, err
	}
	n, err := u.integer(m)
	if err == nil && (n < 0 || n > int64(len(u.in)-u.pos)) {
		err = u.fail("a length of %d does not fit the file", n)
	}
	return int(n), err
}

func (u *ubj) text() error {
	n, err := u.length()
	if err != nil {
		return err
	}
	b, err := u.take(n)
	if err != nil {
		return err
	}
	quoted, err := json.Marshal(string(b))
	u.out = append(u.out, quoted...)
	return err
}

func (u *ubj) value(m byte, depth int) error {
	if depth > 64 {
		return u.fail("it is nested too deeply")
	}
	switch m {
	case '{':
		return u.container(true, depth)
	case '[':
		return u.container(false, depth)
	case 'S':
		return u.text()
	case 'C':
		b, err := u.take(1)
		if err != nil {
			return err
		}
		u.out = append(u.out, strconv.Quote(string(rune(b[0]&0x7f)))...)
		return nil
	case 'Z':
		u.out = append(u.out, "null"...)
		return nil
	case 'T':
		u.out = append(u.out, "true"...)
		return nil
	case 'F':
		u.out = append(u.out, "false"...)
		return nil
	case 'd', 'D':
		return u.float(m)
	}
	n, err := u.integer(m)
	u.out = strconv.AppendInt(u.out, n, 10)
	return err
}

func (u *ubj) float(m byte) error {
	size := 32
	if m == 'D' {
		size = 64
	}
	b, err := u.take(size / 8)
	if err != nil {
		return err
	}
	v := 0.0
	if m == 'D' {
		v = math.Float64frombits(binary.BigEndian.Uint64(b))
	} else {
		v = float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	}
	if math.IsNaN(v) {
		u.out = append(u.out, "null"...) // see xgboostFloats
		return nil
	}
	if math.IsInf(v, 0) {
		return u.fail("%v is not a finite number", v)
	}
	u.out = strconv.AppendFloat(u.out, v, 'g', -1, size)
	return nil
}

// container reads an object or array: "$" may fix the type of all elements and
// "#" their number; without a number, a closing bracket ends it.
func (u *ubj) container(object bool, depth int) error {
	shut, brackets := byte(']'), "[]"
	if object {
		shut, brackets = '}', "{}"
	}
	u.out = append(u.out, brackets[0])
	var fixed byte
	count := -1
	m, err := u.mark()
	if err == nil && m == '$' {
		if fixed, err = u.mark(); err == nil {
			m, err = u.mark()
		}
		if err == nil && (m != '#' || fixed == 'Z' || fixed == 'T' || fixed == 'F') {
			return u.fail("a container of type %q needs a count and elements with content", fixed)
		}
	}
	if err == nil && m == '#' {
		count, err = u.length()
	} else {
		u.pos--
	}
	for i := 0; err == nil && i != count; i++ {
		if count < 0 {
			if m, err = u.mark(); err != nil || m == shut {
				break
			}
			u.pos--
		}
		if i > 0 {
			u.out = append(u.out, ',')
		}
		err = u.element(object, fixed, depth)
		if len(u.out) > maxModelBytes {
			return u.fail("it is larger than %d bytes as text", maxModelBytes)
		}
	}
	u.out = append(u.out, brackets[1])
	return err
}

func (u *ubj) element(object bool, fixed byte, depth int) error {
	if object {
		if err := u.text(); err != nil {
			return err
		}
		u.out = append(u.out, ':')
	}
	m := fixed
	if m == 0 {
		var err error
		if m, err = u.mark(); err != nil {
			return err
		}
	}
	return u.value(m, depth+1)
}
