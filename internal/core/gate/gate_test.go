package gate_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/gate"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// TestFromRunToVerdict is the way of a first model: a run makes it, it is
// registered with its signature, its gates pass, and its certificate verifies
// and carries golden rows that it reproduces.
func TestFromRunToVerdict(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
		v, err := w.registry.Find(w.ctx(), "flights", "delay@v1")
		if err != nil {
			t.Fatal(err)
		}
		if v.State != slipway.ModelPassed || v.Rows != 3360 || v.Commit != "c0ffee" || len(v.Dataset) != 1 || v.Training != "prepare.features" {
			t.Errorf("version = %+v", v)
		}
		c := w.certificate("delay@v1")
		for _, k := range c.Certificate.Check {
			t.Logf("%-9s %-40s %v %s", k.Verdict, k.Name, k.Estimate, k.Reason)
		}
		if c.Certificate.Verdict != slipway.Pass || c.Certificate.Blocks != 14 || c.Certificate.Rows != 840 {
			t.Fatalf("certificate = %+v", c.Certificate)
		}
		auc := check(t, c, "roc_auc")
		if e := auc.Estimate; !(e.Low < e.Value && e.Value < e.High) || *auc.Compared != e.Low {
			t.Errorf("roc_auc = %+v; the lower bound must be what was compared", auc)
		}
		if k := check(t, c, "log_loss gain over the champion"); k.Verdict != gate.Skipped {
			t.Errorf("without a champion: %+v", k)
		}
		if k := check(t, c, "roc_auc of carrier=YV"); k.Verdict != gate.Shown {
			t.Errorf("a carrier of few rows: %+v", k)
		}
		if k := check(t, c, "no training rows of delay@v1"); k.Verdict != slipway.Pass {
			t.Errorf("overlap: %+v", k)
		}
		if err := w.gate.Reproduce(w.ctx(), "flights", "delay@v1", c.Digest); err != nil {
			t.Error(err)
		}
		if ref, err := w.registry.Reference(w.ctx(), "flights", "delay@v1"); err != nil || ref.Time != "departed_at" || ref.Rows.Rows != 3360 || len(ref.Rows.Series) != 6 {
			t.Errorf("reference: %v %+v", err, ref.Rows.Schema().Names())
		}
		if c.Certificate.GoldenRows != 200 || w.gate.Replay(w.ctx(), c.Certificate, w.load("delay@v1")) != nil {
			t.Errorf("golden rows are not reproduced: %v", w.gate.Replay(w.ctx(), c.Certificate, w.load("delay@v1")))
		}
		list, err := w.gate.List(w.ctx(), "flights", 0)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d certificates, %v; handling events twice must make one", len(list), err)
		}
		if err := mustStand(t, w, "delay", 1).Production(); err != nil {
			t.Error(err)
		}
		for d, err := range w.gate.Roots(w.ctx()) {
			if err != nil {
				t.Fatal(err)
			}
			if has, err := w.content.Has(w.ctx(), d); err != nil || !has[0] {
				t.Errorf("a root is missing: %s %v", d, err)
			}
		}
	})
}

