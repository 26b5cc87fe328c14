package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func text(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// line is row n of a CSV file.
func line(t *testing.T, name string, n int) string {
	return strings.SplitAfter(text(t, name), "\n")[n]
}

// head is the header and the first n rows of a CSV file.
func head(rows string, n int) string {
	return strings.Join(strings.SplitAfter(rows, "\n")[:n+1], "")
}
