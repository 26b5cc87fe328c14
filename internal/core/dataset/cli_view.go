package dataset

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func showCommand(e *cli.Env) *cobra.Command {
	limit := 10
	cmd := &cobra.Command{
		Use: "show NAME[@vN]", Short: "The first rows of a version", Args: cobra.ExactArgs(1), Example: "  slipway data show flights@v2 --limit 20",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, n, err := parseVersion(args[0])
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			rows, err := OpRows.Call(cmd.Context(), c, ReadRows{Project: projectName, Name: name, Version: n, Limit: limit})
			if err != nil {
				return err
			}
			return e.Print(rows, func(io.Writer) {
				t := e.IO.Table(rows.Schema.Names()...)
				for _, row := range rows.Rows {
					t.Row(row...)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many rows")
	return cmd
}

func profileCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "profile NAME[@vN]", Short: "What the rows of a version look like, column by column", Args: cobra.ExactArgs(1), Example: "  slipway data profile flights",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, n, err := parseVersion(args[0])
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			p, err := OpProfile.Call(cmd.Context(), c, OfVersion{Project: projectName, Name: name, Version: n})
			if err != nil {
				return err
			}
			return e.Print(p, func(w io.Writer) { profiled(e, w, p) })
		},
	}
}

// profiled writes a profile for a person.
func profiled(e *cli.Env, w io.Writer, p Profile) {
	fmt.Fprintln(w, plural(p.Rows, "row"))
	t := e.IO.Table("column", "type", "missing", "distinct", "min", "median", "max", "distribution")
	for _, c := range p.Columns {
		var low, middle, high any
		picture := ""
		switch {
		case c.Min != nil:
			low, high = short(*c.Min), short(*c.Max)
			if len(c.Quantiles) == len(QuantileLevels) {
				middle = short(c.Quantiles[3])
			}
			if c.Histogram != nil && len(c.Histogram.Counts) > 1 {
				picture = spark(c.Histogram.Counts)
			}
		case c.From != nil:
			low, high = c.From.UTC().Format(time.DateOnly), c.To.UTC().Format(time.DateOnly)
		}
		if picture == "" && len(c.Top) > 0 {
			var parts []string
			for _, v := range c.Top[:min(4, len(c.Top))] {
				parts = append(parts, v.Value+" "+share(v.Count, p.Rows))
			}
			picture = strings.Join(parts, ", ")
		}
		t.Row(c.Name, string(c.Type), share(c.Missing, p.Rows), distinct(c), low, middle, high, picture)
	}
	_ = t.Render() // a pipe that closed has nobody to be told
}

func spark(counts []int64) string {
	values := make([]float64, len(counts))
	for i, n := range counts {
		values[i] = float64(n)
	}
	return term.Spark(values)
}

func diffCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "diff NAME | diff NAME@vA [NAME@vB]", Short: "What differs between two versions: files, columns, statistics, rows", Args: cobra.RangeArgs(1, 2),
		Long:    "Compare two versions. With one, it is compared with the one before it.",
		Example: "  slipway data diff flights\n  slipway data diff flights@v1 flights@v3",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, n, err := parseVersion(args[0])
			if err != nil {
				return err
			}
			in := CompareVersions{Name: name, To: n}
			if len(args) == 2 {
				other, m, err := parseVersion(args[1])
				if err != nil {
					return err
				}
				if other != name || n == 0 {
					return slipway.Errorf(slipway.Invalid, "name two versions of one dataset").WithHint("slipway data diff %s@v1 %s@v2", name, name)
				}
				in.From, in.To = n, m
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
			return e.Print(d, func(w io.Writer) { differences(e, w, d) })
		},
	}
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
	if r := d.ByKey; r != nil {
		fmt.Fprintf(w, "rows by %s: %s added, %s removed, %s changed\n", strings.Join(r.Key, ", "), term.Count(r.Added), term.Count(r.Removed), term.Count(r.Changed))
		for _, name := range slices.Sorted(maps.Keys(r.Columns)) {
			fmt.Fprintf(w, "  %s differs in %s\n", name, plural(r.Columns[name], "row"))
		}
		for _, s := range r.Sample {
			fmt.Fprintf(w, "  %-8s %s\n", s.Change, s.Key)
		}
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
	slices.SortStableFunc(columns, func(a, b ColumnChange) int { return -compareFloat(far(a), far(b)) })
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

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// distinct is a column's count of different values; above fewValues it is an
// estimate, and says so.
func distinct(c ColumnProfile) string {
	if c.Distinct > fewValues {
		return "~" + term.Count(c.Distinct)
	}
	return term.Count(c.Distinct)
}
