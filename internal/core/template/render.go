package template

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/templates"
)

// File is one file of a project.
type File struct {
	Path string // relative to the project, with slashes
	Data []byte
}

var funcs = template.FuncMap{
	"py": quote, "pylist": pythonList, "pyvalue": pythonValue, "yaml": yamlText, "yamllist": yamlList, "words": words,
	"cell":     func(s string) string { return "`" + words(s) + "`" },
	"wordlist": func(list []string) string { return words(strings.Join(list, ", ")) },
	"percent":  func(share float64) string { return fmt.Sprintf("%g %%", 100*share) },
}

// Files renders a plan: all files but the data. slipway.yaml comes last.
func (p *Plan) Files() ([]File, error) {
	entries, err := fs.ReadDir(templates.Files, "project")
	if err != nil {
		return nil, err
	}
	v := p.view()
	var out []File
	for _, e := range entries {
		source, err := templates.Files.ReadFile("project/" + e.Name())
		if err != nil {
			return nil, err
		}
		name, isTemplate := strings.CutSuffix(e.Name(), ".tmpl")
		if name == "score.py" && p.Batch == "" {
			continue
		}
		if isTemplate {
			t, err := template.New(name).Funcs(funcs).Parse(string(source))
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			if err := t.Execute(&b, v); err != nil {
				return nil, fmt.Errorf("fill in %s: %w", name, err)
			}
			source = b.Bytes()
		}
		switch name {
		case "gitignore":
			name = ".gitignore"
		case "contract.yaml":
			name = path.Join("contracts", p.Dataset+".yaml")
		}
		out = append(out, File{name, source})
	}
	slices.SortStableFunc(out, func(a, b File) int { return last(a) - last(b) })
	return out, nil
}

func last(f File) int {
	if f.Path == "slipway.yaml" {
		return 1
	}
	return 0
}

// view is a plan as the templates want it.
type view struct {
	*Plan
	Target, Task, Positive, Objective, LossName, LossLabel string
	TargetType                                             slipway.Type
	Classes                                                []string
	TimeColumn, TimeText, TimeCode, Timezone, Block        string
	Order, SortBy                                          []string
	Numeric, Categorical                                   []string
	Dates                                                  []dateView
	Groups                                                 []groupView
	Calendar                                               []calendarView
	Rename                                                 []renameView
	CSV, Header, Missing, Slices, Gates                    []string
	NotFeatures, PrepareImports, AnyTarget                 string
	Model, Quality, SliceLimit, Derived                    string
	DataNote, Commands                                     string
	TestShare                                              float64
	MinSliceRows                                           int
	CutAtMidnight, NeedInstants                            bool
	Contract                                               []ruleView
}

type (
	dateView struct {
		Column, Name string
		Formats      []string
	}
	groupView    struct{ Column, Name, Edges string }
	calendarView struct{ Name, Attribute string }
	renameView   struct{ From, To string }
	ruleView     struct {
		Rule
		Type   string
		Unique bool
	}
)

// minSliceRows is how many rows of a group the gate needs to judge it.
const minSliceRows = 200

func (p *Plan) view() *view {
	t := p.Target
	v := &view{
		Plan: p, Target: t.Column, Task: string(t.Task), Positive: t.Positive(), TargetType: t.Type, Classes: t.Classes,
		TimeColumn: p.Time.Column, TimeText: p.Time.Expression, TimeCode: p.Time.Code, Timezone: p.Time.Zone, Order: p.Time.Order,
		Missing: p.Read.Missing, TestShare: testShare, MinSliceRows: minSliceRows, Model: p.Project,
		NeedInstants: strings.Contains(p.Time.Code, "instants("),
	}
	if v.Question = p.Question; v.Question == "" {
		v.Question = t.question()
	}
	if p.Read.CSV && !p.Read.Header {
		v.Header = p.Read.Names
	}
	v.features()
	v.reading()
	v.time()
	v.judging()
	v.scripts()
	for _, r := range p.Column {
		v.Contract = append(v.Contract, ruleView{Rule: r, Type: logicalType(r.Type), Unique: r.Name == p.Key})
	}
	return v
}

func (t Target) question() string {
	switch t.Task {
	case slipway.BinaryTask:
		return fmt.Sprintf("How likely is it that %s is %s?", words(t.Column), words(t.Positive()))
	case slipway.Multiclass:
		return fmt.Sprintf("Which %s is it?", words(t.Column))
	}
	return fmt.Sprintf("How much will %s be?", words(t.Column))
}

