package inference

import (
	"strconv"

	"github.com/slipway-ml/slipway/internal/core/serving"
)

// explanationHead says what the numbers of an explanation mean.
type explanationHead struct {
	Features   []string `json:"features"`
	Outputs    []string `json:"outputs"`
	Space      string   `json:"space"`
	Method     string   `json:"method"`
	Background string   `json:"background,omitempty"` // SHA-256 of the rows that stood for what is not known
	Explained  []int    `json:"explained,omitempty"`  // that are explained, from 0; absent for all
}

func aboutExplanation(a *serving.Answer) explanationHead {
	x := a.Explanation
	return explanationHead{x.Feature, x.Output, x.Space, x.Method, x.Background, a.Explained}
}

// explanationTensor is a further output of an explained answer.
type explanationTensor struct {
	name  string
	shape []int
	rows  [][]float64
}

// explanationTensors are shap_values, rows × outputs × features, and shap_base, the
// outputs that the values add up from; of a sampled explanation also shap_error,
// the standard errors of the values, and where asked for shap_interactions, rows ×
// outputs × features × features.
func explanationTensors(x *serving.Explanation) []explanationTensor {
	rows, outputs, features := len(x.Value), len(x.Output), len(x.Feature)
	out := []explanationTensor{
		{"shap_values", []int{rows, outputs, features}, x.Value},
		{"shap_base", []int{len(x.Base)}, [][]float64{x.Base}},
	}
	if x.Error != nil {
		out = append(out, explanationTensor{"shap_error", []int{rows, outputs, features}, x.Error})
	}
	if x.Interaction != nil {
		out = append(out, explanationTensor{"shap_interactions", []int{rows, outputs, features, features}, x.Interaction})
	}
	return out
}

func appendExplanation(b []byte, x *serving.Explanation, first bool) []byte {
	for _, t := range explanationTensors(x) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, `{"name":"`...), t.name...), `","datatype":"FP64","shape":[`...)
		for _, n := range t.shape {
			b = append(strconv.AppendInt(b, int64(n), 10), ',')
		}
		b = append(b[:len(b)-1], `],"data":[`...)
		for _, row := range t.rows {
			for _, v := range row {
				b = append(appendNumber(b, v), ',')
			}
		}
		b = endList(b)
	}
	return b
}

// explainedRow is one row of an explanation: values[o][f] is how much feature f
// moved output o away from base[o].
type explainedRow struct {
	Values       [][]float64   `json:"values"`
	Errors       [][]float64   `json:"errors,omitempty"`
	Interactions [][][]float64 `json:"interactions,omitempty"`
}

// explanations is an explanation as KServe's V1 has it: an object beside the
// predictions.
func explanations(a *serving.Answer) any {
	x := a.Explanation
	out := struct {
		explanationHead
		Base []float64      `json:"base"`
		Rows []explainedRow `json:"rows"`
	}{aboutExplanation(a), x.Base, make([]explainedRow, len(x.Value))}
	features := len(x.Feature)
	for i := range out.Rows {
		row := &out.Rows[i]
		row.Values = table(x.Value[i], features)
		if x.Error != nil {
			row.Errors = table(x.Error[i], features)
		}
		if x.Interaction != nil {
			for _, m := range table(x.Interaction[i], features*features) {
				row.Interactions = append(row.Interactions, table(m, features))
			}
		}
	}
	return out
}

// table cuts values into lines.
func table(values []float64, width int) (out [][]float64) {
	for width > 0 && len(values) >= width {
		out, values = append(out, values[:width:width]), values[width:]
	}
	return out
}
