package mlflow

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/slipway-ml/slipway/internal/core/tracking"
)

// The rows of an export as Parquet. Times are UTC with milliseconds; 0 is none.
type (
	experimentRow struct {
		ID       int64     `parquet:"experiment_id"`
		Name     string    `parquet:"name"`
		Stage    string    `parquet:"stage,dict"`
		Artifact string    `parquet:"artifact_uri"`
		Created  time.Time `parquet:"created,timestamp(millisecond)"`
		Updated  time.Time `parquet:"updated,timestamp(millisecond)"`
	}
	runRow struct {
		ID         string     `parquet:"run_id"`
		Experiment int64      `parquet:"experiment_id"`
		Name       string     `parquet:"name"`
		Status     string     `parquet:"status,dict"`
		User       string     `parquet:"user,dict"`
		Stage      string     `parquet:"stage,dict"`
		Artifact   string     `parquet:"artifact_uri"`
		Start      time.Time  `parquet:"start,timestamp(millisecond)"`
		End        *time.Time `parquet:"end,optional,timestamp(millisecond)"`
	}
	// pairRow is a param or a tag of an experiment, a run, or a model.
	pairRow struct {
		Owner string `parquet:"owner,dict"`
		Kind  string `parquet:"kind,dict"` // experiment, run, logged_model, registered_model, model_version
		Key   string `parquet:"key,dict"`
		Value string `parquet:"value"`
	}
	pointRow struct {
		Run   string    `parquet:"run_id,dict"`
		Key   string    `parquet:"key,dict"`
		Step  int64     `parquet:"step,delta"`
		Time  time.Time `parquet:"time,delta,timestamp(millisecond)"`
		Value float64   `parquet:"value"`
	}
	datasetRow struct {
		Run        string `parquet:"run_id,dict"`
		Name       string `parquet:"name,dict"`
		Digest     string `parquet:"digest,dict"`
		SourceType string `parquet:"source_type,dict"`
		Source     string `parquet:"source,dict"`
		Schema     string `parquet:"schema,dict"`
		Profile    string `parquet:"profile,dict"`
		Context    string `parquet:"context,dict"`
	}
	modelRow struct {
		ID         string    `parquet:"model_id"`
		Experiment int64     `parquet:"experiment_id"`
		Run        string    `parquet:"run_id"`
		Name       string    `parquet:"name"`
		Status     string    `parquet:"status,dict"`
		Type       string    `parquet:"type,dict"`
		Artifact   string    `parquet:"artifact_uri"`
		Created    time.Time `parquet:"created,timestamp(millisecond)"`
	}
	versionRow struct {
		Name        string    `parquet:"name,dict"`
		Version     int64     `parquet:"version"`
		Stage       string    `parquet:"stage,dict"`
		Aliases     []string  `parquet:"aliases,list"`
		Description string    `parquet:"description"`
		Source      string    `parquet:"source"`
		Artifact    string    `parquet:"artifact_uri"`
		Run         string    `parquet:"run_id"`
		Created     time.Time `parquet:"created,timestamp(millisecond)"`
	}
	fileRow struct {
		Owner  string `parquet:"owner,dict"`
		Path   string `parquet:"path"`
		File   string `parquet:"file"` // below the export's folder
		Size   int64  `parquet:"size"`
		Digest string `parquet:"sha256"`
	}
)

// parquetExport writes one file a kind of row.
type parquetExport struct {
	experiments *rowFile[experimentRow]
	runs        *rowFile[runRow]
	params      *rowFile[pairRow]
	tags        *rowFile[pairRow]
	points      *rowFile[pointRow]
	datasets    *rowFile[datasetRow]
	models      *rowFile[modelRow]
	versions    *rowFile[versionRow]
	artifacts   *rowFile[fileRow]
	all         []interface{ close() error }
}

// rowFile is a Parquet file that grows.
type rowFile[T any] struct {
	f *os.File
	w *parquet.GenericWriter[T]
}

func newRows[T any](x *parquetExport, dir, name string) (*rowFile[T], error) {
	f, err := os.Create(filepath.Join(dir, name+".parquet"))
	if err != nil {
		return nil, err
	}
	r := &rowFile[T]{f, parquet.NewGenericWriter[T](f, parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}),
		parquet.MaxRowsPerRowGroup(1<<19), parquet.CreatedBy("slipway", "1", ""))}
	x.all = append(x.all, r)
	return r, nil
}

