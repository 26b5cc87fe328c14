package pipeline

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/cli"
	"github.com/slipway-ml/slipway/internal/kit/term"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// WhyCommand is `slipway runs why`.
func WhyCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "why [RUN] [STEP]",
		Short: "Say why each step of a pipeline's run ran, or did not",
		Long: `Say for each step of a run of the pipeline (the latest unless you name one) why
it ran or why its earlier result stands: which input, param, file of code or
package differs from its last success, with the old and the new value.`,
		Example: "  slipway runs why\n  slipway runs why latest train\n  slipway runs why 3f2a train --json",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, name, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			id, step := pick(args)
			r, err := OpGetRun.Call(cmd.Context(), c, runIn{Project: name, Run: id})
			if slipway.IsCode(err, slipway.NotFound) && len(args) == 1 {
				// One word may be a step of the latest run.
				if latest, lerr := OpGetRun.Call(cmd.Context(), c, runIn{Project: name, Run: "latest"}); lerr == nil && latest.task(args[0]) != nil {
					r, step, err = latest, args[0], nil
				}
			}
			if err != nil {
				return err
			}
			if step != "" {
				t := r.task(step)
				if t == nil {
					return slipway.Errorf(slipway.NotFound, "run %s has no step %q", short(r.ID), step)
				}
				r.Task = []Task{*t}
			}
			return e.Print(r.Task, func(w io.Writer) { tellWhy(e.IO, w, r, step != "") })
		},
	}
}

func pick(args []string) (run, step string) {
	run = "latest"
	if len(args) > 0 {
		run = args[0]
	}
	if len(args) > 1 {
		step = args[1]
	}
	return run, step
}

func tellWhy(t *term.IO, w io.Writer, r Run, whole bool) {
	fmt.Fprintf(w, "run %s, revision %d, %s\n", short(r.ID), r.Revision, r.State)
	width := 0
	for _, k := range r.Task {
		width = max(width, len(k.Step))
	}
	for _, k := range r.Task {
		verdict := "ran"
		switch {
		case k.State == Reused:
			verdict = "unchanged since run " + short(k.Why.Run)
		case k.Attempt == 0:
			verdict = string(k.State)
		}
		fmt.Fprintf(w, "%s  %s: %s\n", t.Paint(term.Bold, fmt.Sprintf("%-*s", width, k.Step)), verdict, k.Why.Reason)
		for _, c := range k.Why.Change {
			fmt.Fprintf(w, "  %s\n", c.sentence())
		}
		if whole {
			fmt.Fprintf(w, "it depends on\n")
			for _, c := range mapChanges(nil, k.Material) {
				fmt.Fprintf(w, "  %s = %s\n", c.What, abbreviate(c.To))
			}
		}
	}
}

func logsCommand(e *cli.Env) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs [RUN] [STEP]",
		Short:   "Show what the steps of a run printed",
		Example: "  slipway logs\n  slipway logs latest train\n  slipway logs 3f2a train --follow",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, name, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			id, step := pick(args)
			r, err := OpGetRun.Call(cmd.Context(), c, runIn{Project: name, Run: id})
			if err != nil {
				return err
			}
			if step != "" {
				return copyLog(cmd.Context(), c, e.IO.Out, r, step, follow)
			}
			for _, t := range r.Task {
				if t.Attempt == 0 {
					continue
				}
				fmt.Fprintln(e.IO.Out, e.IO.Paint(term.Heading, "== "+t.Step))
				if err := copyLog(cmd.Context(), c, e.IO.Out, r, t.Step, follow); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the step has ended")
	return cmd
}

// copyLog writes a step's log; that of the run that made the result when it was
// reused.
func copyLog(ctx context.Context, c web.Client, w io.Writer, r Run, step string, follow bool) error {
	id := r.ID
	if t := r.task(step); t != nil && t.State == Reused {
		id = t.Why.Run
	}
	path := "/api/v1/projects/" + url.PathEscape(r.Project) + "/pipeline/runs/" + id + "/logs/" + url.PathEscape(step)
	if follow {
		path += "?follow=1"
	}
	resp, err := c.Stream(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

func cancelCommand(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel [RUN]",
		Short:   "End a run of the pipeline that goes on",
		Example: "  slipway cancel\n  slipway cancel 3f2a",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, name, err := e.Connect(cmd)
			if err != nil {
				return err
			}
			id, _ := pick(args)
			r, err := OpCancelRun.Call(cmd.Context(), c, runIn{Project: name, Run: id})
			if err != nil {
				return err
			}
			return e.Print(r, func(w io.Writer) { fmt.Fprintf(w, "run %s is %s\n", short(r.ID), strings.ToLower(string(r.State))) })
		},
	}
}
