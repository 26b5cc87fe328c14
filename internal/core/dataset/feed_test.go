package dataset_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/jackc/pgx/v5"

	"github.com/slipway-ml/slipway"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func inUTF16(text string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// However the same rows are written, they are the same rows.
func TestFormsOfFiles(t *testing.T) {
	plain := "id,town,km\n1,Zürich,2.5\n2,Málaga,3\n"
	latin := strings.NewReplacer("ü", "\xfc", "á", "\xe1").Replace(plain)
	forms := map[string]string{
		"plain.csv": plain, "packed.csv.gz": gzipped(t, plain), "semicolon.csv": strings.ReplaceAll(plain, ",", ";"),
		"tab.tsv": strings.ReplaceAll(plain, ",", "\t"), "bar.csv": strings.ReplaceAll(plain, ",", "|"),
		"mark.csv": "\xef\xbb\xbf" + plain, "latin.csv": latin, "wide.csv": inUTF16(plain), "widepacked.csv.gz": gzipped(t, inUTF16(plain)),
		"windows.csv":     strings.ReplaceAll(plain, "\n", "\r\n"),
		"lines.jsonl":     `{"id":1,"town":"Zürich","km":2.5}` + "\n" + `{"id":2,"town":"Málaga","km":3}` + "\n",
		"packed.jsonl.gz": gzipped(t, `{"id":1,"town":"Zürich","km":2.5}`+"\n"+`{"id":2,"town":"Málaga","km":3}`+"\n"),
	}
	each(t, func(t *testing.T, w *world) {
		for file, text := range forms {
			name := strings.NewReplacer(".", "-").Replace(file)
			w.write("in/"+file, text)
			w.does("data", "add", name, "in/"+file)
			out := w.does("data", "sql", `SELECT string_agg(town, '+' ORDER BY id) AS towns, sum(km) AS km, sum(id) AS ids FROM "`+name+`"`, "--json")
			if !strings.Contains(out, "Zürich+Málaga") || !strings.Contains(out, "5.5") {
				t.Errorf("%s: %s", file, out)
			}
		}
		for i := range 3 {
			w.write(fmt.Sprintf("many/a-%d.csv", i), fmt.Sprintf("id,x\n%d,1\n", i))
		}
		w.write("many/b.csv", "id,x\n9,9\n")
		w.does("data", "add", "globbed", "many/a-*.csv")
		if v := w.newest("globbed"); v.Rows != 3 || v.Files != 3 {
			t.Errorf("a pattern: %d rows in %d files", v.Rows, v.Files)
		}
	})
}

// A command's rows are added; later only those that are new, by time or by key.
func TestIncrementalCommand(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write("slipway.yaml", `project: default
data:
  events:
    path: data/events/
    time: at
    key: id
    contract: events.yaml
    source: {command: "cat rows.csv; echo \"$SLIPWAY_SINCE\" >> since.txt", incremental: time}
`)
		w.write("events.yaml", `apiVersion: v3.1.0
kind: DataContract
schema:
  - name: events
    properties:
      - name: id
        required: true
      - name: x
        quality: [{metric: nullValues, mustBe: 0}]
`)
		rows := "id,at,x\n1,2026-01-01 10:00:00,5\n2,2026-01-02 10:00:00,6\n"
		w.write("rows.csv", rows)
		w.does("data", "add", "events")
		if v := w.newest("events"); v.Rows != 2 || !strings.Contains(v.Message, "cat rows.csv") {
			t.Fatalf("%d rows, %q", v.Rows, v.Message)
		}
		contains(t, w.does("data", "add", "events"), "no new version")
		w.write("rows.csv", rows+"3,2026-01-03 10:00:00,7\n")
		w.does("data", "add", "events")
		if v := w.newest("events"); v.Rows != 3 || v.Number != 2 || v.Change.Rows != 1 || v.Files != 2 {
			t.Errorf("v%d: %d rows in %d files", v.Number, v.Rows, v.Files)
		}
		since, err := os.ReadFile(filepath.Join(w.dir, "since.txt"))
		if err != nil || !strings.HasPrefix(string(since), "\n2026-01-02T10:00:00") {
			t.Errorf("the command was told %q, %v", since, err)
		}
		w.write("rows.csv", rows+"4,2026-01-04 10:00:00,\n")
		contains(t, w.fails(slipway.Refused, "broke its contract", "data", "add", "events"), "x")
		if v := w.newest("events"); v.Number != 2 {
			t.Errorf("a refused batch became v%d", v.Number)
		}
		contains(t, w.does("data", "quarantine"), "events")
	})
}

func TestIncrementalByKey(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		add := []string{"data", "add", "orders", "--from", "exec:cat orders.jsonl", "--format", "json", "--incremental", "key", "--key", "id"}
		w.write("orders.jsonl", `{"id":"a","n":1}`+"\n"+`{"id":"b","n":2}`+"\n")
		w.does(add...)
		w.write("orders.jsonl", `{"id":"b","n":2}`+"\n"+`{"id":"c","n":3}`+"\n"+`{"id":"a","n":1}`+"\n")
		w.does(add...)
		contains(t, w.does("data", "sql", "SELECT string_agg(id, '' ORDER BY id) AS ids, sum(n) AS n FROM orders", "--json"), `"abc"`, "6")
		contains(t, w.does(add...), "no new version")
	})
}

