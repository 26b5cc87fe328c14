package template

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// testShare is the share of rows that the model is judged by.
const testShare = 0.2

// Ask puts a question that has a proposed answer, and returns what was
// answered. valid, which may be nil, refuses an answer.
type Ask func(question, proposed string, valid func(answer string) error) (string, error)

// Propose plans a project around a file that was looked at. What the answers
// leave open it proposes, and asks when ask is given; without it the plan lists
// what was assumed. It fails with Invalid when the answers do not fit the file.
func (l *Look) Propose(ctx context.Context, a Answers, ask Ask) (*Plan, error) {
	b := &proposal{look: l, answers: a, ask: ask, plan: &Plan{Rows: l.Rows}}
	for _, stage := range []func(context.Context) error{b.zone, b.key, b.time, b.target, b.split} {
		if err := stage(ctx); err != nil {
			return nil, err
		}
	}
	p := b.plan
	if err := l.chooseFeatures(ctx, p); err != nil {
		return nil, err
	}
	if err := l.chooseSlices(ctx, p); err != nil {
		return nil, err
	}
	if err := l.rules(ctx, p); err != nil {
		return nil, err
	}
	if l.Table.CSV.Delimiter != "" {
		p.Read = l.reading()
		if len(p.Read.Missing) > 0 && ask == nil {
			p.Assumed = append(p.Assumed, strings.Join(p.Read.Missing, ", ")+" in the file means a missing value")
		}
	}
	p.Train = trainingFor(l.Rows, len(p.Target.Classes))
	return p, nil
}

// proposal is a plan that is being made.
type proposal struct {
	look    *Look
	answers Answers
	ask     Ask
	plan    *Plan
}

// settle is the given answer, else that to the question, else what is proposed,
// which is then noted.
func (b *proposal) settle(given, question, proposed, note string, valid func(string) error) (string, error) {
	if given != "" {
		return given, valid(given)
	}
	if b.ask != nil {
		return b.ask(question, proposed, valid)
	}
	if note != "" {
		b.plan.Assumed = append(b.plan.Assumed, note)
	}
	return proposed, valid(proposed)
}

func (b *proposal) key(ctx context.Context) error {
	proposed, err := b.look.proposeKey(ctx)
	if err != nil {
		return err
	}
	note := "the key is " + proposed
	if proposed == "" {
		proposed, note = None, "no column tells one row from all others; labels will be joined by prediction id"
	}
	key, err := b.settle(b.answers.Key, "Key: the column that tells one row from all others", proposed, note, func(s string) error {
		if s == None {
			return nil
		}
		return b.look.checkKey(ctx, s)
	})
	if err == nil && key != None {
		b.plan.Key = key
	}
	return err
}

func (b *proposal) zone(context.Context) error {
	zone := b.answers.Timezone
	if zone == "" {
		zone = "UTC"
	}
	if _, err := time.LoadLocation(zone); err != nil || zone == "Local" {
		return slipway.Errorf(slipway.Invalid, "the time zone %q does not exist", zone).WithHint("write an IANA name such as Europe/Berlin")
	}
	b.plan.Time.Zone = zone
	return nil
}

func (b *proposal) time(ctx context.Context) error {
	zone := b.plan.Time.Zone
	proposed := b.look.proposeTime()
	text, note := None, "the rows have no time and no order"
	switch {
	case proposed.Expression != "":
		text, note = proposed.Expression, "rows happened at "+proposed.Expression
		if b.answers.Timezone == "" {
			note += ", in UTC where no zone is named"
		}
	case len(proposed.Order) > 0:
		text = "order:" + strings.Join(proposed.Order, ",")
		note = "the rows have no time and are ordered by " + strings.Join(proposed.Order, ", ")
	}
	var chosen Time
	_, err := b.settle(b.answers.Time, "Time: when a row happened (a column, a date + hour, order:COLUMNS, or none)", text, note, func(s string) (err error) {
		if s == text {
			chosen = proposed
		} else if chosen, err = b.look.readTime(s); err != nil {
			return err
		}
		return b.look.measure(ctx, &chosen, zone)
	})
	b.plan.Time = chosen
	return err
}

