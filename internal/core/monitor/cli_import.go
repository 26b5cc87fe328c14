package monitor

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// importFlags are the flags of `slipway monitor import`.
type importFlags struct {
	plan      ImportPlan
	task      string
	window    string
	reference string
	ignore    []string
}

func importCommand(e *cli.Env) *cobra.Command {
	var o importFlags
	cmd := &cobra.Command{
		Use: "import FILE...", Short: "Look at the request log of a service that runs already", Args: cobra.MinimumNArgs(1),
		Long: `Read the log of a service that runs elsewhere (CSV, JSON lines or Parquet, a row a
request) and report drift, feeds that stood still, and quality where it holds
labels. Nothing else is needed, no slipway.yaml either. The rest of the log is
compared with rows of their own (--reference) or with its first days. What was
imported stays, as an endpoint by the name of the file.`,
		Example: `  slipway monitor import requests.csv --time at --prediction score --label churned
  slipway monitor import today.parquet --reference training.parquet --time at`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, e, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.plan.Name, "name", "", "name of the endpoint (default: of the file)")
	f.StringVar(&o.plan.Time, "time", "", "column of when a request came")
	f.StringVar(&o.plan.Key, "key", "", "column that names a row; it is no feature")
	f.StringSliceVar(&o.plan.Prediction, "prediction", nil, "column of the prediction; one a class for several classes")
	f.StringVar(&o.plan.Label, "label", "", "column of the truth")
	f.StringVar(&o.task, "task", "", "binary, multiclass or regression (default: found out)")
	f.StringVar(&o.reference, "reference", "", "file of rows that the log is compared with")
	f.IntVar(&o.plan.Reference, "reference-days", 0, "compare with that many first days (default: the first half, at most 90)")
	f.StringVar(&o.window, "window", "1d", "length of a window, in whole days")
	f.StringVar(&o.plan.Timezone, "timezone", "UTC", "time zone of the days, and of times without one")
	f.StringSliceVar(&o.ignore, "ignore", nil, "columns that are no features")
	_ = cmd.MarkFlagRequired("time")
	return cmd
}

func (o *importFlags) run(cmd *cobra.Command, e *cli.Env, args []string) error {
	window, err := slipway.ParseDuration(o.window)
	if err != nil {
		return err
	}
	o.plan.Window = max(1, int(math.Ceil(window.Hours()/24)))
	o.plan.Task = slipway.Task(o.task)
	if o.task != "" && !slices.Contains([]slipway.Task{slipway.BinaryTask, slipway.Multiclass, slipway.Regression}, o.plan.Task) {
		return slipway.Errorf(slipway.Invalid, "%q is not a task", o.task).WithHint("choose binary, multiclass or regression")
	}
	if o.plan.Name == "" {
		o.plan.Name = strings.TrimSuffix(filepath.Base(args[0]), filepath.Ext(args[0]))
	}
	c, projectName, err := e.Connect(cmd)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "slipway-import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "log.parquet")
	if err := o.normalise(cmd, e, args, path); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	plan, err := json.Marshal(o.plan)
	if err != nil {
		return err
	}
	resp, err := c.Stream(cmd.Context(), http.MethodPost, "/api/v1/projects/"+url.PathEscape(projectName)+"/monitor/import?plan="+url.QueryEscape(string(plan)), file)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var report ImportReport
	if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
		return slipway.Errorf(slipway.Unavailable, "the server's report broke off")
	}
	return e.Print(report, func(w io.Writer) { showImport(w, e.IO, report) })
}

// normalise reads the user's files, however they are written, and writes one
// Parquet file: the time as a time, and reference rows marked.
func (o *importFlags) normalise(cmd *cobra.Command, e *cli.Env, args []string, out string) error {
	engine := query.New(query.Options{})
	defer engine.Close()
	ctx := cmd.Context()
	log := query.Table{Name: "log"}
	for _, a := range args {
		log.Files = append(log.Files, e.Path(a))
	}
	columns, csv, err := engine.Describe(ctx, log)
	if err != nil {
		return err
	}
	log.Columns, log.CSV = columns, csv
	at := columns.Index(o.plan.Time)
	if at < 0 {
		return slipway.Errorf(slipway.Invalid, "the log has no column %s", o.plan.Time).WithHint("its columns are %s; name the one with --time", strings.Join(columns.Names(), ", "))
	}
	list, err := o.list(columns)
	if err != nil {
		return err
	}
	request := query.Request{Tables: []query.Table{log}, Timezone: o.plan.Timezone, Output: query.ToParquet(out), SQL: "SELECT " + list + " FROM log"}
	switch {
	case o.reference != "":
		o.plan.Reference = 0
		reference := query.Table{Name: "reference", Files: []string{e.Path(o.reference)}}
		also, err := o.referenceList(cmd, engine, reference, columns)
		if err != nil {
			return err
		}
		request.Tables = append(request.Tables, reference)
		request.SQL = "SELECT " + list + ", 0 AS " + ReferenceColumn + " FROM log UNION ALL BY NAME SELECT " + also + ", 1 AS " + ReferenceColumn + " FROM reference"
	case o.plan.Reference == 0:
		if o.plan.Reference, err = o.firstHalf(cmd, engine, log, columns[at]); err != nil {
			return err
		}
	}
	_, err = engine.Run(ctx, request)
	return err
}