// features sorts columns by kind and finds names that LightGBM takes.
func (v *view) features() {
	p := v.Plan
	used := map[string]bool{p.Target.Column: true, p.Key: true, p.Time.Column: true, "split": true, "score": true}
	for _, f := range p.Feature {
		if featureName(f.Column, nil) == f.Column {
			used[f.Column] = true
		}
	}
	name := func(column, suffix string) string {
		out := featureName(column+suffix, used)
		used[out] = true
		return out
	}
	renamed := map[string]string{}
	for _, f := range p.Feature {
		if f.Kind == Dated {
			v.Dates = append(v.Dates, dateView{f.Column, name(f.Column, "_days"), f.Formats})
			continue
		}
		if f.Kind == Categorical {
			v.Categorical = append(v.Categorical, f.Column)
		} else {
			v.Numeric = append(v.Numeric, f.Column)
		}
		renamed[f.Column] = f.Column
		if featureName(f.Column, nil) != f.Column || f.Column == "split" || f.Column == "score" {
			renamed[f.Column] = name(f.Column, "")
			v.Rename = append(v.Rename, renameView{f.Column, renamed[f.Column]})
		}
	}
	for _, c := range p.Slice {
		v.Slices = append(v.Slices, renamed[c])
	}
	for _, g := range p.Group {
		edges := make([]string, len(g.Edges))
		for i, e := range g.Edges {
			edges[i] = trimmed(e)
		}
		group := groupView{g.Column, name(g.Column, "_group"), "[" + strings.Join(edges, ", ") + "]"}
		v.Groups = append(v.Groups, group)
		v.Slices = append(v.Slices, group.Name)
	}
	v.SortBy = make([]string, len(p.Time.Order))
	for i, c := range p.Time.Order {
		if v.SortBy[i] = c; renamed[c] != "" {
			v.SortBy[i] = renamed[c]
		}
	}
	v.calendar(name)
}

// calendar adds the hour and the day of the week of the event time, where the
// rows cover enough of them.
func (v *view) calendar(name func(column, suffix string) string) {
	t := v.Plan.Time
	if t.Clock && len(t.Part) == 1 && t.Days >= 3 {
		v.Calendar = append(v.Calendar, calendarView{name("hour_of_day", ""), "hour"})
	}
	if t.Column != "" && len(t.Part) == 1 && t.Days >= 21 {
		v.Calendar = append(v.Calendar, calendarView{name("day_of_week", ""), "day_of_week"})
	}
	var derived []string
	for _, d := range v.Dates {
		derived = append(derived, "`"+d.Name+"`")
	}
	for _, c := range v.Calendar {
		derived = append(derived, "`"+c.Name+"`")
	}
	v.Derived = strings.Join(derived, ", ")
}

// reading is the arguments of pandas.read_csv.
func (v *view) reading() {
	r := v.Plan.Read
	if !r.CSV {
		return
	}
	add := func(key, value string) { v.CSV = append(v.CSV, quote(key)+": "+value) }
	if separator, spaced := strings.CutSuffix(r.Delimiter, " "); separator != "," || spaced {
		add("sep", quote(separator))
		if spaced {
			add("skipinitialspace", "True")
		}
	}
	switch {
	case !r.Header:
		add("header", "None")
		add("names", pythonList(r.Names))
	case r.Names != nil:
		add("header", "0")
		add("names", pythonList(r.Names))
	}
	if r.Decimal == "," {
		add("decimal", quote(","))
	}
	if r.Quote == "none" {
		add("quoting", "3")
	} else if r.Quote != "" && r.Quote != `"` {
		add("quotechar", quote(r.Quote))
	}
	switch r.Encoding {
	case "", "utf-8":
	case "windows-1252":
		add("encoding", quote("cp1252"))
	default:
		add("encoding", quote(r.Encoding))
	}
	add("na_values", pythonList(append([]string{""}, r.Missing...)))
	add("keep_default_na", "False")
	add("low_memory", "False")
}

// time decides about blocks.
func (v *view) time() {
	t := v.Plan.Time
	if t.Column == "" {
		return
	}
	v.Block = t.block()
	v.CutAtMidnight = v.Block == "1d" && t.Days >= 20
}

