package query

import (
	"context"
	"encoding/json"
	"time"

	slipway "github.com/slipway-ml/slipway"
)

// Summary is what the rows of a query look like, column by column.
type Summary struct {
	Rows    int64           `json:"rows"`
	Columns []ColumnSummary `json:"columns"`
	// Correlation is Pearson's between pairs of numeric columns, from Sampled
	// rows, strongest first; where there are more than 190 pairs only those
	// beyond 0.3 either way.
	Correlation []Correlation `json:"correlation,omitempty"`
	Sampled     int           `json:"sampled"` // rows behind quantiles and correlations
}

// Correlation is Pearson's coefficient of two columns.
type Correlation struct {
	A string  `json:"a"`
	B string  `json:"b"`
	R float64 `json:"r"`
}

// ColumnSummary describes one column. NaN and infinite values count as missing.
type ColumnSummary struct {
	Name     string       `json:"name"`
	Type     slipway.Type `json:"type"`
	Missing  int64        `json:"missing"`
	Infinite int64        `json:"infinite,omitempty"`
	// Distinct is exact unless Estimated: then it comes from HyperLogLog with
	// 4,096 registers, whose standard error is 1.6 %.
	Distinct  int64 `json:"distinct"`
	Estimated bool  `json:"estimated,omitempty"`
	Rising    bool  `json:"rising,omitempty"` // every value is there and greater than the one before

	Number    *NumberSummary `json:"number,omitempty"` // of int, float and bool columns with values
	Text      *TextSummary   `json:"text,omitempty"`   // of text columns with values
	From      *time.Time     `json:"from,omitempty"`   // of time and date columns
	To        *time.Time     `json:"to,omitempty"`
	Top       []ValueCount   `json:"top,omitempty"`       // most frequent first, all of them where Complete
	Complete  bool           `json:"complete,omitempty"`  // Top holds every value
	Days      []ValueCount   `json:"days,omitempty"`      // of SummaryRequest.Days: rows a day in UTC, in order
	LooksLike string         `json:"looksLike,omitempty"` // email, phone, card, iban, ssn or ip
}

// NumberSummary describes numbers. Quantiles are exact for up to 4,096 different
// values; else they come from a sample, whose median is within half a percent of
// the ranks.
type NumberSummary struct {
	Min       float64   `json:"min"`
	Max       float64   `json:"max"`
	Mean      float64   `json:"mean"`
	SD        float64   `json:"sd"` // of a sample; 0 of one value
	Quantiles []float64 `json:"quantiles,omitempty"`
	Bins      []int64   `json:"bins,omitempty"` // equal bins from Min to Max, which is in the last
}

// TextSummary describes texts.
type TextSummary struct {
	Shortest int64 `json:"shortest"` // in characters
	Longest  int64 `json:"longest"`
	Padded   int64 `json:"padded"`  // with space at an end
	Numbers  int64 `json:"numbers"` // that are written like numbers
}

// ValueCount is a value and how often it occurs.
type ValueCount struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// SummaryRequest says what Summarize looks at.
type SummaryRequest struct {
	Request
	Levels []float64 `json:"levels"` // of the quantiles
	Bins   int       `json:"bins"`   // of the histograms
	Top    int       `json:"top"`    // most values that are listed of a column
	Days   string    `json:"days"`   // the column of times whose rows are counted by day, "" for none
}

type summaryOptions struct {
	Levels []float64 `json:"levels"`
	Bins   int       `json:"bins"`
	Top    int       `json:"top"`
	Days   string    `json:"days"`
}

// Summarize reads the rows of r once, after a look at the bounds of its numbers,
// which a Parquet file knows without being read. The worker counts as the rows
// leave DuckDB, so that no row travels. It fails as Run does.
func (e *Engine) Summarize(ctx context.Context, r SummaryRequest) (*Summary, error) {
	wire := newWireRequest(r.Request, verbSummary)
	wire.Limit = 0
	wire.Summary = &summaryOptions{r.Levels, r.Bins, r.Top, r.Days}
	out := &Summary{}
	err := e.inTurn(ctx, r.Request, func(ctx context.Context) error {
		return e.ask(ctx, wire, r.Progress, func(tag byte, body []byte) error {
			if tag != tagSummary {
				return errProtocol
			}
			return json.Unmarshal(body, out)
		}, nil)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
