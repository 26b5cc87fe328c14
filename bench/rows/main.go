// Command rows measures what looking at rows costs, by the commands that a user
// types: adding a version with its profile, a contract of forty checks and the
// rows that differ between two versions, beside one scan of the same columns.
package main

import (
	"context"
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
	"github.com/slipway-ml/slipway/internal/kit/query"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "query-worker" {
		os.Exit(query.Serve(os.Stdin, os.Stdout, os.Stderr))
	}
	log.SetFlags(0)
	rows := flag.Int("size", 10_000_000, "rows of a version")
	rounds := flag.Int("rounds", 3, "repetitions")
	dir := flag.String("dir", ".tools/bench/rows", "folder that keeps the data")
	program := flag.String("slipway", "bin/slipway", "program to measure")
	flag.Parse()
	if err := run(*program, *dir, *rows, *rounds); err != nil {
		log.Fatal(err)
	}
}

func run(program, dir string, rows, rounds int) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	if err := generate(context.Background(), dir, rows); err != nil {
		return err
	}
	t := measure.NewTable(fmt.Sprintf("rows: %d x 10, Parquet, 2 threads", rows))
	t.Want("add, with profile: CPU", "profile <= 5 CPU-s")
	t.Want("contract of 40 checks: CPU", "<= 2 scans")
	t.Want("diff by key, 1 % changed: CPU", "<= 5 CPU-s")
	t.Want("diff by key, 1 % changed: memory", "<= 1000 MB")
	for range rounds {
		if err := round(t, program, dir); err != nil {
			return err
		}
	}
	t.Print(os.Stdout)
	return nil
}

// round measures every command once, in a project and a workspace of its own.
func round(t *measure.Table, program, data string) error {
	dir, err := os.MkdirTemp(data, "project-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"slipway.yaml": "project: bench\ndata:\n  trips: {path: feed/, time: at, key: id}\n  plain: {path: feed/, time: at}\n", "contract.yaml": fortyChecks()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "feed"), 0o755); err != nil {
		return err
	}
	turn := func(file string) error {
		feed := filepath.Join(dir, "feed", "trips.parquet")
		_ = os.Remove(feed) // it is not there in the first turn
		return os.Link(filepath.Join(data, file), feed)
	}
	do := func(title string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SLIPWAY_WORKSPACE="+filepath.Join(dir, "workspace"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("slipway %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		if title == "" {
			return nil
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		t.Add(title+": CPU", "s", "slipway", used.Seconds())
		t.Add(title+": wall", "s", "slipway", time.Since(begun).Seconds())
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			t.Add(title+": memory", "MB", "slipway", float64(u.Maxrss)/1024)
		}
		return nil
	}
	for _, step := range []struct {
		file, title string
		args        []string
	}{
		{"a.parquet", "add, with profile", []string{"data", "add", "trips"}},
		{"", "scan of all columns", []string{"data", "sql", "SELECT max(COLUMNS(*)) FROM trips"}},
		{"", "contract of 40 checks", []string{"data", "check", "trips", "--contract", "contract.yaml"}},
		{"", "", []string{"data", "add", "plain"}},
		{"b.parquet", "", []string{"data", "add", "trips"}},
		{"", "diff by key, 1 % changed", []string{"data", "diff", "trips"}},
		{"", "", []string{"data", "add", "plain"}},
		{"", "diff of whole rows", []string{"data", "diff", "plain"}},
	} {
		if step.file != "" {
			if err := turn(step.file); err != nil {
				return err
			}
		}
		if err := do(step.title, step.args...); err != nil {
			return err
		}
	}
	return nil
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

const trips = `SELECT i AS id, TIMESTAMPTZ '2013-01-01 00:00:00+00' + to_seconds(CAST(i * 3 AS BIGINT)) AS "at",
	['AA','UA','DL','B6','WN','EV','US','9E','MQ','VX'][1 + CAST(hash(i) %% 10 AS INT)] AS carrier,
	['EWR','JFK','LGA'][1 + CAST(hash(i + 1) %% 3 AS INT)] AS origin, 'N' || CAST(hash(i + 2) %% 4000 AS VARCHAR) AS tail,
	CAST(hash(i + 3) %% 2500 AS BIGINT) AS distance, CAST((hash(i + 4) %% 1000000) / 1000.0 AS DOUBLE) AS air_time,
	CAST(CASE WHEN hash(i + 5) %% 50 = 0 THEN NULL ELSE (hash(i + 6) %% 100000) / 77.0 - 300 END AS DOUBLE) AS dep_delay,
	CAST(hash(i + 7) %% 24 AS BIGINT) AS hour, hash(i + 8) %% 5 = 0 AS delayed FROM range(%d) r(i)`

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
