// Package trees answers for LightGBM, XGBoost and scikit-learn models without
// Python: it reads the libraries' own files and the form that the SDK writes,
// finds columns by name, turns text into the categories of the model or runs its
// preprocessing, and explains by exact SHAP.
package trees

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/tree"
)

// Loader opens LightGBM text files and dumps, XGBoost JSON or UBJSON files, and
// what the SDK's save_model writes, alone or
// in a folder that has one, such as the MLflow folder of a booster.
type Loader struct{}

var _ predictor.Loader = Loader{}

// Name is "trees".
func (Loader) Name() string { return "trees" }

// Detect reports whether path is such a file, or a folder with just one.
func (Loader) Detect(path string) bool {
	_, err := find(path)
	return err == nil
}

// Load reads the model and lays it out for prediction. The explainer is made
// when it is first asked for, since its tables may be many times the model.
func (Loader) Load(ctx context.Context, spec predictor.Spec) (predictor.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := find(spec.Path)
	if err != nil {
		return nil, err
	}
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	if isForm(data) {
		m, err := parseForm(data)
		if err == nil {
			err = m.register(spec.Signature)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		return m, nil
	}
	ensemble, err := tree.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	signature, err := merge(ensemble, spec.Signature)
	if err != nil {
		return nil, err
	}
	codes, err := encoders(signature.Input)
	if err != nil {
		return nil, err
	}
	return newModel(ensemble, signature, codes), nil
}

// maxFile bounds what is read of a model file.
const maxFile = 1 << 30

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, slipway.Errorf(slipway.NotFound, "there is no model at %s", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the model: %w", err)
	}
	if info.Size() > maxFile {
		return nil, slipway.Errorf(slipway.Invalid, "the model file %s is larger than %d bytes", filepath.Base(path), maxFile)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read the model: %w", err)
	}
	return data, nil
}

// find is the model file at or in path.
func find(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", slipway.Errorf(slipway.NotFound, "there is no model at %s", path)
	}
	if !info.IsDir() {
		if looks(path) {
			return path, nil
		}
		return "", unknown(path)
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", unknown(path)
	}
	var found []string
	for _, e := range entries {
		if inside := filepath.Join(path, e.Name()); e.Type().IsRegular() && looks(inside) {
			found = append(found, inside)
		}
	}
	if len(found) != 1 {
		return "", unknown(path)
	}
	return found[0], nil
}

func unknown(path string) error {
	return slipway.Errorf(slipway.Invalid, "%s is no LightGBM or XGBoost model", path).
		WithHint("save it with booster.save_model, or with slipway.save_model")
}

// looks tells a model by its first bytes. An XGBoost model is an object with
// the member "learner" or "version", whose name stands within them.
func looks(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, 256)
	n, _ := f.Read(b)
	b = bytes.TrimLeft(b[:n], " \t\r\n")
	if bytes.HasPrefix(b, []byte("tree\n")) || bytes.HasPrefix(b, []byte("tree\r\n")) {
		return true
	}
	if !bytes.HasPrefix(b, []byte("{")) {
		return false
	}
	text := bytes.Join(bytes.Fields(b), nil)
	return isForm(text) || bytes.HasPrefix(text, []byte(`{"name":"tree","version":`)) || // dump_model
		bytes.HasPrefix(text, []byte(`{"learner":{`)) || bytes.HasPrefix(text, []byte(`{"version":[`)) || // JSON
		bytes.HasPrefix(b, []byte("{L\x00\x00\x00\x00\x00\x00\x00\x07learner{")) // UBJSON
}