func mustStand(t *testing.T, w *world, name string, n int) gate.Standing {
	t.Helper()
	s, err := w.gate.Standing(w.ctx(), "flights", slipway.VersionRef(slipway.KindModel, name, n))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFirstVersionsLimitYieldsToTheChampion sets a limit that no model reaches:
// it refuses a first version, and for a challenger it is shown, not judged.
func TestFirstVersionsLimitYieldsToTheChampion(t *testing.T) {
	w := one(t)
	w.yaml = strings.Replace(yaml, "min: 0.65", "min: 0.99, unless: champion", 1)
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	if k := check(t, w.certificate("delay@v1"), "roc_auc"); k.Verdict != slipway.Refuse {
		t.Fatalf("a first version below the limit: %+v", k)
	}
	w.champion = "delay@v1"
	w.run("r2", w.put("short.txt"), w.put("train.csv"), w.put("test.csv"))
	if k := check(t, w.certificate("delay@v2"), "roc_auc"); k.Verdict != gate.Skipped || k.Estimate == nil {
		t.Errorf("beside a champion: %+v", k)
	}
}

// TestChallengerOnTooLittleIsRefused retrains on the last days alone, as a
// 90-day window does on flights: the limit on the metric itself may hold, but
// beside the champion, on the same rows, it loses.
func TestChallengerOnTooLittleIsRefused(t *testing.T) {
	w := one(t)
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	w.champion = "delay@v1"
	w.run("r2", w.put("short.txt"), w.put("train.csv"), w.put("test.csv"))
	c := w.certificate("delay@v2")
	k := check(t, c, "log_loss gain over delay@v1")
	if c.Certificate.Verdict != slipway.Refuse || k.Verdict != slipway.Refuse || k.Estimate.High >= 0 {
		t.Fatalf("verdict %s; %+v", c.Certificate.Verdict, k)
	}
	if c.Certificate.Champion != "delay@v1" || c.Certificate.Evidence["scores"].Rows != 840 {
		t.Errorf("evidence = %+v", c.Certificate.Evidence)
	}
	path, err := w.content.File(w.ctx(), c.Certificate.Evidence["scores"].Digest)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.query.Read(w.ctx(), []string{path}, "parquet", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flight_id", "departed_at", "delayed", "carrier", "candidate probability", "champion probability"} {
		if rows.Column(name) == nil {
			t.Errorf("the evidence has no column %q: %v", name, rows.Schema().Names())
		}
	}
	if err := mustStand(t, w, "delay", 2).Staging(); !slipway.IsCode(err, slipway.Refused) {
		t.Errorf("Staging = %v", err)
	}
	if v, _ := w.registry.Find(w.ctx(), "flights", "delay@v2"); v.State != slipway.ModelRefused {
		t.Errorf("state = %s", v.State)
	}
	// The same files again are not news, and the champion is no rival of itself.
	w.run("r3", w.put("short.txt"), w.put("train.csv"), w.put("test.csv"))
	if v, _ := w.registry.Find(w.ctx(), "flights", "delay"); v.Version != 2 {
		t.Errorf("the same files made version %d", v.Version)
	}
}

// TestSwappedColumnsFailGoldenRows is the trap that scores cannot see: two
// columns of like size exchanged.
func TestSwappedColumnsFailGoldenRows(t *testing.T) {
	w := one(t)
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	c, v := w.certificate("delay@v1"), mustFind(t, w, "delay@v1")
	swapped := w.put("swapped.txt")
	tree, err := content.NewTree([]content.Entry{{Path: "model.txt", Digest: swapped.Digest, Size: swapped.Size}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.content.PutTree(w.ctx(), tree)
	if err != nil {
		t.Fatal(err)
	}
	err = w.gate.Replay(w.ctx(), c.Certificate, w.loadFile(d, &v.Signature))
	if !slipway.IsCode(err, slipway.Refused) || !strings.Contains(err.Error(), "golden rows") {
		t.Errorf("Replay of swapped columns = %v; want refused", err)
	}
}

func mustFind(t *testing.T, w *world, text string) slipway.ModelVersion {
	t.Helper()
	v, err := w.registry.Find(w.ctx(), "flights", text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVerdicts changes one thing at a time.
func TestVerdicts(t *testing.T) {
	const none = ""
	for _, c := range []struct {
		name     string
		old, new string // in slipway.yaml
		test     func(rows string) string
		check    string
		verdict  slipway.Verdict
		want     slipway.Verdict
	}{
		{"trained on", none, none, func(rows string) string { return rows + line(t, "train.csv", 7) }, "no training rows of delay@v1", slipway.Refuse, slipway.Refuse},
		{"bound below the limit", "min: 0.65", "min: 0.74", nil, "roc_auc", slipway.Refuse, slipway.Refuse},
		{"value below the limit", "min: 0.65", "min: 0.99", nil, "roc_auc", slipway.Refuse, slipway.Refuse},
		{"too few rows", "min_rows: 500", "min_rows: 5000", nil, "rows", slipway.Undecided, slipway.Undecided},
		{"too few days", none, none, func(rows string) string { return head(rows, 240) }, "rows", slipway.Undecided, slipway.Undecided},
		{"one block", "block: 1d", "block: 30d", nil, "roc_auc", slipway.Undecided, slipway.Undecided},
		{"no such metric", "metric: roc_auc, min: 0.65", "metric: rocauc, min: 0.65", nil, "rocauc", slipway.Undecided, slipway.Undecided},
		{"a metric of another task", "metric: roc_auc, min: 0.65", "metric: rmse, max: 0.65", nil, "rmse", slipway.Undecided, slipway.Undecided},
		{"a limit for every slice", "min: 0.55, min_rows: 60", "min: 0.99, min_rows: 60", nil, "roc_auc of carrier=B6", slipway.Refuse, slipway.Refuse},
		{"no such slice", "by: [carrier]", "by: [airline]", nil, "roc_auc by airline", slipway.Undecided, slipway.Undecided},
		{"a column is gone", none, none, func(rows string) string { return strings.Replace(rows, "temp", "temperature", 1) }, "schema", slipway.Refuse, slipway.Refuse},
		{"a column is text", none, none, func(rows string) string { return strings.Replace(rows, ",10,", ",ten,", 1) }, "schema", slipway.Refuse, slipway.Refuse},
		{"the target is gone", none, none, func(rows string) string { return strings.Replace(rows, "delayed", "late", 1) }, "rows", slipway.Undecided, slipway.Undecided},
		{"a third class", none, none, func(rows string) string { return strings.Replace(rows, ",1\n", ",2\n", 1) }, "rows", slipway.Undecided, slipway.Undecided},
		{"calibration", "max: 0.25", "max: 0.001", nil, "ece", slipway.Refuse, slipway.Refuse},
		{"a server that serves nothing", "  min_rows: 500", "  min_rows: 500\n  latency: {p99_ms: 5}", nil, "latency p99", slipway.Refuse, slipway.Refuse},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := one(t)
			if c.old != none {
				w.yaml = strings.Replace(w.yaml, c.old, c.new, 1)
			}
			test := w.put("test.csv")
			if c.test != nil {
				test = w.putBytes("test.csv", []byte(c.test(text(t, "test.csv"))))
			}
			w.run("r1", w.put("champion.txt"), w.put("train.csv"), test)
			got := w.certificate("delay@v1")
			k := check(t, got, c.check)
			if k.Verdict != c.verdict || got.Certificate.Verdict != c.want || k.Verdict != slipway.Pass && k.Reason == "" {
				t.Errorf("%+v\nverdict %s (%s); want %s and %s", k, got.Certificate.Verdict, got.Certificate.Reason, c.verdict, c.want)
			}
			t.Log(k.Reason)
		})
	}
}

// TestUnreadableModelIsRefused registers a file that is no model: the version is
// there, and its certificate says what is wrong.
func TestUnreadableModelIsRefused(t *testing.T) {
	w := one(t)
	w.run("r1", w.putBytes("model.txt", []byte("tree\nversion=v4\n")), w.put("train.csv"), w.put("test.csv"))
	c := w.certificate("delay@v1")
	if k := check(t, c, "loads"); k.Verdict != slipway.Refuse || c.Certificate.Verdict != slipway.Refuse || k.Reason == "" {
		t.Errorf("%+v", k)
	}
}

// TestClientVersionsAreUngated lets a client's version into staging at once, and
// into production after a gate or a waiver.
func TestClientVersionsAreUngated(t *testing.T) { each(t, clientVersionsAreUngated) }

func clientVersionsAreUngated(t *testing.T, w *world) {
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	file := w.put("swapped.txt")
	tree, err := content.NewTree([]content.Entry{{Path: "model.txt", Digest: file.Digest, Size: file.Size}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := w.content.PutTree(w.ctx(), tree)
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.registry.Register(w.ctx(), slipway.ModelVersion{Project: "flights", Name: "delay", Content: d}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.settle()
	c := w.certificate(v.ID())
	if c.Certificate.Verdict != slipway.Ungated || c.Certificate.GoldenRows == 0 || w.gate.Replay(w.ctx(), c.Certificate, w.load(v.ID())) != nil {
		t.Fatalf("%+v", c.Certificate)
	}
	s := mustStand(t, w, "delay", 2)
	if s.Staging() != nil || !slipway.IsCode(s.Production(), slipway.Refused) {
		t.Errorf("staging %v, production %v", s.Staging(), s.Production())
	}
	if _, err := w.gate.Waive(w.ctx(), "flights", v.ID(), " "); !slipway.IsCode(err, slipway.Invalid) {
		t.Errorf("a waiver without a reason: %v", err)
	}
	if _, err := w.gate.Waive(w.ctx(), "flights", v.ID(), "judged elsewhere"); err != nil {
		t.Fatal(err)
	}
	if s := mustStand(t, w, "delay", 2); s.Production() != nil || s.Waiver.Actor != "ana" {
		t.Errorf("waived: %+v", s)
	}
	if _, err := w.gate.Waive(w.ctx(), "flights", v.ID(), "again"); !slipway.IsCode(err, slipway.Conflict) {
		t.Errorf("waiving twice: %v", err)
	}
	// A gate run by hand judges it by the rows of the newest run.
	signed, err := w.gate.Run(w.ctx(), "flights", v.ID(), func(web.Progress) {})
	if err != nil || !signed.Certificate.Gated || signed.Certificate.Verdict != slipway.Pass && signed.Certificate.Verdict != slipway.Refuse {
		t.Errorf("%v %+v", err, signed.Certificate)
	}
}

// TestRefusedVersionsAndWaivers follows gates.on_fail.
func TestRefusedVersionsAndWaivers(t *testing.T) { each(t, refusedVersionsAndWaivers) }

func refusedVersionsAndWaivers(t *testing.T, w *world) {
	w.yaml = strings.Replace(w.yaml, "min: 0.65", "min: 0.99", 1)
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	if _, err := w.gate.Waive(w.ctx(), "flights", "delay@v1", "it is fine"); !slipway.IsCode(err, slipway.Refused) {
		t.Errorf("on_fail: refuse lets a waiver through: %v", err)
	}
	w.yaml = strings.Replace(w.yaml, "  block: 1d", "  block: 1d\n  on_fail: register", 1)
	if _, err := w.gate.Waive(w.ctx(), "flights", "delay@v1", "it is fine"); err != nil {
		t.Errorf("on_fail: register: %v", err)
	}
}

// TestCertificateIsSigned changes one byte.
func TestCertificateIsSigned(t *testing.T) {
	w := one(t)
	w.run("r1", w.put("champion.txt"), w.put("train.csv"), w.put("test.csv"))
	c := w.certificate("delay@v1")
	r, err := w.content.Open(w.ctx(), c.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	raw := make([]byte, r.Size())
	if _, err := r.ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := gate.Verify(raw, c.Key); err != nil || got.Model != "delay@v1" {
		t.Fatalf("Verify = %v", err)
	}
	at := bytes.Index(raw, []byte(`"payload":"`)) + 40
	changed := bytes.Clone(raw)
	changed[at] ^= 1
	if _, err := gate.Verify(changed, c.Key); err == nil {
		t.Error("a changed certificate verifies")
	}
	other := bytes.Clone(c.Key)
	other[3] ^= 1
	if _, err := gate.Verify(raw, other); !slipway.IsCode(err, slipway.Refused) {
		t.Errorf("another key: %v", err)
	}
}
