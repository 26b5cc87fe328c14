package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// ExportOptions says what Export writes, and where.
type ExportOptions struct {
	Dir         string                // is made; it must not be there, or be empty
	Experiments []tracking.Experiment // whose runs and logged models are written
	Registered  map[string]bool       // names of the registered models that are
	NoParquet   bool
	NoMLflow    bool
	NoFiles     bool // leaves artifacts out
	Say         func(runs int64)
}

// Exported counts what an export wrote.
type Exported struct {
	Dir         string   `json:"dir"`
	Experiments int64    `json:"experiments"`
	Runs        int64    `json:"runs"`
	Points      int64    `json:"points"`
	Models      int64    `json:"models"` // logged models
	Registered  int64    `json:"registered"`
	Versions    int64    `json:"versions"`
	Files       int64    `json:"files"`
	Bytes       int64    `json:"bytes"`
	Skipped     []string `json:"skipped"` // what was not written, and why
}

// exportedRun is a run with what its row does not hold.
type exportedRun struct {
	*tracking.Run
	experiment int64
	points     map[string][]tracking.Point
}

// sink is one form of an export. Its methods are called one at a time.
type sink interface {
	experiment(e tracking.Experiment) error
	run(r exportedRun) error
	model(m tracking.LoggedModel) error
	registered(m sourceRegistered) error
	file(f exportedFile) error
	close() error
}

// exporter is one export under way.
type exporter struct {
	from  *serverSource
	o     ExportOptions
	part  string // the folder while it is being written
	sinks []sink
	mu    sync.Mutex // guards sinks, out and links
	out   Exported
	links map[slipway.Digest]string // a file of each content that is written
}

// Dial is a source that reads the server which c talks to.
func Dial(c web.Client) (tracking.Source, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, err
	}
	client := *c.HTTP
	if c.Token != "" {
		client.Transport = bearer{client.Transport, c.Token}
	}
	return &serverSource{u, &client}, nil
}

// bearer adds a token to requests.
type bearer struct {
	next  http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	if b.next == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return b.next.RoundTrip(r)
}

// Export writes experiments, runs with the whole history of their metrics,
// logged and registered models and all files into a folder: mlflow.db and
// artifacts/, which `mlflow server` opens, and parquet/. The folder gets its name
// when all is there and on disk. It fails with Conflict when there is something
// of that name.
func Export(ctx context.Context, from tracking.Source, o ExportOptions) (out Exported, err error) {
	s, ok := from.(*serverSource)
	if !ok {
		return out, slipway.Errorf(slipway.Invalid, "only a running server can be exported")
	}
	x := &exporter{from: s, o: o, part: filepath.Clean(o.Dir) + ".part", out: Exported{Dir: o.Dir, Skipped: []string{}}, links: map[slipway.Digest]string{}}
	if err := x.begin(); err != nil {
		return out, err
	}
	err = x.open()
	for _, e := range o.Experiments {
		if err == nil {
			err = x.experiment(ctx, e)
		}
	}
	if err == nil {
		err = x.models(ctx)
	}
	for _, s := range x.sinks {
		err = errors.Join(err, s.close())
	}
	if err != nil {
		return x.out, errors.Join(err, os.RemoveAll(x.part))
	}
	if !o.NoMLflow {
		if err := os.WriteFile(filepath.Join(x.part, "README.txt"), readme(x.out), 0o644); err != nil {
			return x.out, err
		}
	}
	return x.out, x.commit()
}

// begin makes the folder in which everything is written first.
func (x *exporter) begin() error {
	entries, err := os.ReadDir(x.o.Dir)
	if err == nil && len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return slipway.Errorf(slipway.Conflict, "%s is there already", x.o.Dir).WithHint("name a folder that is not there; an export overwrites nothing")
	}
	if err := os.MkdirAll(filepath.Dir(x.part), 0o755); err != nil {
		return slipway.Errorf(slipway.Invalid, "%s cannot be made: %v", x.o.Dir, err)
	}
	if err := os.Mkdir(x.part, 0o755); err != nil {
		return slipway.Errorf(slipway.Conflict, "%s cannot be made: %v", x.part, err).
			WithHint("it is what an export writes to; remove it if none is running")
	}
	return nil
}

