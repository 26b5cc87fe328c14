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
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Commands is `slipway monitor`, `slipway labels` and `slipway alerts`.
func Commands(e *cli.Env) []*cobra.Command {
	cmd := &cobra.Command{
		Use: "monitor", Short: "How the models in production fare: drift, quality, feeds, alarms", Args: cobra.NoArgs,
		Example: `  slipway monitor                                   every endpoint
  slipway monitor drift                             features x windows as a heat map
  slipway monitor quality --metric log_loss         by window, with intervals
  slipway monitor compare --with flight-delay@v1    had version 1 stayed
  slipway monitor import log.csv --time at          look at the log of a service that runs already`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			all, err := OpStatus.Call(cmd.Context(), c, InProject{project})
			if err != nil {
				return err
			}
			return e.Print(all, func(w io.Writer) { showStatus(w, e.IO, all) })
		},
	}
	cmd.AddCommand(driftCommand(e), qualityCommand(e), featureCommand(e), compareCommand(e), importCommand(e))
	return []*cobra.Command{cmd, labelsCommand(e), alertsCommand(e)}
}

// showStatus writes a paragraph an endpoint.
func showStatus(w io.Writer, tio *term.IO, all []MonitorStatus) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no predictions were logged yet; they are taken in within seconds of the answer")
		return
	}
	for i, s := range all {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  last prediction %s\n", tio.Paint(term.Bold, s.Endpoint), tio.Time(s.Seen))
		fmt.Fprintf(w, "  drift    %s\n", s.Drift.line(tio, s.Window))
		fmt.Fprintf(w, "  quality  %s\n", s.qualityLine(tio))
		feed := tio.Paint(term.OK, "every feed brings news")
		if len(s.Feed) > 0 {
			var names []string
			for _, f := range s.Feed {
				names = append(names, fmt.Sprintf("%s for %s", f.Feature, hours(f.Age)))
			}
			feed = tio.Paint(term.Bad, "stands still: ") + strings.Join(names, ", ")
		}
		fmt.Fprintf(w, "  feeds    %s\n", feed)
		for _, a := range s.Alarms {
			fmt.Fprintf(w, "  %s    %s since %s: %s\n", tio.Paint(term.Bad, "alarm"), a.Summary, tio.Time(a.Since), a.Detail)
		}
	}
}

func (d DriftStatus) line(tio *term.IO, window int) string {
	switch {
	case !d.Declared:
		return "not watched; add drift to monitor in slipway.yaml"
	case d.Until.IsZero():
		return "no window of " + plural(window, "day") + " is complete yet"
	case len(d.Drifted) > 0:
		return tio.Paint(term.Bad, plural(len(d.Drifted), "feature")+" drifted: ") + strings.Join(d.Drifted, ", ")
	case d.Count[OK] == 0:
		return tio.Paint(term.Warn, "undecided: ") + d.Reason
	}
	line := tio.Paint(term.OK, plural(d.Count[OK], "feature")+" ok")
	if n := d.Count[InsufficientReference] + d.Count[NotEnoughData]; n > 0 {
		line += fmt.Sprintf(", %d undecided (%s)", n, d.Reason)
	}
	return line
}

func (s MonitorStatus) qualityLine(tio *term.IO) string {
	labels := fmt.Sprintf("labels for %.0f %%, after %s", 100*s.Labels.Coverage, hours(time.Duration(s.Labels.LagMedian*float64(time.Second))))
	if s.Quality == nil {
		if s.Labels.Day.IsZero() || s.Labels.Coverage == 0 {
			return "unknown: no labels yet; send them with `slipway labels add`"
		}
		return "no window is complete yet; " + labels
	}
	q := *s.Quality
	line := estimateLine(q)
	if q.Verdict == Low {
		line = tio.Paint(term.Bad, line)
	}
	if q.Limit != "" {
		line += ", wanted " + q.Limit
	}
	return line + "; " + labels
}

func estimateLine(q WindowQuality) string {
	e := q.Estimate
	if math.IsNaN(e.Low) {
		return fmt.Sprintf("%s %s (%s)", q.Metric, term.Float(e.Value), q.Verdict)
	}
	return fmt.Sprintf("%s %s [%s, %s]", q.Metric, term.Float(e.Value), term.Float(e.Low), term.Float(e.High))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// endpointOf takes the endpoint from the arguments, or the project's only one.
func endpointOf(cmd *cobra.Command, c web.Client, project string, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	all, err := OpStatus.Call(cmd.Context(), c, InProject{project})
	if err != nil {
		return "", err
	}
	switch len(all) {
	case 0:
		return "", slipway.Errorf(slipway.NotFound, "no predictions were logged in the project %s yet", project)
	case 1:
		return all[0].Endpoint, nil
	}
	// The one that most requests go to, as production has over staging.
	best, names := 0, []string{}
	count := func(s MonitorStatus) (n int64) {
		for _, v := range s.Variants {
			n += v.Rows
		}
		return n
	}
	for i, s := range all {
		names = append(names, s.Endpoint)
		if count(s) > count(all[best]) {
			best = i
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s, of %s\n", all[best].Endpoint, strings.Join(names, ", "))
	return all[best].Endpoint, nil
}

func alertsCommand(e *cli.Env) *cobra.Command {
	in := AskAlarms{}
	outbox := false
	cmd := &cobra.Command{
		Use: "alerts", Short: "Alarms, and whom they were told to", Args: cobra.NoArgs,
		Example: "  slipway alerts\n  slipway alerts --sent     the messages that left, or wait",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in.Project = project
			if outbox {
				sent, err := OpAlerts.Call(cmd.Context(), c, in)
				if err != nil {
					return err
				}
				return e.Print(sent, func(w io.Writer) { showAlerts(w, e.IO, sent) })
			}
			alarms, err := OpAlarms.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(alarms, func(w io.Writer) { showAlarms(w, e.IO, alarms) })
		},
	}
	cmd.Flags().StringVar(&in.Endpoint, "endpoint", "", "one endpoint only")
	cmd.Flags().IntVar(&in.Limit, "limit", 50, "how many")
	cmd.Flags().BoolVar(&outbox, "sent", false, "the messages to people instead")
	return cmd
}

func showAlarms(w io.Writer, tio *term.IO, alarms []Alarm) {
	if len(alarms) == 0 {
		fmt.Fprintln(w, "no alarm yet")
		return
	}
	t := tio.Table("STATE", "SINCE", "UNTIL", "KIND", "SUBJECT", "WHY")
	for _, a := range alarms {
		state, until := term.Cell{Role: term.Bad, Value: "firing"}, any(nil)
		if !a.Firing {
			state, until = term.Cell{Role: term.OK, Value: "over"}, a.Until
		}
		t.Row(state, a.Since, until, a.Kind, a.Subject, a.Detail)
	}
	_ = t.Write(w)
}

func showAlerts(w io.Writer, tio *term.IO, all []Alert) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no alert yet; monitor.alerts in slipway.yaml says where they go")
		return
	}
	t := tio.Table("STATE", "CREATED", "TO", "TRIES", "ALARMS", "ERROR")
	for _, a := range all {
		role := map[string]term.Role{alertSent: term.OK, alertFailed: term.Bad, alertWaiting: term.Warn}[a.State]
		var what []string
		for _, x := range a.Alarms {
			what = append(what, x.Summary)
		}
		t.Row(term.Cell{Role: role, Value: a.State}, a.Created, a.Kind+" $"+a.Secret, a.Attempts, strings.Join(what, "; "), a.Error)
	}
	_ = t.Write(w)
}
