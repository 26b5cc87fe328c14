package project

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
)

// told is what a user reads about an error.
func told(t *testing.T, err error) string {
	t.Helper()
	var e *slipway.Error
	if !errors.As(err, &e) || e.Code != slipway.Invalid {
		t.Fatalf("%v is not an invalid request", err)
	}
	out := e.Message + "\n"
	if e.Hint != "" {
		out += "hint: " + e.Hint + "\n"
	}
	return out
}

// TestRefused goes through testdata/refused.txt: files with a mistake, each
// with the exact text of the message.
func TestRefused(t *testing.T) {
	const path = "testdata/refused.txt"
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(b), "\n=== ")
	fresh := cases[0]
	for _, c := range cases[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		source, want, ok := strings.Cut("\n"+rest+"\n", "\n>>>\n")
		if !ok {
			t.Fatalf("%s: no >>> after the file", name)
		}
		source = strings.TrimPrefix(source, "\n")
		got := ""
		t.Run(name, func(t *testing.T) {
			p, err := Parse("slipway.yaml", []byte(source+"\n"))
			if err == nil {
				t.Fatalf("accepted as %+v", p)
			}
			got = told(t, err)
			if diff := cmp.Diff(strings.TrimRight(want, "\n"), strings.TrimRight(got, "\n")); diff != "" && !*update {
				t.Error(diff)
			}
		})
		if source != "" {
			source += "\n"
		}
		fresh += "\n=== " + name + "\n" + source + ">>>\n" + strings.TrimRight(got, "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(fresh+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedBytes(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"not UTF-8": {"a: 1\nproject: caf\xe9\n", "slipway.yaml:2:13: the file is not text in UTF-8\n    2 | project: caf?\n      |             ^\nhint: save it as UTF-8\n"},
		"a zero":    {"project: a\x00b\n", "slipway.yaml:1:11: the file is not text in UTF-8\n"},
		"too large": {strings.Repeat("# x\n", 1<<18+1), "slipway.yaml is larger than 1 MB\n"},
		"a bomb":    {bomb(), "the file unfolds to too many values"},
		"a tower":   {"project: " + strings.Repeat("[", 5000), "slipway.yaml:1:"},
	} {
		_, err := Parse("slipway.yaml", []byte(c.source))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if got := told(t, err); !strings.Contains(got, c.want) && !strings.HasPrefix(got, strings.TrimSuffix(c.want, "\n")) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// bomb is a file of a few lines that unfolds to ten thousand million values.
func bomb() string {
	out := "pipeline:\n  s:\n    run: x\n    params:\n      a0: &a0 [x]\n"
	for i := 1; i <= 10; i++ {
		n, before := string(rune('a'+i)), "a0"
		if i > 1 {
			before = string(rune('a' + i - 1))
		}
		out += "      " + n + ": &" + n + " [" + strings.Repeat("*"+before+", ", 9) + "*" + before + "]\n"
	}
	return out
}

// TestSecretIsNotRepeated keeps a secret that was pasted into the file out of
// every message about it.
func TestSecretIsNotRepeated(t *testing.T) {
	_, err := Parse("slipway.yaml", []byte("monitor: {window: 7, alerts: [{slack: hunter2}]}"))
	if err == nil || strings.Contains(told(t, err), "hunter2") || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