func (x *exporter) open() error {
	if !x.o.NoMLflow {
		s, err := newSQLExport(filepath.Join(x.part, "mlflow.db"))
		if err != nil {
			return err
		}
		x.sinks = append(x.sinks, s)
	}
	if !x.o.NoParquet {
		s, err := newParquetExport(filepath.Join(x.part, "parquet"))
		if err != nil {
			return err
		}
		x.sinks = append(x.sinks, s)
	}
	return nil
}

// commit gives the folder its name. An empty folder of that name gives way.
func (x *exporter) commit() error {
	if err := os.Remove(x.o.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(x.part, filepath.Clean(x.o.Dir))
}

// write hands something to every form.
func (x *exporter) write(fn func(sink) error, count func(*Exported)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.sinks {
		if err := fn(s); err != nil {
			return err
		}
	}
	count(&x.out)
	return nil
}

func (x *exporter) skip(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out.Skipped = append(x.out.Skipped, fmt.Sprintf(format, args...))
}

const exportWorkers = 4

// experiment writes one experiment, its runs and its logged models.
func (x *exporter) experiment(ctx context.Context, e tracking.Experiment) error {
	if err := x.write(func(s sink) error { return s.experiment(e) }, func(o *Exported) { o.Experiments++ }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *tracking.Run)
	var work sync.WaitGroup
	for range exportWorkers {
		work.Go(func() {
			for r := range queue {
				if err := x.run(ctx, e, r); err != nil {
					cancel(fmt.Errorf("run %s: %w", r.ID, err))
				}
			}
		})
	}
	err := x.from.Runs(ctx, e.ID, func(r *tracking.Run) error {
		select {
		case queue <- r:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(queue)
	work.Wait()
	if err = errors.Join(err, context.Cause(ctx)); err != nil {
		return err
	}
	return x.from.Models(ctx, e.ID, func(m tracking.LoggedModel) error {
		m.Experiment = e.ID
		if err := x.write(func(s sink) error { return s.model(m) }, func(o *Exported) { o.Models++ }); err != nil {
			return fmt.Errorf("logged model %s: %w", m.ID, err)
		}
		return x.files(ctx, tracking.Place{Owner: m.ID}, m.Artifact)
	})
}

func (x *exporter) run(ctx context.Context, e tracking.Experiment, r *tracking.Run) error {
	if ctx.Err() != nil {
		return nil // another run has failed
	}
	one := exportedRun{r, e.ID, map[string][]tracking.Point{}}
	n := int64(0)
	for _, m := range r.Metrics {
		points, err := x.from.Points(ctx, r.ID, m.Key)
		if err != nil {
			return err
		}
		one.points[m.Key] = points
		n += int64(len(points))
	}
	if err := x.write(func(s sink) error { return s.run(one) }, func(o *Exported) { o.Runs, o.Points = o.Runs+1, o.Points+n }); err != nil {
		return err
	}
	if err := x.files(ctx, tracking.Place{Owner: r.ID}, r.Artifact); err != nil {
		return err
	}
	x.mu.Lock()
	done := x.out.Runs
	x.mu.Unlock()
	x.o.Say(done)
	return nil
}

// models writes registered models with the files of their versions.
func (x *exporter) models(ctx context.Context) error {
	return x.from.registered(ctx, func(m sourceRegistered) error {
		if !x.o.Registered[m.Name] {
			return nil
		}
		for i := range m.versions {
			v := &m.versions[i]
			var in struct {
				URI string `json:"artifact_uri"`
			}
			q := url.Values{"name": {m.Name}, "version": {fmt.Sprint(int64(v.Version))}}
			if err := x.from.read(ctx, http.MethodGet, "/api/2.0/mlflow/model-versions/get-download-uri", q, nil, &in); err != nil {
				return fmt.Errorf("%s version %d: %w", m.Name, v.Version, err)
			}
			v.location = in.URI
			if err := x.files(ctx, tracking.Place{Owner: fmt.Sprintf("%s version %d", m.Name, v.Version)}, in.URI); err != nil {
				return err
			}
		}
		return x.write(func(s sink) error { return s.registered(m) }, func(o *Exported) {
			o.Registered, o.Versions = o.Registered+1, o.Versions+int64(len(m.versions))
		})
	})
}
