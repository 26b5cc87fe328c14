package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
)

// around is what the checks of a contract compare rows with.
type around struct {
	last     Version             // the version before; zero when there is none
	profile  *Profile            // its profile, nil when there is none
	profiles map[string]*Profile // by the own.target of distributions
	tables   map[string]*table   // by the own.target of references and overlaps
	same     *Profile            // of exactly the rows that are checked, nil where there is none
	batch    bool                // the rows are new ones beside those that were there
}

// own is the implementation of a rule of Slipway's: a metric's name alone, or
// with what it takes.
type own struct {
	Metric  string   `yaml:"metric"`
	Dataset string   `yaml:"dataset"` // another dataset; by default this one
	Version int      `yaml:"version"` // by default the newest, or of this dataset the one before
	Column  string   `yaml:"column"`  // its name there, where it differs
	Columns []string `yaml:"columns"` // several columns, of a table's rule
	Hours   float64  `yaml:"hours"`
}

// own reads the implementation of a rule. It fails with Invalid.
func (r rule) own() (o own, err error) {
	if text, ok := r.Implementation.(string); ok {
		return own{Metric: strings.TrimSpace(text)}, nil
	}
	raw, err := yaml.Marshal(r.Implementation)
	if err == nil {
		err = yaml.UnmarshalWithOptions(raw, &o, yaml.Strict())
	}
	if err != nil {
		return o, slipway.Errorf(slipway.Invalid, "the implementation cannot be read: %s", strings.TrimSpace(yaml.FormatError(err, false, false))).
			WithHint("a metric's name, or metric, dataset, version, column, columns, hours")
	}
	return o, nil
}

// target names the rows that a metric compares with.
func (o own) target() string { return fmt.Sprintf("%s@%d", o.Dataset, o.Version) }

// references are the metrics that look into other rows.
var references = []string{"references", "overlap"}

// surround finds the versions that a contract's rules name. close it.
func (s *Service) surround(ctx context.Context, project string, c *Contract, last Version) (*around, error) {
	a := &around{last: last, profiles: map[string]*Profile{}, tables: map[string]*table{}}
	var err error
	if last.Profile != "" {
		a.profile = &Profile{}
		if err := s.recall(ctx, last.Profile, a.profile); err != nil {
			return nil, err
		}
	}
	rules := slices.Clone(c.object.Quality)
	for _, p := range c.object.Properties {
		rules = append(rules, p.Quality...)
	}
	for _, r := range rules {
		if r.Type != "custom" || r.Engine != "slipway" || err != nil {
			continue
		}
		var o own
		if o, err = r.own(); err == nil {
			err = s.lookUp(ctx, project, a, o)
		}
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// lookUp finds the version that one rule names.
func (s *Service) lookUp(ctx context.Context, project string, a *around, o own) error {
	isTable := slices.Contains(references, o.Metric)
	if _, isDistribution := distributions[o.Metric]; !isTable && !isDistribution || a.tables[o.target()] != nil || a.profiles[o.target()] != nil {
		return nil
	}
	v := a.last
	if o.Dataset != "" || o.Version != 0 {
		name := o.Dataset
		if name == "" {
			name = a.last.Name
		}
		var err error
		if v, err = s.find(ctx, project, name, o.Version); err != nil {
			return in(err, "the contract's %s", o.Metric)
		}
	}
	if v.Number == 0 {
		return nil // nothing is there yet to compare with
	}
	if !isTable {
		p := &Profile{}
		a.profiles[o.target()] = p
		return s.recall(ctx, v.Profile, p)
	}
	t, err := s.openVersion(ctx, v)
	if err != nil {
		return err
	}
	t.source.Name = fmt.Sprintf("slipway_other%d", len(a.tables))
	a.tables[o.target()] = t
	return nil
}

func (a *around) close() {
	if a == nil {
		return
	}
	for _, t := range a.tables {
		t.close()
	}
}

// others are the tables that SQL may name beside the one that is checked.
func (a *around) others() (out []query.Table) {
	if a == nil {
		return nil
	}
	for _, t := range a.tables {
		out = append(out, t.source)
	}
	return out
}

// decodeCounts reads the JSON of DuckDB's histogram.
func decodeCounts(v any) map[string]float64 {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	out := map[string]float64{}
	if json.Unmarshal([]byte(text), &out) != nil {
		return nil
	}
	return out
}
