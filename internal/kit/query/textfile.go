package query

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	slipway "github.com/slipway-ml/slipway"
)

// The encodings of text files. Windows-1252 holds all printable characters of
// latin-1 at the same places.
const (
	encodingUTF8  = "utf-8"
	encodingUTF16 = "utf-16"
	encoding1252  = "windows-1252"
)

// Detect finds out the format of a file from its first bytes and, where they
// leave a doubt, its name. It fails with NotFound, and with Invalid for a
// format that cannot be read.
func Detect(path string) (Format, error) {
	f, err := openData(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := firstBytes(f, 64<<10)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	base := strings.ToLower(filepath.Base(path))
	for _, known := range []struct{ magic, is, hint string }{
		{"PK\x03\x04", "a ZIP archive or an Excel workbook", "save it as CSV, or unpack it"},
		{"\xd0\xcf\x11\xe0", "an old Excel workbook", "save it as CSV"},
		{"\x28\xb5\x2f\xfd", "compressed with Zstandard", "decompress it, or use gzip"},
		{"BZh", "compressed with bzip2", "decompress it, or use gzip"},
		{"\xfd7zXZ", "compressed with xz", "decompress it, or use gzip"},
		{"ARROW1", "an Arrow or Feather file", "write it as Parquet: df.to_parquet(…)"},
		{"ORC", "an ORC file", "write it as Parquet"},
		{"Obj\x01", "an Avro file", "write it as Parquet"},
		{"\x89HDF", "an HDF5 file", "write it as Parquet: df.to_parquet(…)"},
	} {
		// Three letters may begin a CSV file too.
		if bytes.HasPrefix(head, []byte(known.magic)) && (len(known.magic) > 3 || strings.HasSuffix(base, strings.ToLower(known.magic)) || strings.HasSuffix(base, ".bz2")) {
			return "", slipway.Errorf(slipway.Invalid, "%s is %s, which cannot be read as a table", filepath.Base(path), known.is).WithHint("%s", known.hint)
		}
	}
	if bytes.HasPrefix(head, []byte("PAR1")) {
		return FormatParquet, nil
	}
	if isGzip(head) {
		if z, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
			// The sample ends in the middle of the stream, which is no error here.
			head, _ = firstBytes(z, 4<<10)
		}
		base = strings.TrimSuffix(base, ".gz")
	}
	if strings.HasSuffix(base, ".parquet") {
		return "", slipway.Errorf(slipway.Invalid, "%s is not a Parquet file", filepath.Base(path)).WithHint("it may be damaged or only half copied")
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(text) > 0 && (text[0] == '{' || text[0] == '[' && !strings.HasSuffix(base, ".csv")) {
		return FormatJSON, nil
	}
	return FormatCSV, nil
}

func isGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// firstBytes reads up to n bytes.
func firstBytes(r io.Reader, n int) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, int64(n))
	if err == io.EOF {
		err = nil
	}
	return b.Bytes(), err
}