// merge joins what the file says with the registered signature.
func merge(e *tree.Ensemble, registered *slipway.Signature) (slipway.Signature, error) {
	s := slipway.Signature{Task: task(e), Input: make(slipway.Schema, len(e.Features))}
	for i, name := range rename(e.Features, registered) {
		c := slipway.Column{Name: name, Type: slipway.Float, Nullable: true, Categories: e.Categories[i]}
		if e.Source == "xgboost" && garbled(c.Categories) {
			if err := mend(&c, registered); err != nil {
				return s, err
			}
		}
		if c.Categories != nil {
			c.Type = slipway.Text
			if _, err := numbers(c.Categories); err == nil {
				c.Type = "" // a number's text or a number: the file does not keep them apart
			}
		}
		s.Input[i] = c
	}
	s, err := predictor.Merge(s, registered)
	if err != nil {
		return s, err
	}
	switch s.Task {
	case slipway.BinaryTask:
		s.Output = slipway.Schema{{Name: predictor.Probability, Type: slipway.Float}}
	case slipway.Multiclass:
		if len(s.Classes) == 0 {
			for i := range e.Outputs {
				s.Classes = append(s.Classes, strconv.Itoa(i))
			}
		}
		if len(s.Classes) != e.Outputs {
			return s, slipway.Errorf(slipway.Invalid, "the model tells %d classes apart, and its signature has %d", e.Outputs, len(s.Classes))
		}
		s.Output = columns(s.Classes)
	default:
		s.Output = slipway.Schema{{Name: predictor.Prediction, Type: slipway.Float}}
		if e.Outputs > 1 {
			s.Output = nil
			for i := range e.Outputs {
				s.Output = append(s.Output, slipway.Column{Name: predictor.Prediction + "_" + strconv.Itoa(i), Type: slipway.Float})
			}
		}
	}
	return s, nil
}

// garbled reports whether XGBoost's Python package may have cut the categories:
// it (3.1 and 3.2 at least) counts letters where it should count bytes.
func garbled(categories []string) bool {
	return slices.ContainsFunc(categories, func(c string) bool {
		return strings.ContainsFunc(c, func(r rune) bool { return r >= utf8.RuneSelf })
	})
}

// mend takes the categories from the registered signature.
func mend(c *slipway.Column, registered *slipway.Signature) error {
	if registered != nil {
		i := registered.Input.Index(c.Name)
		if i >= 0 && len(registered.Input[i].Categories) == len(c.Categories) {
			c.Categories = registered.Input[i].Categories
			return nil
		}
	}
	return slipway.Errorf(slipway.Invalid, "the categories of column %q are cut in the file: XGBoost does so to text beyond ASCII", c.Name).
		WithHint("register a signature with its %d categories in the order of their codes, or train on ASCII names", len(c.Categories))
}

func columns(names []string) slipway.Schema {
	out := make(slipway.Schema, len(names))
	for i, n := range names {
		out[i] = slipway.Column{Name: n, Type: slipway.Float}
	}
	return out
}

// task follows from the objective. One that gives neither probabilities nor a
// number of the target's kind (a raw margin, a rank) still predicts a number.
func task(e *tree.Ensemble) slipway.Task {
	switch {
	case e.Objective == "multiclass", e.Objective == "multiclassova", strings.HasPrefix(e.Objective, "multi:"):
		return slipway.Multiclass
	case e.Link == tree.Softmax:
		return slipway.Multiclass
	case e.Link == tree.Sigmoid && e.Outputs == 1:
		return slipway.BinaryTask
	}
	return slipway.Regression
}

// rename gives the features the names that they have in the registered
// signature, where the library lost them: LightGBM writes "_" for a space, and
// a model trained on an array has Column_0, Column_1, … or f0, f1, … instead.
func rename(features []string, registered *slipway.Signature) []string {
	if registered == nil {
		return features
	}
	out := make([]string, len(features))
	nameless := len(registered.Input) == len(features)
	for i, f := range features {
		n := strconv.Itoa(i)
		nameless = nameless && (f == "Column_"+n || f == "f"+n)
		out[i] = f
		if registered.Input.Index(f) >= 0 {
			nameless = false
			continue
		}
		for _, c := range registered.Input {
			if strings.ReplaceAll(c.Name, " ", "_") == f {
				out[i] = c.Name
			}
		}
	}
	if nameless {
		return registered.Input.Names()
	}
	return out
}

var errNoNumber = errors.New("not a number")

// numbers reads categories that were numbers or truth values in training.
func numbers(categories []string) ([]float64, error) {
	out := make([]float64, len(categories))
	for i, c := range categories {
		v, err := strconv.ParseFloat(c, 64)
		switch {
		case err == nil:
			out[i] = v
		case c == "true":
			out[i] = 1
		case c == "false":
			out[i] = 0
		default:
			return nil, errNoNumber
		}
	}
	return out, nil
}
