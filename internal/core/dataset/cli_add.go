package dataset

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// addFlags is what `data add` may be told.
type addFlags struct {
	name, message, contract, format, time string
	from, query, incremental              string
	key                                   []string
	append                                bool
}

func addCommand(e *cli.Env, open func(string) (blob.Bucket, error)) *cobra.Command {
	var f addFlags
	cmd := &cobra.Command{
		Use: "add [NAME] [PATH…]", Short: "Make a version of files: checked, profiled, pinned",
		Long: "Make a version of a dataset that holds exactly the given files, or with\n--append those of the newest version and the given ones. Without a path it is\nthe path in slipway.yaml; without a name it is every dataset there. It works\nwithout any slipway.yaml too: the name is then that of the file or folder. A file\n.slipwayignore in the folder says, as .gitignore does, what of it is no data.\n\nA contract is asked about the files that the newest version does not have.\nWhen it says no, there is no version, the files go to quarantine, and the exit\ncode is 3.\n\nWith --from, or a source in slipway.yaml, the files are fetched: the objects of a\nbucket, the rows of a query on Postgres, or what a command writes to its standard\noutput or into the folder $SLIPWAY_OUT. The secrets are those of your environment\nand are stored nowhere. With --incremental only rows that the newest version does\nnot have are added: after its last event time ({since} in a query, $SLIPWAY_SINCE\nin a command), or with keys that it does not know.",
		Example: `  slipway data add data/
  slipway data add flights data/2013-0[1-3].csv
  slipway data add flights --append data/2013-04.csv -m "April"
  slipway data add flights --from 's3://minio:9000/lake/flights/*.csv.gz'
  slipway data add orders --from '$DATABASE_URL' --query 'SELECT * FROM orders' --incremental key --key id`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := projectOf(e)
			if err != nil {
				return err
			}
			all, err := f.sources(p, args, e.Path)
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			for _, one := range all {
				if err := f.apply(e, &one); err != nil {
					return err
				}
				if err := addFetched(cmd.Context(), e, c, projectName, one, f, open); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&f.append, "append", false, "add the files to those of the newest version")
	cmd.Flags().StringVar(&f.from, "from", "", "fetch the files: s3://HOST/BUCKET/PREFIX, '$NAME' of a variable with the address of a Postgres, or 'exec:COMMAND'")
	cmd.Flags().StringVar(&f.query, "query", "", "the SELECT that --from '$NAME' answers")
	cmd.Flags().StringVar(&f.incremental, "incremental", "", "add only rows that are new by time or by key")
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "what is new, for the log")
	cmd.Flags().StringVar(&f.name, "name", "", "name of the dataset (default: that of the file or folder)")
	cmd.Flags().StringVar(&f.contract, "contract", "", "file of the contract (default: as slipway.yaml says)")
	cmd.Flags().StringVar(&f.format, "format", "", "csv, parquet, json, or files for what is no table")
	cmd.Flags().StringVar(&f.time, "time", "", "column or SQL expression of when a row happened")
	cmd.Flags().StringSliceVar(&f.key, "key", nil, "columns that tell one row from all others")
	return cmd
}

// apply lets flags override what was declared or found out.
func (f addFlags) apply(e *cli.Env, one *source) error {
	if f.name != "" {
		one.name = f.name
	}
	if err := checkName(one.name); err != nil {
		return err
	}
	if f.contract != "" {
		one.contract = e.Path(f.contract)
	}
	if f.time != "" {
		one.spec.Time, one.spec.Order = f.time, nil
	}
	if len(f.key) > 0 {
		one.spec.Key = f.key
	}
	if f.format != "" {
		one.spec.Format = query.Format(f.format)
	}
	switch one.spec.Format {
	case "", query.FormatCSV, query.FormatParquet, query.FormatJSON, FilesOnly:
		return nil
	}
	return slipway.Errorf(slipway.Invalid, "%q is not a format", f.format).WithHint("csv, parquet, json or files")
}

