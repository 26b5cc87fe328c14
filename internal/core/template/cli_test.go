package template

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// rowsOf writes a CSV of n rows from a function of the row's number.
func rowsOf(n int, header string, row func(i int) string) string {
	var b strings.Builder
	if header != "" {
		b.WriteString(header + "\n")
	}
	for i := range n {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

func people(i int) string {
	return fmt.Sprintf("%d,%s,%s,%s", 20+i*7%50, []string{"Male", "Female"}[i/3%2], []string{"x", "y", "z"}[i%3], []string{"stay", "go", "stay"}[(i*i+i/5)%3])
}

func TestNothingIsOverwritten(t *testing.T) {
	s := begin(t)
	s.file("p/train.py", "mine\n")
	s.file("p/README.md", "mine too\n")
	_, err := s.run("p", "--template", "regression")
	if !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(err.Error(), "train.py") || !strings.Contains(err.Error(), "README.md") {
		t.Fatalf("%v", err)
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "p"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v %v", entries, err)
	}
	if b, _ := os.ReadFile(filepath.Join(s.dir, "p", "train.py")); string(b) != "mine\n" {
		t.Errorf("train.py is %q now", b)
	}
}

func TestTwiceIsRefused(t *testing.T) {
	s := begin(t)
	s.must("p")
	if _, err := s.run("p"); !slipway.IsCode(err, slipway.Conflict) || !strings.Contains(err.Error(), project.FileName) {
		t.Errorf("%v", err)
	}
}

// TestFolderThatCannotBeMade leaves nothing behind.
func TestFolderThatCannotBeMade(t *testing.T) {
	s := begin(t)
	s.file("p", "a file\n")
	if _, err := s.run("p"); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestTemplateIsAskedForInATerminal(t *testing.T) {
	s := begin(t)
	s.terminal, s.input = true, "bird\nregression\n"
	out := s.must("p")
	if !strings.Contains(out, `there is no template "bird"`) {
		t.Errorf("a wrong answer was not told:\n%s", out)
	}
	if p := loads(t, filepath.Join(s.dir, "p")); p.Model.Task != "regression" {
		t.Errorf("%+v", p.Model)
	}
}

func TestPipeTakesTheFirstTemplate(t *testing.T) {
	s := begin(t)
	s.must()
	if p := loads(t, s.dir); p.Model.Task != "binary" {
		t.Errorf("%+v", p.Model)
	}
}

// TestConversation answers some questions and lets Enter answer the others.
func TestConversation(t *testing.T) {
	s := begin(t)
	s.file("people.csv", rowsOf(600, "", people))
	// names, key, time, a target that is not there, the target, task, positive class
	s.terminal, s.input = true, "age, sex, group, choice\n\n\nnobody\nchoice\n\nstay\n"
	out := s.must("p", "--from", "people.csv")
	if !strings.Contains(out, `there is no column "nobody"`) || strings.Contains(out, "assumed:") {
		t.Errorf("%s", out)
	}
	p := loads(t, filepath.Join(s.dir, "p"))
	set := p.Data["people"]
	if p.Model.Target != "choice" || !slices.Equal(set.Columns, []string{"age", "sex", "group", "choice"}) || set.Header == nil || *set.Header {
		t.Errorf("%+v %+v", p.Model, set)
	}
	var by []string
	for _, g := range p.Gates.Slices {
		by = append(by, g.By...)
	}
	if !slices.Equal(by, []string{"sex", "age_group"}) {
		t.Errorf("slices by %v", by)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "p", "columns.py"))
	if err != nil || !strings.Contains(string(b), "    \"go\": 0,\n    \"stay\": 1,\n") {
		t.Errorf("%s %v", b, err)
	}
	python(t, filepath.Join(s.dir, "p"))
}

// TestEndOfInput writes nothing when the terminal goes away.
func TestEndOfInput(t *testing.T) {
	s := begin(t)
	s.file("people.csv", rowsOf(600, "age,sex,group,choice", people))
	s.terminal, s.input = true, "\n"
	if _, err := s.run("p", "--from", "people.csv"); !slipway.IsCode(err, slipway.Interrupted) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "p")); err == nil {
		t.Error("the folder was made")
	}
}

