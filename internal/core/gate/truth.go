package gate

import (
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/stat"
)

// task is what the candidate predicts: its signature says, else slipway.yaml.
func (t *trial) task() slipway.Task {
	if task := t.candidate.model.Signature().Task; task != "" {
		return task
	}
	return slipway.Task(t.project.Model.Task)
}

// know keeps the rows whose target is known, and reads the target as metrics
// want it. It fails with Invalid where the target is not there or does not fit
// the task.
func (t *trial) know(rows *slipway.Frame) error {
	name := t.project.Model.Target
	target := rows.Column(name)
	if target == nil {
		return slipway.Errorf(slipway.Invalid, "%s has no column %q, the target", t.gates.Data.Text, name)
	}
	var known []int
	for i := range rows.Rows {
		if !target.Missing(i) {
			known = append(known, i)
		}
	}
	t.rows = rows
	if len(known) < rows.Rows {
		t.rows = rows.Take(known)
		target = t.rows.Column(name)
	}
	t.key = t.keys()
	var err error
	t.truth, err = stat.NewTruth(target, stat.Task(t.task()), t.candidate.model.Signature().Classes)
	return err
}