// referenceList is what of a reference file the log has too. Predictions and
// labels are not needed there.
func (o *importFlags) referenceList(cmd *cobra.Command, engine *query.Engine, t query.Table, log slipway.Schema) (string, error) {
	columns, _, err := engine.Describe(cmd.Context(), t)
	if err != nil {
		return "", err
	}
	if columns.Index(o.plan.Time) < 0 {
		return "", slipway.Errorf(slipway.Invalid, "the reference has no column %s", o.plan.Time).
			WithHint("without times nobody knows how much days differ by themselves; its columns are %s", strings.Join(columns.Names(), ", "))
	}
	var both slipway.Schema
	for _, c := range columns {
		if log.Index(c.Name) >= 0 {
			both = append(both, c)
		}
	}
	return o.list(both)
}

// firstHalf is half the days of a log, at most 90: what the rest is compared
// with.
func (o *importFlags) firstHalf(cmd *cobra.Command, engine *query.Engine, log query.Table, at slipway.Column) (int, error) {
	sql, err := timeOf(at)
	if err != nil {
		return 0, err
	}
	r, err := engine.Run(cmd.Context(), query.Request{Tables: []query.Table{log}, Timezone: o.plan.Timezone, SQL: "SELECT date_diff('day', min(" + sql + "), max(" + sql + ")) FROM log"})
	if err != nil {
		return 0, err
	}
	days, ok := r.Rows[0][0].(int64)
	if !ok {
		return 0, slipway.Errorf(slipway.Invalid, "no row of the log has a time in %s", o.plan.Time)
	}
	return int(min(max(1, (days+1)/2), 90)), nil
}

// timeOf is the SQL that makes a time of a column: seconds or milliseconds
// since 1970 are times too.
func timeOf(c slipway.Column) (string, error) {
	name := quote(c.Name)
	switch c.Type {
	case slipway.Time:
		return name, nil
	case slipway.Date:
		return "CAST(" + name + " AS TIMESTAMP)", nil
	case slipway.Int, slipway.Float:
		return "make_timestamp(CAST(CASE WHEN abs(" + name + ") > 1e14 THEN " + name + " WHEN abs(" + name + ") > 1e11 THEN " + name + " * 1000 ELSE " + name + " * 1000000 END AS BIGINT))", nil
	}
	return "", slipway.Errorf(slipway.Invalid, "the column %s holds %s, not times", c.Name, c.Type).WithHint("times are written as ISO 8601, or as seconds since 1970")
}

// list is the columns of the log to keep, the time as a time.
func (o *importFlags) list(columns slipway.Schema) (string, error) {
	var out []string
	for _, c := range columns {
		if slices.Contains(o.ignore, c.Name) {
			continue
		}
		if c.Name != o.plan.Time {
			out = append(out, quote(c.Name))
			continue
		}
		sql, err := timeOf(c)
		if err != nil {
			return "", err
		}
		out = append(out, sql+" AS "+quote(c.Name))
	}
	return strings.Join(out, ", "), nil
}

func showImport(w io.Writer, tio *term.IO, r ImportReport) {
	fmt.Fprintf(w, "%s  %s requests from %s to %s, compared with %s\n", tio.Paint(term.Bold, r.Endpoint), term.Count(r.Rows),
		r.From.Format(time.DateOnly), r.To.Format(time.DateOnly), plural(int(r.Reference), "row"))
	if r.IgnoredRow > 0 {
		fmt.Fprintf(w, "%s have no time and were left out\n", plural(int(r.IgnoredRow), "row"))
	}
	fmt.Fprintln(w, r.Summary())
	t := tio.Table("FEATURE", "WINDOWS", "DRIFTED", "FIRST", "WORST", "WHY")
	for _, f := range r.Features {
		role, first := term.OK, any(nil)
		if f.Drifted > 0 {
			role, first = term.Bad, f.First.Format(time.DateOnly)
		}
		worst := any(nil)
		if f.Worst != nil {
			worst = term.Float(*f.Worst)
		}
		t.Row(f.Feature, f.Windows, term.Cell{Role: role, Value: f.Drifted}, first, worst, f.Reason)
	}
	_ = t.Write(w)
	for _, f := range r.Feeds {
		fmt.Fprintf(w, "%s %s stood still from %s: %s\n", tio.Paint(term.Bad, "feed"), f.Feature, f.Since.Add(-f.Age).Format(time.DateOnly), f.Reason)
	}
	if n := len(r.Quality); n > 0 {
		last := r.Quality[n-1].To
		for _, q := range r.Quality {
			if q.To.Equal(last) {
				fmt.Fprintf(w, "quality  %s in the last window\n", estimateLine(q))
			}
		}
	}
	fmt.Fprintf(w, "more: slipway monitor drift %s\n", r.Endpoint)
}
