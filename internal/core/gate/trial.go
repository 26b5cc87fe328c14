package gate

import (
	"context"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/predictor"
	"github.com/slipway-ml/slipway/internal/kit/web"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// subject is one version under trial.
type subject struct {
	version slipway.ModelVersion
	model   predictor.Model
	output  *slipway.Frame // its answer to every row
	scored  stat.Scored    // the same as the metrics want it
}

// trial is one run of the gates.
type trial struct {
	service   *Service
	project   *project.Project
	gates     *project.Gates
	say       func(web.Progress)
	candidate subject
	champion  *subject
	rows      *slipway.Frame // with a known target
	key       []string       // its key columns
	truth     stat.Truth
	block     []int
	blocks    int
	blockName string
	checks    []Check
}

func (t *trial) add(c Check) { t.checks = append(t.checks, c) }

func (t *trial) tell(topic, message string) { t.say(web.Progress{Topic: topic, Message: message}) }

func (t *trial) close() {
	if t.candidate.model != nil {
		_ = t.candidate.model.Close() // its answers are in; what closing leaves behind changes none
	}
	if t.champion != nil && t.champion.model != nil {
		_ = t.champion.model.Close()
	}
}

// run makes every check. What is wrong with the model or its rows is a check's
// verdict; an error is what may be different next time.
func (t *trial) run(ctx context.Context) error {
	for _, stage := range []func(context.Context) (bool, error){t.loads, t.reads, t.fits, t.answers} {
		if ok, err := stage(ctx); err != nil || !ok {
			return err
		}
	}
	if err := t.challenge(ctx); err != nil {
		return err
	}
	if err := t.overlap(ctx); err != nil {
		return err
	}
	t.tell("metrics", "metrics by block")
	for _, g := range t.gates.Metrics {
		t.metric(g)
	}
	for _, g := range t.gates.Slices {
		t.slices(g)
	}
	if t.gates.Latency != nil {
		t.tell("latency", "latency on the real server")
		return t.latency(ctx, *t.gates.Latency)
	}
	return nil
}

// open loads a version's model.
func (t *trial) open(ctx context.Context, s *subject) (err error) {
	var signature *slipway.Signature
	if len(s.version.Signature.Input) > 0 {
		signature = &s.version.Signature
	}
	s.model, err = t.service.o.Loader.Load(ctx, s.version.Project, s.version.Content, signature)
	return err
}

// loads opens the candidate.
func (t *trial) loads(ctx context.Context) (bool, error) {
	t.tell("load", "loading "+t.candidate.version.ID())
	err := t.open(ctx, &t.candidate)
	if err != nil && lasting(err) {
		t.add(Check{Name: "loads", Kind: KindModel, Verdict: slipway.Refuse, Reason: slipway.AsError(err).Message})
		return false, nil
	}
	return err == nil, err
}

// lasting reports whether an error is about what was given, so that trying
// again would not help.
func lasting(err error) bool {
	return slipway.IsCode(err, slipway.Invalid) || slipway.IsCode(err, slipway.NotFound) || errors.Is(err, predictor.ErrModel)
}

// reads loads the rows that the gate judges by, keeps those whose target is
// known, and numbers their blocks.
func (t *trial) reads(ctx context.Context) (bool, error) {
	t.tell("rows", "reading "+t.gates.Data.Text)
	rows, err := t.service.o.Models.Input(ctx, t.candidate.version, t.gates.Data, nil)
	refuse := func(verdict slipway.Verdict, err error) (bool, error) {
		t.add(Check{Name: "rows", Kind: KindData, Verdict: verdict, Reason: slipway.AsError(err).Message})
		return false, nil
	}
	if err != nil && lasting(err) {
		return refuse(slipway.Undecided, err)
	}
	if err != nil {
		return false, err
	}
	if err := t.know(rows); err != nil {
		return refuse(slipway.Undecided, err)
	}
	if err := t.number(); err != nil {
		return refuse(slipway.Undecided, err)
	}
	least, n := float64(t.gates.MinRows), float64(len(t.truth.Y))
	c := Check{Name: "rows", Kind: KindData, Compared: &n, Op: ">=", Limit: &least, Verdict: slipway.Pass}
	if t.truth.Y == nil || n < least {
		c.Verdict, c.Reason = slipway.Undecided, "there is not enough data"
	}
	t.add(c)
	return c.Verdict == slipway.Pass, nil
}

// fits checks that the rows are what the model takes: every column, of its
// type.
func (t *trial) fits(context.Context) (bool, error) {
	input := t.candidate.model.Signature().Input
	_, err := predictor.Bind(nil, input, t.rows.Select(input.Names()))
	c := Check{Name: "schema", Kind: KindData, Verdict: slipway.Pass}
	switch {
	case len(input) == 0:
		c.Verdict, c.Reason = slipway.Undecided, "nobody knows what the model takes"
	case err != nil:
		c.Verdict, c.Reason = slipway.Refuse, slipway.AsError(err).Message
	}
	t.add(c)
	return c.Verdict == slipway.Pass, nil
}

// answers has the candidate score every row.
func (t *trial) answers(ctx context.Context) (bool, error) {
	t.tell("score", "scoring "+strconv.Itoa(t.rows.Rows)+" rows with "+t.candidate.version.ID())
	err := t.score(ctx, &t.candidate)
	if err != nil && !lasting(err) {
		return false, err
	}
	c := Check{Name: "answers", Kind: KindModel, Verdict: slipway.Pass}
	if err != nil {
		c.Verdict, c.Reason = slipway.Refuse, message(err)
	}
	t.add(c)
	return err == nil, nil
}

// message is what an error says to people, also when a model's own code failed
// and nobody gave the failure a code.
func message(err error) string {
	if errors.Is(err, predictor.ErrModel) {
		return err.Error()
	}
	return slipway.AsError(err).Message
}

// scoreRows is how many rows a model is asked at once.
const scoreRows = 8192

// score asks a model about all rows. It fails with Invalid when an answer is
// no number.
func (t *trial) score(ctx context.Context, s *subject) error {
	input := t.rows.Select(s.model.Signature().Input.Names())
	for from := 0; from < t.rows.Rows; from += scoreRows {
		to := min(from+scoreRows, t.rows.Rows)
		part, err := s.model.Predict(ctx, input.Slice(from, to))
		if err != nil {
			return err
		}
		if s.output == nil {
			s.output = &slipway.Frame{Series: make([]slipway.Series, len(part.Series))}
		}
		if err := s.output.Append(part); err != nil {
			return err
		}
	}
	var err error
	s.scored, err = t.truth.Scored(s.output)
	return err
}

// challenge opens the champion and has it score the same rows. Without one, or
// when it cannot answer them, comparisons say so.
func (t *trial) challenge(ctx context.Context) error {
	champions := t.service.o.Champions
	if champions == nil {
		return nil
	}
	ref, ok, err := champions.Champion(ctx, t.candidate.version.Project, t.candidate.version.Name, production(t.project))
	if err != nil || !ok || ref == t.candidate.version.Ref() {
		return err
	}
	v, err := t.service.o.Models.Find(ctx, t.candidate.version.Project, ref.ID)
	if err != nil {
		return err
	}
	t.champion = &subject{version: v}
	t.tell("score", "scoring the same rows with the champion "+v.ID())
	if err = t.open(ctx, t.champion); err == nil {
		err = t.score(ctx, t.champion)
	}
	if err != nil && lasting(err) {
		t.champion.output = nil
		t.add(Check{Name: "champion answers", Kind: KindChampion, Verdict: slipway.Undecided, Reason: message(err)})
		return nil
	}
	return err
}

// production is the environment whose version is the champion: the last one
// that slipway.yaml declares.
func production(p *project.Project) string {
	if n := len(p.Deploy); n > 0 {
		return p.Deploy[n-1].Name
	}
	return "production"
}

// number gives every row its block of event time. Rows without a time are taken
// as independent: each is a block.
func (t *trial) number() error {
	t.block = make([]int, t.rows.Rows)
	at := t.project.EventTime(t.rows)
	if at == nil {
		for i := range t.block {
			t.block[i] = i
		}
		t.blockName, t.blocks = "row", t.rows.Rows
		return nil
	}
	zone, err := time.LoadLocation(t.project.Timezone)
	if err != nil {
		return slipway.Errorf(slipway.Invalid, "%q is no time zone", t.project.Timezone)
	}
	local := make([]int64, len(at.Float))
	for i, v := range at.Float {
		if math.IsNaN(v) {
			return slipway.Errorf(slipway.Invalid, "row %d has no %s, so its block is not known", i+1, at.Name)
		}
		_, offset := time.UnixMicro(int64(v)).In(zone).Zone()
		local[i] = int64(v) + int64(offset)*1e6
	}
	t.block = stat.BlocksOf(local, t.gates.Block.D().Microseconds())
	seen := map[int]bool{}
	for _, b := range t.block {
		seen[b] = true
	}
	t.blocks, t.blockName = len(seen), t.gates.Block.String()
	return nil
}
