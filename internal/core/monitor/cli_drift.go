package monitor

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

// period is the flags --from, --to and --days.
type period struct {
	from, to string
	days     int
}

func (p *period) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.from, "from", "", "first day, as 2013-09-01")
	cmd.Flags().StringVar(&p.to, "to", "", "day after the last")
	cmd.Flags().IntVar(&p.days, "days", 0, "only the last days before --to or the latest prediction")
}

func (p *period) at(endpoint AtEndpoint, seen time.Time) (AtEndpoint, error) {
	var err error
	if endpoint.From, err = parseDay(p.from); err != nil {
		return endpoint, err
	}
	if endpoint.To, err = parseDay(p.to); err != nil {
		return endpoint, err
	}
	if p.days > 0 {
		if endpoint.To.IsZero() {
			endpoint.To = seen
		}
		endpoint.From = endpoint.To.Add(-time.Duration(p.days) * day).Truncate(day)
	}
	return endpoint, nil
}

func parseDay(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, slipway.Errorf(slipway.Invalid, "%q is neither a day nor a time", s).WithHint("write 2013-09-01 or 2013-09-01T06:00:00Z")
}

func driftCommand(e *cli.Env) *cobra.Command {
	var p period
	cmd := &cobra.Command{
		Use: "drift [ENDPOINT]", Short: "Drift of every feature in every window, as a heat map", Args: cobra.MaximumNArgs(1),
		Long: `Every column is a window that ends with that day, every row a feature. The darker
a cell, the nearer the window is to the limit beyond which it would be drift;
! is drift, . too little data, ? too short a reference.`,
		Example: "  slipway monitor drift\n  slipway monitor drift flight-delay --from 2013-09-01 --to 2013-10-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := p.find(cmd, e, args)
			if err != nil {
				return err
			}
			c, _, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			h, err := OpDrift.Call(cmd.Context(), c, at)
			if err != nil {
				return err
			}
			return e.Print(h, func(w io.Writer) { showHeat(w, e.IO, h) })
		},
	}
	p.flags(cmd)
	return cmd
}

// find resolves the endpoint and the period.
func (p *period) find(cmd *cobra.Command, e *cli.Env, args []string) (AtEndpoint, error) {
	c, project, err := e.Connect(cmd)
	if err != nil {
		return AtEndpoint{}, err
	}
	name, err := endpointOf(cmd, c, project, args)
	if err != nil {
		return AtEndpoint{}, err
	}
	var seen time.Time
	if p.days > 0 {
		all, err := OpStatus.Call(cmd.Context(), c, InProject{project})
		if err != nil {
			return AtEndpoint{}, err
		}
		for _, s := range all {
			if s.Endpoint == name {
				seen = s.Seen.Add(time.Hour)
			}
		}
	}
	return p.at(AtEndpoint{Project: project, Endpoint: name}, seen)
}

// shades are how near a value is to its limit.
var shades = []rune(" ░▒▓█")

// glyph draws one verdict.
func glyph(c *HeatCell) (rune, term.Role) {
	switch {
	case c == nil:
		return ' ', term.Plain
	case c.Verdict == Drifted:
		return '!', term.Bad
	case c.Verdict == InsufficientReference:
		return '?', term.Dim
	case c.Verdict == NotEnoughData || c.Value == nil || c.Limit == nil || *c.Limit <= 0:
		return '.', term.Dim
	}
	k := int(math.Min(*c.Value / *c.Limit, 0.999) * float64(len(shades)))
	return shades[max(k, 0)], term.Plain
}

// showHeat draws as many windows as the terminal is wide, the latest ones.
func showHeat(w io.Writer, tio *term.IO, h HeatMap) {
	if len(h.Days) == 0 {
		fmt.Fprintf(w, "no window of %s was decided in that time\n", plural(h.Window, "day"))
		return
	}
	label := 0
	for _, f := range h.Features {
		label = max(label, len([]rune(f.Feature)))
	}
	width := len(h.Days)
	if tio.Width > 0 {
		width = min(width, max(10, tio.Width-label-3))
	}
	first := len(h.Days) - width
	days := h.Days[first:]
	fmt.Fprintf(w, "%*s  %s\n", label, "", axis(days))
	for _, f := range h.Features {
		var line strings.Builder
		for _, c := range f.Cells[first:] {
			r, role := glyph(c)
			if role == term.Plain {
				line.WriteRune(r)
			} else {
				line.WriteString(tio.Paint(role, string(r)))
			}
		}
		fmt.Fprintf(w, "%*s  %s\n", label, f.Feature, line.String())
	}
	fmt.Fprintf(w, "%*s  %s to %s, windows of %s; ! drifted, ░▒▓█ nearness to the limit, . too little data, ? too short a reference\n",
		label, "", days[0].Format(time.DateOnly), days[len(days)-1].Format(time.DateOnly), plural(h.Window, "day"))
}

