package dataset

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func diffCommand(e *cli.Env) *cobra.Command {
	var in CompareVersions
	var key, ignore []string
	var page, parquet string
	cmd := &cobra.Command{
		Use: "diff NAME | diff NAME@vA [[NAME]@vB]", Short: "What differs between two versions: files, columns, statistics, rows", Args: cobra.RangeArgs(1, 2),
		Long: "Compare two versions. With one, it is compared with the one before it.\nRows are told apart by the dataset's key, or by --key; without one they are\n" +
			"compared whole, and a row that changed was removed and another added.",
		Example: "  slipway data diff flights\n  slipway data diff flights@v1 @v3 --key flight_id --tolerance 1e-9\n  slipway data diff flights --html diff.html --parquet rows.parquet",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := in.name(args); err != nil {
				return err
			}
			in.Key, in.Ignore, in.Keep = strings.Join(key, ","), strings.Join(ignore, ","), parquet != ""
			if page != "" && in.Sample == 0 {
				in.Sample = pageRows
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = projectName
			d, err := OpDiff.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			if page != "" {
				if err := replace(e.Path(page), d.page()); err != nil {
					return err
				}
			}
			if parquet != "" && d.ByKey != nil && d.ByKey.Rows != "" {
				if err := (content.Remote{Client: c}).Fetch(cmd.Context(), d.ByKey.Rows, e.Path(parquet), false); err != nil {
					return err
				}
			}
			return e.Print(d, func(w io.Writer) { differences(e, w, d) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&key, "key", nil, "columns that tell one row from all others (default: the dataset's key)")
	f.StringSliceVar(&ignore, "ignore", nil, "columns whose changes do not matter")
	f.Float64Var(&in.Tolerance, "tolerance", 0, "numbers x and y are alike up to this times max(1, |x|, |y|)")
	f.IntVar(&in.Sample, "rows", 0, "how many rows that differ to show (default 10; 1000 in HTML)")
	f.StringVar(&page, "html", "", "also write a page to this file")
	f.StringVar(&parquet, "parquet", "", "also write every row that differs to this file, with old and new values")
	return cmd
}

// pageRows is how many rows a page shows.
const pageRows = 1000

// name reads the versions of a command line.
func (in *CompareVersions) name(args []string) error {
	name, n, err := parseVersion(args[0])
	if err != nil {
		return err
	}
	in.Name, in.From, in.To = name, 0, n
	if len(args) < 2 {
		return nil
	}
	if strings.HasPrefix(args[1], "@") || strings.HasPrefix(args[1], "v") && !strings.Contains(args[1], "@") {
		args[1] = name + "@" + strings.TrimPrefix(args[1], "@")
	}
	other, m, err := parseVersion(args[1])
	if err != nil {
		return err
	}
	if other != name || n == 0 {
		return slipway.Errorf(slipway.Invalid, "name two versions of one dataset").WithHint("slipway data diff %s@v1 %s@v2", name, name)
	}
	in.From, in.To = n, m
	return nil
}

// rowDifferences writes which rows differ.
func rowDifferences(e *cli.Env, w io.Writer, r *RowDiff) {
	if r.Note != "" {
		fmt.Fprintf(w, "%s\n", e.IO.Paint(term.Warn, r.Note))
	}
	if len(r.Key) > 0 {
		fmt.Fprintf(w, "rows by %s: %s added, %s removed, %s changed\n", strings.Join(r.Key, ", "), term.Count(r.Added), term.Count(r.Removed), term.Count(r.Changed))
	} else {
		fmt.Fprintf(w, "rows, compared whole: %s added, %s removed\n", term.Count(r.Added), term.Count(r.Removed))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Columns)) {
		fmt.Fprintf(w, "  %s differs in %s\n", name, plural(r.Columns[name], "row"))
	}
	role := map[string]term.Role{"added": term.OK, "removed": term.Bad, "changed": term.Warn}
	for _, s := range r.Sample {
		fmt.Fprintf(w, "  %s %s\n", e.IO.Paint(role[s.Change], fmt.Sprintf("%-8s", s.Change)), s.line(len(r.Key) > 0))
	}
}

// line writes a row on one line: what changed, or the values of a row without a
// key.
func (s RowChange) line(keyed bool) string {
	var parts []string
	if keyed {
		parts = append(parts, s.Key)
	}
	if s.Times > 1 {
		parts = append(parts, fmt.Sprintf("%d times", s.Times))
	}
	if keyed && s.Change != "changed" {
		return strings.Join(parts, "  ")
	}
	show := func(v *string) string {
		if v == nil {
			return "missing"
		}
		return *v
	}
	for _, c := range s.Cells {
		switch s.Change {
		case "added":
			parts = append(parts, c.Column+": "+show(c.To))
		case "removed":
			parts = append(parts, c.Column+": "+show(c.From))
		default:
			parts = append(parts, c.Column+": "+show(c.From)+" → "+show(c.To))
		}
	}
	return strings.Join(parts, "  ")
}

// differences writes a diff for a person, from coarse to fine.
func differences(e *cli.Env, w io.Writer, d Diff) {
	fmt.Fprintf(w, "%s → %s  rows %s\n", d.From, d.To, signed(d.Rows))
	show := func(role term.Role, mark, path string) { fmt.Fprintf(w, "  %s\n", e.IO.Paint(role, mark+" "+path)) }
	for _, f := range d.Files.Added {
		show(term.OK, "+", f.Path)
	}
	for _, f := range d.Files.Removed {
		show(term.Bad, "-", f.Path)
	}
	for _, f := range d.Files.Changed {
		show(term.Warn, "~", f.To.Path)
	}
	for _, f := range d.Files.Moved {
		show(term.Plain, ">", f.From.Path+" is "+f.To.Path+" now")
	}
	for _, c := range d.Schema {
		switch {
		case c.From == "":
			fmt.Fprintf(w, "column  %s is new (%s)\n", c.Column, c.To)
		case c.To == "":
			fmt.Fprintf(w, "column  %s is gone\n", c.Column)
		default:
			fmt.Fprintf(w, "column  %s was %s and is %s\n", c.Column, c.From, c.To)
		}
	}
	if d.ByKey != nil {
		rowDifferences(e, w, d.ByKey)
	}
	moved(e, w, d.Columns)
}

// moved lists the columns whose statistics moved, the furthest first.
func moved(e *cli.Env, w io.Writer, columns []ColumnChange) {
	far := func(c ColumnChange) float64 {
		d := math.Abs(c.Missing[1] - c.Missing[0])
		if c.Shift != nil {
			d = max(d, math.Abs(*c.Shift))
		}
		return max(d, float64(min(len(c.New)+len(c.Gone), 1)))
	}
	columns = slices.DeleteFunc(slices.Clone(columns), func(c ColumnChange) bool { return far(c) < 0.05 })
	slices.SortStableFunc(columns, func(a, b ColumnChange) int { return cmp.Compare(far(b), far(a)) })
	if len(columns) == 0 {
		return
	}
	t := e.IO.Table("column", "mean", "shift", "missing", "values")
	for _, c := range columns[:min(len(columns), 20)] {
		mean, shift := "-", "-"
		if len(c.Mean) == 2 {
			mean = short(c.Mean[0]) + " → " + short(c.Mean[1])
		}
		if c.Shift != nil {
			shift = strconv.FormatFloat(*c.Shift, 'f', 2, 64) + " sd"
		}
		var values []string
		if len(c.New) > 0 {
			values = append(values, "new: "+some(c.New, 4))
		}
		if len(c.Gone) > 0 {
			values = append(values, "gone: "+some(c.Gone, 4))
		}
		t.Row(c.Column, mean, shift, percent(c.Missing[0])+" → "+percent(c.Missing[1]), strings.Join(values, "; "))
	}
	_ = t.Write(w) // a pipe that closed has nobody to be told
}

func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) + " %" }
