package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// xgboostFile is the part of XGBoost's JSON that prediction needs. The format
// is set out in XGBoost's doc/model.schema.
type xgboostFile struct {
	Learner *struct {
		FeatureNames []string `json:"feature_names"`
		Param        struct {
			BaseScore  string `json:"base_score"`
			NumClass   string `json:"num_class"`
			NumFeature string `json:"num_feature"`
			NumTarget  string `json:"num_target"`
		} `json:"learner_model_param"`
		Booster struct {
			Name   string        `json:"name"`
			Model  *xgboostModel `json:"model"`
			GBTree struct {
				Model *xgboostModel `json:"model"`
			} `json:"gbtree"`
			WeightDrop xgboostFloats `json:"weight_drop"`
		} `json:"gradient_booster"`
		Objective struct {
			Name string `json:"name"`
		} `json:"objective"`
	} `json:"learner"`
}

type xgboostModel struct {
	Trees    []xgboostTree `json:"trees"`
	TreeInfo []int         `json:"tree_info"`
	Cats     struct {
		Encoding []xgboostEncoding `json:"enc"`
	} `json:"cats"`
}

// xgboostEncoding holds the categories of one feature (XGBoost 3.1 and later):
// strings as one run of bytes cut at offsets, numbers as they are.
type xgboostEncoding struct {
	Offsets []int         `json:"offsets"`
	Values  []json.Number `json:"values"`
}

func parseXGBoost(data []byte) (*Ensemble, error) {
	var file xgboostFile
	d := json.NewDecoder(bytes.NewReader(withoutNaN(data)))
	if err := d.Decode(&file); err != nil {
		return nil, jsonError(err, d.InputOffset())
	}
	l := file.Learner
	if l == nil {
		return nil, slipway.Errorf(slipway.Invalid, "the JSON has no \"learner\": it is not an XGBoost model").
			WithHint("Save it with booster.save_model(\"model.json\"), not dump_model.")
	}
	model := l.Booster.Model
	switch l.Booster.Name {
	case "gbtree":
	case "dart":
		model = l.Booster.GBTree.Model
	case "gblinear":
		return nil, slipway.Errorf(slipway.Invalid, "the booster is gblinear, a linear model without trees").
			WithHint("Serve it as a Python model, or train with booster=gbtree.")
	default:
		return nil, slipway.Errorf(slipway.Invalid, "the XGBoost booster %q is not known", l.Booster.Name)
	}
	if model == nil {
		return nil, slipway.Errorf(slipway.Invalid, "the booster %s has no model", l.Booster.Name)
	}
	if len(model.TreeInfo) != len(model.Trees) {
		return nil, slipway.Errorf(slipway.Invalid, "tree_info has %d entries for %d trees", len(model.TreeInfo), len(model.Trees))
	}
	if l.Booster.Name == "dart" && len(l.Booster.WeightDrop) != len(model.Trees) {
		return nil, slipway.Errorf(slipway.Invalid, "weight_drop has %d entries for %d trees", len(l.Booster.WeightDrop), len(model.Trees))
	}
	e, err := xgboostHeader(l.Param.NumFeature, l.FeatureNames, l.Param.NumClass, l.Param.NumTarget)
	if err != nil {
		return nil, err
	}
	if err := xgboostObjective(e, l.Objective.Name, l.Param.BaseScore); err != nil {
		return nil, err
	}
	for i := range model.Trees {
		weight := float32(1)
		if l.Booster.WeightDrop != nil {
			weight = l.Booster.WeightDrop[i]
		}
		t, err := model.Trees[i].tree(weight)
		if err != nil {
			return nil, slipway.Errorf(slipway.Invalid, "tree %d: %s", i, err.Message)
		}
		t.Output = model.TreeInfo[i]
		e.Trees = append(e.Trees, t)
	}
	return e, xgboostCategories(e, model.Cats.Encoding)
}

// jsonError says where in the file the JSON breaks.
func jsonError(err error, offset int64) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return slipway.Errorf(slipway.Invalid, "the XGBoost model has a %s where %s belongs (byte %d)", kind.Value, kind.Field, kind.Offset)
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.Is(err, io.ErrUnexpectedEOF):
		return slipway.Errorf(slipway.Invalid, "the XGBoost JSON ends in the middle").WithHint("The file was cut off: copy or save it again.")
	}
	return slipway.Errorf(slipway.Invalid, "the XGBoost JSON is damaged at byte %d: %v", offset, err)
}

