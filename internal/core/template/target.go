package template

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// maxClasses is how many classes a target may have.
const maxClasses = 50

var (
	targetNames = []string{"target", "label", "y", "class", "outcome", "response", "dependent", "churn", "churned", "default", "survived", "fraud", "is_fraud", "failed", "failure", "income", "salary", "price", "saleprice", "sales", "demand", "cnt", "quality"}
	yesWords    = []string{"1", "true", "yes", "y", "t", "positive", "pos", "failed", "churned", "fraud", "bad", "default", "won", "up", "success", "sick", "ill"}
	noWords     = []string{"0", "false", "no", "n", "f", "negative", "neg", "ok", "good", "healthy", "none", "down", "stayed"}
)

// proposeTarget guesses what is to be predicted: a column whose name says so,
// else the last that can be.
func (l *Look) proposeTarget(t Time, key string) string {
	last := ""
	byName, rank := "", len(targetNames)
	for i := range l.Column {
		c := &l.Column[i]
		if c.Name == key || slices.Contains(t.Part, c.Name) || l.untargetable(c) != "" {
			continue
		}
		last = c.Name
		if at := slices.Index(targetNames, strings.ToLower(c.Name)); at >= 0 && at < rank {
			byName, rank = c.Name, at
		}
	}
	return cmp.Or(byName, last)
}

// untargetable says why a column cannot be a target, "" when it can.
func (l *Look) untargetable(c *Column) string {
	switch {
	case c.dated() || c.Type == slipway.Binary:
		return "holds dates, not classes or numbers"
	case c.Distinct < 2:
		return "always holds the same"
	case c.Type == slipway.Text && c.Distinct > maxClasses*5/4: // the count is approximate
		return "is text with too many different values"
	case float64(c.Present) < 0.2*float64(l.Rows):
		return "is mostly missing"
	}
	return ""
}

// readTarget decides what kind of target a column is.
func (l *Look) readTarget(ctx context.Context, name string, task slipway.Task, positive string) (Target, error) {
	c := l.Find(name)
	if c == nil {
		return Target{}, l.noColumn(name)
	}
	if why := l.untargetable(c); why != "" {
		return Target{}, slipway.Errorf(slipway.Invalid, "%s cannot be the target: it %s", name, why).WithHint("name another column with --target")
	}
	out := Target{Column: name, Type: c.Type, Task: task, SD: c.SD}
	if out.Task == "" {
		out.Task = proposeTask(c)
	}
	if out.Task == slipway.Regression {
		if !c.Type.Numeric() {
			return out, slipway.Errorf(slipway.Invalid, "%s is %s, and regression predicts numbers", name, c.Type)
		}
		return out, nil
	}
	values, covered, err := l.values(ctx, name, maxClasses+1)
	if err != nil {
		return out, err
	}
	if len(values) > maxClasses || c.Type == slipway.Float && len(values) > 2 {
		return out, slipway.Errorf(slipway.Invalid, "%s has too many different values to be classes", name).WithHint("say --task regression, or make classes of it before")
	}
	if (out.Task == slipway.BinaryTask) != (len(values) == 2) {
		return out, slipway.Errorf(slipway.Invalid, "%s has %d classes, which is not %s", name, len(values), out.Task)
	}
	return out.withClasses(c, values, covered, positive)
}

// withClasses orders the classes: the positive one of two last, numbers by
// size, words by the alphabet.
func (t Target) withClasses(c *Column, values []value, covered int64, positive string) (Target, error) {
	slices.SortFunc(values, func(a, b value) int {
		if c.Type.Numeric() && c.Type != slipway.Bool {
			return cmp.Compare(number(a.Text), number(b.Text))
		}
		return cmp.Compare(a.Text, b.Text)
	})
	if t.Task == slipway.BinaryTask {
		last := positiveOf(values)
		if positive != "" {
			if last = slices.IndexFunc(values, func(v value) bool { return v.Text == positive }); last < 0 {
				return t, slipway.Errorf(slipway.Invalid, "%s is never %q", t.Column, positive).WithHint("it is %s or %s", values[0].Text, values[1].Text)
			}
		}
		if last == 0 {
			values[0], values[1] = values[1], values[0]
		}
	}
	for _, v := range values {
		t.Classes = append(t.Classes, v.Text)
		t.Shares = append(t.Shares, float64(v.Count)/float64(covered))
	}
	return t, nil
}

// positiveOf is which of two classes is the one to predict: the one that says
// yes, else the rarer.
func positiveOf(v []value) int {
	for i := range v {
		if slices.Contains(yesWords, strings.ToLower(v[i].Text)) || slices.Contains(noWords, strings.ToLower(v[1-i].Text)) {
			return i
		}
	}
	if v[0].Count < v[1].Count {
		return 0
	}
	return 1
}

// proposeTask follows from a target: words and two values are classes, and so
// are a few whole numbers that count from 0 or 1; all else is a number.
func proposeTask(c *Column) slipway.Task {
	counts := c.Type == slipway.Int && (c.Min == 0 || c.Min == 1) && c.Max-c.Min+1 == float64(c.Distinct) && c.Distinct <= 10
	switch {
	case c.Type == slipway.Bool || c.Distinct == 2:
		return slipway.BinaryTask
	case c.Type == slipway.Text || counts:
		return slipway.Multiclass
	}
	return slipway.Regression
}

// floor is the metric that a gate begins with, and what it must reach: what a
// model that knows nothing reaches, or for two classes a little more.
func (t Target) floor() (metric, limit string, value float64, margin string) {
	switch t.Task {
	case slipway.BinaryTask:
		return "roc_auc", "min", 0.6, "0.01"
	case slipway.Multiclass:
		entropy := 0.0
		for _, share := range t.Shares {
			if share > 0 {
				entropy -= share * math.Log(share)
			}
		}
		return "log_loss", "max", significant(entropy), "0.02"
	}
	return "rmse", "max", significant(t.SD), trimmed(significant(t.SD * 0.02))
}

// significant rounds to three digits that count.
func significant(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}

// proposeKey finds the column that tells one row from all others, "" for none.
func (l *Look) proposeKey(ctx context.Context) (string, error) {
	names, err := l.unique(ctx)
	if err != nil {
		return "", err
	}
	best, score := "", 0
	for _, name := range names {
		c := l.Find(name)
		s := 0
		if hints(name, []string{"id", "key", "uuid", "guid", "number", "no", "nr", "index", "instant", "code", "ref", "rowid"}) || strings.HasSuffix(strings.ToLower(name), "id") {
			s = 3
		} else if l.consecutive(c) || name == l.Column[0].Name && c.Length <= 40 && !c.dated() {
			s = 1
		}
		if s > score {
			best, score = name, s
		}
	}
	return best, nil
}

// consecutive reports whether a column numbers the rows.
func (l *Look) consecutive(c *Column) bool {
	return c.Type == slipway.Int && c.Present == l.Rows && c.Max-c.Min+1 == float64(l.Rows)
}

// checkKey fails with Invalid when a column does not tell rows apart.
func (l *Look) checkKey(ctx context.Context, name string) error {
	if l.Find(name) == nil {
		return l.noColumn(name)
	}
	res, err := l.engine.Run(ctx, query.Request{Tables: []query.Table{l.Table}, SQL: "SELECT count(DISTINCT " + identifier(name) + ") FROM t"})
	if err != nil {
		return err
	}
	if n := int64(float(res.Rows[0][0])); n < l.Rows {
		return slipway.Errorf(slipway.Invalid, "%s cannot be the key: it has %d different values in %d rows", name, n, l.Rows).WithHint("say --key none")
	}
	return nil
}
