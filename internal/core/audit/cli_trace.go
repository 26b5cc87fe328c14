package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
)

// traceCommand is `slipway trace`.
func traceCommand(e *cli.Env) *cobra.Command {
	var forward, back bool
	cmd := &cobra.Command{
		Use:   "trace REF",
		Short: "Where something came from, and what came of it",
		Long: `Walk the lineage of one thing: from a prediction back to the release, the model
version, its certificate, the run, the commit, the environment, the data and its
rows; and forward from rows to every model, release and prediction.`,
		Example: `  slipway trace 4be1…                    a prediction, by its id
  slipway trace flight-delay@v3          a version of a model or of a dataset
  slipway trace dataset:flights@v1 --forward`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, project, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			var t Trace
			for _, ref := range references(args[0]) {
				in := ReadTrace{Project: project, Ref: ref, Direction: string(direction(ref, forward, back))}
				if t, err = OpTrace.Call(cmd.Context(), c, in); !slipway.IsCode(err, slipway.NotFound) {
					break
				}
			}
			if err != nil {
				return err
			}
			return e.Print(t, func(w io.Writer) { printTrace(w, t) })
		},
	}
	cmd.Flags().BoolVar(&forward, "forward", false, "only what came of it")
	cmd.Flags().BoolVar(&back, "back", false, "only what it came from")
	return cmd
}

// references is what a text may mean: NAME@vN is a version of a dataset or of a
// model, and what names no kind is a prediction.
func references(text string) []string {
	switch {
	case strings.Contains(text, ":"):
		return []string{text}
	case strings.Contains(text, "@"):
		return []string{string(slipway.KindDataset) + ":" + text, string(slipway.KindModel) + ":" + text}
	}
	return []string{string(slipway.KindPrediction) + ":" + text}
}

// direction is what the flags say; a prediction has nothing ahead of it.
func direction(ref string, forward, back bool) Direction {
	switch {
	case forward && !back:
		return Forward
	case back && !forward || strings.HasPrefix(ref, string(slipway.KindPrediction)+":"):
		return Back
	}
	return Both
}

// printTrace writes a trace as an indented list: the root, what it came from
// above, what came of it below.
func printTrace(w io.Writer, t Trace) {
	nodes := slices.Clone(t.Node)
	slices.SortStableFunc(nodes, func(a, b Node) int { return a.Distance - b.Distance })
	for _, n := range nodes {
		mark := strings.Repeat("  ", max(n.Distance, -n.Distance))
		switch {
		case n.Distance < 0:
			mark += "^ "
		case n.Distance > 0:
			mark += "v "
		default:
			mark += "* "
		}
		fmt.Fprintf(w, "%s%s%s\n", mark, shortRef(n.Ref), said(n))
	}
	if !t.Whole {
		fmt.Fprintf(w, "(only the nearest %d things are shown)\n", len(t.Node))
	}
}

// said is the short of what the log and the prediction log know of a node: when
// and by whom each event was, and the facts of the last, which repeats those of
// the others.
func said(n Node) string {
	var parts []string
	for i, e := range n.Event {
		_, verb, _ := strings.Cut(e.Verb, ".")
		part := fmt.Sprintf("%s %s by %s", verb, e.Time.Format("2006-01-02 15:04"), e.Actor)
		if i == len(n.Event)-1 {
			part += facts(e.Data)
		}
		parts = append(parts, part)
	}
	if n.Count > 0 {
		parts = append(parts, fmt.Sprintf("%d predictions", n.Count))
	}
	if n.Data != nil {
		b, _ := json.Marshal(n.Data)
		parts = append(parts, strings.TrimSpace(facts(b)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, "; ")
}

// facts writes the flat values of a small JSON object as "name value".
func facts(data json.RawMessage) string {
	var m map[string]any
	if json.Unmarshal(data, &m) != nil {
		return ""
	}
	var names []string
	for name, v := range m {
		switch v := v.(type) {
		case string:
			if v != "" {
				names = append(names, name)
			}
		case float64, bool:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		out = append(out, name+" "+brief(m[name]))
	}
	if len(out) == 0 {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// brief writes one value: a digest by its beginning, a whole number in full,
// long text cut.
func brief(v any) string {
	switch v := v.(type) {
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if digest.MatchString(v) {
			return v[:12]
		}
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at.UTC().Format("2006-01-02 15:04")
		}
		if r := []rune(v); len(r) > 40 {
			return string(r[:39]) + "…"
		}
	}
	return fmt.Sprint(v)
}

// digest is what a SHA-256 looks like.
var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// shortRef writes a reference by the beginning of its digest, which names it
// well enough for a reader.
func shortRef(r slipway.Ref) string { return string(r.Kind) + ":" + brief(r.ID) }
