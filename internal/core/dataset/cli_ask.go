package dataset

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

func sqlCommand(e *cli.Env) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use: "sql QUERY", Short: "Ask versions in SQL: flights is the newest, flights@v3 another", Args: cobra.ExactArgs(1),
		Long:    "Answer one SELECT in DuckDB's SQL. Datasets are tables: flights is the newest\nversion, flights@v3 another, flights@v3[2013-04..2013-06] a window and\nflights[train] a part of the split in slipway.yaml. Nothing can be changed; a query may take a minute\nand a gigabyte.",
		Example: "  slipway data sql 'SELECT carrier, avg(dep_delay) FROM flights@v3 GROUP BY 1 ORDER BY 2'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			in := AskRows{Project: projectName}
			in.Body.SQL, in.Body.Limit = args[0], limit
			if in.Body.Views, err = viewsIn(e, args[0]); err != nil {
				return err
			}
			rows, err := OpAsk.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			return e.Print(rows, func(w io.Writer) {
				t := e.IO.Table(rows.Schema.Names()...)
				for _, row := range rows.Rows {
					t.Row(row...)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
				if rows.Truncated {
					fmt.Fprintln(w, e.IO.Paint(term.Dim, fmt.Sprintf("the first %d rows; --limit shows more", len(rows.Rows))))
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "most rows, up to 10000")
	return cmd
}

func releaseCommand(e *cli.Env) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "release ID", Short: "Use a batch in quarantine although it broke its contract; who and why is audited", Args: cobra.ExactArgs(1),
		Example: "  slipway data release 3f2a9c --reason 'checked with the airport: the gap is real'",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			all, err := OpQuarantine.Call(cmd.Context(), c, ReadQuarantine{Project: projectName})
			if err != nil {
				return err
			}
			in := ReleaseBatch{Project: projectName, ID: args[0]}
			for _, q := range all {
				if len(args[0]) >= 4 && strings.HasPrefix(q.ID, args[0]) {
					in.ID = q.ID
				}
			}
			in.Body.Reason = reason
			j, err := OpRelease.Call(cmd.Context(), c, in)
			if err != nil {
				return err
			}
			if j, err = web.Follow(cmd.Context(), c, j.ID, func(web.Progress) {}); err != nil {
				return err
			}
			out, err := result[Outcome](j)
			if err != nil {
				return err
			}
			return e.Print(out, func(w io.Writer) { summary(e, w, out) })
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it may be used")
	return cmd
}

// tested is what a contract said of one version.
type tested struct {
	Version string  `json:"version"`
	Rows    int64   `json:"rows"`
	Verdict Verdict `json:"verdict"`
	Failed  int     `json:"failed"`
	First   string  `json:"first,omitempty"` // the first check that failed
}

func testCommand(e *cli.Env) *cobra.Command {
	var contract string
	var last int
	cmd := &cobra.Command{
		Use: "test NAME", Short: "Ask a contract about every version that there was", Args: cobra.ExactArgs(1),
		Long:    "Check every version of a dataset against a contract before you sign it: what\nit would have refused. When it refuses any, the exit code is 3.",
		Example: "  slipway data contract test flights --contract contracts/flights.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			in, _, err := question(e, args[0], 0, nil, contract)
			if err != nil {
				return err
			}
			c, projectName, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			versions, err := OpLog.Call(cmd.Context(), c, OfDataset{Project: projectName, Name: args[0]})
			if err != nil {
				return err
			}
			if last > 0 {
				versions = versions[:min(last, len(versions))]
			}
			in.Project = projectName
			var all []tested
			refused := 0
			for i := len(versions) - 1; i >= 0; i-- {
				if !versions[i].Table() {
					continue
				}
				in.Body.Version = versions[i].Number
				one, err := testVersion(cmd, c, in, versions[i])
				if err != nil {
					return err
				}
				if one.Verdict == Refused {
					refused++
				}
				all = append(all, one)
			}
			err = e.Print(all, func(io.Writer) {
				t := e.IO.Table("version", "rows", "verdict", "failed", "first")
				for _, v := range all {
					t.Row(v.Version, v.Rows, verdict(e, v.Verdict), v.Failed, v.First)
				}
				_ = t.Render() // a pipe that closed has nobody to be told
			})
			if err == nil && refused > 0 {
				return slipway.Errorf(slipway.Refused, "the contract refuses %d of %d versions of %s", refused, len(all), args[0])
			}
			return err
		},
	}
	cmd.Flags().StringVar(&contract, "contract", "", "file of the contract (default: as slipway.yaml says, else each version's own)")
	cmd.Flags().IntVar(&last, "last", 0, "only so many newest versions")
	return cmd
}

func testVersion(cmd *cobra.Command, c web.Client, in CheckVersion, v Version) (tested, error) {
	j, err := OpCheck.Call(cmd.Context(), c, in)
	if err != nil {
		return tested{}, err
	}
	j, err = web.Follow(cmd.Context(), c, j.ID, func(web.Progress) {})
	r, rerr := result[*Report](j)
	if rerr != nil || r == nil {
		return tested{}, firstError(err, rerr)
	}
	out := tested{Version: v.ID(), Rows: r.Rows, Verdict: r.Verdict}
	if failed := r.failed(); len(failed) > 0 {
		out.Failed, out.First = len(failed), failed[0].Title()
	}
	return out, nil
}
