package registry

import (
	"context"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// ONNX is the format that Export writes.
const ONNX = "onnx"

// Exported is a version in another format.
type Exported struct {
	Model   string   `json:"model"` // name@vN
	Format  string   `json:"format"`
	Feature []string `json:"feature"` // the columns of its input, in order
	Content []byte   `json:"content"`
}

// Export writes a version in another format. It is Invalid where that format
// cannot say exactly what the model computes, and for models that only Python
// can open.
func (s *Service) Export(ctx context.Context, v slipway.ModelVersion, format string) (Exported, error) {
	out := Exported{Model: v.ID(), Format: format}
	if format != ONNX {
		return out, slipway.Errorf(slipway.Invalid, "models are exported to %s, not to %.40q", ONNX, format)
	}
	if v.State == slipway.ModelDeleted {
		return out, slipway.Errorf(slipway.NotFound, "%s was deleted, and its files with it", v.ID())
	}
	m, err := s.o.Loader.Read(ctx, v.Content, &v.Signature)
	if err != nil {
		return out, err
	}
	if m == nil {
		return out, slipway.Errorf(slipway.Invalid, "%s can be opened by Python only, and is not exported", v.ID()).
			WithHint("save it with slipway.save_model, which writes most estimators in a form that can be")
	}
	x, ok := m.(predictor.Exporter)
	if !ok {
		_ = m.Close() // the reason below matters more
		return out, slipway.Errorf(slipway.Invalid, "%s cannot be exported", v.ID())
	}
	out.Feature = m.Signature().Input.Names()
	if out.Content, err = x.ONNX(); err != nil {
		_ = m.Close()
		return out, err
	}
	return out, m.Close()
}
