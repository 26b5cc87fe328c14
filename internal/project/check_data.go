package project

import (
	"net/url"
	"strings"

	"github.com/slipway-ml/slipway"
)

// split checks how the rows of a dataset are divided.
func (c *checker) split(at string, set Dataset) {
	s := set.Split
	if s == nil {
		return
	}
	if err := s.Check(); err != nil {
		e := slipway.AsError(err)
		c.fault(at+".split", e.Hint, "%s", e.Message)
	}
	if s.By == "time" && set.Time.Expression == "" {
		c.fault(at+".split.by", "say when a row happened: time", "the dataset has no time, so it cannot be split by time")
	}
}

// source checks where the rows of a dataset are fetched from. What stands in an
// address in a secret's place is never repeated.
func (c *checker) source(at string, set Dataset) {
	s := set.Source
	if s == nil {
		return
	}
	at += ".source"
	given := 0
	for _, there := range []bool{s.Bucket != "", s.Postgres != "", s.Command.Shell != "" || len(s.Command.Args) > 0} {
		if there {
			given++
		}
	}
	if given != 1 {
		c.fault(at, "", "a source is one of bucket, postgres and command")
	}
	if s.Bucket != "" {
		u, err := url.Parse(s.Bucket)
		switch {
		case err != nil || u.Scheme != "s3" || u.Host == "" || strings.Trim(u.Path, "/") == "":
			c.fault(at+".bucket", "write s3://HOST/BUCKET/PREFIX", "this is not the address of a bucket")
		case u.User != nil:
			c.hidden[nearest(c.position, at+".bucket").Line] = true
			c.fault(at+".bucket", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where slipway data add runs", "keys do not belong into %s", FileName)
		}
	}
	if (s.Postgres != "") != (s.Query != "") {
		c.fault(at, "write {postgres: $DATABASE_URL, query: SELECT …}", "postgres and query belong together")
	}
	switch {
	case s.Incremental == "time" && set.Time.Expression == "":
		c.fault(at+".incremental", "say when a row happened: time", "the dataset has no time, so its rows cannot be new by time")
	case s.Incremental == "key" && len(set.Key) == 0:
		c.fault(at+".incremental", "name the columns that tell rows apart: key", "the dataset has no key, so its rows cannot be new by key")
	}
}