// add sends one dataset's files, asks for a version, and shows what came of it.
func add(ctx context.Context, e *cli.Env, c web.Client, projectName string, one source, f addFlags) error {
	tree, err := send(ctx, e, c, projectName, one)
	if err != nil {
		return err
	}
	in := AddVersion{Project: projectName, Name: one.name, Body: Addition{Tree: tree, Append: f.append, New: one.increment(), Spec: one.spec, Message: f.message,
		Commit: commitOf(ctx, one), Run: e.Getenv("MLFLOW_RUN_ID")}}
	if in.Body.Contract, err = readContract(one.contract); err != nil {
		return err
	}
	job, err := OpAdd.Call(ctx, c, in)
	if err != nil {
		return err
	}
	job, err = web.Follow(ctx, c, job.ID, func(web.Progress) {})
	out, rerr := result[Outcome](job)
	if rerr != nil {
		return rerr
	}
	return report(e, out, one, err)
}

// report shows what came of an addition, and pins the version.
func report(e *cli.Env, out Outcome, one source, err error) error {
	if out.Report != nil || err == nil {
		if perr := e.Print(out, func(w io.Writer) { shown(e, w, out, one) }); perr != nil {
			return perr
		}
	}
	if err != nil {
		return err
	}
	if one.dir == "" {
		return nil
	}
	lock, err := ReadLock(one.dir)
	if err != nil {
		return err
	}
	return lock.Set(one.dir, one.name, Pin{Version: out.Version.Number, Tree: out.Version.Tree})
}

// shown writes an outcome for a person.
func shown(e *cli.Env, w io.Writer, out Outcome, one source) {
	if out.Version == nil {
		findings(e, w, out.Report)
		return
	}
	summary(e, w, out)
	if out.Unchanged {
		return
	}
	next := "slipway data contract infer " + one.name
	if out.Report != nil {
		findings(e, w, out.Report)
		next = "slipway data profile " + one.name
		if out.Version.Number > 1 {
			next = "slipway data diff " + one.name
		}
	}
	if out.Version.Table() {
		fmt.Fprintf(w, "  %s %s\n", e.IO.Paint(term.Dim, "next     "), next)
	}
}

// send makes sure that the server has the files of one, and returns their tree.
func send(ctx context.Context, e *cli.Env, c web.Client, projectName string, one source) (slipway.Digest, error) {
	hashing := e.IO.Progress("hash", 0, term.Bytes)
	found, err := one.scanner(e).Scan(ctx, one.root, one.paths, hashing.Total, hashing.Add)
	if err != nil {
		hashing.Stop()
		return "", err
	}
	hashing.Stop()
	entries := make([]content.Entry, len(found))
	digests := make([]slipway.Digest, len(found))
	uploads := map[slipway.Digest]content.Upload{}
	for i, s := range found {
		entries[i], digests[i] = s.Entry, s.Digest
		uploads[s.Digest] = content.Upload{Path: s.File, Digest: s.Digest, Size: s.Size}
	}
	tree, err := content.NewTree(entries)
	if err != nil {
		return "", err
	}
	if len(tree) == 0 {
		return "", slipway.Errorf(slipway.Invalid, "there are no files in %s", strings.Join(one.paths, ", "))
	}
	// A version's files are there, so asking for each of them can be spared.
	newest, err := OpVersion.Call(ctx, c, OfVersion{Project: projectName, Name: one.name})
	remote := content.Remote{Client: c}
	if err == nil && newest.Tree == tree.Digest() {
		damaged, err := content.OpDamaged.Call(ctx, c, web.None{})
		if err != nil || len(damaged) == 0 {
			return newest.Tree, err
		}
	}
	if err != nil && !slipway.IsCode(err, slipway.NotFound) {
		return "", err
	}
	missing, err := remote.Missing(ctx, digests...)
	if err != nil {
		return "", err
	}
	var todo []content.Upload
	var size int64
	for _, d := range missing {
		if u, ok := uploads[d]; ok {
			todo = append(todo, u)
			size += u.Size
			delete(uploads, d)
		}
	}
	sending := e.IO.Progress("store", size, term.Bytes)
	if err := remote.PutFiles(ctx, todo, sending.Add); err != nil {
		sending.Stop()
		return "", err
	}
	sending.Stop()
	return remote.PutTree(ctx, tree)
}

// readContract is the text of a contract, "" when there is none.
func readContract(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", slipway.Errorf(slipway.NotFound, "the contract %s cannot be read", path).WithHint("slipway data contract infer NAME > %s proposes one", path)
	}
	return string(raw), nil
}

// commitOf is the Git commit that is checked out where the data or its
// slipway.yaml is, "" where there is none.
func commitOf(ctx context.Context, one source) string {
	dir := one.dir
	if dir == "" {
		dir = one.root
	}
	raw, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "--verify", "--quiet", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
