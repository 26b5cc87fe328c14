// Command rows measures what looking at rows costs: the profile of a version, a
// contract of forty checks and the rows that differ between two versions, each
// in a process of its own, beside one scan of the same columns.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-ml/slipway/bench/measure"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/dataset"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "query-worker" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	log.SetFlags(0)
	rows := flag.Int("size", 10_000_000, "rows of a version")
	rounds := flag.Int("rounds", 3, "repetitions")
	dir := flag.String("dir", ".tools/bench/rows", "folder that keeps the data")
	do := flag.String("do", "", "do one thing and tell what it cost, as JSON")
	flag.Parse()
	if err := run(*dir, *rows, *rounds, *do); err != nil {
		log.Fatal(err)
	}
}

// cost is what one thing took.
type cost struct {
	CPU, Wall, Memory float64 // seconds, seconds, MB at most in the worker
	Note              string
}

var things = []struct{ name, title, want string }{
	{"scan", "one scan of all columns", ""},
	{"profile", "profile, with the exact count of keys", "<= 5 CPU-s"},
	{"contract", "contract of 40 checks", "<= 2 scans"},
	{"diff", "rows that differ, 1 % changed, by key", "<= 5 CPU-s, <= 1 GB"},
	{"whole", "rows that differ, compared whole", ""},
}

func run(dir string, rows, rounds int, do string) error {
	ctx := context.Background()
	if do != "" {
		c, err := perform(ctx, dir, do)
		if err != nil {
			return fmt.Errorf("%s: %w", do, err)
		}
		return json.NewEncoder(os.Stdout).Encode(c)
	}
	if err := generate(ctx, dir, rows); err != nil {
		return err
	}
	t := measure.NewTable(fmt.Sprintf("rows: %d × 10, Parquet, 2 threads", rows))
	for _, th := range things {
		t.Want(th.title+", CPU", th.want)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for range rounds {
		for _, th := range things {
			cmd := exec.Command(self, "-dir", dir, "-do", th.name)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("%s: %w", th.name, err)
			}
			var c cost
			if err := json.Unmarshal(out, &c); err != nil {
				return err
			}
			t.Add(th.title+", CPU", "s", "slipway", c.CPU)
			t.Add(th.title+", wall", "s", "slipway", c.Wall)
			t.Add(th.title+", memory", "MB", "slipway", c.Memory)
			if c.Note != "" {
				fmt.Println(th.name+":", c.Note)
			}
		}
	}
	t.Print(os.Stdout)
	return nil
}

// perform does one thing in a workspace of its own and measures it.
func perform(ctx context.Context, dir, do string) (cost, error) {
	w, err := open(ctx, dir)
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(w.dir)
	note, c, err := w.do(ctx, do)
	c.Note = note
	return c, err
}

const contractHead = `apiVersion: v3.1.0
kind: DataContract
schema:
  - name: trips
    quality:
`

