package mlflow_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/compat/mlflow"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/core/tracking"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/db/dbtest"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// realMLflow unpacks what MLflow's own client wrote (testdata/source.py) and
// returns the folder, and how much is in it.
func realMLflow(t *testing.T) (dir string, want struct{ Runs, Points, Files, Models int64 }) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "source.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, h.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, want
}

// store is a tracking service of its own, and a server in front of it.
func store(t *testing.T, dsn string) (*tracking.Service, *httptest.Server) {
	t.Helper()
	d := dbtest.Open(t, dsn, db.Options{Migrations: []db.Migration{tracking.Migration}})
	c, err := content.Open(t.TempDir(), content.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s := tracking.New(tracking.Options{DB: d, Content: c})
	a := web.NewAPI("test")
	mlflow.New(mlflow.Options{Tracking: s}).Routes(a)
	srv := httptest.NewServer((&web.Door{Anyone: slipway.Principal{Name: "anyone", Role: slipway.Writer}}).Wrap(a.Mux, false))
	t.Cleanup(srv.Close)
	return s, srv
}

func source(t *testing.T, uri, artifacts string) tracking.Source {
	t.Helper()
	from, err := mlflow.OpenSource(t.Context(), uri, artifacts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	return from
}

func asWriter(ctx context.Context) context.Context {
	return slipway.WithPrincipal(ctx, slipway.Principal{Name: "ada", Role: slipway.Writer})
}

func quiet(int64, int64, string) {}

// The file of a real MLflow server is copied whole; a second import finds
// nothing new; and a second server, asked over REST, is copied to the same.
func TestImport(t *testing.T) {
	dir, want := realMLflow(t)
	dbtest.EachDSN(t, func(t *testing.T, dsn string) {
		ctx := asWriter(t.Context())
		s, srv := store(t, dsn)
		file := source(t, "sqlite:///"+filepath.Join(dir, "mlflow.db"), filepath.Join(dir, "artifacts"))
		dry, err := s.Import(ctx, tracking.DefaultProject, file, true, quiet)
		if err != nil || dry.Runs != want.Runs || dry.NewRuns != 0 || dry.Files != want.Files {
			t.Errorf("dry run: %+v, %v", dry, err)
		}
		got, err := s.Import(ctx, tracking.DefaultProject, file, false, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if got.Runs != want.Runs || got.NewRuns != want.Runs || got.Points != want.Points || got.NewPoints != want.Points ||
			got.Files != want.Files || got.NewFiles != want.Files || got.Models != want.Models || len(got.Skipped) != 0 {
			t.Errorf("imported %+v, want %+v", got, want)
		}
		again, err := s.Import(ctx, tracking.DefaultProject, file, false, quiet)
		if err != nil || again.NewRuns != 0 || again.NewPoints != 0 || again.NewFiles != 0 || again.Points != want.Points {
			t.Errorf("a second import: %+v, %v", again, err)
		}
		odd := map[int64]float64{7: math.NaN(), 6: math.MaxFloat64, 5: -math.MaxFloat64, 4: 0}
		first := snapshot(t, s)
		for id, r := range first.Runs {
			if !strings.HasPrefix(r.Name, "trial") {
				continue
			}
			for _, p := range first.Points[id+" odd"] {
				if v := odd[p.Step]; v != float64(p.Value) && !(math.IsNaN(v) && math.IsNaN(float64(p.Value))) {
					t.Errorf("%s: step %d is %v, want %v", r.Name, p.Step, p.Value, v)
				}
			}
			if deleted := r.Stage == tracking.Deleted; deleted != (r.Name == "trial 2") {
				t.Errorf("%s is %s", r.Name, r.Stage)
			}
		}
		// The server that now has it all is a source itself.
		other, _ := store(t, filepath.Join(t.TempDir(), "other.db"))
		if _, err := other.Import(ctx, tracking.DefaultProject, source(t, srv.URL, ""), false, quiet); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, snapshot(t, other), cmp.Comparer(sameNumber)); diff != "" {
			t.Error(diff)
		}
	})
}

func sameNumber(a, b tracking.Number) bool {
	return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b))
}

// everything is what a store holds, told without its own numbers.
type everything struct {
	Runs   map[string]told
	Points map[string][]tracking.Point
	Files  map[string]string
}

type told struct {
	Name, Status, Experiment, User, Start, End string
	Stage                                      tracking.Stage
	Params, Tags                               []tracking.Pair
	Datasets                                   []tracking.DatasetInput
	Models                                     []tracking.ModelLink
}