func TestCommandsThatFail(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.fails(slipway.Invalid, "exit status 4", "data", "add", "x", "--from", "exec:echo no such table >&2; exit 4")
		w.fails(slipway.Invalid, "no files", "data", "add", "x", "--from", "exec:true")
		w.fails(slipway.Invalid, "password", "data", "add", "x", "--from", "postgres://u:geheim@h/d", "--query", "SELECT 1")
		w.fails(slipway.Invalid, "--query belongs", "data", "add", "x", "--from", "$DB")
		w.fails(slipway.Invalid, "is not set", "data", "add", "x", "--from", "$NOWHERE", "--query", "SELECT 1")
		w.fails(slipway.Invalid, "names no source", "data", "add", "x", "--from", "ftp://h/x")
		w.does("data", "add", "made", "--from", `exec:printf 'a\n1\n' > "$SLIPWAY_OUT/one.csv"; printf 'a\n2\n' > "$SLIPWAY_OUT/two.csv"`)
		if v := w.newest("made"); v.Files != 2 || v.Rows != 2 {
			t.Errorf("%d rows in %d files", v.Rows, v.Files)
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "slipway-fetch-*")); len(left) > 0 {
			t.Errorf("fetched files were left in %v", left)
		}
	})
}

func TestBucketSource(t *testing.T) {
	eachRemote(t, func(t *testing.T, w, _ *world, address string) {
		if !strings.HasPrefix(address, "s3://") {
			address = "file://" + address
		}
		b, err := openBucket(address)
		if err != nil {
			t.Fatal(err)
		}
		for key, text := range map[string]string{"2026/a.csv": "id,x\n1,2\n", "2026/b.csv": "id,x\n2,3\n", "notes.txt": "hello"} {
			if err := b.Put(t.Context(), key, strings.NewReader(text), int64(len(text))); err != nil {
				t.Fatal(err)
			}
		}
		before, settings, ok := strings.Cut(address, "?")
		if ok {
			settings = "?" + settings
		}
		from := before + "/*.csv" + settings
		w.does("data", "add", "lake", "--from", from)
		if v := w.newest("lake"); v.Files != 2 || v.Rows != 2 || strings.Contains(v.Message, "@") {
			t.Errorf("%d rows in %d files, %q", v.Rows, v.Files, v.Message)
		}
		contains(t, w.does("data", "add", "lake", "--from", from), "no new version")
		contains(t, w.does("data", "ls", "lake"), "2026/a.csv")
		w.fails(slipway.NotFound, "no objects", "data", "add", "lake", "--from", before+"/*.parquet"+settings)
	})
}

func TestPostgresSource(t *testing.T) {
	address := os.Getenv("SLIPWAY_TEST_POSTGRES")
	if address == "" {
		t.Skip("SLIPWAY_TEST_POSTGRES is not set")
	}
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	schema := fmt.Sprintf("feed_%d", os.Getpid())
	run := func(sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), strings.ReplaceAll(sql, "orders", schema+".orders")); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE SCHEMA " + schema)
	defer func() { run("DROP SCHEMA " + schema + " CASCADE"); _ = c.Close(t.Context()) }()
	run("CREATE TABLE orders (id bigint, note text, price numeric, at timestamptz)")
	run(`INSERT INTO orders VALUES (1, 'a, "b"', 2.5, '2026-01-01 10:00+01'), (2, NULL, 3, '2026-01-02 10:00Z'), (3, '', 4, '2026-01-03Z')`)
	each(t, func(t *testing.T, w *world) {
		w.env["DB"] = address
		w.write("slipway.yaml", "project: default\ndata:\n  sales:\n    path: data/sales/\n    time: at\n    source:\n      postgres: $DB\n      query: SELECT * FROM "+schema+".orders WHERE at >= {since} ORDER BY id\n      incremental: time\n")
		w.does("data", "add", "sales")
		contains(t, w.does("data", "sql", "SELECT count(*) AS n, sum(price) AS p, min(\"at\") AS first, max(CASE WHEN id = 1 THEN note END) AS note FROM sales", "--json"), "9.5", "2026-01-01T09:00:00Z", `a, \"b\"`)
		contains(t, w.does("data", "add", "sales"), "no new version")
		run("INSERT INTO orders VALUES (4, 'x', 1, '2026-02-01Z')")
		w.does("data", "add", "sales")
		if v := w.newest("sales"); v.Rows != 4 || v.Number != 2 {
			t.Errorf("v%d has %d rows", v.Number, v.Rows)
		}
		run("DELETE FROM orders WHERE id = 4")
		w.fails(slipway.Invalid, "read-only", "data", "add", "bad", "--from", "$DB", "--query", "DELETE FROM "+schema+".orders RETURNING *")
		w.fails(slipway.Invalid, "does not exist", "data", "add", "bad", "--from", "$DB", "--query", "SELECT * FROM nowhere_at_all")
		w.env["DB"] = "postgres://u:geheim@127.0.0.1:1/d"
		out, err := w.slipway("data", "add", "bad", "--from", "$DB", "--query", "SELECT 1")
		if !slipway.IsCode(err, slipway.Unavailable) || strings.Contains(out+err.Error(), "geheim") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
