package tracking

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/content"
)

// Source is another tracking server, or the files of one, to copy from. Its
// experiments, runs and logged models are told in our terms; Artifact is the
// URI there. It is safe for concurrent use.
type Source interface {
	// Experiments lists all of them, deleted ones too, with the ids there.
	Experiments(ctx context.Context) ([]Experiment, error)
	// Runs calls fn with every run of an experiment, deleted ones too. Their
	// metrics are the latest values.
	Runs(ctx context.Context, experiment int64, fn func(*Run) error) error
	// Points is the whole history of a metric.
	Points(ctx context.Context, run, key string) ([]Point, error)
	// Models calls fn with every logged model of an experiment.
	Models(ctx context.Context, experiment int64, fn func(LoggedModel) error) error
	// Files lists every file below a run's or a model's artifact URI. It fails
	// with Invalid for a store that it cannot read.
	Files(ctx context.Context, at Place, uri string) ([]Artifact, error)
	// Open reads one of them.
	Open(ctx context.Context, at Place, uri string) (io.ReadCloser, error)
	Close() error
}

// Imported counts what an import found, and what was new.
type Imported struct {
	Experiments int64    `json:"experiments"`
	Runs        int64    `json:"runs"`
	NewRuns     int64    `json:"new_runs"`
	Points      int64    `json:"points"` // verified: read back and compared by hash
	NewPoints   int64    `json:"new_points"`
	Models      int64    `json:"models"` // logged models
	Files       int64    `json:"files"`
	NewFiles    int64    `json:"new_files"`
	NewBytes    int64    `json:"new_bytes"`
	Registered  int64    `json:"registered"` // registered models
	Versions    int64    `json:"versions"`
	Skipped     []string `json:"skipped"` // what was not copied, and why
	DryRun      bool     `json:"dry_run"`
}

// maxSkipped bounds the list of what was not copied.
const maxSkipped = 1000

// importWorkers is how many runs are copied at once: reading a source mostly
// means waiting for it.
const importWorkers = 4

// importer copies one source into a project.
type importer struct {
	s       *Service
	from    Source
	project string
	say     func(done, total int64, what string)
	mu      sync.Mutex
	out     Imported
	done    atomic.Int64
}

// Import copies everything that a source holds into a project: experiments by
// their names, runs and logged models by their ids. What is there already is
// compared and completed, so an import that was broken off, or whose source has
// grown, is simply run again. A run is written in one transaction, and its
// points are read back and compared with the source's by hash. It fails with
// Conflict when a run's id belongs to another project, and with Internal when a
// comparison fails.
func (s *Service) Import(ctx context.Context, project string, from Source, dryRun bool, say func(done, total int64, what string)) (Imported, error) {
	if err := slipway.Allow(ctx, slipway.Writer, project); err != nil {
		return Imported{}, err
	}
	im := &importer{s: s, from: from, project: project, say: say, out: Imported{DryRun: dryRun, Skipped: []string{}}}
	all, err := from.Experiments(ctx)
	for i := 0; i < len(all) && err == nil; i++ {
		im.out.Experiments++
		err = im.experiment(ctx, all[i])
	}
	return im.out, err
}

