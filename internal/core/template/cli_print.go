package template

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
)

func printReport(w io.Writer, e *cli.Env, r Report) {
	p := r.Plan
	fmt.Fprintf(w, "%s %s\n", e.IO.Paint(term.Bold, p.Project), r.Dir)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, text)
		}
	}
	line("predicts", fmt.Sprintf("%s (%s)", words(p.Target.Column), p.Target.Task))
	line("from", p.about())
	switch {
	case p.Time.Expression != "":
		line("time", fmt.Sprintf("%s, %s to %s", words(p.Time.Expression), day(p.Time.From), day(p.Time.To)))
	case len(p.Time.Order) > 0:
		line("order", words(strings.Join(p.Time.Order, ", ")))
	}
	line("key", words(p.Key))
	for _, d := range p.Dropped {
		line("left out", words(d.Column)+": "+words(d.Why))
	}
	var groups []string
	for _, g := range p.Group {
		groups = append(groups, g.Column)
	}
	if all := append(append([]string{}, p.Slice...), groups...); len(all) > 0 {
		line("slices", words(strings.Join(all, ", "))+": protected attributes are features here, and the gate judges every group; columns.py takes them out")
	}
	for _, a := range r.Assumed {
		fmt.Fprintf(w, "  %s %s\n", e.IO.Paint(term.Warn, "assumed:"), words(a))
	}
	line("wrote", strings.Join(r.Files, " "))
	fmt.Fprintln(w, "Next:")
	for _, n := range r.Next {
		fmt.Fprintf(w, "  %s\n", e.IO.Paint(term.Heading, n))
	}
}

// about says in a few words what the model sees.
func (p *Plan) about() string {
	var parts []string
	for _, k := range []struct {
		kind      Kind
		one, many string
	}{{Numeric, "number", "numbers"}, {Categorical, "category", "categories"}, {Dated, "date", "dates"}} {
		switch n := len(p.features(k.kind)); {
		case n == 1:
			parts = append(parts, "1 "+k.one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, k.many))
		}
	}
	return fmt.Sprintf("%s in %d rows of %s", strings.Join(parts, ", "), p.Rows, p.Path)
}

func day(s string) string { return s[:min(10, len(s))] }

// prompt asks a person at a terminal.
type prompt struct {
	env *cli.Env
	in  *bufio.Reader
}

// newPrompt is nil where nobody can be asked: with --yes or --json, in a pipe,
// or with input from a file.
func newPrompt(e *cli.Env, yes bool) *prompt {
	if yes || e.IO.JSON || !e.IO.TTY || e.IO.In == nil {
		return nil
	}
	if f, ok := e.IO.In.(*os.File); ok && !xterm.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &prompt{e, bufio.NewReader(e.IO.In)}
}

// ask repeats a question until its answer is valid; an empty one takes what is
// proposed. The end of the input is Interrupted.
func (p *prompt) ask(question, proposed string, valid func(string) error) (string, error) {
	for {
		fmt.Fprintf(p.env.IO.Out, "%s [%s]: ", question, p.env.IO.Paint(term.Bold, proposed))
		line, err := p.in.ReadString('\n')
		answer := strings.TrimSpace(line)
		if err != nil && answer == "" {
			fmt.Fprintln(p.env.IO.Out)
			return "", slipway.Errorf(slipway.Interrupted, "the input ended before all was answered; nothing was written")
		}
		if answer == "" {
			answer = proposed
		}
		if valid == nil {
			return answer, nil
		}
		refused := valid(answer)
		if refused == nil {
			return answer, nil
		}
		if !slipway.IsCode(refused, slipway.Invalid) {
			return "", refused
		}
		p.env.IO.Errorln(refused)
	}
}

// describe shows what was found in the file.
func (p *prompt) describe(l *Look) {
	fmt.Fprintf(p.env.IO.Out, "%s rows, %d columns\n", term.Count(l.Rows), len(l.Column))
	for _, c := range l.Column {
		about := fmt.Sprintf("%s, %d values", c.Type, c.Distinct)
		if c.Type.Numeric() {
			about = fmt.Sprintf("%s, %s to %s", c.Type, trimmed(c.Min), trimmed(c.Max))
		} else if c.dated() {
			about = "dates, " + strings.Join(append([]string{string(c.Type)}, c.Formats...), " ")
		}
		if gone := l.Rows - c.Present; gone > 0 {
			about += fmt.Sprintf(", %.2g%% missing", 100*float64(gone)/float64(l.Rows))
		}
		fmt.Fprintf(p.env.IO.Out, "  %-24s %s\n", words(c.Name), p.env.IO.Paint(term.Dim, about))
	}
}

// names asks for the columns of a file without a header, and looks again.
func (p *prompt) names(ctx context.Context, engine *query.Engine, from string, l *Look) (*Look, error) {
	proposed := fmt.Sprintf("col1…col%d", len(l.Column))
	out := l
	_, err := p.ask("The file has no header. Names of its columns, separated by commas", proposed, func(s string) (err error) {
		if s == proposed {
			out = l
			return nil
		}
		names := strings.Split(s, ",")
		for i := range names {
			names[i] = strings.TrimSpace(names[i])
		}
		out, err = Examine(ctx, engine, from, names)
		return err
	})
	return out, err
}
