package stat

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestARunGoesOnAfterItWasWrittenDown cuts a series at any place.
func TestARunGoesOnAfterItWasWrittenDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(0, 20), 1, 60).Draw(t, "values")
		cut := rapid.IntRange(0, len(values)).Draw(t, "cut")
		var whole, part Run
		for i, v := range values {
			if i == cut {
				b, err := part.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				part = Run{}
				if err := part.UnmarshalBinary(b); err != nil {
					t.Fatal(err)
				}
			}
			whole.Observe(int64(i), math.Round(v))
			part.Observe(int64(i), math.Round(v))
		}
		if whole != part {
			t.Fatalf("%+v is not %+v", part, whole)
		}
	})
	var r Run
	if err := r.UnmarshalBinary([]byte("no run")); err == nil {
		t.Error("any bytes are a run")
	}
}
