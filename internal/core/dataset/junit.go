package dataset

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The elements of JUnit's XML that CI services read.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes the report as JUnit XML: a test a check, of which errors fail
// and warnings only say so.
func (r *Report) junit() []byte {
	suite := junitSuite{Name: "contract of " + r.Dataset, Tests: len(r.Checks)}
	for _, f := range r.Checks {
		c := junitCase{Class: "contract." + r.Dataset, Name: f.Title() + " (" + f.Kind + ")"}
		if !f.Pass {
			var rows []string
			for _, s := range f.Sample {
				rows = append(rows, s.String())
			}
			text := strings.Join(rows, "\n")
			if f.Severity == Error {
				suite.Failures++
				c.Failure = &junitFailure{Message: f.measured(r.Rows), Text: text}
			} else {
				c.Output = fmt.Sprintf("%s: %s\n%s", f.Severity, f.measured(r.Rows), text)
			}
		}
		suite.Cases = append(suite.Cases, c)
	}
	raw, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return nil // texts and counts always encode
	}
	return append([]byte(xml.Header), append(raw, '\n')...)
}
