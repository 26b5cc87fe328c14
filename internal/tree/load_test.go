package tree

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCategoriesOfTheTrainingFrame(t *testing.T) {
	letters := strings.Split("abcdefghij", "")
	numbers := make([]string, 90)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i)
	}
	want := [][]string{nil, nil, nil, nil, nil, letters, numbers, nil}
	for _, name := range []string{"lgb-binary.txt", "xgb-cat.json", "xgb-cat-ubj.ubj"} {
		e := loadFile(t, "testdata/"+name)
		if diff := cmp.Diff(want, e.Categories); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if e := loadFile(t, "testdata/xgb-binary.json"); cmp.Diff(make([][]string, 8), e.Categories) != "" {
		t.Errorf("a model trained on numbers has categories %v", e.Categories)
	}
}

// LightGBM writes its own split counts behind the trees.
func TestImportanceEqualsTheFile(t *testing.T) {
	for _, name := range []string{"lgb-binary.txt", "lgb-multiclass.txt", "lgb-wide.txt", "lgb-rf.txt"} {
		_, text, _ := strings.Cut(string(read(t, name)), "feature_importances:\n")
		want := map[string]int{}
		for _, line := range strings.Split(text[:strings.Index(text, "\n\n")], "\n") {
			key, value, _ := strings.Cut(line, "=")
			want[key], _ = strconv.Atoi(value)
		}
		got := map[string]int{}
		for _, i := range loadFile(t, "testdata/"+name).Importance() {
			if i.Splits > 0 {
				got[i.Feature] = i.Splits
			}
			if (i.Splits > 0) != (i.Gain > 0) {
				t.Errorf("%s: %s has %d splits and gain %v", name, i.Feature, i.Splits, i.Gain)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Older releases wrote flags as booleans, one base score, and no categories.
func TestXGBoostOfOlderReleases(t *testing.T) {
	data := read(t, "xgb-base.json")
	want := loadFile(t, "testdata/xgb-base.json")
	old := bytes.ReplaceAll(data, []byte(`"base_score":"[2E-1]"`), []byte(`"base_score":"2E-1"`))
	for _, key := range []string{"split_type", "categories", "categories_nodes", "categories_segments", "categories_sizes", "cats"} {
		old = bytes.ReplaceAll(old, []byte(`"`+key+`"`), []byte(`"unknown"`))
	}
	parts := strings.Split(string(old), `"default_left":[`)
	for i := 1; i < len(parts); i++ {
		list, rest, _ := strings.Cut(parts[i], "]")
		parts[i] = strings.NewReplacer("0", "false", "1", "true").Replace(list) + "]" + rest
	}
	got, err := Parse([]byte(strings.Join(parts, `"default_left":[`)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// LightGBM's JSON is another way to write the same model (dump.py).
func TestLightGBMDumpIsTheTextFile(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.dump.json")
	if len(files) < 7 {
		t.Fatalf("there are %d dumps", len(files))
	}
	for _, file := range files {
		want, got := loadFile(t, strings.TrimSuffix(file, ".dump.json")+".txt"), loadFile(t, file)
		// The order of sets and the digits of gains are the writer's choice.
		n := len(want.Features)
		for i := range want.Trees {
			if len(want.Trees[i].Nodes) != len(got.Trees[i].Nodes) {
				t.Fatalf("%s tree %d: %d nodes, the text has %d", file, i, len(got.Trees[i].Nodes), len(want.Trees[i].Nodes))
			}
			for j := range want.Trees[i].Nodes {
				a, b := want.Trees[i].Nodes[j], got.Trees[i].Nodes[j]
				if a.Set != 0 && cmp.Diff(want.Trees[i].Sets[a.Set-1], got.Trees[i].Sets[b.Set-1]) != "" {
					t.Fatalf("%s tree %d node %d: other categories", file, i, j)
				}
				a.Set, b.Set, a.Gain, b.Gain = 0, 0, 0, 0
				if diff := cmp.Diff(a, b); diff != "" {
					t.Fatalf("%s tree %d node %d: %s", file, i, j, diff)
				}
			}
		}
		want.Trees, got.Trees = nil, nil
		if diff := cmp.Diff(want, got); diff != "" || n == 0 {
			t.Errorf("%s: %s", file, diff)
		}
	}
}

func TestWindowsLineEnds(t *testing.T) {
	want := loadFile(t, "testdata/lgb-sigmoid.txt")
	got, err := Parse(bytes.ReplaceAll(read(t, "lgb-sigmoid.txt"), []byte("\n"), []byte("\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBadFilesAreExplained(t *testing.T) {
	dump := string(read(t, "lgb-binary.dump.json"))
	lgb, xgb, ubj := string(read(t, "lgb-sigmoid.txt")), string(read(t, "xgb-base.json")), string(read(t, "xgb-tweedie.ubj"))
	change := func(text, from, to string) string {
		if !strings.Contains(text, from) {
			t.Fatalf("the model has no %q to change", from)
		}
		return strings.Replace(text, from, to, 1)
	}
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "empty"},
		{"blank", " \n\n", "empty"},
		{"text", "hello", "neither"},
		{"pickle", "\x80\x04\x95", "pickle"},
		{"old binary", "binf\x00\x00", "old binary"},
		{"other JSON", `{"a": 1}`, "not an XGBoost model"},
		{"gblinear", string(read(t, "bad-gblinear.json")), "gblinear"},
		{"linear tree", string(read(t, "bad-linear-tree.txt")), "linear models"},
		{"LightGBM cut off", lgb[:len(lgb)/2], "before \"end of trees\""},
		{"LightGBM cut in the header", lgb[:60], "max_feature_idx"},
		{"LightGBM version", change(lgb, "version=v4", "version=v9"), "v9"},
		{"LightGBM objective", change(lgb, "objective=binary", "objective=magic"), "magic"},
		{"LightGBM word", change(lgb, "leaf_value=", "leaf_value=abc"), "leaf_value"},
		{"LightGBM not finite", change(lgb, "threshold=", "threshold=nan "), "threshold has"},
		{"LightGBM tree lost", change(lgb, "Tree=3", "Trex=3"), "announces 10 trees, but 9"},
		{"LightGBM cycle", change(lgb, "left_child=2", "left_child=1"), "parents"},
		{"LightGBM child", change(lgb, "left_child=2", "left_child=99"), "node 99"},
		{"dump cut off", dump[:len(dump)/2], "ends in the middle"},
		{"dump decision", change(dump, `"decision_type":"<="`, `"decision_type":"<"`), "decision_type"},
		{"dump missing", change(dump, `"missing_type":"NaN"`, `"missing_type":"Nil"`), "missing_type"},
		{"dump threshold", change(dump, `"threshold":`, `"threshold":true,"x":`), "threshold"},
		{"dump nested", dump[:strings.Index(dump, `"tree_structure":`)] + `"tree_structure":` + strings.Repeat(`{"left_child":`, 5000), "ends in the middle"},
		{"dump deep", dump[:strings.Index(dump, `"tree_structure":`)] + `"tree_structure":` + strings.Repeat(`{"decision_type":"<=","missing_type":"NaN","threshold":1,"right_child":{"leaf_value":1},"left_child":`, 2000) +
			`{"leaf_value":1}` + strings.Repeat("}", 2000) + "}]}", "deeper"},
		{"dump nodes of one child", change(dump, `"right_child":`, `"x":`), "one child"},
		{"dump of nothing", change(dump, `"leaf_value":`, `"x":`), "leaf_value"},
		{"XGBoost cut off", xgb[:len(xgb)/2], "ends in the middle"},
		{"XGBoost damaged", change(xgb, `"num_class":`, `"num_class"?`), "byte"},
		{"XGBoost kind", change(xgb, `"trees":[`, `"trees":7,"x":[`), "trees"},
		{"XGBoost objective", change(xgb, "binary:logistic", "binary:magic"), "binary:magic"},
		{"XGBoost base score", change(xgb, "[2E-1]", "[2E0]"), "base score"},
		{"XGBoost base list", change(xgb, "[2E-1]", "[2E-1,1E-1]"), "2 numbers for 1 outputs"},
		{"XGBoost vector leaf", change(xgb, `"size_leaf_vector":"1"`, `"size_leaf_vector":"3"`), "vectors"},
		{"XGBoost lengths", change(xgb, `"right_children":[`, `"right_children":[1,`), "right_children"},
		{"XGBoost features", change(xgb, `"num_class":"0","num_feature":"8"`, `"num_class":"0","num_feature":"99999999999"`), "num_feature"},
		{"XGBoost NaN", change(xgb, `"split_conditions":[`, `"split_conditions":[NaN],"x":[`), "split_conditions has 1"},
		{"XGBoost NaN for a threshold", nanThreshold(xgb), "not a number"},
		{"XGBoost UBJ cut off", ubj[:len(ubj)/2], "damaged at byte"},
		{"XGBoost UBJ count", change(ubj, "[#L\x00\x00\x00\x00", "[#L\x7f\x00\x00\x00"), "length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.file))
			if !slipway.IsCode(err, slipway.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want Invalid with %q", err, c.want)
			}
		})
	}
}

// nanThreshold puts NaN where a split has its threshold.
func nanThreshold(text string) string {
	before, after, _ := strings.Cut(text, `"split_conditions":[`)
	_, rest, _ := strings.Cut(after, ",")
	return before + `"split_conditions":[NaN,` + rest
}

// FuzzParse holds the loaders to an error or a model that answers and explains.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"lgb-small.txt", "xgb-small.json", "xgb-small.ubj", "bad-gblinear.json", "lgb-small.dump.json"} {
		f.Add(read(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			if !slipway.IsCode(err, slipway.Invalid) {
				t.Fatalf("not an Invalid error: %v", err)
			}
			return
		}
		if e.Outputs*len(e.Features) > 1<<16 {
			return
		}
		n := len(e.Features)
		x := make([]float64, 2*n)
		for i := range n {
			x[i] = math.NaN()
		}
		dst := make([]float64, 2*e.Outputs)
		NewPredictor(e).Predict(dst, x, 2)
		if ex, err := NewExplainer(e); err == nil {
			ex.Explain(make([]float64, 2*e.Outputs*(n+1)), x, 2)
		}
	})
}
