package trees

import (
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/onnx"
)

var _ predictor.Exporter = (*model)(nil)

// ONNX writes trees, or a linear model, whose features are its columns as they
// come. Preprocessing by the model itself is not written.
func (m *model) ONNX() ([]byte, error) {
	if m.derived != nil {
		plain := len(m.derived.features) == len(m.signature.Input)
		for i, f := range m.derived.features {
			plain = plain && f.column == i && len(f.steps) == 0
		}
		if !plain {
			return nil, slipway.Errorf(slipway.Invalid, "the model prepares its columns itself, which is not exported to ONNX").
				WithHint("export the last step of the pipeline, and prepare its input where it runs")
		}
	}
	names := m.signature.Input.Names()
	if m.linear != nil {
		return onnx.Linear(m.linear, names)
	}
	return onnx.Trees(m.ensemble, names)
}
