package gate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/core/registry"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// command runs one command line against the world and returns what it printed.
func (w *world) command(line ...string) (string, error) {
	var out, errs bytes.Buffer
	e := &cli.Env{IO: &term.IO{Out: &out, Err: &errs}, Dir: w.t.TempDir(), ProjectFlag: "flights", Getenv: func(string) string { return "" },
		Client: func(context.Context) (web.Client, error) { return web.InProcess(w.api.Mux, w.principal), nil }}
	root := &cobra.Command{Use: "slipway", SilenceErrors: true, SilenceUsage: true}
	root.PersistentFlags().BoolVar(&e.IO.JSON, "json", false, "")
	root.AddCommand(gate.Commands(e)...)
	root.AddCommand(registry.Commands(e)...)
	root.SetArgs(line)
	err := root.ExecuteContext(w.t.Context())
	w.settle()
	return out.String(), err
}

func TestGateCommand(t *testing.T) { each(t, gateCommand) }

func gateCommand(t *testing.T, w *world) {
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	out, err := w.command("gate", "run")
	if err != nil || !strings.Contains(out, "verdict: pass") || !strings.Contains(out, "roc_auc of carrier=B6") {
		t.Fatalf("%v\n%s", err, out)
	}
	w.champion = "delay@v1"
	w.run("r2", w.put("short.txt"), w.put("train.csv"), w.put("test.csv"))
	junit := filepath.Join(t.TempDir(), "gate.xml")
	out, err = w.command("gate", "run", "delay@v2", "--junit", junit)
	if slipway.AsError(err).Code.ExitCode() != 3 || !strings.Contains(out, "x log_loss gain over delay@v1") {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log("\n" + out)
	raw, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Case     []struct {
			Name string `xml:"name,attr"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(raw, &suite); err != nil || suite.Tests != len(suite.Case) || suite.Failures == 0 {
		t.Errorf("%v %s", err, raw)
	}
	out, err = w.command("gate", "show", "delay@v2", "--json")
	var s gate.Signed
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || s.Certificate.Verdict != slipway.Refuse {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := w.command("gate", "show", s.Digest.Short()); err != nil || !strings.Contains(out, "beside the champion delay@v1") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := w.command("gate", "ls"); err != nil || strings.Count(out, "\n") != 4 {
		t.Errorf("%v\n%s", err, out)
	}
	for _, line := range [][]string{{"gate", "show", "delay@v9"}, {"gate", "show", "abcdef0123"}, {"gate", "run", "nobody"}} {
		if _, err := w.command(line...); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("%v = %v; want not_found", line, err)
		}
	}
	if _, err := w.command("gate", "waive", "delay@v2"); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("a waiver without reason: %v", err)
	}
}

// TestModelCommand is the registry's: register, alias, diff, delete.
func TestModelCommand(t *testing.T) { each(t, modelCommand) }

func modelCommand(t *testing.T, w *world) {
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	do := func(want string, line ...string) string {
		t.Helper()
		out, err := w.command(line...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("%v: %v %q\n%s\nwant %q", line, err, slipway.AsError(err).Hint, out, want)
		}
		return out
	}
	path, err := filepath.Abs("testdata/short.txt")
	if err != nil {
		t.Fatal(err)
	}
	do("delay@v2", "model", "register", path, "delay")
	do("delay@v2", "model", "register", path, "delay") // the same files are not news
	t.Log("\n" + do("passed", "model", "ls"))
	t.Log("\n" + do("3360 rows of prepare.features", "model", "show", "delay@v1"))
	do("5 categories", "model", "show", "delay")
	do("delay@best is delay@v1", "model", "alias", "delay@v1", "best")
	do("delay@v1", "model", "show", "delay@best")
	t.Log("\n" + do("file model.txt", "model", "diff", "delay@v1", "delay@v2"))
	fails := func(code slipway.Code, line ...string) {
		t.Helper()
		if out, err := w.command(line...); !slipway.IsCode(err, code) {
			t.Errorf("%v = %v; want %s\n%s", line, err, code, out)
		}
	}
	fails(slipway.Conflict, "model", "delete", "delay@v1")
	fails(slipway.Invalid, "model", "delete", "delay")
	fails(slipway.Invalid, "model", "delete", "delay@best")
	fails(slipway.NotFound, "model", "alias", "delay@v7", "best")
	fails(slipway.Invalid, "model", "alias", "delay@v1", "v3")
	do("delay@best is delay@v2", "model", "alias", "delay@v2", "best")
	do("is deleted", "model", "delete", "delay@v1")
	fails(slipway.NotFound, "model", "show", "delay@v1")
	do("has no alias best", "model", "alias", "delay", "best", "--remove")
	fails(slipway.NotFound, "model", "show", "delay@best")
	fails(slipway.NotFound, "model", "register", "nowhere.txt", "delay")
	fails(slipway.Invalid, "model", "register", path)
	fails(slipway.Invalid, "model", "register", path, "no/name")
	fails(slipway.Unavailable, "model", "register", "--run", "r1:model", "delay")
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("not a model"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(slipway.Invalid, "model", "register", text, "delay")
	m, err := w.registry.Model(w.ctx(), "flights", "delay")
	if err != nil || len(m.History) != 3 || m.History[0].Version != 0 || m.History[2].Actor != "ana" {
		t.Errorf("%v %+v", err, m.History)
	}
	w.principal.Role = slipway.Reader
	fails(slipway.Denied, "model", "register", path, "delay")
	fails(slipway.Denied, "gate", "run")
	fails(slipway.Denied, "gate", "waive", "delay@v2", "--reason", "x")
}
