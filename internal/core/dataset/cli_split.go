package dataset

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/content"
	"github.com/slipway-ml/slipway/internal/kit/query"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
)

// parseView reads name@v3[2013-04..2013-06, train]: a version, and a view of it.
func parseView(e *cli.Env, text string) (plain string, v View, err error) {
	plain, inner, ok := strings.Cut(text, "[")
	if !ok {
		return text, v, nil
	}
	inner, closed := strings.CutSuffix(inner, "]")
	if !closed || inner == "" {
		return "", v, slipway.Errorf(slipway.Invalid, "the brackets of %q do not close, or are empty", text).WithHint("write %s[2013-04..2013-06] or %s[train]", plain, plain)
	}
	p, err := projectOf(e)
	if err != nil {
		return "", v, err
	}
	zone := time.UTC
	if p != nil {
		name, _, _ := strings.Cut(plain, "@")
		zone, v.Split = p.Location(), p.Data[name].Split
	}
	if v.Window, v.Part, err = project.ParseView(inner, v.Split, zone); v.Part == "" {
		v.Split = nil
	}
	return plain, v, err
}

// text is the view as a query's parameter.
func (v View) text() string {
	if v.IsZero() {
		return ""
	}
	b, _ := json.Marshal(v) // texts, numbers and times
	return string(b)
}

// viewsIn are the views that SQL names, by their names there.
func viewsIn(e *cli.Env, sql string) (map[string]View, error) {
	p, err := projectOf(e)
	if err != nil {
		return nil, err
	}
	out := map[string]View{}
	for _, piece := range pieces.FindAllString(sql, -1) {
		base, _, bracket := strings.Cut(piece, "[")
		if !bracket || strings.ContainsAny(piece[:1], `'"-/`) {
			continue
		}
		name, _, versioned := strings.Cut(base, "@")
		declared := false
		if p != nil {
			_, declared = p.Data[name]
		}
		_, v, err := parseView(e, piece)
		if err != nil && (declared || versioned) {
			return nil, err
		}
		if err == nil { // else it is an element of a list
			out[piece] = v
		}
	}
	return out, nil
}

// made asks the server for the rows of a view and writes them.
func made(cmd *cobra.Command, c web.Client, projectName string, v Version, view View, format query.Format, w io.Writer) (Made, error) {
	in := MakeView{Project: projectName, Name: v.Name}
	in.Body.Version, in.Body.View, in.Body.Format = v.Number, view, format
	j, err := OpView.Call(cmd.Context(), c, in)
	if err != nil {
		return Made{}, err
	}
	m, err := followed[Made](cmd, c, j)
	if err != nil {
		return m, err
	}
	return m, copyContent(cmd.Context(), c, m.Digest, w)
}

// splitPart is one part as `data split` shows it.
type splitPart struct {
	Part  string  `json:"part"`
	Rows  int64   `json:"rows"`
	Share float64 `json:"share"`
	From  string  `json:"from,omitempty"`
	To    string  `json:"to,omitempty"` // of its last row
	File  string  `json:"file,omitempty"`
}

// splitFlags describe a split, over what slipway.yaml says.
type splitFlags struct {
	by, out, format string
	on, parts       []string
	folds           int
}

func (f splitFlags) over(s *project.Split) (*project.Split, error) {
	if len(f.parts) > 0 || f.folds > 0 {
		s = &project.Split{By: f.by, On: f.on, Parts: f.parts, Folds: f.folds}
	} else if f.by != "" || len(f.on) > 0 {
		return nil, slipway.Errorf(slipway.Invalid, "say into which parts").WithHint("--parts 'train 80%%,test 20%%' or --folds 5")
	}
	if s == nil {
		return nil, slipway.Errorf(slipway.Invalid, "the dataset has no split").WithHint("say --parts 'train 80%%,test 20%%', or write split into slipway.yaml")
	}
	return s, s.Check()
}

