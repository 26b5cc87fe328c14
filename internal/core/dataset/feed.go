package dataset

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/project"
)

// feed is where the files of a dataset are fetched from: a bucket, a database or
// a command. It is read by the client, with the secrets of its environment, so
// that nothing of them is sent or stored.
type feed struct {
	bucket   string // address
	postgres string // name of the variable that holds the address
	query    string
	command  project.Command
	by       string // "", "time" or "key": only rows that the newest version does not have
	dir      string // in which a command runs
	format   query.Format
	getenv   func(string) string
	open     func(address string) (blob.Bucket, error)
}

// feedOf is what slipway.yaml says; nil where a dataset has files alone.
func feedOf(s *project.Source) *feed {
	if s == nil {
		return nil
	}
	return &feed{bucket: s.Bucket, postgres: string(s.Postgres), query: s.Query, command: s.Command, by: s.Incremental}
}

// parseFeed reads what --from says: an address, $NAME of a variable with the
// address of a Postgres, or exec: and a command.
func parseFeed(from, sql, by string) (*feed, error) {
	f := &feed{query: sql, by: by}
	switch {
	case strings.HasPrefix(from, "s3://"), strings.HasPrefix(from, "file://"):
		f.bucket = from
	case strings.HasPrefix(from, "$") && len(from) > 1:
		f.postgres = from[1:]
	case strings.HasPrefix(from, "exec:"):
		f.command.Shell = strings.TrimSpace(strings.TrimPrefix(from, "exec:"))
	case strings.HasPrefix(from, "postgres"):
		return nil, slipway.Errorf(slipway.Invalid, "the address of a database may hold a password, so it is not written down").
			WithHint("export DATABASE_URL=…, then --from '$DATABASE_URL' --query 'SELECT …'")
	default:
		return nil, slipway.Errorf(slipway.Invalid, "--from names no source").
			WithHint("write s3://HOST/BUCKET/PREFIX, '$DATABASE_URL' with --query, or 'exec:COMMAND'")
	}
	if (f.postgres != "") != (sql != "") {
		return nil, slipway.Errorf(slipway.Invalid, "--query belongs to --from '$NAME' of a Postgres, and that to a query")
	}
	if by != "" && by != "time" && by != "key" {
		return nil, slipway.Errorf(slipway.Invalid, "--incremental is by time or by key, not %q", by)
	}
	return f, nil
}

// String says where rows came from, without any secret.
func (f *feed) String() string {
	switch {
	case f.bucket != "":
		if u, err := url.Parse(f.bucket); err == nil {
			return u.Scheme + "://" + u.Host + u.Path
		}
		return "a bucket"
	case f.postgres != "":
		return "a query of $" + f.postgres
	case f.command.Shell != "":
		return f.command.Shell
	}
	return strings.Join(f.command.Args, " ")
}

// fetch puts the files of a feed into a folder. last is the newest version,
// Number 0 if there is none. It says false when nothing is new.
func (f *feed) fetch(ctx context.Context, folder string, last Version, said func(bytes int64)) (bool, error) {
	since := time.Time{}
	if f.by == "time" {
		since = last.Covers.To
	}
	switch {
	case f.bucket != "":
		return f.fetchBucket(ctx, folder, last, said)
	case f.postgres != "":
		return true, f.fetchPostgres(ctx, filepath.Join(folder, "rows.csv"), since, said)
	}
	return true, f.fetchCommand(ctx, folder, since, said)
}

// create makes a file that a feed writes, below folder whatever its name is.
func create(folder, name string) (*os.File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, diskError(err)
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(filepath.FromSlash(name)), 0o700); err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%q cannot be the name of a file: %v", name, err)
	}
	out, err := root.OpenFile(filepath.FromSlash(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, slipway.Errorf(slipway.Invalid, "%q cannot be the name of a file: %v", name, err)
	}
	return out, nil
}

// told counts bytes that are written.
type told func(int64)

func (t told) Write(b []byte) (int, error) {
	t(int64(len(b)))
	return len(b), nil
}
