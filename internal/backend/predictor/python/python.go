// Package python runs any Python model in worker processes: MLflow folders,
// scikit-learn pickles and joblib files, classes in Python files, LightGBM
// and XGBoost files. Requests are checked, bound and joined into batches here;
// a worker gets one frame a batch and builds one DataFrame (or array) of it.
// Pickles and model code are opened in the workers only.
package python

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
)

// Loader opens Python models. Default fills what a Spec leaves zero.
type Loader struct {
	Default predictor.Python
}

var _ predictor.Loader = Loader{}

// Name is "python".
func (Loader) Name() string { return "python" }

// Detect reports whether path is a file or folder that Load knows.
func (Loader) Detect(path string) bool {
	_, err := find(path)
	return err == nil
}

// Load starts the workers and has each load the model.
func (l Loader) Load(ctx context.Context, spec predictor.Spec) (predictor.Model, error) {
	load, err := find(spec.Path)
	if err != nil {
		return nil, err
	}
	cfg := fill(spec.Python, l.Default)
	load.Signature, load.Memory = spec.Signature, cfg.Memory
	w, about, err := open(ctx, cfg, load)
	if err != nil {
		return nil, err
	}
	signature, err := predictor.Merge(slipway.Signature{Task: about.Task, Input: about.Input, Classes: about.Classes}, spec.Signature)
	if err != nil {
		w.stop()
		return nil, err
	}
	m := &model{signature: signature}
	if len(signature.Output) == 0 {
		m.signature.Output = output(signature)
	}
	if about.Labels != "" {
		m.signature.Output = slipway.Schema{{Name: predictor.Prediction, Type: about.Labels}}
	}
	if len(signature.Input) > 0 && !slices.ContainsFunc(signature.Input, func(c slipway.Column) bool { return c.Type == "" }) {
		at := make([]int, len(signature.Input))
		if m.schema, err = newWireSchema(signature.Input, nil, at); err != nil {
			w.stop()
			return nil, err
		}
	}
	if m.pool, err = newPool(ctx, cfg, load, w); err != nil {
		return nil, err
	}
	return m, nil
}

// fill takes from the loader's defaults, and then from the package's, what cfg
// leaves zero.
func fill(cfg, def predictor.Python) predictor.Python {
	if len(cfg.Interpreter) == 0 {
		cfg.Interpreter = def.Interpreter
	}
	if len(cfg.Interpreter) == 0 {
		cfg.Interpreter = []string{"python3"}
	}
	cfg.Env = append(slices.Clone(def.Env), cfg.Env...)
	cfg.Workers = first(cfg.Workers, def.Workers, 1)
	cfg.MaxBatch = first(cfg.MaxBatch, def.MaxBatch, 256)
	cfg.MaxQueue = first(cfg.MaxQueue, def.MaxQueue, 1024)
	cfg.Timeout = first(cfg.Timeout, def.Timeout, 30*time.Second)
	cfg.StartTimeout = first(cfg.StartTimeout, def.StartTimeout, 2*time.Minute)
	cfg.Memory = first(cfg.Memory, def.Memory, 0)
	cfg.Recycle = first(cfg.Recycle, def.Recycle, 0)
	cfg.Idle = first(cfg.Idle, def.Idle, 0)
	return cfg
}

func first[T int | int64 | time.Duration](values ...T) T {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}

// output is the columns that follow from a task; none where it does not say.
func output(s slipway.Signature) slipway.Schema {
	switch {
	case s.Task == slipway.BinaryTask:
		return slipway.Schema{{Name: predictor.Probability, Type: slipway.Float}}
	case s.Task == slipway.Regression:
		return slipway.Schema{{Name: predictor.Prediction, Type: slipway.Float}}
	case s.Task == slipway.Multiclass:
		out := make(slipway.Schema, len(s.Classes))
		for i, c := range s.Classes {
			out[i] = slipway.Column{Name: c, Type: slipway.Float}
		}
		return out
	}
	return nil
}

// model is a pool with what it takes.
type model struct {
	signature slipway.Signature
	schema    *wireSchema // of every frame, when all types are known; else nil
	pool      *pool
}

