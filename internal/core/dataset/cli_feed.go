package dataset

import (
	"context"
	"os"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// sources finds out what is to be added, from files or with --from.
func (f addFlags) sources(p *project.Project, args []string, abs func(string) string) ([]source, error) {
	if f.from == "" {
		if f.query != "" || f.incremental != "" {
			return nil, slipway.Errorf(slipway.Invalid, "--query and --incremental belong to --from").WithHint("or write them under source in slipway.yaml")
		}
		return sources(p, args, abs)
	}
	if len(args) != 1 {
		return nil, slipway.Errorf(slipway.Invalid, "say the name of the dataset that --from fetches, and no path").WithHint("slipway data add NAME --from …")
	}
	if err := checkName(args[0]); err != nil {
		return nil, err
	}
	feed, err := parseFeed(f.from, f.query, f.incremental)
	if err != nil {
		return nil, err
	}
	one := source{name: args[0], feed: feed}
	if p != nil {
		if _, ok := p.Data[args[0]]; ok {
			if one, err = declared(p, args[0]); err != nil && !slipway.IsCode(err, slipway.NotFound) {
				return nil, err
			}
			one.feed = feed
		} else if one.dir = p.Dir; p.Timezone != "UTC" {
			one.spec.Timezone = p.Timezone
		}
	}
	return []source{one}, nil
}

// increment says by what the rows of a source are new; "" where all count.
func (one source) increment() string {
	if one.feed == nil {
		return ""
	}
	return one.feed.by
}

// scanner remembers digests, but not of files that are taken away again.
func (one source) scanner(e *cli.Env) Scanner {
	if one.feed != nil {
		return Scanner{}
	}
	return scanner(e)
}

// addFetched is add for files that may have to be fetched first, into a folder
// that is taken away again.
func addFetched(ctx context.Context, e *cli.Env, c web.Client, projectName string, one source, f addFlags, open func(string) (blob.Bucket, error)) error {
	if one.feed == nil {
		return add(ctx, e, c, projectName, one, f)
	}
	folder, err := os.MkdirTemp("", "slipway-fetch-")
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(folder)
	newest, err := OpVersion.Call(ctx, c, OfVersion{Project: projectName, Name: one.name})
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return err
	}
	one.feed.getenv, one.feed.open, one.feed.format, one.feed.dir = e.Getenv, open, one.spec.Format, e.Dir
	if one.declared {
		one.feed.dir = one.dir
	}
	bar := e.IO.Progress("fetch", 0, term.Bytes)
	fresh, err := one.feed.fetch(ctx, folder, newest, bar.Add)
	bar.Stop()
	if err != nil {
		return err
	}
	if !fresh {
		return report(e, Outcome{Version: &newest, Unchanged: true}, one, nil)
	}
	if f.message == "" {
		f.message = "from " + one.feed.String()
	}
	one.root, one.paths = folder, []string{folder}
	return add(ctx, e, c, projectName, one, f)
}