// TestPipeAssumes takes what is proposed and says so.
func TestPipeAssumes(t *testing.T) {
	s := begin(t)
	s.file("people.csv", rowsOf(600, "", people))
	out := s.must("p", "--from", "people.csv")
	golden(t, "assumed.out", maskDir(out, s.dir))
}

func TestRefused(t *testing.T) {
	csv := rowsOf(600, "id,age,sex,group,choice", func(i int) string { return fmt.Sprintf("%d,%s", i, people(i)) })
	for name, c := range map[string]struct {
		data string
		args []string
		code slipway.Code
		says string
	}{
		"no file":             {csv, []string{"--from", "other.csv"}, slipway.NotFound, "does not exist"},
		"a folder":            {csv, []string{"--from", "."}, slipway.Invalid, "not a file"},
		"an empty file":       {"", nil, slipway.Invalid, "empty"},
		"a header alone":      {"a,b\n", nil, slipway.Invalid, "rows"},
		"few rows":            {"a,b\n1,2\n3,4\n", nil, slipway.Invalid, "2 rows"},
		"one column":          {rowsOf(90, "a", func(i int) string { return fmt.Sprint(i) }), nil, slipway.Invalid, "one column"},
		"a ragged line":       {csv + "1,2\n", nil, slipway.Invalid, "line 602"},
		"no such target":      {csv, []string{"--target", "chocie"}, slipway.Invalid, `"chocie"`},
		"a key as target":     {csv, []string{"--target", "id"}, slipway.Invalid, "key"},
		"regression on words": {csv, []string{"--target", "choice", "--task", "regression"}, slipway.Invalid, "predicts numbers"},
		"two of three":        {csv, []string{"--target", "group", "--task", "binary"}, slipway.Invalid, "3 classes"},
		"no such task":        {csv, []string{"--task", "clustering"}, slipway.Invalid, "clustering"},
		"no such class":       {csv, []string{"--target", "choice", "--positive", "maybe"}, slipway.Invalid, "maybe"},
		"a time that is none": {csv, []string{"--time", "sex"}, slipway.Invalid, "no dates"},
		"a key that repeats":  {csv, []string{"--key", "sex"}, slipway.Invalid, "2 different values"},
		"no such zone":        {csv, []string{"--timezone", "Mars/Base"}, slipway.Invalid, "Mars/Base"},
		"too few names":       {csv, []string{"--columns", "a,b"}, slipway.Invalid, "5 columns"},
		"nothing to learn":    {rowsOf(90, "a,b", func(i int) string { return fmt.Sprintf("text number %d,%d", i, i%2) }), []string{"--target", "b", "--key", "none"}, slipway.Invalid, "no column is left"},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			s.file("data.csv", c.data)
			args := c.args
			if !slices.Contains(args, "--from") {
				args = append([]string{"--from", "data.csv"}, args...)
			}
			_, err := s.run(append([]string{"p"}, args...)...)
			if !slipway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(s.dir, "p")); err == nil {
				t.Error("something was written")
			}
		})
	}
}

func TestAnswersWithoutAFile(t *testing.T) {
	s := begin(t)
	if _, err := s.run("--target", "x"); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("%v", err)
	}
}

// TestFileInPlace leaves a data file where a script finds it.
func TestFileInPlace(t *testing.T) {
	s := begin(t)
	s.file("data/people.csv", rowsOf(600, "age,sex,group,choice", people))
	s.must("--from", "data/people.csv")
	if d := loads(t, s.dir).Data["people"]; d.Path != "data/people.csv" {
		t.Errorf("%+v", d)
	}
}
