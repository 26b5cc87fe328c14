package dataset_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestProposalThatAPersonWouldSign names what earlier proposals got wrong: whole
// numbers bounded by fractions, a mean that its range bounds already, a row
// number that need not be unique, addresses of persons that nobody marked.
func TestProposalThatAPersonWouldSign(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var b strings.Builder
		b.WriteString("number,age,density,email\n")
		for i := range 2000 {
			fmt.Fprintf(&b, "%d,%d,%g,person%d@example.org\n", i+1, 17+i*31%74, 0.99+float64(i*7%40)/1000, i)
		}
		w.write("t.csv", b.String())
		contains(t, w.does("data", "add", "t.csv"), "perhaps about persons: email (email)")
		out := w.does("data", "contract", "infer", "t")
		contains(t, out, "logicalTypeOptions: {minimum: 9, maximum: 98}", "classification: personal # email", "severity: warning",
			"name: number\n        logicalType: integer\n        required: true\n        unique: true")
		if strings.Contains(out, "the mean of density") {
			t.Error(out)
		}
		w.write("c.yaml", out)
		contains(t, w.does("data", "check", "t", "--contract", "c.yaml"), "contract kept")
	})
}
