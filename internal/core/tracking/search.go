package tracking

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/slipway-ml/slipway"
)

// Search asks for experiments, runs or logged models.
type Search struct {
	Project     string   // "" is every project that the principal may read
	Experiments []int64  // nil is all
	Filter      string   // MLflow's grammar: metrics.auc > 0.8 AND params.model = 'lgbm'
	Order       []string // such as "metrics.auc DESC"; ties by start, newest first
	View        View
	Kind        Kind   // only runs of this kind; "" is all
	Skip        int    // results before the first page, for a reader who jumps into the middle
	Limit       int    // 0 is the default of what is searched
	Page        string // Next of the page before
}

// pageToken is where a page begins: after a run, in the order that the search
// asks for, or at an offset where that order has no simple "after". It is
// opaque to callers, and Query ties it to the search that made it.
type pageToken struct {
	Query  string  `json:"q"`
	Offset int     `json:"o,omitempty"`
	After  bool    `json:"a,omitempty"`
	Phase  int     `json:"p,omitempty"` // of an order by a metric: 0 numbers, 1 NaN, 2 none
	Value  float64 `json:"v,omitempty"`
	Start  int64   `json:"s,omitempty"`
	Run    string  `json:"r,omitempty"`
}

// fingerprint is the same for searches that differ in the page alone.
func (q Search) fingerprint() string {
	q.Page, q.Limit, q.Skip = "", 0, 0
	b, _ := json.Marshal(q) // strings and numbers always marshal
	return slipway.DigestOf(b).Short()
}

func (q Search) token(t pageToken) string {
	t.Query = q.fingerprint()
	b, _ := json.Marshal(t) // no NaN: a phase stands for it
	return base64.RawURLEncoding.EncodeToString(b)
}

func (q Search) offsetToken(offset int) string { return q.token(pageToken{Offset: offset}) }

// page reads the token. It fails with Invalid.
func (q Search) page() (t pageToken, err error) {
	if q.Page == "" {
		return t, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(q.Page)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	if err != nil || t.Offset < 0 || t.Phase < 0 || t.Phase > 2 {
		return t, slipway.Errorf(slipway.Invalid, "Invalid page token, could not decode it")
	}
	if t.Query != q.fingerprint() {
		return t, slipway.Errorf(slipway.Invalid, "Invalid page token: it belongs to another search")
	}
	return t, nil
}

const (
	defaultPage = 1000
	maxRunsPage = 50000
)

// limit is how many results a page has at most.
func (q Search) limit(most int) (int, error) {
	switch {
	case q.Limit == 0:
		return min(defaultPage, most), nil
	case q.Limit < 0 || q.Limit > most:
		return 0, slipway.Errorf(slipway.Invalid, "Invalid value %d for parameter 'max_results' supplied: It must be a positive integer at most %d", q.Limit, most)
	}
	return q.Limit, nil
}

// window is the limit and offset of a search that pages by offset.
func (q Search) window(most int) (limit, offset int, err error) {
	if limit, err = q.limit(most); err != nil {
		return 0, 0, err
	}
	t, err := q.page()
	return limit, t.Offset, err
}

// searchScope is the project that a search stays in, "" for all. It fails with
// Denied when the principal may not look there.
func (s *Service) searchScope(ctx context.Context, project string) (string, error) {
	if project == "" {
		return scope(ctx, slipway.Reader)
	}
	return project, slipway.Allow(ctx, slipway.Reader, project)
}
