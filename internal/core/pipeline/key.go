package pipeline

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
)

// Material is everything that a step's result depends on, part by part. The
// names say where a part comes from:
//
//	command            the command line
//	input NAME         digest of the content that is read
//	param NAME         the value, as JSON
//	code PATH          digest of a file that the command reaches (closure.go)
//	code               digest of the whole snapshot, when it reaches no file by name
//	environment        digest of the locked packages
//	env NAME           an environment variable; a secret counts by its name only
//	output NAME        the path that is written
type Material map[string]string

// Key is the digest of a material: steps with equal keys give equal results.
func (m Material) Key() slipway.Digest {
	b, _ := json.Marshal(m) // maps are written in the order of their keys
	return slipway.DigestOf(b)
}

// Why explains what was decided about a step.
type Why struct {
	// Verdict is "hit" (the result of Run is reused), "run", or "wait" (the step
	// before it must run first).
	Verdict string   `json:"verdict"`
	Reason  string   `json:"reason"`           // one sentence
	Change  []Change `json:"change,omitempty"` // what differs from the last success
	Run     string   `json:"run,omitempty"`    // the run whose result is reused, or was compared with
}

// The verdicts.
const (
	verdictHit  = "hit"
	verdictRun  = "run"
	verdictWait = "wait"
)

// explain compares a step's material with that of its last success.
func explain(m Material, last *priorTask) Why {
	if last == nil {
		return Why{Verdict: verdictRun, Reason: "it has not succeeded before"}
	}
	changes := mapChanges(last.Material, m)
	why := Why{Verdict: verdictRun, Change: changes, Run: last.Run}
	if len(changes) == 0 {
		why.Reason = "its last result is no longer kept"
		return why
	}
	parts := make([]string, 0, 3)
	for _, c := range changes[:min(3, len(changes))] {
		parts = append(parts, c.sentence())
	}
	why.Reason = strings.Join(parts, ", ")
	if n := len(changes) - 3; n > 0 {
		why.Reason += fmt.Sprintf(" and %d more", n)
	}
	return why
}

// sentence tells a change in a few words.
func (c Change) sentence() string {
	from, to := abbreviate(c.From), abbreviate(c.To)
	switch {
	case c.From == "":
		return c.What + " is new (" + to + ")"
	case c.To == "":
		return c.What + " is gone"
	}
	return c.What + " changed from " + from + " to " + to
}

// abbreviate cuts digests and long values.
func abbreviate(v string) string {
	if d, err := slipway.ParseDigest(v); err == nil {
		return d.Short()
	}
	if r := []rune(v); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return v
}

// material gathers what step depends on. inputs are the digests of its inputs
// by their text, env the environment's lock.
func (pl *plan) material(step *project.Step, inputs map[string]slipway.Digest) Material {
	m := Material{"command": strings.Join(step.Run.Argv(), " "), "environment": string(pl.environment.Lock)}
	for text, d := range inputs {
		m["input "+text] = string(d)
	}
	for k, v := range pl.params(step) {
		b, _ := json.Marshal(v)
		m["param "+k] = string(b)
	}
	for k, v := range step.Env {
		if strings.HasPrefix(v, "$") {
			v = "secret " + v
		}
		m["env "+k] = v
	}
	for _, o := range step.Out {
		m["output "+o.Name] = o.Path
	}
	pl.addCode(m, step)
	return m
}

// addCode names the files that the command reaches. Steps with the same command
// reach the same.
func (pl *plan) addCode(m Material, step *project.Step) {
	text := strings.Join(step.Run.Argv(), "\x00")
	code, ok := pl.code[text]
	if !ok {
		code = map[string]string{}
		reached, all := pl.index.Reached(step.Run)
		if all {
			code["code"] = string(pl.wholeCode())
		}
		for _, e := range reached {
			code["code "+e.Path] = string(e.Digest)
		}
		pl.code[text] = code
	}
	maps.Copy(m, code)
}

// wholeCode is the digest of the snapshot without slipway.yaml.
func (pl *plan) wholeCode() slipway.Digest {
	if pl.whole == "" {
		tree := slices.Clone(pl.index.tree)
		for i, e := range tree {
			if e.Path == project.FileName {
				tree = slices.Delete(tree, i, i+1)
				break
			}
		}
		pl.whole = tree.Digest()
	}
	return pl.whole
}
