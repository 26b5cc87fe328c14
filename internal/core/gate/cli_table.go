package gate

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/slipway-ml/slipway"
)

// printCertificate shows a certificate: what was judged, every check with its
// interval and limit, and the verdict last, where the eye is.
func printCertificate(w io.Writer, s Signed) {
	c := s.Certificate
	fmt.Fprintf(w, "%s  content %s  certificate %s\n", c.Model, c.Content.Short(), s.Digest.Short())
	if c.Gated && c.Rows > 0 {
		fmt.Fprintf(w, "%d rows of %s in %d blocks of %s", c.Rows, c.Data, c.Blocks, c.Block)
		if c.Champion != "" {
			fmt.Fprintf(w, ", beside the champion %s", c.Champion)
		}
		fmt.Fprintln(w)
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if len(c.Check) > 0 {
		fmt.Fprintln(t, "  check\tvalue\tinterval\tlimit\tverdict\t")
	}
	small := 0
	for _, k := range c.Check {
		if k.Kind == KindSlice && k.Verdict == Shown && k.Compared == nil {
			small++
			continue
		}
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\t%s\t%s\n", mark[k.Verdict], k.Name, k.value(), k.interval(), k.limit(), k.Verdict, k.Reason)
	}
	_ = t.Flush() // a terminal that went away needs no more lines
	if small > 0 {
		fmt.Fprintf(w, "%d groups have fewer rows than min_rows; --json shows them\n", small)
	}
	if c.GoldenRows > 0 {
		fmt.Fprintf(w, "%d golden rows %s\n", c.GoldenRows, c.Golden.Short())
	}
	if e, ok := c.Evidence["scores"]; ok {
		fmt.Fprintf(w, "evidence: %d scored rows %s\n", e.Rows, e.Digest.Short())
	}
	if s.Waiver != nil {
		fmt.Fprintf(w, "waived by %s on %s: %s\n", s.Waiver.Actor, s.Waiver.At.Local().Format("2006-01-02"), s.Waiver.Reason)
	}
	fmt.Fprint(w, "verdict: ", c.Verdict)
	if c.Reason != "" {
		fmt.Fprint(w, " (", c.Reason, ")")
	}
	fmt.Fprintln(w)
}

// mark is a sign that can be told apart without colour.
var mark = map[slipway.Verdict]string{slipway.Pass: "+", slipway.Refuse: "x", slipway.Undecided: "?", Shown: "-", Skipped: " "}

func (c Check) value() string {
	switch {
	case c.Estimate != nil:
		return number(c.Estimate.Value)
	case c.Compared != nil:
		return number(*c.Compared)
	}
	return ""
}

func (c Check) interval() string {
	if c.Estimate == nil || !c.Estimate.Known() {
		return ""
	}
	return "[" + number(c.Estimate.Low) + ", " + number(c.Estimate.High) + "]"
}

func (c Check) limit() string {
	if c.Limit == nil {
		return ""
	}
	return c.Op + " " + strconv.FormatFloat(*c.Limit, 'g', 6, 64)
}

// number writes counts whole and everything else to four places.
func number(v float64) string {
	if v == float64(int64(v)) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

type (
	testSuite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"timestamp,attr"`
		Case     []testCase `xml:"testcase"`
	}
	testCase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *problem `xml:"failure"`
		Error   *problem `xml:"error"`
		Skipped *problem `xml:"skipped"`
	}
	problem struct {
		Message string `xml:"message,attr"`
	}
)

// writeJUnit writes the checks as JUnit XML, which CI services show: a refusal
// is a failure, an undecided check an error.
func writeJUnit(path string, c Certificate) error {
	suite := testSuite{Name: "slipway gate " + c.Model, Tests: len(c.Check), Time: c.Time.Format("2006-01-02T15:04:05")}
	for _, k := range c.Check {
		row := testCase{Class: c.Model + "." + string(k.Kind), Name: k.Name}
		why := &problem{strings.TrimSpace(strings.Join([]string{k.value(), k.interval(), k.limit(), k.Reason}, " "))}
		switch k.Verdict {
		case slipway.Refuse:
			row.Failure = why
			suite.Failures++
		case slipway.Undecided:
			row.Error = why
			suite.Errors++
		case Shown, Skipped:
			row.Skipped = why
			suite.Skipped++
		}
		suite.Case = append(suite.Case, row)
	}
	raw, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append([]byte(xml.Header), raw...))
}