func (b *proposal) target(ctx context.Context) error {
	l, a := b.look, b.answers
	proposed := l.proposeTarget(b.plan.Time, b.plan.Key)
	if proposed == "" && a.Target == "" {
		return slipway.Errorf(slipway.Invalid, "no column can be predicted: each holds dates, one value, or texts that are all different").
			WithHint("the columns are %s", brief(l.Names(), 20))
	}
	var chosen Target
	name, err := b.settle(a.Target, "Target: the column to predict", proposed, "the column to predict is "+proposed, func(s string) (err error) {
		if s == b.plan.Key || slices.Contains(b.plan.Time.Part, s) {
			return slipway.Errorf(slipway.Invalid, "%s is the key or the time of a row, and cannot be its target too", s)
		}
		chosen, err = l.readTarget(ctx, s, a.Task, a.Positive)
		return err
	})
	if err != nil {
		return err
	}
	b.plan.Target = chosen
	if _, err = b.settle(string(a.Task), "Task: binary, multiclass or regression", string(chosen.Task), string(chosen.Task)+": "+chosen.about(), func(s string) (err error) {
		if !slices.Contains([]slipway.Task{slipway.BinaryTask, slipway.Multiclass, slipway.Regression}, slipway.Task(s)) {
			return slipway.Errorf(slipway.Invalid, "%q is no task", s).WithHint("binary, multiclass or regression")
		}
		b.plan.Target, err = l.readTarget(ctx, name, slipway.Task(s), a.Positive)
		return err
	}); err != nil || b.plan.Target.Task != slipway.BinaryTask {
		return err
	}
	positive := b.plan.Target.Positive()
	if positive == "1" || positive == "true" {
		return nil // nobody means anything else
	}
	_, err = b.settle(a.Positive, "The class whose probability is predicted", positive, fmt.Sprintf("what is predicted is the probability that %s is %s", name, positive), func(s string) (err error) {
		b.plan.Target, err = l.readTarget(ctx, name, b.plan.Target.Task, s)
		return err
	})
	return err
}

// about says in a few words what the target is like.
func (t Target) about() string {
	if t.Task == slipway.Regression {
		return t.Column + " is a number"
	}
	return fmt.Sprintf("%s has %d classes", t.Column, len(t.Classes))
}

// split decides how test rows are chosen: by time or order, unless the last rows
// then lack a class.
func (b *proposal) split(ctx context.Context) error {
	p := b.plan
	order := p.Time.order()
	if order == "" {
		p.Split = "hash"
		return nil
	}
	p.Split = "time"
	if p.Time.Expression == "" {
		p.Split = "order"
	}
	if p.Target.Task == slipway.Regression {
		return nil
	}
	early, late, err := b.look.lateClasses(ctx, p.Target.Column, order)
	if err != nil {
		return err
	}
	if early < len(p.Target.Classes) || late < min(2, len(p.Target.Classes)) {
		p.Split = "hash"
		p.Assumed = append(p.Assumed, fmt.Sprintf("test rows are chosen by chance, not by time: the classes of %s do not all occur early and late", p.Target.Column))
	}
	return nil
}

// reading is how pandas must read the files.
func (l *Look) reading() Reading {
	csv := l.Table.CSV
	r := Reading{CSV: true, Delimiter: csv.Delimiter, Quote: csv.Quote, Decimal: csv.Decimal, Encoding: csv.Encoding, Header: l.Header}
	if !l.Header || !l.plain {
		r.Names = l.Names()
	}
	for _, n := range csv.Null {
		if n != "" {
			r.Missing = append(r.Missing, n)
		}
	}
	return r
}

// DatasetName makes a dataset's name of a file's.
func DatasetName(path string) string {
	base := filepath.Base(path)
	for _, ending := range []string{".gz", ".csv", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".ndjson"} {
		base = strings.TrimSuffix(base, ending)
	}
	name := safeName(base, "data")
	if slices.Contains(takenNames, name) {
		name += "-rows"
	}
	return name
}

// takenNames are those of steps and of files that the scripts write.
var takenNames = []string{"prepare", "train", "test", "evaluate", "score", "scores", "metrics", "model", "columns"}

// safeName keeps letters, digits, - and _ of a text, and gives other if nothing
// is left.
func safeName(s, other string) string {
	s = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s), "-_")
	if s == "" {
		return other
	}
	return s[:min(len(s), 64)]
}
