package registry

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// splitColumn is the column that tells the splits of one file apart, as in
// features.parquet[test].
const splitColumn = "split"

// trainSplit is the split that a model is trained on.
const trainSplit = "train"

// Input reads the rows that an input of a step or a gate names, as the run that
// made version v wrote them: one of its outputs, or a window of the dataset
// version that it read. columns chooses; nil is all, and one that is not there
// is left out. It fails with NotFound when the run did not write the output,
// and with Invalid when datasets cannot be read here.
func (s *Service) Input(ctx context.Context, v slipway.ModelVersion, in project.Input, columns []string) (*slipway.Frame, error) {
	if in.Dataset != "" {
		return s.datasetRows(ctx, v, in, columns)
	}
	key := project.OutputRef{Step: in.Step, Output: in.Output}.String()
	out, ok := v.Output[key]
	if !ok && v.Source == slipway.FromClient {
		var err error
		if out, ok, err = s.lent(ctx, v, key); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, slipway.Errorf(slipway.NotFound, "%s comes with no %s", v.ID(), key).
			WithHint("the run that made it must write that output; `slipway run` makes a version that has it")
	}
	return s.read(ctx, v.Project, out, columns, in.Split)
}

// lent finds an output for a version that no run made: the newest one that a
// run of the pipeline wrote for the same model.
func (s *Service) lent(ctx context.Context, v slipway.ModelVersion, key string) (slipway.Artifact, bool, error) {
	m, err := s.Model(ctx, v.Project, v.Name)
	if err != nil {
		return slipway.Artifact{}, false, err
	}
	for _, other := range m.Version {
		if out, ok := other.Output[key]; ok {
			return out, true, nil
		}
	}
	return slipway.Artifact{}, false, nil
}

// Training reads the rows that a version was trained on, as far as the run
// wrote them down. Of a file that holds several splits it reads the split
// "train". It fails with NotFound when they are not known.
func (s *Service) Training(ctx context.Context, v slipway.ModelVersion, columns []string) (*slipway.Frame, error) {
	out, ok := v.Output[v.Training]
	if !ok {
		return nil, slipway.Errorf(slipway.NotFound, "the rows that %s was trained on are not known", v.ID()).
			WithHint("let the step that trains read an output of another step")
	}
	return s.read(ctx, v.Project, out, columns, "")
}

// Reference is what a version learned from, as drift is measured against it.
type Reference struct {
	Signature slipway.Signature
	Rows      *slipway.Frame // the inputs and the time column; nil when the rows are not known
	Time      string         // the column of event time; "" when there is none
}

// Reference reads the inputs and the time of the rows that a version, name@vN,
// was trained on. It fails with NotFound when there is no such version.
func (s *Service) Reference(ctx context.Context, name, version string) (Reference, error) {
	v, err := s.Find(ctx, name, version)
	if err != nil {
		return Reference{}, err
	}
	out := Reference{Signature: v.Signature}
	columns := v.Signature.Input.Names()
	p, err := s.o.Applied.Project(ctx, name)
	if err == nil {
		for _, d := range slices.Sorted(maps.Keys(p.Data)) {
			columns = append(columns, p.Data[d].Time.Expression)
		}
	}
	rows, err := s.Training(ctx, v, columns)
	if slipway.IsCode(err, slipway.NotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	for i := len(v.Signature.Input); i < len(columns) && out.Time == ""; i++ {
		if c := rows.Column(columns[i]); c != nil && c.Text == nil {
			out.Time = c.Name
		}
	}
	out.Rows = rows.Select(append(v.Signature.Input.Names(), out.Time))
	return out, nil
}

func (s *Service) datasetRows(ctx context.Context, v slipway.ModelVersion, in project.Input, columns []string) (*slipway.Frame, error) {
	if s.o.Data == nil {
		return nil, slipway.Errorf(slipway.Invalid, "rows of dataset %s cannot be read here", in.Dataset).
			WithHint("name an output of a step instead")
	}
	n := 0 // the newest, for a version that came from no run
	for _, ref := range v.Dataset {
		if name, version := ref.Version(); name == in.Dataset {
			n = version
		}
	}
	return s.o.Data.DatasetRows(ctx, v.Project, in.Dataset, n, in.Window, columns)
}

// read reads an output's files. split "" is the whole file, or its training
// split when it has splits.
func (s *Service) read(ctx context.Context, name string, out slipway.Artifact, columns []string, split string) (*slipway.Frame, error) {
	files, err := s.files(ctx, out)
	if err != nil {
		return nil, err
	}
	wanted := columns
	if columns != nil {
		wanted = append(append([]string{}, columns...), splitColumn)
	}
	zone := ""
	if p, err := s.o.Applied.Project(ctx, name); err == nil {
		zone = p.Timezone
	}
	f, err := s.o.Rows.Read(ctx, files, format(out.Path), wanted, zone)
	if err != nil {
		return nil, err
	}
	by := f.Column(splitColumn)
	switch {
	case split == "" && (by == nil || by.Text == nil):
		return f, nil
	case split == "":
		split = trainSplit
	case by == nil || by.Text == nil:
		return nil, slipway.Errorf(slipway.Invalid, "%s has no column %q that says which rows are %q", out.Path, splitColumn, split).
			WithHint("write the splits into files of their own, or add a text column named %s", splitColumn)
	}
	var keep []int
	for i := range f.Rows {
		if !by.Missing(i) && by.Text[i] == split {
			keep = append(keep, i)
		}
	}
	return f.Take(keep), nil
}

// files are the local files of an output.
func (s *Service) files(ctx context.Context, out slipway.Artifact) ([]string, error) {
	digests := []slipway.Digest{out.Digest}
	if out.Tree {
		tree, err := s.o.Content.GetTree(ctx, out.Digest)
		if err != nil {
			return nil, err
		}
		digests = tree.Digests()
	}
	paths := make([]string, len(digests))
	for i, d := range digests {
		var err error
		if paths[i], err = s.o.Content.File(ctx, d); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// format is what a path's name says of its format; content has no names.
func format(path string) query.Format {
	for suffix, f := range map[string]query.Format{".parquet": query.FormatParquet, ".csv": query.FormatCSV, ".json": query.FormatJSON, ".jsonl": query.FormatJSON} {
		if strings.HasSuffix(strings.TrimSuffix(path, "/"), suffix) {
			return f
		}
	}
	return "" // found out from the bytes
}