// judging is the gates and what production is watched by.
func (v *view) judging() {
	metric, limit, value, margin := v.Plan.Target.floor()
	number := trimmed(value)
	v.Gates = []string{
		fmt.Sprintf("{metric: %s, %s: %s, ci: 0.95}%s", metric, limit, number, v.Plan.Target.floorNote()),
		fmt.Sprintf("{metric: %s, vs: champion, noninferior: %s, ci: 0.90}", metric, margin),
	}
	v.Quality = fmt.Sprintf("{metric: %s, %s: %s}", metric, limit, number)
	switch v.Plan.Target.Task {
	case slipway.BinaryTask:
		v.SliceLimit = "metric: roc_auc, min: 0.55"
		v.Objective, v.LossName, v.LossLabel = "binary", "binary_logloss", "log_loss"
	case slipway.Multiclass:
		v.SliceLimit = fmt.Sprintf("metric: log_loss, max: %s", trimmed(significant(1.25*value)))
		v.Objective, v.LossName, v.LossLabel = "multiclass", "multi_logloss", "log_loss"
	default:
		v.SliceLimit = fmt.Sprintf("metric: rmse, max: %s", trimmed(significant(1.25*value)))
		v.Objective, v.LossName, v.LossLabel = "regression", "rmse", "rmse"
	}
}

func (t Target) floorNote() string {
	switch t.Task {
	case slipway.Multiclass:
		return "   # what the classes' shares alone reach"
	case slipway.Regression:
		return "   # what always predicting the mean reaches"
	}
	return "   # 0.5 is chance"
}

// scripts is what the Python files name.
func (v *view) scripts() {
	p := v.Plan
	imports := []string{"DATASET", "NUMERIC", "TARGET"}
	not := []string{"TARGET"}
	add := func(when bool, names ...string) {
		if when {
			imports = append(imports, names...)
		}
	}
	add(len(v.Categorical) > 0, "CATEGORICAL")
	add(len(v.CSV) > 0, "CSV")
	add(len(v.Classes) > 0, "CLASSES")
	add(len(v.Dates) > 0, "DATES")
	add(len(v.Groups) > 0, "GROUPS")
	add(len(v.Rename) > 0, "RENAME")
	add(len(v.Order) > 0, "ORDER")
	add(p.Key != "", "KEY")
	add(v.TimeColumn != "", "TIME")
	add(v.TimeColumn != "" && (v.CutAtMidnight && p.Split == "time" || v.NeedInstants || len(v.Dates) > 0 || len(v.Calendar) > 0), "TIMEZONE")
	add(p.Split == "hash", "is_feature")
	slices.SortFunc(imports, func(a, b string) int { return strings.Compare(importOrder(a), importOrder(b)) })
	v.PrepareImports = strings.Join(imports, ",\n    ")
	if p.Key != "" {
		not = append(not, "KEY")
	}
	if v.TimeColumn != "" {
		not = append(not, "TIME")
	}
	for _, c := range p.Time.Order {
		if !slices.Contains(v.Numeric, c) {
			not = append(not, quote(c))
		}
	}
	for _, g := range v.Groups {
		not = append(not, quote(g.Name))
	}
	v.NotFeatures = strings.Join(not, ", ")
	v.AnyTarget = "0"
	if len(v.Classes) > 0 {
		v.AnyTarget = pythonValue(v.TargetType, v.Classes[0])
	}
	v.DataNote = fmt.Sprintf("%d rows", p.Rows)
	v.Commands = strings.Join(p.Next(), "\n")
}

// importOrder puts constants before functions, as linters want it.
func importOrder(name string) string {
	if name == strings.ToUpper(name) {
		return "0" + name
	}
	return "1" + name
}

// Next is the commands that lead on from a new project.
func (p *Plan) Next() []string {
	out := []string{"slipway data add " + p.Dataset}
	if p.Batch != "" {
		out = append(out, "slipway data add "+p.Batch)
	}
	return append(out, "slipway run", "slipway up")
}

// logicalType is the name of a type in the Open Data Contract Standard.
func logicalType(t slipway.Type) string {
	switch t {
	case slipway.Int:
		return "integer"
	case slipway.Float:
		return "number"
	case slipway.Bool:
		return "boolean"
	case slipway.Time:
		return "timestamp"
	case slipway.Date:
		return "date"
	}
	return "string"
}
