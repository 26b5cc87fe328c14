package dataset

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func showCommand(e *cli.Env) *cobra.Command {
	limit := 10
	cmd := &cobra.Command{
		Use: "show NAME[@vN][VIEW]", Short: "The first rows of a version", Args: cobra.ExactArgs(1), Example: "  slipway data show flights@v2 --limit 20\n  slipway data show 'flights[2013-04..2013-06]'",
		RunE: func(cmd *cobra.Command, args []string) error {
			plain, view, err := parseView(e, args[0])
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := locate(cmd, c, projectName, plain)
			if err != nil {
				return err
			}
			rows, err := OpRows.Call(cmd.Context(), c, ReadRows{Project: projectName, Name: v.Name, Version: v.Number, Limit: limit, View: view.text()})
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
		Use: "profile NAME[@vN][VIEW] [@vM]", Short: "What the rows of a version look like, column by column; or how that changed", Args: cobra.RangeArgs(1, 2),
		Example: "  slipway data profile flights\n  slipway data profile flights@v1 @v3",
		RunE: func(cmd *cobra.Command, args []string) error {
			plain, view, err := parseView(e, args[0])
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				in := CompareVersions{Project: projectName, Coarse: true}
				if err := in.name(args); err != nil {
					return err
				}
				d, err := OpDiff.Call(cmd.Context(), c, in)
				if err != nil {
					return err
				}
				return e.Print(d, func(w io.Writer) { differences(e, w, d) })
			}
			v, err := locate(cmd, c, projectName, plain)
			if err != nil {
				return err
			}
			p, err := OpProfile.Call(cmd.Context(), c, OfVersion{Project: projectName, Name: v.Name, Version: v.Number, View: view.text()})
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
	var pairs []string
	for _, c := range p.Correlation[:min(5, len(p.Correlation))] {
		if math.Abs(c.R) >= 0.3 {
			pairs = append(pairs, fmt.Sprintf("%s and %s %.2f", c.A, c.B, c.R))
		}
	}
	if len(pairs) > 0 {
		fmt.Fprintf(w, "correlated: %s\n", strings.Join(pairs, ", "))
	}
}

func spark(counts []int64) string {
	values := make([]float64, len(counts))
	for i, n := range counts {
		values[i] = float64(n)
	}
	return term.Spark(values)
}

// distinct is a column's count of different values; an estimate says so.
func distinct(c ColumnProfile) string {
	if c.Estimated {
		return "~" + term.Count(c.Distinct)
	}
	return term.Count(c.Distinct)
}