func splitCommand(e *cli.Env) *cobra.Command {
	var f splitFlags
	cmd := &cobra.Command{
		Use: "split NAME[@vN][WINDOW]", Short: "Show the parts of a version, such as train and test, or write them", Args: cobra.ExactArgs(1),
		Long:    "Show into which parts the rows of a version, or of a window of it, are divided:\nas slipway.yaml says, or as the flags do. No part leaks into another: a group\nstays whole, parts by time follow each other, and a row's part follows from a\nhash of its key, so that it is the same on every machine. With --out the parts\nare written into a folder, one file each.",
		Example: "  slipway data split flights\n  slipway data split flights@v3 --by group --on tailnum --parts 'train 70%,valid 15%,test 15%'\n  slipway data split flights --by time --folds 5 --out folds/",
		RunE: func(cmd *cobra.Command, args []string) error {
			plain, view, err := parseView(e, args[0])
			if err != nil {
				return err
			}
			if view.Part != "" {
				return slipway.Errorf(slipway.Invalid, "%q is a part already", args[0])
			}
			p, err := projectOf(e)
			if err != nil {
				return err
			}
			if p != nil {
				name, _, _ := strings.Cut(plain, "@")
				view.Split = p.Data[name].Split
			}
			if view.Split, err = f.over(view.Split); err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			v, err := locate(cmd, c, projectName, plain)
			if err != nil {
				return err
			}
			all, err := f.divide(cmd, e, c, projectName, v, view)
			if err != nil {
				return err
			}
			return e.Print(all, func(io.Writer) {
				t := e.IO.Table("part", "rows", "share", "from", "to", "file")
				for _, s := range all {
					t.Row(s.Part, s.Rows, fmt.Sprintf("%.1f %%", 100*s.Share), s.From, s.To, s.File)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
			})
		},
	}
	cmd.Flags().StringVar(&f.by, "by", "", "key, time, group or stratified (default: key)")
	cmd.Flags().StringSliceVar(&f.on, "on", nil, "columns of the group or the stratum")
	cmd.Flags().StringSliceVar(&f.parts, "parts", nil, "names and shares, such as 'train 80%,test 20%'")
	cmd.Flags().IntVar(&f.folds, "folds", 0, "train and test parts for so many folds, instead of --parts")
	cmd.Flags().StringVar(&f.out, "out", "", "folder into which the parts are written")
	cmd.Flags().StringVar(&f.format, "format", "parquet", "of the files: parquet or csv")
	return cmd
}

// divide counts each part, and writes it where a folder is named.
func (f splitFlags) divide(cmd *cobra.Command, e *cli.Env, c web.Client, projectName string, v Version, view View) ([]splitPart, error) {
	var out []splitPart
	if f.out != "" {
		if err := os.MkdirAll(e.Path(f.out), 0o755); err != nil {
			return nil, diskError(err)
		}
	}
	for _, part := range view.Split.PartNames() {
		view.Part = part
		s := splitPart{Part: part}
		p, err := OpProfile.Call(cmd.Context(), c, OfVersion{Project: projectName, Name: v.Name, Version: v.Number, View: view.text()})
		if err != nil {
			return nil, err
		}
		if s.Rows = p.Rows; v.Rows > 0 {
			s.Share = float64(p.Rows) / float64(v.Rows)
		}
		if w := p.covers(); !w.From.IsZero() {
			s.From, s.To = w.From.UTC().Format(time.DateTime), last(w).UTC().Format(time.DateTime)
		}
		if f.out != "" {
			s.File = filepath.Join(f.out, part+"."+f.format)
			if err := f.write(cmd, e, c, projectName, v, view, s.File); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func (f splitFlags) write(cmd *cobra.Command, e *cli.Env, c web.Client, projectName string, v Version, view View, file string) error {
	in := MakeView{Project: projectName, Name: v.Name}
	in.Body.Version, in.Body.View, in.Body.Format = v.Number, view, query.Format(f.format)
	j, err := OpView.Call(cmd.Context(), c, in)
	if err != nil {
		return err
	}
	m, err := followed[Made](cmd, c, j)
	if err != nil {
		return err
	}
	bar := e.IO.Progress("write", m.Size, term.Bytes)
	defer bar.Stop()
	return content.Remote{Client: c}.Fetch(cmd.Context(), m.Digest, e.Path(file), false)
}
