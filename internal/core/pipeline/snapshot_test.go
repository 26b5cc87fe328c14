package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOutsideEnvironments keeps a virtual environment out of the code of a
// project in Git that has no .gitignore.
func TestOutsideEnvironments(t *testing.T) {
	got := outsideEnvironments([]string{
		".venv/bin/python", ".venv/lib/numpy/core.so", ".venv/pyvenv.cfg",
		"__pycache__/train.cpython-311.pyc", "environment.py", "sub/__pycache__/a.pyc", "sub/features.py", "train.py",
	})
	if diff := cmp.Diff([]string{"environment.py", "sub/features.py", "train.py"}, got); diff != "" {
		t.Error(diff)
	}
}
