package query

// CSV says how a CSV file is written. Every zero field is found out from the
// files themselves.
type CSV struct {
	Delimiter string   `json:"delimiter,omitempty" yaml:"delimiter,omitempty"` // one to four characters: "," ";" "\t" "|" ", "
	Quote     string   `json:"quote,omitempty" yaml:"quote,omitempty"`         // default ", doubled inside a value; "none" switches quoting off
	Header    *bool    `json:"header,omitempty" yaml:"header,omitempty"`       // whether the first line names the columns
	Null      []string `json:"null,omitempty" yaml:"null,omitempty"`           // what stands for a missing value; default DefaultNull
	Encoding  string   `json:"encoding,omitempty" yaml:"encoding,omitempty"`   // utf-8, utf-16, windows-1252 (which includes latin-1)
	Skip      int      `json:"skip,omitempty" yaml:"skip,omitempty"`           // lines before the header
	Decimal   string   `json:"decimal,omitempty" yaml:"decimal,omitempty"`     // "." or ","
	// Time maps a column to the strptime format of its dates or times, where
	// they are not written as ISO 8601 says: "%d.%m.%Y", "%m/%d/%Y %H:%M".
	Time map[string]string `json:"time,omitempty" yaml:"time,omitempty"`
}

// DefaultNull are the values read as missing where a CSV does not list its own.
var DefaultNull = []string{"", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "?"}

func (c CSV) null() []string {
	if c.Null != nil {
		return c.Null
	}
	return DefaultNull
}