// fortyChecks is a contract of forty checks on the ten columns.
func fortyChecks() string {
	var b strings.Builder
	b.WriteString(contractHead)
	rule := func(name, sql string, low, high float64) {
		fmt.Fprintf(&b, "      - {name: %s, type: sql, query: '%s', mustBeBetween: [%g, %g]}\n", name, sql, low, high)
	}
	b.WriteString("      - {metric: rowCount, mustBeGreaterThan: 1000}\n")
	for _, c := range []string{"distance", "air_time", "dep_delay", "hour"} {
		rule("mean of "+c, "SELECT avg("+c+") FROM {object}", -1e6, 1e6)
		rule("sum of "+c, "SELECT sum("+c+") FROM {object}", -1e15, 1e15)
	}
	rule("share delayed", "SELECT avg(CAST(delayed AS INT)) FROM {object}", 0, 1)
	rule("no long flight is short", "SELECT count(*) FROM {object} WHERE distance > 2400 AND air_time < 0", 0, 0)
	rule("hours are hours", "SELECT count(*) FROM {object} WHERE hour NOT BETWEEN 0 AND 23", 0, 0)
	rule("late ones have a delay", "SELECT count(*) FROM {object} WHERE delayed AND dep_delay > 1e6", 0, 0)
	rule("delays differ", "SELECT stddev_samp(dep_delay) FROM {object}", 1, 1e6)
	rule("short hops are short", "SELECT count(*) FROM {object} WHERE distance < 10 AND air_time > 1e6", 0, 0)
	rule("nothing from nowhere", "SELECT count(*) FROM {object} WHERE origin = carrier", 0, 0)
	b.WriteString("    properties:\n")
	for _, p := range []string{"id integer 0 20000000000", "distance integer 0 3000", "air_time number 0 2000", "dep_delay number -400 2000", "hour integer 0 23"} {
		f := strings.Fields(p)
		fmt.Fprintf(&b, "      - {name: %s, logicalType: %s, required: %t, unique: %t, logicalTypeOptions: {minimum: %s, maximum: %s}}\n", f[0], f[1], f[0] != "dep_delay", f[0] == "id", f[2], f[3])
	}
	b.WriteString("      - {name: at, logicalType: timestamp, required: true, logicalTypeOptions: {minimum: '2012-01-01T00:00:00Z'}}\n")
	b.WriteString("      - {name: delayed, logicalType: boolean, required: true}\n")
	for c, values := range map[string]string{"carrier": "AA, UA, DL, B6, WN, EV, US, '9E', MQ, VX", "origin": "EWR, JFK, LGA"} {
		fmt.Fprintf(&b, "      - {name: %s, logicalType: string, required: true, logicalTypeOptions: {minLength: 2, maxLength: 3}, quality: [{metric: invalidValues, arguments: {validValues: [%s]}, mustBe: 0}, {metric: missingValues, arguments: {missingValues: ['', NA]}, mustBe: 0}]}\n", c, values)
	}
	b.WriteString("      - {name: tail, logicalType: string, required: true, logicalTypeOptions: {pattern: '^N[0-9]+$', minLength: 2, maxLength: 6}}\n")
	return b.String()
}

// workspace is a place for versions that is thrown away.
type workspace struct {
	dir, data string
	s         *dataset.Service
	store     *content.Store
	engine    *query.Engine
}

func open(ctx context.Context, data string) (*workspace, error) {
	dir, err := os.MkdirTemp(data, "workspace-")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir, data: data, engine: query.New(query.Options{TempDir: dir})}
	if w.store, err = content.Open(filepath.Join(dir, "content"), content.Options{}); err != nil {
		return nil, err
	}
	d, err := db.Open(ctx, filepath.Join(dir, "w.db"), db.Options{Migrations: []db.Migration{dataset.Migration}})
	if err != nil {
		return nil, err
	}
	w.s = dataset.New(dataset.Options{DB: d, Content: w.store, Query: w.engine, Jobs: &web.Jobs{Lifetime: ctx}, Dir: filepath.Join(dir, "data")})
	return w, nil
}

// add makes a version of one of the files.
func (w *workspace) add(ctx context.Context, file, key string) error {
	digest, size, err := w.store.PutFile(ctx, filepath.Join(w.data, file))
	if err != nil {
		return err
	}
	tree, err := content.NewTree([]content.Entry{{Path: "trips.parquet", Digest: digest, Size: size}})
	if err != nil {
		return err
	}
	root, err := w.store.PutTree(ctx, tree)
	if err != nil {
		return err
	}
	spec := dataset.Spec{Time: "at"}
	if key != "" {
		spec.Key = []string{key}
	}
	_, err = w.s.Add(ctx, "bench", "trips", dataset.Addition{Tree: root, Spec: spec}, func(web.Progress) {})
	return err
}

// measured runs fn with a worker that is started for it.
func (w *workspace) measured(fn func() error) (c cost, err error) {
	w.engine.Close() // what came before is not counted
	self, children, wall := measure.Used(), measure.UsedByChildren(), time.Now()
	err = fn()
	w.engine.Close()
	c.Wall = time.Since(wall).Seconds()
	c.CPU = (measure.Used() - self + measure.UsedByChildren() - children).Seconds()
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u) == nil {
		c.Memory = float64(u.Maxrss) / 1024
	}
	return c, err
}

