package serving

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/slipway-ml/slipway"
)

// shelf is a registry of one version, with the rows that it learned from.
type shelf struct{ rows *slipway.Frame }

func (s shelf) Version(_ context.Context, _, model string) (slipway.Digest, slipway.Signature, error) {
	if model != "m@v1" {
		return "", slipway.Signature{}, slipway.Errorf(slipway.NotFound, "there is no %s", model)
	}
	return "thrice", fakeSignature, nil
}

func (s shelf) Learned(context.Context, string, string) (*slipway.Frame, error) { return s.rows, nil }

func learned() *slipway.Frame {
	f := &slipway.Frame{Rows: 200, Series: []slipway.Series{{Name: "at", Type: slipway.Time}, {Name: "city", Type: slipway.Text}, {Name: "x", Type: slipway.Float}}}
	for i := range f.Rows {
		f.Series[0].Float = append(f.Series[0].Float, float64(i))
		f.Series[1].Text = append(f.Series[1].Text, "a")
		f.Series[2].Float = append(f.Series[2].Float, float64(i%2)) // mean 0.5 over every even sample of it
	}
	return f
}

func TestAttributionBySampling(t *testing.T) {
	back := shelf{learned()}
	s, _ := open1(t, Options{Versions: back, Background: back})
	rows := []map[string]any{{"x": 4.0, "city": nil}, {"x": 0.0, "city": "a"}}
	own := []map[string]any{{"x": 1.0, "city": "a"}, {"x": 0.0, "city": "b"}}
	for _, w := range []Wish{{Rows: rows, BackgroundRows: own}, {Rows: rows, BackgroundRows: own, Method: Kernel}} {
		x, err := s.Attribute(t.Context(), "p", "m@v1", w)
		if err != nil {
			t.Fatal(err)
		}
		// 3·x against a mean of 3·0.5; the city does nothing.
		if x.Base[0] != 1.5 || math.Abs(x.Value[0][0]-10.5) > 1e-9 || math.Abs(x.Value[1][0]+1.5) > 1e-9 || math.Abs(x.Value[0][1]) > 1e-9 {
			t.Errorf("%s: base %v, values %v", x.Method, x.Base, x.Value)
		}
		if x.Feature[0] != "x" || x.Output[0] != "prediction" || len(x.Error) != 2 {
			t.Errorf("%s: %+v", x.Method, x)
		}
	}
}

func TestGlobalAttribution(t *testing.T) {
	back := shelf{learned()}
	s, _ := open1(t, Options{Versions: back, Background: back})
	g, err := s.Global(t.Context(), "p", "m@v1", 40, "x", 2)
	if err != nil {
		t.Fatal(err)
	}
	o := g.Output[0]
	if g.Rows != 40 || o.Feature[0].Name != "x" || o.Feature[0].MeanAbs <= 0 || o.Feature[1].MeanAbs != 0 || len(o.Point) != 40 {
		t.Errorf("%+v", g)
	}
	if len(o.Swarm) != 2 || o.Swarm[0].Name != "x" || len(o.Swarm[1].Point) != 40 {
		t.Errorf("%+v", o.Swarm)
	}
	for _, p := range o.Point {
		if want := 3*p.Value.(float64) - o.Base; math.Abs(p.Worth-want) > 1e-9 {
			t.Errorf("%v is worth %v, want %v", p.Value, p.Worth, want)
		}
	}
}

func TestAttributionSaysWhatIsWrong(t *testing.T) {
	s, _ := open1(t, Options{Versions: shelf{}})
	row := map[string]any{"x": 1.0, "city": "a"}
	for name, c := range map[string]struct {
		model string
		w     Wish
		code  slipway.Code
		says  string
	}{
		"no background":  {"m@v1", Wish{Rows: []map[string]any{row}}, slipway.NotFound, "trained on are not known"},
		"no rows":        {"m@v1", Wish{}, slipway.Invalid, "0 rows"},
		"other column":   {"m@v1", Wish{Rows: []map[string]any{{"x": 1.0, "city": "a", "z": 1.0}}}, slipway.Invalid, `"z"`},
		"column missing": {"m@v1", Wish{Rows: []map[string]any{{"x": 1.0}}}, slipway.Invalid, `no column "city"`},
		"text":           {"m@v1", Wish{Rows: []map[string]any{{"x": "1", "city": "a"}}}, slipway.Invalid, "takes a number"},
		"number":         {"m@v1", Wish{Rows: []map[string]any{{"x": 1.0, "city": 2.0}}}, slipway.Invalid, "takes text"},
		"list":           {"m@v1", Wish{Rows: []map[string]any{{"x": []any{1.0}, "city": "a"}}}, slipway.Invalid, "neither"},
		"interventional": {"m@v1", Wish{Rows: []map[string]any{row}, Method: Interventional}, slipway.Invalid, "sampling only"},
		"no model":       {"m@v2", Wish{Rows: []map[string]any{row}}, slipway.NotFound, "m@v2"},
	} {
		if _, err := s.Attribute(t.Context(), "p", c.model, c.w); !slipway.IsCode(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %s: %s", name, err, c.code, c.says)
		}
	}
	if _, err := s.Global(t.Context(), "p", "m@v1", 0, "", 0); !slipway.IsCode(err, slipway.NotFound) {
		t.Errorf("global without rows: %v", err)
	}
}
