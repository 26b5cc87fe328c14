package query

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	slipway "github.com/slipway-ml/slipway"
)

// exitMemory is how a worker ends that grew far over its limit of memory.
const exitMemory = 75

// Serve is a worker's whole life: it answers requests from in on out, tells
// progress as lines on progress, and returns the exit status when in ends. The
// caller is a main function; Serve ignores Ctrl-C, since its engine decides.
func Serve(in io.Reader, out, progress io.Writer) int {
	signal.Ignore(os.Interrupt)
	// Linux ends the process with the highest score first when memory runs out.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0o644)
	requests := make(chan wireRequest)
	var running atomic.Pointer[session]
	status := make(chan int, 1)
	go func() {
		defer close(requests)
		for {
			r, err := readRequest(in)
			if err != nil {
				if err != io.EOF {
					fmt.Fprintln(progress, "bad request:", err)
					status <- 1
				}
				// The engine is gone: nobody waits for what is still running.
				if s := running.Load(); s != nil {
					os.RemoveAll(s.request.TempDir)
					os.Exit(1)
				}
				return
			}
			requests <- r
		}
	}()
	temp := ""
	defer func() { os.RemoveAll(temp) }() // the engine cannot, if it is gone
	for r := range requests {
		temp = r.TempDir
		w := bufio.NewWriterSize(out, 256<<10)
		if err := answer(r, w, progress, &running); err != nil {
			if err := writeJSON(w, tagError, slipway.AsError(err)); err != nil {
				return 1
			}
			if slipway.IsCode(err, slipway.Internal) {
				fmt.Fprintln(progress, err)
			}
		}
		if err := w.Flush(); err != nil {
			return 1
		}
		os.RemoveAll(r.TempDir)
		_ = os.Mkdir(r.TempDir, 0o700)
	}
	select {
	case s := <-status:
		return s
	default:
		return 0
	}
}

// session is the work on one request.
type session struct {
	request wireRequest
	duck    *duck
	out     io.Writer
	files   *fileNames
}

// answer works on one request. A panic is a defect of ours, not of the request
// after it.
func answer(r wireRequest, out io.Writer, progress io.Writer, running *atomic.Pointer[session]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s := &session{request: r, out: out, files: newFileNames(r.TempDir)}
	running.Store(s)
	defer running.Store(nil)
	if s.duck, err = s.open(); err != nil {
		return err
	}
	defer s.duck.close()
	ctx, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(ctx, progress)
	}()
	defer func() {
		cancel()
		<-watched
	}()
	if r.Verb == verbDescribe {
		return s.describe()
	}
	return s.query()
}

// watch tells progress, and ends the process when it holds far more memory than
// its limit: DuckDB keeps its own account, which does not see everything.
func (s *session) watch(ctx context.Context, progress io.Writer) {
	fmt.Fprintln(progress, "progress 0")
	s.duck.watchProgress(ctx, func(percent float64) {
		if percent > 0 {
			fmt.Fprintf(progress, "progress %.4f\n", percent)
		}
		if resident() > s.request.Memory+s.request.Memory/2+(512<<20) {
			os.Exit(exitMemory)
		}
	})
}

