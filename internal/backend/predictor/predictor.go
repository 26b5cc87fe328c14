// Package predictor is how a model version answers: rows in, rows out. Its
// variants are trees (LightGBM and XGBoost files, read and run in Go) and
// python (anything Python can load, in worker processes); predictortest is
// the suite that both pass.
package predictor

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-ml/slipway"
)

// Names of the output columns that do not depend on a model's classes.
const (
	Probability = "probability" // binary: probability of the second class
	Prediction  = "prediction"  // regression: the number; a model that knows only labels: the label
)

// ErrModel marks failures of the model itself: its code raised an exception,
// its process died or hung, its answer had the wrong shape. A circuit breaker
// counts them whatever their slipway.Code; bad requests never carry it.
var ErrModel = errors.New("the model failed")

// Model is one loaded model version. It is safe for concurrent use.
type Model interface {
	// Signature is what the model takes and gives: what its file says, merged
	// with the registered signature of its Spec. Task or Input is empty, and a
	// column's Type is "", where neither says.
	Signature() slipway.Signature

	// Predict answers every row of in, in order. A binary classifier gives one
	// column "probability"; one of several classes a column for each label,
	// named by it and in the order of Signature().Classes; a regression one
	// column "prediction"; a model with several outputs one column each.
	//
	// Columns are matched by name, in any order. It fails with Invalid when
	// one is absent, unknown, there twice or of the wrong type (text for a
	// number is refused, numeric or not), and when the model's own code calls
	// the values wrong; with Unavailable when the model is closed, its queue
	// is full, its worker died, or the deadline passed. It answers a cancelled
	// ctx with ctx's error, at once.
	Predict(ctx context.Context, in *slipway.Frame) (*slipway.Frame, error)

	// Close refuses new calls, waits for the calls under way and releases what
	// the model holds. Closing again does nothing.
	Close() error
}

// Explainer is a Model that knows exact attributions.
type Explainer interface {
	// Explain attributes every row's outputs to its features. It takes the
	// frames, and fails as, Predict does.
	Explain(ctx context.Context, in *slipway.Frame) (Explanation, error)
}

// Attributor is an Explainer that takes wishes.
type Attributor interface {
	Explainer

	// Attribute is Explain by the way that ask names. It fails with Invalid
	// where the model does not have that way.
	Attribute(ctx context.Context, in *slipway.Frame, ask Ask) (Explanation, error)
}

// Spaces of an explanation.
const (
	Margin           = "margin"     // before the link, such as log-odds
	PredictionSpace  = "prediction" // what Predict answers, such as a probability
	MaxBackground    = 4096         // rows
	MethodPath       = "tree_path_dependent"
	MethodBackground = "tree_interventional"
	MethodLinear     = "linear"
	MethodPermute    = "permutation"
	MethodKernel     = "kernel"
)

// Ask says how to explain; its zero value is the model's own exact way.
type Ask struct {
	// Background rows stand for a feature whose value is not known: its value is
	// drawn from them, independently of the other features. Without them trees
	// average over the training rows' cover.
	Background   *slipway.Frame
	Space        string // Margin or PredictionSpace; "" is Margin
	Interactions bool   // also attribute to pairs of features
}

// Weigher is a Model whose file tells what training made of each feature.
type Weigher interface {
	// Importance lists the features in the model's order.
	Importance() []Importance
}

// Exporter is a Model that can be written in another format.
type Exporter interface {
	// ONNX writes the model for ONNX Runtime; package onnx says what the file
	// takes and gives. It fails with Invalid where ONNX cannot say what the model
	// computes.
	ONNX() ([]byte, error)
}

// Importance is how much one feature mattered in training.
type Importance struct {
	Feature string  `json:"feature"`
	Gain    float64 `json:"gain"`   // by how much its splits reduced the training loss, summed; the loss's unit
	Splits  int     `json:"splits"` // how many splits ask for it
}

// Explanation says how much each feature moved each output of each row. For
// row r and output o, Base[o] plus the sum of the row's values for o is the
// model's output in Space.
type Explanation struct {
	Output  []string    // names of the explained outputs, K of them
	Feature []string    // names of the features in the model's order, F of them
	Base    []float64   // K expected outputs
	Value   [][]float64 // a row each: Value[r][o*F+f]
	Space   string      // Margin or PredictionSpace
	Method  string      // such as "tree_path_dependent"

	// Background names the rows that the values were taken against by the SHA-256
	// of their numbers; "" where none were.
	Background string

	// Interaction, where asked for, holds a matrix for each row and output:
	// Interaction[r][(o*F+f)*F+g] is what features f and g are worth together,
	// split evenly between (f, g) and (g, f), and (f, f) what is left to f alone,
	// so that a row of the matrix adds up to Value[r][o*F+f].
	Interaction [][]float64

	// Error is the standard error of each of Value, where it is an estimate; nil
	// where it is exact.
	Error [][]float64
}

// Loader knows one family of model files.
type Loader interface {
	// Name is the variant's name: "trees", "python".
	Name() string

	// Detect reports whether the file or folder at path looks like one that
	// Load reads. It looks at names and first bytes only, and executes nothing.
	Detect(path string) bool

	// Load opens the model; ctx bounds the loading, not the model's life. It
	// fails with NotFound when nothing is at the path and with Invalid when
	// what is there cannot be loaded.
	Load(ctx context.Context, spec Spec) (Model, error)
}

// Spec says what to load and how to run it.
type Spec struct {
	// Path is the model's file or folder. A class in a Python file is
	// path.py:Class.
	Path string

	// Signature is the registered signature, nil when there is none. It gives
	// the order and types of columns that the file does not know.
	Signature *slipway.Signature

	// Python is how a model runs that needs Python; others ignore it.
	Python Python
}

// Python limits the worker processes of one model. Zero values take the
// defaults that are written beside them.
type Python struct {
	Interpreter  []string      // command line of the interpreter; python3
	Env          []string      // NAME=value, beside the few variables that every worker gets; a server's own environment is not inherited
	Workers      int           // processes; 1
	MaxBatch     int           // rows of waiting requests that are joined for one call; 256. 1 keeps every request apart
	MaxQueue     int           // requests that may wait; 1024
	Timeout      time.Duration // for one call of the model, after which its worker is killed; 30 s
	StartTimeout time.Duration // for starting the interpreter and loading the model; 2 min
	Memory       int64         // bytes of address space a worker may take; 0 is no limit
	Recycle      int           // calls after which a worker is replaced; 0 is never
	Idle         time.Duration // without a request, after which a worker ends; the next request starts it again. 0 is never
}

// Crew is a Model that runs in processes of its own.
type Crew interface {
	Workers() Workers
}

// Workers is how a Crew stands.
type Workers struct {
	Alive  int           // processes that can answer
	Most   int           // processes that there may be
	Queue  int           // requests that wait for one
	Starts int64         // processes that were started for requests that waited, after a rest
	Start  time.Duration // how long the last of them took to answer its first request
}

// Open loads spec with the first loader that recognises it. It fails with
// NotFound when nothing is there and with Invalid when no loader knows it.
func Open(ctx context.Context, spec Spec, loaders ...Loader) (Model, error) {
	for _, l := range loaders {
		if l.Detect(spec.Path) {
			return l.Load(ctx, spec)
		}
	}
	if err := exists(spec.Path); err != nil {
		return nil, err
	}
	return nil, slipway.Errorf(slipway.Invalid, "%s is no model that Slipway knows", spec.Path).
		WithHint("it reads LightGBM text and XGBoost JSON, MLflow folders, pickle and joblib files, and path.py:Class")
}
