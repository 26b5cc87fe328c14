package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
)

// LabelCount says what became of a batch of labels.
type LabelCount struct {
	Received  int `json:"received"`
	New       int `json:"new"`
	Corrected int `json:"corrected"` // another value for the same prediction and time: a new version
	Unchanged int `json:"unchanged"` // known already; sending twice does no harm
}

// subjectOf is what a label is about, as text: #ID of a prediction, or
// endpoint/key.
func subjectOf(l slipway.Label) string {
	if l.Prediction != "" {
		return "#" + l.Prediction
	}
	return l.Endpoint + "/" + l.Key
}

// AddLabels keeps labels; they are durable when it returns. The next tick joins
// them to their predictions. A label that is known already changes nothing;
// another value for the same prediction and time is a correction, and so is a
// label with a later time. It fails with Invalid, naming the first label that
// is wrong, and then none was kept.
func (s *Service) AddLabels(ctx context.Context, project string, labels []slipway.Label) (LabelCount, error) {
	rows := make([]labelRow, len(labels))
	for i, l := range labels {
		value, err := checkLabel(l)
		if err != nil {
			return LabelCount{}, slipway.Errorf(slipway.Invalid, "label %d: %s", i+1, slipway.AsError(err).Message).WithHint("%s", slipway.AsError(err).Hint)
		}
		if l.Time.IsZero() {
			l.Time = s.o.Now()
		}
		rows[i] = labelRow{subject: subjectOf(l), time: l.Time.UTC(), value: value}
	}
	return s.insertLabels(ctx, project, rows)
}

// checkLabel returns the value as JSON. It fails with Invalid.
func checkLabel(l slipway.Label) (string, error) {
	byID, byKey := l.Prediction != "", l.Endpoint != "" || l.Key != ""
	switch {
	case byID == byKey, byKey && (l.Endpoint == "" || l.Key == ""):
		return "", slipway.Errorf(slipway.Invalid, "it must name a prediction_id, or an endpoint and a key").
			WithHint("a reply carries prediction_id; endpoint and key name the latest prediction before the label's time")
	case len(l.Prediction)+len(l.Endpoint)+len(l.Key) > 1000 || strings.ContainsRune(l.Prediction+l.Endpoint+l.Key, 0):
		return "", slipway.Errorf(slipway.Invalid, "its prediction_id, endpoint or key is longer than 1,000 bytes, or holds a NUL")
	}
	switch v := l.Value.(type) {
	case bool:
	case string:
		if len(v) > 1000 || strings.ContainsRune(v, 0) {
			return "", slipway.Errorf(slipway.Invalid, "its value is longer than 1,000 bytes, or holds a NUL")
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", slipway.Errorf(slipway.Invalid, "its value is not a finite number")
		}
	case int, int64, json.Number:
	case nil:
		return "", slipway.Errorf(slipway.Invalid, "it has no value")
	default:
		return "", slipway.Errorf(slipway.Invalid, "its value is neither a class nor a number")
	}
	b, err := json.Marshal(l.Value)
	if err != nil {
		return "", slipway.Errorf(slipway.Invalid, "its value cannot be kept: %v", err)
	}
	return string(b), nil
}

// truth reads a label's value as the number that metrics take: a class number,
// or the value itself. It is false for a value that the model cannot have
// predicted.
func truth(value string, sig slipway.Signature) (float64, bool) {
	var v any
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	if err := d.Decode(&v); err != nil {
		return nan, false
	}
	text := ""
	switch v := v.(type) {
	case bool:
		if sig.Task == slipway.BinaryTask || sig.Task == "" {
			return number(v), true
		}
		text = strconv.FormatBool(v)
	case float64:
		if sig.Task == slipway.Regression {
			return v, true
		}
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if sig.Task == slipway.Regression {
			n, err := strconv.ParseFloat(v, 64)
			return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
		}
		text = v
	}
	for i, class := range sig.Classes {
		if class == text || sameNumber(class, text) {
			return float64(i), true
		}
	}
	if sig.Task == slipway.BinaryTask {
		switch strings.ToLower(text) {
		case "1", "true":
			return 1, true
		case "0", "false":
			return 0, true
		}
	}
	return nan, false
}

// sameNumber reports whether two spellings mean one number, such as 1 and 1.0.
func sameNumber(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	if err != nil {
		return false
	}
	y, err := strconv.ParseFloat(b, 64)
	return err == nil && x == y
}