// axis marks the first day of each month.
func axis(days []time.Time) string {
	line := []rune(strings.Repeat(" ", len(days)))
	for i, d := range days {
		if i == 0 || d.Month() != days[i-1].Month() {
			for k, r := range d.Format("Jan") {
				if i+k < len(line) && (i == 0 || d.Day() <= 3) {
					line[i+k] = r
				}
			}
		}
	}
	return string(line)
}

func qualityCommand(e *cli.Env) *cobra.Command {
	var p period
	var metric string
	cmd := &cobra.Command{
		Use: "quality [ENDPOINT]", Short: "A metric by window, with its interval by day", Args: cobra.MaximumNArgs(1),
		Example: "  slipway monitor quality --metric log_loss --days 60",
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := p.find(cmd, e, args)
			if err != nil {
				return err
			}
			c, _, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			q, err := OpQuality.Call(cmd.Context(), c, AskQuality{AtEndpoint: at, Metric: metric})
			if err != nil {
				return err
			}
			return e.Print(q, func(w io.Writer) { showQuality(w, e.IO, q) })
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&metric, "metric", "", "one metric only")
	return cmd
}

func showQuality(w io.Writer, tio *term.IO, q QualityHistory) {
	if len(q.Windows) == 0 {
		fmt.Fprintln(w, "no window has all its labels yet")
		return
	}
	t := tio.Table("UNTIL", "MODEL", "ROLE", "METRIC", "VALUE", "INTERVAL", "LABELS", "VERDICT")
	for _, x := range q.Windows {
		interval := "-"
		if !math.IsNaN(x.Estimate.Low) {
			interval = term.Float(x.Estimate.Low) + " to " + term.Float(x.Estimate.High)
		}
		role := map[Verdict]term.Role{OK: term.OK, Low: term.Bad}[x.Verdict]
		t.Row(x.To.Add(-time.Hour).Format(time.DateOnly), x.Model, x.Role, x.Metric, term.Float(x.Estimate.Value), interval,
			fmt.Sprintf("%.0f %%", 100*x.Coverage), term.Cell{Role: role, Value: string(x.Verdict)})
	}
	_ = t.Write(w)
}

func featureCommand(e *cli.Env) *cobra.Command {
	var p period
	var endpoint string
	cmd := &cobra.Command{
		Use: "feature NAME", Short: "One feature beside its training rows", Args: cobra.ExactArgs(1),
		Example: "  slipway monitor feature humid --from 2013-09-10 --to 2013-09-17",
		RunE: func(cmd *cobra.Command, args []string) error {
			var of []string
			if endpoint != "" {
				of = []string{endpoint}
			}
			at, err := p.find(cmd, e, of)
			if err != nil {
				return err
			}
			c, _, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			d, err := OpFeature.Call(cmd.Context(), c, AskFeature{AtEndpoint: at, Feature: args[0]})
			if err != nil {
				return err
			}
			return e.Print(d, func(w io.Writer) { showFeature(w, e.IO, d) })
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "endpoint (default: the busiest)")
	return cmd
}

func showFeature(w io.Writer, tio *term.IO, d FeatureDetail) {
	fmt.Fprintf(w, "%s of %s, %s, %s rows from %s to %s\n", tio.Paint(term.Bold, d.Feature), d.Endpoint, d.Model, term.Count(d.Rows),
		d.From.Format(time.DateOnly), d.To.Format(time.DateOnly))
	most := 1e-9
	for _, b := range d.Bins {
		most = max(most, b.Reference, b.Current)
	}
	t := tio.Table("VALUE", "TRAINING", "", "NOW", "")
	for _, b := range d.Bins {
		if b.Reference == 0 && b.Current == 0 {
			continue
		}
		label := b.Label
		if b.Low != nil {
			label = term.Float(*b.Low) + " to " + term.Float(*b.High)
		}
		t.Row(label, fmt.Sprintf("%.1f %%", 100*b.Reference), term.Bar(b.Reference/most, 20), fmt.Sprintf("%.1f %%", 100*b.Current), term.Bar(b.Current/most, 20))
	}
	_ = t.Write(w)
	if n := len(d.Drift); n > 0 {
		last := d.Drift[n-1]
		fmt.Fprintf(w, "%s: %s\n", last.Verdict, last.Detail.Reason)
	}
	if d.Feed != nil && d.Feed.Reason != "" {
		fmt.Fprintf(w, "feed %s: %s\n", d.Feed.Verdict, d.Feed.Reason)
	}
}
