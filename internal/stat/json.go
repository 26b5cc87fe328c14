package stat

import (
	"encoding/json"
	"math"
)

// finite is a number that JSON can hold: null stands for NaN and infinities,
// and is read as NaN, which decides nothing.
type finite float64

func (f finite) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

func (f *finite) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = finite(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}

type (
	plainEstimate Estimate
	plainDrift    DriftVerdict
	plainStuck    StuckVerdict
)

// The outer fields hide the embedded ones of the same name.
type (
	estimateJSON struct {
		Value finite `json:"value"`
		Low   finite `json:"low"`
		High  finite `json:"high"`
		Error finite `json:"error"`
		*plainEstimate
	}
	driftJSON struct {
		Value   finite `json:"value"`
		Typical finite `json:"typical"`
		Limit   finite `json:"limit"`
		Largest finite `json:"largest"`
		PValue  finite `json:"p_value"`
		QValue  finite `json:"q_value"`
		*plainDrift
	}
	stuckJSON struct {
		PValue finite `json:"p_value"`
		QValue finite `json:"q_value"`
		*plainStuck
	}
)

// MarshalJSON writes a value or bound that is unknown as null.
func (e Estimate) MarshalJSON() ([]byte, error) {
	return json.Marshal(estimateJSON{finite(e.Value), finite(e.Low), finite(e.High), finite(e.Error), (*plainEstimate)(&e)})
}

// UnmarshalJSON reads what MarshalJSON writes, null as NaN.
func (e *Estimate) UnmarshalJSON(b []byte) error {
	j := estimateJSON{plainEstimate: (*plainEstimate)(e)}
	err := json.Unmarshal(b, &j)
	e.Value, e.Low, e.High, e.Error = float64(j.Value), float64(j.Low), float64(j.High), float64(j.Error)
	return err
}

// MarshalJSON writes numbers that are unknown as null.
func (v DriftVerdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(driftJSON{finite(v.Value), finite(v.Typical), finite(v.Limit), finite(v.Largest),
		finite(v.PValue), finite(v.QValue), (*plainDrift)(&v)})
}

// UnmarshalJSON reads what MarshalJSON writes, null as NaN.
func (v *DriftVerdict) UnmarshalJSON(b []byte) error {
	j := driftJSON{plainDrift: (*plainDrift)(v)}
	err := json.Unmarshal(b, &j)
	v.Value, v.Typical, v.Limit, v.Largest = float64(j.Value), float64(j.Typical), float64(j.Limit), float64(j.Largest)
	v.PValue, v.QValue = float64(j.PValue), float64(j.QValue)
	return err
}

// MarshalJSON writes numbers that are unknown as null.
func (v StuckVerdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(stuckJSON{finite(v.PValue), finite(v.QValue), (*plainStuck)(&v)})
}

// UnmarshalJSON reads what MarshalJSON writes, null as NaN.
func (v *StuckVerdict) UnmarshalJSON(b []byte) error {
	j := stuckJSON{plainStuck: (*plainStuck)(v)}
	err := json.Unmarshal(b, &j)
	v.PValue, v.QValue = float64(j.PValue), float64(j.QValue)
	return err
}
