// Package dataset keeps versions of data: which files a version holds, what
// their rows look like, what changed, and whether they kept their contract.
//
// The files are content and the client sends them; a version is a row of a
// table that refers to them. A version exists whole or not at all: it is
// written, with its event, in one transaction after everything it refers to is
// durable. A batch that breaks its contract makes no version. Its files and the
// report are kept apart, in quarantine, and the last good version stays the
// newest.
package dataset

import (
	"context"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/db"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// Options is what a Service needs.
type Options struct {
	DB      *db.DB
	Content *content.Store
	Query   *query.Engine
	Jobs    *web.Jobs
	Dir     string // for files while they are looked at; private to the workspace

	// Roots yields all content that anything refers to: what must not be collected.
	Roots func(ctx context.Context) iter.Seq2[slipway.Digest, error]
	// Used lists what was made from a version.
	Used func(ctx context.Context, project string, version slipway.Ref) ([]slipway.Ref, error)
	// Bucket opens the place that an address of a remote names.
	Bucket func(address string) (blob.Bucket, error)
	// ContentDir is where Content is, so that it can be opened with a remote.
	ContentDir string
	// Remote is the address that is pushed to when a command names none.
	Remote string
}

// Service keeps versions of datasets.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service { return &Service{o} }

// FilesOnly is the format of a dataset whose files are no table, such as images.
const FilesOnly query.Format = "files"

// Spec says how the files of a dataset are read as rows, and what its columns
// are for.
type Spec struct {
	Format   query.Format   `json:"format,omitempty"` // FilesOnly where there are no rows
	CSV      query.CSV      `json:"csv,omitzero"`
	Columns  []string       `json:"columns,omitempty"`  // names of the columns of CSV files without a header
	Time     string         `json:"time,omitempty"`     // SQL expression of when a row happened
	Order    []string       `json:"order,omitempty"`    // columns that order rows without a time
	Key      []string       `json:"key,omitempty"`      // columns that tell one row from all others
	Subject  string         `json:"subject,omitempty"`  // column that says whom a row is about
	Timezone string         `json:"timezone,omitempty"` // in which times without an offset are read; "" is UTC
	Guessed  bool           `json:"guessed,omitempty"`  // nobody declared Time: it was found out
	Types    slipway.Schema `json:"types,omitempty"`    // types that the contract declares
}

// Version is one state of a dataset.
type Version struct {
	Project  string         `json:"project"`
	Name     string         `json:"name"`
	Number   int            `json:"version"`
	Tree     slipway.Digest `json:"tree"` // a content.Tree
	Files    int            `json:"files"`
	Bytes    int64          `json:"bytes"`
	Rows     int64          `json:"rows"` // 0 where the files are no table
	Schema   slipway.Schema `json:"schema,omitempty"`
	Spec     Spec           `json:"spec"`
	Covers   slipway.Window `json:"covers"` // event time of its rows
	Message  string         `json:"message,omitempty"`
	Commit   string         `json:"commit,omitempty"` // of the code beside which it was added
	Run      string         `json:"run,omitempty"`    // id of the run that made it
	Actor    string         `json:"actor"`
	Created  time.Time      `json:"created"`
	Origin   string         `json:"origin,omitempty"` // of a version that was pulled or imported: where it came from
	Change   Change         `json:"change"`
	Contract slipway.Digest `json:"contract,omitempty"` // the contract's text
	Verdict  Verdict        `json:"verdict,omitempty"`
	Report   slipway.Digest `json:"report,omitempty"`   // a Report
	Profile  slipway.Digest `json:"profile,omitempty"`  // a Profile
	Odd      []string       `json:"odd,omitempty"`      // what a person should look at, a sentence each
	Released *Release       `json:"released,omitempty"` // who used it although the contract refused it
}

// Verdict is what a contract's checks came to.
type Verdict string

// The verdicts. A warning does not stop a version.
const (
	Passed  Verdict = "pass"
	Warned  Verdict = "warn"
	Refused Verdict = "refuse"
)

// Change is how a version differs from the one before it.
type Change struct {
	From    int   `json:"from"` // 0: there was none
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"`
	Added   int   `json:"added"` // files
	Removed int   `json:"removed"`
	Changed int   `json:"changed"`
}

// ID is name@vN.
func (v Version) ID() string { return v.Ref().ID }

// Ref names the version in lineage.
func (v Version) Ref() slipway.Ref {
	return slipway.VersionRef(slipway.KindDataset, v.Name, v.Number)
}

// Table is whether the version has rows.
func (v Version) Table() bool { return v.Spec.Format != FilesOnly }

// Quarantined is a batch that broke its contract.
type Quarantined struct {
	ID       string         `json:"id"`
	Project  string         `json:"project"`
	Name     string         `json:"name"`
	Tree     slipway.Digest `json:"tree"`   // the files that were checked
	Report   slipway.Digest `json:"report"` // a Report
	Spec     Spec           `json:"spec"`
	Checks   int            `json:"checks"` // how many failed
	Rows     int64          `json:"rows"`   // that fail the check that most rows fail
	Released *Release       `json:"released,omitempty"`
	Message  string         `json:"message,omitempty"`
	Actor    string         `json:"actor"`
	Created  time.Time      `json:"created"`
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// checkName accepts the name of a dataset. It fails with Invalid.
func checkName(name string) error {
	if !goodName.MatchString(name) {
		return slipway.Errorf(slipway.Invalid, "%.140q is not a name of a dataset", name).WithHint("use letters, digits, - _ and . such as flights or feed-2013")
	}
	return nil
}

// checkTag accepts a tag: a name that cannot be taken for a number or a digest.
func checkTag(tag string) error {
	if !goodName.MatchString(tag) || tag == "latest" || likeNumber.MatchString(tag) || likeDigest.MatchString(tag) {
		return slipway.Errorf(slipway.Invalid, "%.140q cannot be a tag", tag).WithHint("use letters, digits, - _ and . such as train-2013; v3 and latest mean versions already")
	}
	return nil
}

var (
	likeNumber = regexp.MustCompile(`^v?[0-9]+$`)
	likeDigest = regexp.MustCompile(`^[0-9a-f]{8,64}$`)
)

// Find finds the version that a text after name@ means: "" or latest, v3 or 3, a
// tag, or at least eight digits of the digest of its files. It fails with
// NotFound.
func (s *Service) Find(ctx context.Context, project, name, ref string) (Version, error) {
	if ref == "" || ref == "latest" {
		return s.find(ctx, project, name, 0)
	}
	if likeNumber.MatchString(ref) {
		n, err := strconv.Atoi(strings.TrimPrefix(ref, "v"))
		if err != nil || n < 1 {
			return Version{}, slipway.Errorf(slipway.Invalid, "%s@%s is no version", name, ref)
		}
		return s.find(ctx, project, name, n)
	}
	newest, err := s.find(ctx, project, name, 0) // its name now
	if err != nil {
		return Version{}, err
	}
	if likeDigest.MatchString(ref) {
		if v, err := s.byTree(ctx, project, newest.Name, ref); !slipway.IsCode(err, slipway.NotFound) {
			return v, err
		}
		return Version{}, slipway.Errorf(slipway.NotFound, "no version of %s has files with the digest %s", name, ref).WithHint("slipway data pull %s, if somebody pushed it", name)
	}
	tags, err := s.Tags(ctx, project, newest.Name)
	for _, t := range tags {
		if t.Tag == ref {
			return s.find(ctx, project, newest.Name, t.Version)
		}
	}
	if err != nil {
		return Version{}, err
	}
	return Version{}, slipway.Errorf(slipway.NotFound, "dataset %s has no tag %s", name, ref).WithHint("slipway data tag %s lists them", name)
}

// Version finds version n of a dataset; 0 is the newest. It fails with NotFound.
func (s *Service) Version(ctx context.Context, project, name string, n int) (Version, error) {
	return s.find(ctx, project, name, n)
}

// Resolve is Version by the name that pipelines know it under.
func (s *Service) Resolve(ctx context.Context, project, name string, n int) (Version, error) {
	return s.find(ctx, project, name, n)
}

// Roots yields the content that datasets refer to, for garbage collection.
func (s *Service) Roots(ctx context.Context) iter.Seq2[slipway.Digest, error] {
	return func(yield func(slipway.Digest, error) bool) {
		digests, err := s.roots(ctx)
		if err != nil {
			yield("", err)
			return
		}
		for _, d := range digests {
			if d != "" && !yield(d, nil) {
				return
			}
		}
	}
}
