package project

import (
	"maps"
	"slices"

	"github.com/slipway-ml/slipway"
)

// Dataset is one table of rows that grows or changes with time, and of which
// Slipway keeps versions.
type Dataset struct {
	// Path of a file, a folder or a glob inside the project, such as data/flights/ or data/*.parquet.
	Path string `json:"path" jsonschema:"required"`
	// Source says where the rows are fetched from by slipway data add. Left out, they are the files at path.
	Source *Source `json:"source,omitempty"`
	// Format of the files. Found out from their names when left out.
	Format string `json:"format,omitempty" jsonschema:"enum=csv,enum=parquet,enum=json"`
	// Time is when a row happened: a column, an SQL expression over the columns, or {order: [columns]} when the rows have an order and no clock.
	Time EventTime `json:"time,omitzero"`
	// Key is the column or columns that tell one row from all others. Labels that arrive late are joined by it.
	Key Names `json:"key,omitempty"`
	// Subject is the column that says whom a row is about, for questions of erasure.
	Subject string `json:"subject,omitempty"`
	// Split divides the rows into parts such as train and test, which inputs and commands name in brackets: flights[train].
	Split *Split `json:"split,omitempty"`
	// Contract is the path of the contract that every new version must meet.
	Contract string `json:"contract,omitempty"`
	// Delimiter between the fields of a CSV file, one character. Found out from the file when left out.
	Delimiter string `json:"delimiter,omitempty"`
	// Header says whether the first line of a CSV file names the columns. Found out from the file when left out.
	Header *bool `json:"header,omitempty"`
	// Columns names the columns of a CSV file that has no header, in order.
	Columns []string `json:"columns,omitempty"`
	// Missing lists the texts that mean a missing value in a CSV file, such as "?" or NA, besides an empty field.
	Missing Names `json:"missing,omitempty"`
}

// Source is where the rows of a dataset are fetched from. Exactly one of bucket,
// postgres and command is given.
type Source struct {
	// Bucket is the address of objects in an S3-compatible store, such as s3://HOST/BUCKET/PREFIX; its end may be a pattern such as *.csv.gz. Keys come from the environment, never from here.
	Bucket string `json:"bucket,omitempty"`
	// Postgres is $NAME of the variable that holds the address of a Postgres, set where slipway data add runs.
	Postgres Secret `json:"postgres,omitempty"`
	// Query is the SELECT that Postgres answers. {since} in it stands for the newest event time that is known.
	Query string `json:"query,omitempty"`
	// Command writes rows to its standard output, or files into the folder that SLIPWAY_OUT names. SLIPWAY_SINCE is the newest event time that is known.
	Command Command `json:"command,omitzero"`
	// Incremental adds only rows that the newest version does not have: after its last event time, or with a key that it does not know.
	Incremental string `json:"incremental,omitempty" jsonschema:"enum=time,enum=key"`
}

// EventTime says when a row happened. At most one of its fields is set.
type EventTime struct {
	Expression string   // a column, or an SQL expression over the columns
	Order      []string // columns by which the rows are ordered when they have no time
}

// IsZero reports whether rows have no time.
func (t EventTime) IsZero() bool { return t.Expression == "" && len(t.Order) == 0 }

// Names is a list of names; one name alone may be written without brackets.
type Names []string

// EventTime finds the column of event time among rows that a step made: the one
// that a dataset declares, else the only column of times. It is nil when there
// is none, or several and none declared.
func (p *Project) EventTime(rows *slipway.Frame) *slipway.Series {
	for _, name := range slices.Sorted(maps.Keys(p.Data)) {
		if s := rows.Column(p.Data[name].Time.Expression); s != nil && s.Text == nil {
			return s
		}
	}
	var only *slipway.Series
	for i := range rows.Series {
		if s := &rows.Series[i]; s.Type == slipway.Time || s.Type == slipway.Date {
			if only != nil {
				return nil
			}
			only = s
		}
	}
	return only
}