func xgboostHeader(features string, names []string, classes, targets string) (*Ensemble, error) {
	n, err := strconv.Atoi(features)
	if err != nil || n < 1 || n > maxFeatures {
		return nil, slipway.Errorf(slipway.Invalid, "num_feature %q is not a number from 1 to %d", features, maxFeatures)
	}
	if len(names) == 0 {
		names = make([]string, n)
		for i := range names {
			names[i] = "f" + strconv.Itoa(i)
		}
	}
	if len(names) != n {
		return nil, slipway.Errorf(slipway.Invalid, "there are %d feature names for %d features", len(names), n)
	}
	outputs := 1
	for _, text := range []string{classes, targets} {
		if text == "" {
			continue
		}
		k, err := strconv.Atoi(text)
		if err != nil || k < 0 || k > maxOutputs {
			return nil, slipway.Errorf(slipway.Invalid, "num_class or num_target %q is not a number up to %d", text, maxOutputs)
		}
		outputs = max(outputs, k)
	}
	return &Ensemble{Source: "xgboost", Features: names, Categories: make([][]string, n), Outputs: outputs,
		Base: make([]float64, outputs), Float32: true, Coefficient: 1}, nil
}

// xgboostObjective sets the link and the base margin. The file holds the base
// score in the space of predictions, as one number or (3.1 and later) a list.
func xgboostObjective(e *Ensemble, name, score string) error {
	e.Objective = name
	toMargin := func(p float32) float32 { return p }
	logit := func(p float32) float32 { return float32(-math.Log(float64(1/p - 1))) }
	switch name {
	case "binary:logistic", "reg:logistic":
		e.Link, toMargin = Sigmoid, logit
	case "binary:logitraw":
	case "binary:hinge":
		e.Link = Step
	case "multi:softprob", "multi:softmax":
		e.Link = Softmax
	case "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft":
		e.Link, toMargin = Exp, func(p float32) float32 { return float32(math.Log(float64(p))) }
	default:
		if !strings.HasPrefix(name, "reg:") && !strings.HasPrefix(name, "rank:") {
			return slipway.Errorf(slipway.Invalid, "the XGBoost objective %q is not known", name)
		}
	}
	if score == "" {
		return slipway.Errorf(slipway.Invalid, "the XGBoost model has no base_score")
	}
	list := strings.Split(strings.TrimSuffix(strings.TrimPrefix(score, "["), "]"), ",")
	if len(list) != 1 && len(list) != e.Outputs {
		return slipway.Errorf(slipway.Invalid, "base_score has %d numbers for %d outputs", len(list), e.Outputs)
	}
	for k := range e.Base {
		word := strings.TrimSpace(list[min(k, len(list)-1)])
		p, err := strconv.ParseFloat(word, 32)
		if err != nil {
			return slipway.Errorf(slipway.Invalid, "base_score %q is not a number", word)
		}
		e.Base[k] = float64(toMargin(float32(p)))
	}
	return nil
}

func xgboostCategories(e *Ensemble, enc []xgboostEncoding) error {
	if len(enc) != 0 && len(enc) != len(e.Features) {
		return slipway.Errorf(slipway.Invalid, "cats has %d entries for %d features", len(enc), len(e.Features))
	}
	for i, c := range enc {
		if len(c.Values) == 0 {
			continue
		}
		names := make([]string, 0, len(c.Values))
		if len(c.Offsets) == 0 {
			for _, v := range c.Values {
				names = append(names, v.String())
			}
			e.Categories[i] = names
			continue
		}
		text := make([]byte, len(c.Values))
		for j, v := range c.Values {
			b, err := v.Int64()
			if err != nil {
				return slipway.Errorf(slipway.Invalid, "the categories of %s are not text", e.Features[i])
			}
			text[j] = byte(b) // stored as signed bytes
		}
		for j := 1; j < len(c.Offsets); j++ {
			from, to := c.Offsets[j-1], c.Offsets[j]
			if from < 0 || to < from || to > len(text) {
				return slipway.Errorf(slipway.Invalid, "the categories of %s have an offset out of range", e.Features[i])
			}
			names = append(names, string(text[from:to]))
		}
		e.Categories[i] = names
	}
	return nil
}
