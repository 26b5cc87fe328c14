package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// command runs a command line against the house.
func (h *house) command(args ...string) (out, errs string, err error) {
	var o, e bytes.Buffer
	cache := filepath.Join(h.dir, "cache")
	env := &cli.Env{IO: &term.IO{Out: &o, Err: &e}, Dir: h.code, Getenv: func(name string) string {
		if name == "XDG_CACHE_HOME" {
			return cache
		}
		return ""
	}, Client: func(context.Context) (web.Client, error) { return h.client, nil }}
	root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().BoolVar(&env.IO.JSON, "json", false, "")
	runs := &cobra.Command{Use: "runs"}
	runs.AddCommand(WhyCommand(env))
	root.AddCommand(append(Commands(env, func(string) (map[string]int, error) { return nil, nil }), runs)...)
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&e)
	err = root.ExecuteContext(ownerContext(h.t))
	return o.String(), e.String(), err
}

// A user's afternoon on the command line.
func TestCommands(t *testing.T) {
	h := onSQLite(t)
	h.write(shellCode)
	h.dataset("rows", map[string]string{"a.csv": "at,x\n2013-01-01,1\n"})
	has := func(what, text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", what, want, text)
			}
		}
	}
	out, _, err := h.command("run", "--dry-run")
	if err != nil {
		t.Fatal(err)
	}
	has("a dry run", out, "would run", "may run", "it has not succeeded before", "step prepare runs first")
	out, errs, err := h.command("run")
	if err != nil {
		t.Fatal(err, errs)
	}
	has("progress", errs, "prepare  | prepared", "done in")
	has("the summary", out, "train", "done", "auc 0.7", "succeeded")
	if b, err := os.ReadFile(filepath.Join(h.code, "model.txt")); err != nil || !strings.Contains(string(b), "leaves") {
		t.Errorf("the model is beside the code: %q, %v", b, err)
	}
	if out, _, err = h.command("run"); err != nil {
		t.Fatal(err)
	}
	has("a second run", out, "nothing to do: 3 steps are up to date")

	h.write(map[string]string{"score.txt": "my own\n", "lib.sh": "train() { echo other; }\n"})
	out, errs, err = h.command("run", "-p", "train.leaves=40")
	if err != nil {
		t.Fatal(err)
	}
	has("what was applied", errs, "applied revision 2", "lib.sh")
	has("the summary", out, "kept score.txt", "code lib.sh changed", "param leaves changed from 31 to 40")
	if b, _ := os.ReadFile(filepath.Join(h.code, "score.txt")); string(b) != "my own\n" {
		t.Errorf("an edited file was overwritten: %q", b)
	}
	if out, _, err = h.command("runs", "why", "train"); err != nil {
		t.Fatal(err)
	}
	has("why", out, "param leaves changed from 31 to 40", "it depends on", "code train.sh = ")
	if out, _, err = h.command("logs", "latest", "prepare"); err != nil || out != "prepared\n" {
		t.Errorf("the log of a reused step is that of the run that made it: %q, %v", out, err)
	}

	h.write(map[string]string{"prepare.sh": "echo broken >&2; exit 4\n"})
	out, errs, err = h.command("run")
	if !slipway.IsCode(err, slipway.Failed) || slipway.AsError(err).Code.ExitCode() != 1 {
		t.Errorf("a failed step: %v", err)
	}
	has("a failure", errs+out, "| broken", "it ended with status 4", "step prepare did not succeed")
	out, _, err = h.command("run", "--json")
	var report RunReport
	if jerr := json.Unmarshal([]byte(out), &report); jerr != nil || err == nil || report.Run.State != Failed {
		t.Errorf("JSON is JSON also of a failure: %v, %v\n%s", jerr, err, out)
	}
	for _, bad := range [][]string{{"run", "nosuch"}, {"run", "-p", "x"}, {"run", "-p", "train.nosuch=1"}, {"logs", "zzz"}} {
		if _, _, err := h.command(bad...); err == nil {
			t.Errorf("%v is refused", bad)
		}
	}
}
