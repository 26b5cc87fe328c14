package stat

// Decision is what a rollout does next.
type Decision string

// The decisions of a rollout.
const (
	Promote  Decision = "promote"
	Rollback Decision = "rollback"
	Continue Decision = "continue" // the usual one: what happens at the horizon is declared elsewhere
)

// Decide compares a gain (positive is better, see Metric.Gain) with a margin:
// Promote when all of the interval is above −margin, Rollback when all of it is
// below −margin, else Continue. A margin of 0 asks for a better model, a
// positive one for a model that is not worse by more than the margin.
//
// Given the Estimate of an Always function it may be asked after every block,
// and with level 1−α is wrong with a chance of at most α however often.
func Decide(gain Estimate, margin float64) Decision {
	switch {
	case gain.State != Enough:
		return Continue
	case gain.Low > -margin:
		return Promote
	case gain.High < -margin:
		return Rollback
	}
	return Continue
}

// Verdict joins the decisions on several guardrails: one Rollback is enough to
// roll back, all must Promote to promote. For an overall α, each of k guards
// takes the level 1−α/k.
func Verdict(each ...Decision) Decision {
	out := Promote
	for _, d := range each {
		if d == Rollback {
			return Rollback
		}
		if d != Promote {
			out = Continue
		}
	}
	if len(each) == 0 {
		return Continue
	}
	return out
}