func snapshot(t *testing.T, s *tracking.Service) everything {
	t.Helper()
	ctx := asWriter(t.Context())
	out := everything{map[string]told{}, map[string][]tracking.Point{}, map[string]string{}}
	runs, _, err := s.SearchRuns(ctx, tracking.Search{View: tracking.All})
	if err != nil {
		t.Fatal(err)
	}
	owners := []string{}
	for _, r := range runs {
		e, err := s.Experiment(ctx, r.Experiment)
		if err != nil {
			t.Fatal(err)
		}
		out.Runs[r.ID] = told{r.Name, string(r.Status), e.Name + " " + string(e.Stage), r.User, r.Start.String(), r.End.String(), r.Stage, r.Params, r.Tags, r.Datasets, r.Models}
		for _, m := range r.Metrics {
			if out.Points[r.ID+" "+m.Key], err = s.History(ctx, r.ID, m.Key, tracking.EveryStep); err != nil {
				t.Fatal(err)
			}
		}
		owners = append(owners, r.ID)
		for _, m := range r.Models {
			owners = append(owners, m.Model)
		}
	}
	for _, owner := range owners {
		tree, err := s.ArtifactTree(ctx, owner, "")
		if err != nil && !slipway.IsCode(err, slipway.NotFound) {
			t.Fatal(err)
		}
		for _, f := range tree {
			out.Files[owner+"/"+f.Path] = string(f.Digest) + " " + strconv.FormatInt(f.Size, 10)
		}
	}
	if len(out.Runs) == 0 || len(out.Points) == 0 || len(out.Files) == 0 {
		t.Errorf("an empty store: %d runs, %d series, %d files", len(out.Runs), len(out.Points), len(out.Files))
	}
	return out
}

// failing is a source that breaks off at its n-th file.
type failing struct {
	tracking.Source
	left atomic.Int64
}

func (f *failing) Open(ctx context.Context, at tracking.Place, uri string) (io.ReadCloser, error) {
	if f.left.Add(-1) < 0 {
		return nil, slipway.Errorf(slipway.Unavailable, "the source is away")
	}
	return f.Source.Open(ctx, at, uri)
}

// An import that broke off is run again until it comes through: what was copied
// before is read and compared, and not copied twice.
func TestImportContinues(t *testing.T) {
	dir, want := realMLflow(t)
	ctx := asWriter(t.Context())
	s, _ := store(t, filepath.Join(t.TempDir(), "x.db"))
	file := source(t, "sqlite:///"+filepath.Join(dir, "mlflow.db"), filepath.Join(dir, "artifacts"))
	var files int64
	for try := 0; ; try++ {
		broken := &failing{Source: file}
		broken.left.Store(int64(try + 1))
		got, err := s.Import(ctx, tracking.DefaultProject, broken, false, quiet)
		files += got.NewFiles
		if err == nil {
			break
		}
		if !slipway.IsCode(err, slipway.Unavailable) || try > 10 {
			t.Fatal(err)
		}
	}
	if files != want.Files {
		t.Errorf("%d files were copied, want each of %d once", files, want.Files)
	}
	whole, _ := store(t, filepath.Join(t.TempDir(), "whole.db"))
	if _, err := whole.Import(ctx, tracking.DefaultProject, file, false, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(snapshot(t, whole), snapshot(t, s), cmp.Comparer(sameNumber)); diff != "" {
		t.Error(diff)
	}
}

// A file whose bytes changed is copied again, though its size is the same.
func TestImportComparesByHash(t *testing.T) {
	dir, want := realMLflow(t)
	ctx := asWriter(t.Context())
	s, _ := store(t, filepath.Join(t.TempDir(), "x.db"))
	file := source(t, "sqlite:///"+filepath.Join(dir, "mlflow.db"), filepath.Join(dir, "artifacts"))
	if _, err := s.Import(ctx, tracking.DefaultProject, file, false, quiet); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "artifacts/wine/*/artifacts/plots/roc.txt"))
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	b[0]++
	if err := os.WriteFile(found[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := s.Import(ctx, tracking.DefaultProject, file, false, quiet)
	if err != nil || got.NewFiles != 1 || got.Files != want.Files {
		t.Fatalf("after one file changed: %+v, %v", got, err)
	}
	whole, _ := store(t, filepath.Join(t.TempDir(), "whole.db"))
	if _, err := whole.Import(ctx, tracking.DefaultProject, file, false, quiet); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(snapshot(t, whole), snapshot(t, s), cmp.Comparer(sameNumber)); diff != "" {
		t.Error(diff)
	}
}

func TestImportRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(empty, []byte("this is no database, though it has some length to it"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(t.TempDir(), "ours.db")
	store(t, ours)
	for uri, code := range map[string]slipway.Code{
		"":                             slipway.Invalid,
		"postgresql://host/db":         slipway.Invalid,
		"http://":                      slipway.Invalid,
		"sqlite:///" + empty:           slipway.Invalid,
		"sqlite:///" + ours:            slipway.Invalid,
		"sqlite:///" + empty + ".none": slipway.NotFound,
	} {
		if _, err := mlflow.OpenSource(t.Context(), uri, ""); !slipway.IsCode(err, code) {
			t.Errorf("%s: %v, want %s", uri, err, code)
		}
	}
}