// openData opens a regular file.
func openData(path string) (*os.File, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, slipway.Errorf(slipway.NotFound, "%s does not exist", path)
	case errors.Is(err, os.ErrPermission):
		return nil, slipway.Errorf(slipway.Denied, "%s may not be read", path)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = slipway.Errorf(slipway.Invalid, "%s is a folder", path).WithHint("list the files in it")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// textFile is a file of text as DuckDB will read it, and its beginning.
type textFile struct {
	shown    string // the file that the user named
	path     string // that, or a copy in UTF-8
	gzip     bool
	encoding string // what it was written in
	head     []byte // the first bytes, decompressed, in UTF-8, without byte order mark; ends with a whole line
	whole    bool   // head is all there is
}

// openText looks at the first limit bytes of a text file. A file in another
// encoding than UTF-8 is copied to folder in UTF-8 first, whole.
func openText(path, encoding, folder string, limit int) (*textFile, error) {
	out := &textFile{shown: path, path: path, encoding: strings.ToLower(encoding)}
	if err := out.read(limit); err != nil {
		return nil, err
	}
	switch out.encoding {
	case "":
		out.encoding = guessEncoding(out.head, out.whole)
	case encodingUTF8, "utf8":
		out.encoding = encodingUTF8
	case "utf16", "utf-16le", "utf-16be", encodingUTF16:
		out.encoding = encodingUTF16
	case "latin-1", "latin1", "iso-8859-1", "cp1252", encoding1252:
		out.encoding = encoding1252
	default:
		return nil, slipway.Errorf(slipway.Invalid, "the encoding %q is not known", encoding).WithHint("known are utf-8, utf-16 and windows-1252 (latin-1)")
	}
	if out.encoding != encodingUTF8 {
		if err := out.toUTF8(folder); err != nil {
			return nil, fmt.Errorf("convert %s to UTF-8: %w", path, err)
		}
		if err := out.read(limit); err != nil {
			return nil, err
		}
	}
	if bytes.IndexByte(out.head, '\n') < 0 && bytes.IndexByte(out.head, '\r') >= 0 {
		if err := out.copyTo(folder, oldMacToLF); err != nil {
			return nil, fmt.Errorf("convert the lines of %s: %w", path, err)
		}
		if err := out.read(limit); err != nil {
			return nil, err
		}
	}
	out.head = bytes.TrimPrefix(out.head, []byte("\xef\xbb\xbf"))
	if !out.whole {
		if end := bytes.LastIndexByte(out.head, '\n'); end >= 0 {
			out.head = out.head[:end+1]
		}
	}
	return out, nil
}

// open gives the decompressed bytes of the file.
func (t *textFile) open() (io.ReadCloser, error) {
	f, err := openData(t.path)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewReaderSize(f, 256<<10)
	magic, err := buffered.Peek(2)
	if err != nil && err != io.EOF {
		f.Close()
		return nil, fmt.Errorf("read %s: %w", t.shown, err)
	}
	if t.gzip = isGzip(magic); !t.gzip {
		return readCloser{buffered, f}, nil
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		f.Close()
		return nil, t.damaged(err)
	}
	return readCloser{z, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

func (t *textFile) damaged(err error) error {
	return slipway.Errorf(slipway.Invalid, "%s is not a whole gzip file: %v", filepath.Base(t.shown), err).WithHint("it may be damaged or only half copied")
}

// read fills head from path.
func (t *textFile) read(limit int) error {
	r, err := t.open()
	if err != nil {
		return err
	}
	defer r.Close()
	t.head, err = firstBytes(r, limit+1)
	if err != nil && t.gzip {
		return t.damaged(err)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", t.shown, err)
	}
	if t.whole = len(t.head) <= limit; !t.whole {
		t.head = t.head[:limit]
	}
	return nil
}

// guessEncoding tells UTF-16 by its mark, UTF-8 by its rules, and takes
// whatever follows neither for Windows-1252.
func guessEncoding(head []byte, whole bool) string {
	if bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff}) {
		return encodingUTF16
	}
	if !whole {
		// The sample may end inside a character.
		for i := 1; i <= utf8.UTFMax && i <= len(head); i++ {
			if last := head[len(head)-i:]; utf8.RuneStart(last[0]) {
				if !utf8.FullRune(last) {
					head = head[:len(head)-i]
				}
				break
			}
		}
	}
	if utf8.Valid(head) {
		return encodingUTF8
	}
	return encoding1252
}

// toUTF8 copies the file into folder in UTF-8 and reads the copy from then on.
func (t *textFile) toUTF8(folder string) error {
	if t.encoding == encodingUTF16 {
		return t.copyTo(folder, fromUTF16)
	}
	return t.copyTo(folder, from1252)
}

// copyTo makes a changed copy of the file in folder, which is read from then on.
func (t *textFile) copyTo(folder string, change func(*bufio.Writer, *bufio.Reader) error) error {
	in, err := t.open()
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := os.CreateTemp(folder, "copy-*.csv")
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 256<<10)
	if err = change(out, bufio.NewReaderSize(in, 256<<10)); err == nil {
		err = out.Flush()
	}
	t.path, t.gzip = f.Name(), false
	return err
}

// crlfToLF ends every line in LF: DuckDB wants all lines of a file to end alike.
func crlfToLF(w *bufio.Writer, r *bufio.Reader) error {
	return eachByte(r, func(b byte) error {
		if b == '\r' {
			if next, err := r.Peek(1); err == nil && next[0] == '\n' {
				return nil
			}
		}
		return w.WriteByte(b)
	})
}

// oldMacToLF is for files whose lines end in CR alone.
func oldMacToLF(w *bufio.Writer, r *bufio.Reader) error {
	return eachByte(r, func(b byte) error {
		if b == '\r' {
			b = '\n'
		}
		return w.WriteByte(b)
	})
}

func eachByte(r *bufio.Reader, fn func(byte) error) error {
	for {
		b, err := r.ReadByte()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = fn(b)
		}
		if err != nil {
			return err
		}
	}
}

// windows1252 are the characters 0x80 to 0x9f, where it differs from latin-1;
// the five that it leaves open keep their latin-1 meaning.
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

func from1252(w *bufio.Writer, r *bufio.Reader) error {
	return eachByte(r, func(b byte) error {
		c := rune(b)
		if b >= 0x80 && b <= 0x9f {
			c = windows1252[b-0x80]
		}
		_, err := w.WriteRune(c)
		return err
	})
}

func fromUTF16(w *bufio.Writer, r *bufio.Reader) error {
	var order binary.ByteOrder = binary.LittleEndian
	var unit [2]byte
	first, lead := true, rune(0)
	for {
		_, err := io.ReadFull(r, unit[:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		c := rune(order.Uint16(unit[:]))
		switch {
		case first && c == 0xfffe:
			order = binary.BigEndian
		case first && c == 0xfeff:
		case utf16.IsSurrogate(c) && lead == 0:
			lead = c
		case lead != 0:
			c, lead = utf16.DecodeRune(lead, c), 0
			fallthrough
		default:
			if _, err := w.WriteRune(c); err != nil {
				return err
			}
		}
		first = false
	}
}
