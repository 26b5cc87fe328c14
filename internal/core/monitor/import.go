package monitor

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// ImportPlan says how to read the request log of a service that runs already.
type ImportPlan struct {
	Name       string       `json:"name"` // of the endpoint that is made of it
	Time       string       `json:"time"`
	Key        string       `json:"key,omitempty"`
	Prediction []string     `json:"prediction,omitempty"` // one column, or one a class
	Label      string       `json:"label,omitempty"`
	Task       slipway.Task `json:"task,omitempty"`
	Classes    []string     `json:"classes,omitempty"`
	Window     int          `json:"window_days"`
	Timezone   string       `json:"timezone"`
	// Reference is how many of the first days the rest is compared with; 0 when
	// rows of their own are, marked by ReferenceColumn.
	Reference int `json:"reference_days"`
}

// ReferenceColumn marks the rows of a reference file in an upload.
const ReferenceColumn = "slipway_reference"

// ImportReport is what the log shows.
type ImportReport struct {
	Endpoint   string          `json:"endpoint"`
	Rows       int64           `json:"rows"`
	From       time.Time       `json:"from"`
	To         time.Time       `json:"to"`
	Reference  int64           `json:"reference_rows"`
	Labels     int             `json:"labels"`
	Window     int             `json:"window_days"`
	Features   []ImportFeature `json:"features"` // the most drifted first
	Feeds      []Freshness     `json:"feeds"`    // features that stood still for a while
	Quality    []WindowQuality `json:"quality"`  // every window
	Undecided  string          `json:"undecided,omitempty"`
	IgnoredRow int64           `json:"rows_without_time,omitempty"`
}

// ImportFeature is the drift of one feature over a whole log.
type ImportFeature struct {
	Feature string    `json:"feature"`
	Windows int       `json:"windows"` // that were decided
	Drifted int       `json:"drifted"`
	First   time.Time `json:"first,omitzero"` // last day of the first drifted window
	Worst   *float64  `json:"worst"`          // largest value of the statistic
	Limit   *float64  `json:"limit"`          // in that window
	Reason  string    `json:"reason"`         // of that window
}

func (p ImportPlan) rules() rules {
	zone, err := time.LoadLocation(p.Timezone)
	if err != nil {
		zone = time.UTC // checked when it was imported
	}
	return rules{zone: zone, blocks: max(1, p.Window), drift: &project.Drift{Features: project.Features{All: true}, Method: "auto"}, imported: true}
}

// importPlan is the plan of an endpoint that was imported.
func (s *Service) importPlan(ctx context.Context, at place) (ImportPlan, bool, error) {
	s.mu.Lock()
	all := s.imports
	s.mu.Unlock()
	if all == nil {
		var err error
		if all, err = s.storedImports(ctx); err != nil {
			return ImportPlan{}, false, err
		}
		s.mu.Lock()
		s.imports = all
		s.mu.Unlock()
	}
	plan, ok := all[at]
	return plan, ok, nil
}