// resident is how many bytes of memory the process holds, or 0 where the system
// does not tell.
func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	field := strings.Fields(string(b))
	if len(field) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(field[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// open starts a DuckDB that can do nothing but read the request's files and
// write its output.
func (s *session) open() (*duck, error) {
	r := s.request
	d, err := openDuck(map[string]string{
		"autoinstall_known_extensions": "false",
		"autoload_known_extensions":    "false",
		"allow_community_extensions":   "false",
		"allow_persistent_secrets":     "false",
		"errors_as_json":               "true",
		"preserve_insertion_order":     "true",
		"memory_limit":                 fmt.Sprintf("%dB", r.Memory),
		"threads":                      strconv.Itoa(r.Threads),
		"temp_directory":               r.TempDir,
	})
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, t := range r.Tables {
		for _, f := range t.Files {
			paths = append(paths, s.files.plain(f))
		}
	}
	if r.Path != "" {
		paths = append(paths, r.Path)
	}
	for _, sql := range []string{
		"SET TimeZone = " + text(r.Timezone),
		"SET enable_progress_bar = true",
		"SET enable_progress_bar_print = false",
		"SET allowed_paths = " + texts(paths),
		"SET allowed_directories = " + texts([]string{r.TempDir}),
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if _, err := d.exec(sql); err != nil {
			d.close()
			if strings.HasPrefix(sql, "SET TimeZone") {
				return nil, slipway.Errorf(slipway.Invalid, "%q is not a time zone", r.Timezone).WithHint("write an IANA name such as America/New_York or UTC")
			}
			return nil, s.explain(err, "")
		}
	}
	return d, nil
}

// describe answers verbDescribe.
func (s *session) describe() error {
	if len(s.request.Tables) != 1 {
		return errProtocol
	}
	src, err := s.source(s.request.Tables[0])
	if err != nil {
		return err
	}
	if err := writeJSON(s.out, tagDescribed, described{Schema: src.schema, CSV: src.csv}); err != nil {
		return err
	}
	return writeJSON(s.out, tagDone, done{Memory: resident()})
}

// query answers the other verbs.
func (s *session) query() error {
	for _, t := range s.request.Tables {
		src, err := s.source(t)
		if err != nil {
			return err
		}
		if _, err := s.duck.exec("CREATE TEMP VIEW " + name(t.Name) + " AS " + src.sql); err != nil {
			return s.explain(err, "")
		}
	}
	sql := statement(s.request.SQL)
	columns, err := s.duck.describe(sql, s.request.Params)
	if err != nil {
		return s.explain(err, sql)
	}
	if slices.ContainsFunc(columns, func(c column) bool { return c.duck.name == "UNKNOWN" }) && len(s.request.Params) > 0 {
		columns, err = s.duck.types("SELECT * FROM (\n"+sql+"\n) LIMIT 0", s.request.Params)
		if err != nil {
			return s.explain(err, sql)
		}
	}
	schema, outer := project(columns, sql, s.request)
	switch s.request.Verb {
	case verbWrite:
		return s.write(schema, outer)
	case verbSummary:
		return s.summarize(schema, outer)
	}
	return s.send(schema, outer)
}

// write copies the rows of sql to the output.
func (s *session) write(schema slipway.Schema, sql string) error {
	options := "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880"
	if s.request.Format == FormatCSV {
		options = "FORMAT csv, HEADER true"
	}
	rows, err := s.duck.exec(fmt.Sprintf("COPY (%s) TO %s (%s, USE_TMP_FILE false)", sql, text(s.request.Path), options), s.request.Params...)
	if err != nil {
		return s.explain(err, "")
	}
	return writeJSON(s.out, tagDone, done{Rows: rows, Schema: schema, Memory: resident()})
}

// send streams the rows of sql as batches.
func (s *session) send(schema slipway.Schema, sql string) error {
	if err := writeJSON(s.out, tagSchema, schema); err != nil {
		return err
	}
	types := make([]slipway.Type, len(schema))
	for i, c := range schema {
		types[i] = c.Type
	}
	b := newBatch(types, s.request.Verb == verbFrame)
	total := int64(0)
	err := s.duck.stream(sql, s.request.Params, types, func(rows int, vectors []vector) error {
		for from := 0; from < rows; {
			to := min(rows, from+s.request.BatchRows-b.rows)
			b.add(vectors, from, to)
			total += int64(to - from)
			from = to
			if b.rows == s.request.BatchRows || b.size() >= batchBytes {
				if err := writeMessage(s.out, tagBatch, b.encode()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return s.explain(err, "")
	}
	if b.rows > 0 {
		if err := writeMessage(s.out, tagBatch, b.encode()); err != nil {
			return err
		}
	}
	return writeJSON(s.out, tagDone, done{Rows: total, Memory: resident()})
}

// explain turns an error of DuckDB into one for the user; sql is the user's
// text when the error's position points into it.
func (s *session) explain(err error, sql string) error {
	var fault *fault
	if errors.As(err, &fault) {
		return fault.explain(sql, s.files.shown, s.request.Memory)
	}
	return err
}

// fileNames gives DuckDB names that mean one file: it expands globs in every
// path, so a file whose own name holds * ? or [ is reached by a link without.
type fileNames struct {
	folder string
	links  map[string]string // file to link
}

func newFileNames(folder string) *fileNames {
	return &fileNames{folder: folder, links: map[string]string{}}
}

func (n *fileNames) plain(file string) string {
	if !strings.ContainsAny(file, "*?[") {
		return file
	}
	if link, ok := n.links[file]; ok {
		return link
	}
	link := fmt.Sprintf("%s/file%d", n.folder, len(n.links))
	if os.Symlink(file, link) != nil {
		return file
	}
	n.links[file] = link
	return link
}

// shown replaces the links in a message by the files that they stand for.
func (n *fileNames) shown(message string) string {
	for _, file := range slices.Sorted(maps.Keys(n.links)) {
		message = strings.ReplaceAll(message, n.links[file], file)
	}
	return message
}
