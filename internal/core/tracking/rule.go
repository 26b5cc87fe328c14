package tracking

import (
	"math"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-ml/slipway"
)

// Limits, which are those of MLflow. Lengths are in characters.
const (
	maxKey            = 250
	maxParamValue     = 6000
	maxTagValue       = 8000
	maxExperimentName = 500
	maxExperimentTag  = 20000
	maxDatasetName    = 500
	maxDatasetDigest  = 36
	maxDatasetSchema  = 1<<20 - 1
	maxDatasetSource  = 1<<16 - 1
	maxDatasetProfile = 1<<24 - 1
	maxInputTagKey    = 255
	maxInputTagValue  = 500

	maxBatchMetrics = 1000
	maxBatchParams  = 100
	maxBatchTags    = 100
	maxBatch        = 1000
)

func tooLong(what string, limit int) *slipway.Error {
	return slipway.Errorf(slipway.Invalid, "'%s' exceeds the maximum length of %d characters", what, limit)
}

// checkKey accepts the name of a metric, param or tag: letters, digits, _ - . :
// space and slash, and not one that means another name when it is read as a
// path. what is the word for it in the message.
func checkKey(what, key string) error {
	if key == "" {
		return slipway.Errorf(slipway.Invalid, "Missing value for required parameter '%s'. A key name must be provided.", what)
	}
	for _, c := range key {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsNumber(c) && !strings.ContainsRune("_-.: /", c) {
			return slipway.Errorf(slipway.Invalid, "Invalid value %q for parameter '%s' supplied: "+
				"Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).", key, what)
		}
	}
	if !uniquePath(key) {
		return slipway.Errorf(slipway.Invalid, "Invalid value %q for parameter '%s' supplied: "+
			"Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "+
			"This name would resolve to '%s'", key, what, path.Clean(key))
	}
	if utf8.RuneCountInString(key) > maxKey {
		return tooLong(what, maxKey)
	}
	return nil
}

// uniquePath reports whether a name is the only spelling of itself as a path.
func uniquePath(name string) bool {
	clean := path.Clean(name)
	return clean == name && name != "." && !strings.HasPrefix(name, "..") && !strings.HasPrefix(name, "/")
}

// cut shortens s to n characters.
func cut(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func checkTag(t *Pair) error {
	t.Value = cut(t.Value, maxTagValue)
	return checkKey("key", t.Key)
}

func checkParam(p *Pair) error {
	p.Value = cut(p.Value, maxParamValue)
	return checkKey("key", p.Key)
}

func checkExperimentTag(t Pair) error {
	if err := checkKey("key", t.Key); err != nil {
		return err
	}
	if utf8.RuneCountInString(t.Value) > maxExperimentTag {
		return tooLong("value", maxExperimentTag)
	}
	return nil
}

// storedValue is a metric's value as it is kept: the infinities become the
// largest finite numbers, as MLflow's do, so that they order and travel in JSON.
func storedValue(v float64) float64 {
	switch {
	case math.IsInf(v, 1):
		return math.MaxFloat64
	case math.IsInf(v, -1):
		return -math.MaxFloat64
	}
	return v
}

// check brings a batch into its stored form. It fails with Invalid.
func (b *Batch) check() error {
	for _, l := range []struct {
		what     string
		n, limit int
	}{{"metrics", len(b.Metrics), maxBatchMetrics}, {"params", len(b.Params), maxBatchParams}, {"tags", len(b.Tags), maxBatchTags},
		{"metrics, params, and tags", len(b.Metrics) + len(b.Params) + len(b.Tags), maxBatch}} {
		if l.n > l.limit {
			return slipway.Errorf(slipway.Invalid, "A batch logging request can contain at most %d %s. Got %d %s. "+
				"Please split up %s across multiple requests and try again.", l.limit, l.what, l.n, l.what, l.what)
		}
	}
	last := ""
	for i := range b.Metrics {
		m := &b.Metrics[i]
		if m.Key != last || i == 0 {
			if err := checkKey("name", m.Key); err != nil {
				return err
			}
			last = m.Key
		}
		if m.Time < 0 {
			return slipway.Errorf(slipway.Invalid, "Invalid value %d for parameter 'timestamp' supplied: metric '%s' (value=%v). "+
				"Timestamp must be a nonnegative long (64-bit integer)", m.Time, m.Key, m.Value)
		}
		m.Value = Number(storedValue(float64(m.Value)))
	}
	seen := map[string]bool{}
	for i := range b.Params {
		if err := checkParam(&b.Params[i]); err != nil {
			return err
		}
		if seen[b.Params[i].Key] {
			return slipway.Errorf(slipway.Invalid, "Duplicate parameter keys have been submitted: ['%s']. "+
				"Please ensure the request contains only one param value per param key.", b.Params[i].Key)
		}
		seen[b.Params[i].Key] = true
	}
	for i := range b.Tags {
		if err := checkTag(&b.Tags[i]); err != nil {
			return err
		}
	}
	return nil
}