// Import takes in a log as an endpoint of its own and decides about all of it.
// files are Parquet. An earlier import of the same name is replaced; an
// endpoint that is served under that name is a Conflict.
func (s *Service) Import(ctx context.Context, projectName string, plan ImportPlan, files []string) (ImportReport, error) {
	if err := plan.check(); err != nil {
		return ImportReport{}, err
	}
	if s.o.Query == nil {
		return ImportReport{}, slipway.Errorf(slipway.Unavailable, "this server cannot read files")
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	frame, err := s.o.Query.Frame(ctx, query.Request{Tables: []query.Table{{Name: "log", Files: files}}, Limit: importRows + 1,
		SQL: `SELECT * FROM log ORDER BY ` + quote(plan.Time)})
	if err != nil {
		return ImportReport{}, err
	}
	if frame.Rows > importRows {
		return ImportReport{}, slipway.Errorf(slipway.Invalid, "the log has more than %d rows", importRows).WithHint("import a part of it")
	}
	l, err := plan.open(frame)
	if err != nil {
		return ImportReport{}, err
	}
	if err := s.beginImport(ctx, projectName, plan); err != nil {
		return ImportReport{}, err
	}
	return s.importRows(ctx, projectName, plan, l)
}

// importRows bounds an import; it is held in memory.
const importRows = 5_000_000

func quote(name string) string { return `"` + replaceQuote(name) + `"` }

func (p *ImportPlan) check() error {
	switch {
	case p.Name == "" || len(p.Name) > 100:
		return slipway.Errorf(slipway.Invalid, "an import needs a name of at most 100 characters")
	case p.Time == "":
		return slipway.Errorf(slipway.Invalid, "which column says when a request came?").WithHint("name it with --time")
	case p.Window < 0 || p.Window > 366 || p.Reference < 0 || p.Reference > 10_000:
		return slipway.Errorf(slipway.Invalid, "a window of %d days and a reference of %d days cannot be", p.Window, p.Reference)
	}
	if _, err := time.LoadLocation(p.Timezone); err != nil {
		return slipway.Errorf(slipway.Invalid, "%q is not a time zone", p.Timezone)
	}
	return nil
}

// requestLog is an import's rows, apart from those of its reference.
type requestLog struct {
	training Training
	rows     []int // of frame, in order of time
	frame    *slipway.Frame
	time     *slipway.Series
	output   []*slipway.Series
	ignored  int64
}

// open finds the columns of a log and parts the reference from the rest.
func (p *ImportPlan) open(f *slipway.Frame) (*requestLog, error) {
	l := &requestLog{frame: f}
	take := func(name string) (*slipway.Series, error) {
		s := f.Column(name)
		if s == nil {
			return nil, slipway.Errorf(slipway.Invalid, "the log has no column %s", name).WithHint("it has %v", f.Schema().Names())
		}
		return s, nil
	}
	var err error
	if l.time, err = take(p.Time); err != nil {
		return nil, err
	}
	if l.time.Type != slipway.Time && l.time.Type != slipway.Date {
		return nil, slipway.Errorf(slipway.Invalid, "the column %s holds no times", p.Time)
	}
	used := []string{p.Time, ReferenceColumn}
	for _, name := range []string{p.Key, p.Label} {
		if name == "" {
			continue
		}
		if _, err := take(name); err != nil {
			return nil, err
		}
		used = append(used, name)
	}
	for _, name := range p.Prediction {
		s, err := take(name)
		if err != nil {
			return nil, err
		}
		if s.Text != nil {
			return nil, slipway.Errorf(slipway.Invalid, "the prediction in %s is text; a probability or a number is needed", name)
		}
		l.output, used = append(l.output, s), append(used, name)
	}
	sig := slipway.Signature{}
	for _, c := range f.Schema() {
		if !slices.Contains(used, c.Name) {
			sig.Input = append(sig.Input, c)
		}
	}
	l.split(p)
	p.outputs(&sig, l)
	l.training.Signature, l.training.Time = sig, p.Time
	return l, nil
}

// split parts the reference's rows from the rest.
func (l *requestLog) split(p *ImportPlan) {
	mark := l.frame.Column(ReferenceColumn)
	order := byTime(l.time)
	l.ignored = int64(l.frame.Rows - len(order))
	zone, _ := time.LoadLocation(p.Timezone)
	var until time.Time
	if len(order) > 0 && p.Reference > 0 {
		until = addDays(dayOf(time.UnixMicro(int64(l.time.Float[order[0]])), zone), p.Reference, zone)
	}
	var reference []int
	for _, i := range order {
		if mark != nil && mark.Float[i] == 1 || mark == nil && time.UnixMicro(int64(l.time.Float[i])).Before(until) {
			reference = append(reference, i)
			continue
		}
		l.rows = append(l.rows, i)
	}
	rows := &slipway.Frame{Rows: len(reference)}
	for i := range l.frame.Series {
		s := &l.frame.Series[i]
		c := newSeries(s.Name, s.Type, len(reference))
		for _, r := range reference {
			c.copy(s, r)
		}
		rows.Series = append(rows.Series, c.done())
	}
	l.training.Rows = rows
}

// outputs finds out what the predictions are: probabilities of a class where
// they lie in [0, 1] and the labels have two values, else numbers.
func (p *ImportPlan) outputs(sig *slipway.Signature, l *requestLog) {
	sig.Task, sig.Classes = p.Task, p.Classes
	if len(l.output) == 0 {
		return
	}
	if sig.Task == "" {
		sig.Task = slipway.Regression
		if len(l.output) > 1 {
			sig.Task = slipway.Multiclass
		} else if classes := p.twoClasses(l); classes != nil {
			sig.Task, sig.Classes = slipway.BinaryTask, classes
		}
	}
	switch sig.Task {
	case slipway.Multiclass:
		if len(sig.Classes) == 0 {
			sig.Classes = p.Prediction
		}
		for _, c := range sig.Classes {
			sig.Output = append(sig.Output, slipway.Column{Name: c, Type: slipway.Float})
		}
	case slipway.BinaryTask:
		sig.Output = slipway.Schema{{Name: predictor.Probability, Type: slipway.Float}}
	default:
		sig.Output = slipway.Schema{{Name: predictor.Prediction, Type: slipway.Float}}
	}
}

// twoClasses is the labels' two values in order, when the predictions are
// probabilities; nil otherwise.
func (p *ImportPlan) twoClasses(l *requestLog) []string {
	for _, v := range l.output[0].Float {
		if v < 0 || v > 1 {
			return nil
		}
	}
	seen := map[string]bool{}
	labels := l.frame.Column(p.Label)
	if p.Label == "" || labels == nil {
		return nil
	}
	for i := range l.frame.Rows {
		if labels.Missing(i) {
			continue
		}
		if seen[cell(labels, i)] = true; len(seen) > 2 {
			return nil
		}
	}
	return slices.Sorted(keysOf(seen))
}

// cell is a value as text.
func cell(s *slipway.Series, i int) string {
	if s.Text != nil {
		return s.Text[i]
	}
	return strconv.FormatFloat(s.Float[i], 'f', -1, 64)
}