// Workers tells of the model's processes.
func (m *model) Workers() predictor.Workers {
	p := m.pool
	return predictor.Workers{Alive: int(p.alive.Load()), Most: p.cfg.Workers, Queue: len(p.queue), Starts: p.starts.Load(), Start: time.Duration(p.start.Load())}
}

func (m *model) Signature() slipway.Signature { return m.signature }

func (m *model) Predict(ctx context.Context, in *slipway.Frame) (*slipway.Frame, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := predictor.Check(in); err != nil {
		return nil, err
	}
	j := &job{part: part{in: in}, schema: m.schema, rows: in.Rows, done: make(chan answer, 1)}
	var err error
	if len(m.signature.Input) > 0 {
		j.at, err = predictor.Bind(make([]int, 0, len(m.signature.Input)), m.signature.Input, in)
	} else {
		j.at, err = every(in)
	}
	if err == nil && j.schema == nil {
		j.schema, err = newWireSchema(m.signature.Input, in, j.at)
	}
	if err != nil {
		return nil, err
	}
	if wireSize(j.schema, j.part)+len(j.schema.text) > maxMessage {
		return nil, slipway.Errorf(slipway.Invalid, "%d rows are too many for one call", in.Rows).WithHint("send them in parts")
	}
	if in.Rows == 0 {
		return m.nothing(), nil
	}
	return m.pool.do(ctx, j)
}

// every binds all columns in their own order, for a model that says nothing of
// what it takes.
func every(in *slipway.Frame) ([]int, error) {
	if len(in.Series) == 0 {
		return nil, slipway.Errorf(slipway.Invalid, "there are no columns")
	}
	at := make([]int, len(in.Series))
	for i := range at {
		at[i] = i
	}
	return at, predictor.Unique(in)
}

// nothing is the answer to no rows.
func (m *model) nothing() *slipway.Frame {
	out := &slipway.Frame{}
	for _, c := range m.signature.Output {
		out.Series = append(out.Series, slipway.Series{Name: c.Name, Type: c.Type})
	}
	return out
}

func (m *model) Close() error {
	m.pool.close()
	return nil
}

// find says what kind of model is at path, from its name and first bytes. In a
// folder it looks for an MLmodel file, then for the one model file there.
func find(path string) (loadSpec, error) {
	file, class := predictor.SplitClass(path)
	file, err := filepath.Abs(file)
	if err != nil {
		return loadSpec{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return loadSpec{}, slipway.Errorf(slipway.NotFound, "there is no model at %s", path)
	}
	if class != "" {
		return loadSpec{Kind: "class", Path: file, Class: class}, nil
	}
	if !info.IsDir() {
		if kind := kindOf(file); kind != "" {
			return loadSpec{Kind: kind, Path: file}, nil
		}
		return loadSpec{}, unknown(path)
	}
	if _, err := os.Stat(filepath.Join(file, "MLmodel")); err == nil {
		return loadSpec{Kind: "mlflow", Path: file}, nil
	}
	entries, err := os.ReadDir(file)
	if err != nil {
		return loadSpec{}, slipway.Errorf(slipway.Invalid, "%s cannot be read: %v", path, cause(err))
	}
	var found []loadSpec
	for _, e := range entries {
		inside := filepath.Join(file, e.Name())
		if kind := kindOf(inside); e.Type().IsRegular() && kind != "" {
			found = append(found, loadSpec{Kind: kind, Path: inside})
		}
	}
	if len(found) != 1 {
		return loadSpec{}, unknown(path)
	}
	return found[0], nil
}

func unknown(path string) error {
	return slipway.Errorf(slipway.Invalid, "%s is no Python model", path).
		WithHint("give an MLflow folder, a .pkl or .joblib file, or file.py:Class")
}

func kindOf(file string) string {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".pkl", ".pickle", ".joblib":
		return "pickle"
	case ".ubj":
		return "xgboost"
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 512)
	n, _ := f.Read(b)
	b = bytes.TrimSpace(b[:n])
	switch {
	case bytes.HasPrefix(b, []byte("tree\n")), bytes.HasPrefix(b, []byte("tree\r\n")):
		return "lightgbm"
	case bytes.HasPrefix(b, []byte("{")) && (bytes.Contains(b, []byte(`"learner"`)) || bytes.Contains(b, []byte(`"version":[`))):
		return "xgboost"
	}
	return ""
}
