package tree

import (
	"bytes"
	"fmt"
	"io"

	"github.com/slipway-ml/slipway"
)

// maxModelBytes bounds what a loader keeps in memory of one file.
const maxModelBytes = 1 << 30

// Load reads a model file, telling its format by its content: LightGBM's text
// format (v2 to v4) or dump_model's JSON, or XGBoost's JSON or UBJSON (1.0 to 3.x). A file that is
// neither, is damaged, or needs what this package does not have (linear leaves,
// XGBoost's gblinear, vector leaves) is an Invalid error that says where.
func Load(r io.Reader) (*Ensemble, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the model: %w", err)
	}
	if len(data) > maxModelBytes {
		return nil, slipway.Errorf(slipway.Invalid, "the model file is larger than %d bytes", maxModelBytes)
	}
	return Parse(data)
}

// Parse is Load for a file that is in memory.
func Parse(data []byte) (*Ensemble, error) {
	e, err := parse(data)
	if err != nil {
		return nil, err
	}
	if err := e.settle(); err != nil {
		return nil, err
	}
	return e, nil
}

func parse(data []byte) (*Ensemble, error) {
	head := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n")
	switch {
	case len(head) == 0:
		return nil, slipway.Errorf(slipway.Invalid, "the model file is empty")
	case bytes.HasPrefix(head, []byte("tree\n")), bytes.HasPrefix(head, []byte("tree\r\n")):
		return parseLightGBM(data)
	case head[0] == '{' && looksLikeDump(data):
		return parseLightGBMDump(data)
	case head[0] == '{' && (len(head) == 1 || bytes.IndexByte([]byte("\"} \t\r\n"), head[1]) >= 0):
		return parseXGBoost(data)
	case head[0] == '{':
		text, err := jsonOfUBJ(data)
		if err != nil {
			return nil, err
		}
		return parseXGBoost(text)
	case bytes.HasPrefix(head, []byte("binf")), bytes.HasPrefix(head, []byte("bs64")):
		return nil, slipway.Errorf(slipway.Invalid, "this is XGBoost's old binary format").
			WithHint("Save the model again with booster.save_model(\"model.json\").")
	case head[0] == 0x80:
		return nil, slipway.Errorf(slipway.Invalid, "this is a Python pickle, not a model file").
			WithHint("Save the trees with booster.save_model(\"model.txt\" or \"model.json\").")
	}
	return nil, slipway.Errorf(slipway.Invalid, "the file is neither LightGBM text nor XGBoost JSON or UBJSON")
}