func (w *workspace) do(ctx context.Context, what string) (note string, c cost, err error) {
	key := "id"
	if what == "whole" {
		key = ""
	}
	switch what {
	case "profile":
		c, err = w.measured(func() error { return w.add(ctx, "a.parquet", key) })
		return "", c, err
	case "scan":
		c, err = w.measured(func() error {
			_, err := w.engine.Run(ctx, query.Request{Tables: []query.Table{{Name: "t", Files: []string{filepath.Join(w.data, "a.parquet")}}}, SQL: `SELECT max(COLUMNS(*)) FROM t`})
			return err
		})
		return "", c, err
	}
	if err := w.add(ctx, "a.parquet", key); err != nil {
		return "", c, err
	}
	if what == "contract" {
		c, err = w.measured(func() error {
			r, err := w.s.Check(ctx, "bench", "trips", dataset.Question{Contract: fortyChecks()})
			if r != nil {
				note = fmt.Sprintf("%d checks, %s", len(r.Checks), r.Verdict)
			}
			return err
		})
		return note, c, err
	}
	if err := w.add(ctx, "b.parquet", key); err != nil {
		return "", c, err
	}
	c, err = w.measured(func() error {
		d, err := w.s.Diff(ctx, "bench", "trips", dataset.Compare{})
		if err == nil {
			note = fmt.Sprintf("%d added, %d removed, %d changed", d.ByKey.Added, d.ByKey.Removed, d.ByKey.Changed)
		}
		return err
	})
	return note, c, err
}

const trips = `SELECT i AS id, TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_seconds(CAST(i * 3 AS BIGINT)) AS "at",
	['AA','UA','DL','B6','WN','EV','US','9E','MQ','VX'][1 + CAST(hash(i) % 10 AS INT)] AS carrier,
	['EWR','JFK','LGA'][1 + CAST(hash(i + 1) % 3 AS INT)] AS origin, 'N' || CAST(hash(i + 2) % 4000 AS VARCHAR) AS tail,
	CAST(hash(i + 3) % 2500 AS BIGINT) AS distance, CAST((hash(i + 4) % 1000000) / 1000.0 AS DOUBLE) AS air_time,
	CAST(CASE WHEN hash(i + 5) % 50 = 0 THEN NULL ELSE (hash(i + 6) % 100000) / 77.0 - 300 END AS DOUBLE) AS dep_delay,
	CAST(hash(i + 7) % 24 AS BIGINT) AS hour, hash(i + 8) % 5 = 0 AS delayed FROM range(%d) r(i)`

// changed has a third of a percent of the rows gone, as many new ones, and two
// thirds of a percent of them changed.
const changed = `SELECT id + CASE WHEN id % 300 = 7 THEN 20000000 ELSE 0 END AS id, "at", carrier, CASE WHEN id % 300 = 1 THEN 'BOS' ELSE origin END AS origin, tail,
	distance, CASE WHEN id % 300 = 2 THEN air_time + 1 ELSE air_time END AS air_time, dep_delay, hour, delayed FROM a`

// generate writes the two versions, unless they are there.
func generate(ctx context.Context, dir string, rows int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	a, b, size := filepath.Join(dir, "a.parquet"), filepath.Join(dir, "b.parquet"), filepath.Join(dir, "size")
	if have, err := os.ReadFile(size); err == nil && string(have) == fmt.Sprint(rows) {
		return nil
	}
	e := query.New(query.Options{})
	defer e.Close()
	if _, err := e.Run(ctx, query.Request{SQL: fmt.Sprintf(trips, rows), Output: query.ToParquet(a)}); err != nil {
		return err
	}
	if _, err := e.Run(ctx, query.Request{Tables: []query.Table{{Name: "a", Files: []string{a}}}, SQL: changed, Output: query.ToParquet(b)}); err != nil {
		return err
	}
	return os.WriteFile(size, []byte(fmt.Sprint(rows)), 0o644)
}
