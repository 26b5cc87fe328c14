package delivery

import (
	"fmt"
	"time"

	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Decision is what a look at a rollout came to, and on what evidence.
type Decision struct {
	Next      stat.Decision  `json:"next"`
	Reason    string         `json:"reason"`
	Gain      *stat.Estimate `json:"gain,omitempty"`    // champion's loss less challenger's, by block
	Failure   *stat.Estimate `json:"failure,omitempty"` // challenger's share of failures less champion's
	Requests  int64          `json:"requests"`
	ErrorRate float64        `json:"error_rate"`
	P99       float64        `json:"p99_ms"`
	At        time.Time      `json:"at"` // event time
}

// level is the confidence of an always-valid decision: the chance that equal
// versions are ever told apart is at most 1-level, however often one looks.
const level = 0.95

// abortRequests is how many requests the abort limits need before they speak:
// one failure of the first three is no rate.
const abortRequests = 100

// decide looks at one release in a rollout. It is a pure function of the
// declaration, the release, the evidence and the event time.
func decide(p project.Rollout, r Release, c Comparison, now time.Time) Decision {
	d := Decision{Next: stat.Continue, Requests: c.Requests, P99: c.P99, At: now}
	if c.Requests > 0 {
		d.ErrorRate = float64(c.Failed) / float64(c.Requests)
	}
	if reason := aborted(p, d); reason != "" {
		d.Next, d.Reason = stat.Rollback, reason
		return d
	}
	quality, failure := d.judge(c)
	switch {
	case quality == stat.Rollback:
		d.Next, d.Reason = stat.Rollback, "it predicts worse than the champion on the same rows"
	case failure == stat.Rollback:
		d.Next, d.Reason = stat.Rollback, "it fails more often than the champion"
	case r.State == Shadowing:
		d.leaveShadow(p, r, quality)
	default:
		d.leaveStage(p, r)
	}
	return d
}

// aborted names the limit that is broken, or "".
func aborted(p project.Rollout, d Decision) string {
	if p.Abort == nil || d.Requests < abortRequests {
		return ""
	}
	if limit := p.Abort.ErrorRate; limit != nil && d.ErrorRate > *limit {
		return fmt.Sprintf("%.2f %% of its requests fail; the limit is %.2f %%", 100*d.ErrorRate, 100**limit)
	}
	if limit := p.Abort.P99Ms; limit != nil && d.P99 > *limit {
		return fmt.Sprintf("its 99th percentile is %.1f ms; the limit is %.1f ms", d.P99, *limit)
	}
	return ""
}

// judge compares losses on the same rows, and failures, each by block.
func (d *Decision) judge(c Comparison) (quality, failure stat.Decision) {
	quality, failure = stat.Continue, stat.Continue
	gains := make([]float64, len(c.Loss))
	for i, b := range c.Loss {
		gains[i] = b.Champion - b.Challenger
	}
	if e, err := stat.AlwaysMean(gains, level); err == nil {
		d.Gain, quality = &e, stat.Decide(e, 0)
	}
	if e, err := stat.AlwaysProportion(c.Failure, level); err == nil {
		e2 := e
		d.Failure = &e2
		e.Value, e.Low, e.High = -e.Value, -e.High, -e.Low // fewer failures are the gain
		failure = stat.Decide(e, 0)
	}
	return quality, failure
}

// leaveShadow ends the shadow stage once its time is over and quality is
// decided, or the horizon is reached.
func (d *Decision) leaveShadow(p project.Rollout, r Release, quality stat.Decision) {
	in := d.At.Sub(r.Since)
	switch {
	case in < p.Shadow.D():
		d.Reason = fmt.Sprintf("in shadow for %s of %s", days(in), p.Shadow)
	case quality == stat.Promote:
		d.Next, d.Reason = stat.Promote, "it predicts better than the champion on the same rows"
	case d.At.Sub(r.Begun) < p.Decide.Max.D():
		d.Reason = "undecided so far: the evidence tells neither version from the other"
	default:
		d.undecided(p)
	}
}

// leaveStage moves a canary on after its hold and its requests.
func (d *Decision) leaveStage(p project.Rollout, r Release) {
	in := d.At.Sub(r.Since)
	switch {
	case in < p.Hold.D():
		d.Reason = fmt.Sprintf("at %d %% for %s of %s", r.Weight, days(in), p.Hold)
	case d.Requests < int64(p.MinRequests):
		d.Reason = fmt.Sprintf("at %d %% with %d of %d requests", r.Weight, d.Requests, p.MinRequests)
	default:
		d.Next, d.Reason = stat.Promote, fmt.Sprintf("no harm at %d %% in %s and %d requests", r.Weight, days(in), d.Requests)
	}
}

// undecided does what the declaration says for that case.
func (d *Decision) undecided(p project.Rollout) {
	d.Reason = fmt.Sprintf("undecided after %s; the declaration says %s", p.Decide.Max, p.Decide.Undecided)
	switch p.Decide.Undecided {
	case "promote":
		d.Next = stat.Promote
	case "rollback":
		d.Next = stat.Rollback
	default:
		d.Next = keep
	}
}

// keep is the decision to leave the champion where it is.
const keep stat.Decision = "keep"

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Hour).String()
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}