func (r *rowFile[T]) add(rows ...T) error {
	_, err := r.w.Write(rows)
	return err
}

func (r *rowFile[T]) close() error {
	err := r.w.Close()
	if err == nil {
		err = r.f.Sync()
	}
	return errors.Join(err, r.f.Close())
}

func newParquetExport(dir string) (x *parquetExport, err error) {
	x = &parquetExport{}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var errs [9]error
	x.experiments, errs[0] = newRows[experimentRow](x, dir, "experiments")
	x.runs, errs[1] = newRows[runRow](x, dir, "runs")
	x.params, errs[2] = newRows[pairRow](x, dir, "params")
	x.tags, errs[3] = newRows[pairRow](x, dir, "tags")
	x.points, errs[4] = newRows[pointRow](x, dir, "metrics")
	x.datasets, errs[5] = newRows[datasetRow](x, dir, "datasets")
	x.models, errs[6] = newRows[modelRow](x, dir, "logged_models")
	x.versions, errs[7] = newRows[versionRow](x, dir, "model_versions")
	x.artifacts, errs[8] = newRows[fileRow](x, dir, "artifacts")
	if err := errors.Join(errs[:]...); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

func (x *parquetExport) close() (err error) {
	for _, f := range x.all {
		err = errors.Join(err, f.close())
	}
	return err
}

func pairRows(owner, kind string, pairs []tracking.Pair) []pairRow {
	out := make([]pairRow, len(pairs))
	for i, p := range pairs {
		out[i] = pairRow{owner, kind, p.Key, p.Value}
	}
	return out
}

func (x *parquetExport) experiment(e tracking.Experiment) error {
	err := x.experiments.add(experimentRow{e.ID, e.Name, string(e.Stage), e.Artifact, e.Created, e.Updated})
	return errors.Join(err, x.tags.add(pairRows(e.Name, "experiment", e.Tags)...))
}

func (x *parquetExport) run(r exportedRun) error {
	row := runRow{r.ID, r.experiment, r.Name, string(r.Status), r.User, string(r.Stage), r.Artifact, r.Start, nil}
	if !r.End.IsZero() {
		row.End = &r.End
	}
	err := errors.Join(x.runs.add(row), x.params.add(pairRows(r.ID, "run", r.Params)...), x.tags.add(pairRows(r.ID, "run", r.Tags)...))
	for _, m := range r.Metrics {
		rows := make([]pointRow, len(r.points[m.Key]))
		for i, p := range r.points[m.Key] {
			rows[i] = pointRow{r.ID, m.Key, p.Step, time.UnixMilli(p.Time).UTC(), float64(p.Value)}
		}
		err = errors.Join(err, x.points.add(rows...))
	}
	for _, d := range r.Datasets {
		row := datasetRow{Run: r.ID, Name: d.Name, Digest: d.Digest, SourceType: d.SourceType, Source: d.Source, Schema: d.Schema, Profile: d.Profile}
		for _, t := range d.Tags {
			if t.Key == "mlflow.data.context" {
				row.Context = t.Value
			}
		}
		err = errors.Join(err, x.datasets.add(row))
	}
	return err
}

func (x *parquetExport) model(m tracking.LoggedModel) error {
	err := x.models.add(modelRow{m.ID, m.Experiment, m.Run, m.Name, string(m.Status), m.Type, m.Artifact, m.Created})
	return errors.Join(err, x.params.add(pairRows(m.ID, "logged_model", m.Params)...), x.tags.add(pairRows(m.ID, "logged_model", m.Tags)...))
}

func (x *parquetExport) registered(m sourceRegistered) error {
	err := x.tags.add(pairRows(m.Name, "registered_model", fromPairs(m.Tags))...)
	for _, v := range m.versions {
		row := versionRow{m.Name, int64(v.Version), v.Stage, nil, v.Description, v.Source, v.location, v.Run, moment(v.Created)}
		for _, a := range m.Aliases {
			if a.Version == v.Version {
				row.Aliases = append(row.Aliases, a.Alias)
			}
		}
		err = errors.Join(err, x.versions.add(row), x.tags.add(pairRows(m.Name+"@v"+versionText(v), "model_version", fromPairs(v.Tags))...))
	}
	return err
}

func (x *parquetExport) file(f exportedFile) error {
	return x.artifacts.add(fileRow{f.owner, f.path, f.where, f.size, string(f.digest)})
}