// experiment copies one experiment with its runs and logged models.
func (im *importer) experiment(ctx context.Context, e Experiment) error {
	there := e.ID
	if !im.out.DryRun {
		var err error
		if e, err = im.s.importExperiment(ctx, im.project, e); err != nil {
			return fmt.Errorf("experiment %s: %w", e.Name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan *Run)
	var work sync.WaitGroup
	for range importWorkers {
		work.Go(func() {
			for r := range queue {
				if err := im.run(ctx, e, r); err != nil {
					cancel(fmt.Errorf("run %s: %w", r.ID, err))
				}
			}
		})
	}
	err := im.from.Runs(ctx, there, func(r *Run) error {
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
	return im.from.Models(ctx, there, func(m LoggedModel) error {
		if err := im.model(ctx, e, m); err != nil {
			return fmt.Errorf("logged model %s: %w", m.ID, err)
		}
		return nil
	})
}

// run copies one run: its data, then its files.
func (im *importer) run(ctx context.Context, e Experiment, r *Run) error {
	if ctx.Err() != nil {
		return nil // another run has failed
	}
	uri := r.Artifact
	points := map[string][]Point{}
	var n int64
	for _, m := range r.Metrics {
		if im.out.DryRun {
			break
		}
		p, err := im.from.Points(ctx, r.ID, m.Key)
		if err != nil {
			return err
		}
		for i := range p {
			p[i].Value = Number(storedValue(float64(p[i].Value)))
		}
		points[m.Key] = tidy(p)
		n += int64(len(points[m.Key]))
	}
	var made bool
	var added int64
	if !im.out.DryRun {
		var err error
		if made, added, err = im.s.importRun(ctx, e, r, points); err != nil {
			return err
		}
		if err := im.s.compareImported(ctx, r.ID, points); err != nil {
			return err
		}
	}
	im.count(func(o *Imported) {
		o.Runs, o.Points, o.NewPoints = o.Runs+1, o.Points+n, o.NewPoints+added
		if made {
			o.NewRuns++
		}
	})
	err := im.files(ctx, Place{Owner: r.ID}, uri)
	im.say(im.done.Add(1), 0, "runs")
	return err
}

func (im *importer) model(ctx context.Context, e Experiment, m LoggedModel) error {
	if !im.out.DryRun {
		if err := im.s.importModel(ctx, e, m); err != nil {
			return err
		}
	}
	im.count(func(o *Imported) { o.Models++ })
	return im.files(ctx, Place{Owner: m.ID}, m.Artifact)
}

// files copies the files of a run or a model that are not there with the same
// bytes: one of another size is copied, one of the same size is read again and
// compared by hash.
func (im *importer) files(ctx context.Context, at Place, uri string) error {
	found, err := im.from.Files(ctx, at, uri)
	if slipway.IsCode(err, slipway.Invalid) || slipway.IsCode(err, slipway.NotFound) {
		im.skip(fmt.Sprintf("artifacts of %s: %v", at.Owner, err))
		return nil
	}
	if err != nil {
		return err
	}
	have := map[string]Artifact{}
	if !im.out.DryRun {
		there, err := im.s.artifactsBelow(ctx, at)
		if err != nil {
			return err
		}
		for _, a := range there {
			have[a.Path] = a
		}
	}
	for _, f := range found {
		im.count(func(o *Imported) { o.Files++ })
		if im.out.DryRun {
			continue
		}
		place := Place{at.Owner, f.Path}
		if was, ok := have[f.Path]; ok && was.Size == f.Size {
			same, err := im.same(ctx, place, uri, was.Digest)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			if same {
				continue
			}
		}
		if err := im.file(ctx, place, uri, f.Size); err != nil {
			return err
		}
	}
	return nil
}

// same reports whether the source's file has a digest.
func (im *importer) same(ctx context.Context, at Place, uri string, want slipway.Digest) (bool, error) {
	body, err := im.from.Open(ctx, at, uri)
	if err != nil {
		return false, err
	}
	h := sha256.New()
	_, err = io.Copy(h, body)
	err = errors.Join(err, body.Close())
	return slipway.Digest(hex.EncodeToString(h.Sum(nil))) == want, err
}

func (im *importer) file(ctx context.Context, at Place, uri string, size int64) error {
	if err := content.CheckPath(at.Path); err != nil {
		im.skip(fmt.Sprintf("%s of %s: %v", at.Path, at.Owner, err))
		return nil
	}
	body, err := im.from.Open(ctx, at, uri)
	if err != nil {
		return fmt.Errorf("%s: %w", at.Path, err)
	}
	a, err := im.s.AddArtifact(ctx, at, body)
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("%s: %w", at.Path, err)
	}
	if a.Size != size {
		return slipway.Errorf(slipway.Unavailable, "%s of %s came with %d bytes of %d", at.Path, at.Owner, a.Size, size).
			WithHint("run the import again; it continues where it broke off")
	}
	im.count(func(o *Imported) { o.NewFiles, o.NewBytes = o.NewFiles+1, o.NewBytes+size })
	return nil
}

func (im *importer) count(fn func(*Imported)) {
	im.mu.Lock()
	defer im.mu.Unlock()
	fn(&im.out)
}

func (im *importer) skip(what string) {
	im.count(func(o *Imported) {
		if len(o.Skipped) < maxSkipped {
			o.Skipped = append(o.Skipped, what)
		}
	})
}

// digestPoints is a hash over histories in their canonical order.
func digestPoints(points map[string][]Point) (sum [sha256.Size]byte) {
	h := sha256.New()
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(points)) {
		b = append(binary.AppendUvarint(b[:0], uint64(len(key))), key...)
		b = binary.AppendUvarint(b, uint64(len(points[key])))
		for _, p := range points[key] {
			bits := math.Float64bits(float64(p.Value))
			if p.Value != p.Value {
				bits = math.Float64bits(math.NaN()) // one NaN is as good as another
			}
			b = binary.LittleEndian.AppendUint64(binary.AppendVarint(binary.AppendVarint(b, p.Step), p.Time), bits)
		}
		h.Write(b)
	}
	h.Sum(sum[:0])
	return sum
}
