// Package config holds the settings of the process: where its workspace is,
// where it listens, whom it asks. What a project wants stands in slipway.yaml
// and is package project's.
//
// A value comes from its default, then from the environment, then from a flag;
// every value knows which of them it was.
package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
)

// Origin says where a value came from.
type Origin string

// The origins, weakest first.
const (
	Default     Origin = "default"
	Environment Origin = "environment"
	Flag        Origin = "flag"
)

// Setting is one value with its origin.
type Setting struct {
	Name   string `json:"name"`
	Env    string `json:"env"`
	Value  string `json:"value"`
	Origin Origin `json:"origin"`
	Help   string `json:"help"`
	secret bool
}

// Config is every setting of the process.
type Config struct{ settings []*Setting }

// The names of the settings.
const (
	Workspace = "workspace"
	Database  = "database"
	Server    = "server"
	Token     = "token"
	Listen    = "listen"
	Inference = "inference"
	GRPC      = "grpc"
	Rate      = "inference-rate"
	Parallel  = "inference-parallel"
	PerCaller = "inference-per-caller"
	AccessLog = "access-log"
	Traces    = "traces"
	Host      = "host"
	Python    = "python"
	Workers   = "python-workers"
	Idle      = "python-idle"
	Memory    = "query-memory"
	Durable   = "durability"
	Webhooks  = "webhooks"
	Remote    = "remote"
	FileBytes = "artifact-bytes"
	AllBytes  = "project-bytes"
	AllRuns   = "project-runs"
)

// Load reads the environment. home is the user's home directory.
func Load(getenv func(string) string, home string) *Config {
	data := getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	c := &Config{settings: []*Setting{
		{Name: Workspace, Value: filepath.Join(data, "slipway"), Help: "folder that holds everything a laptop's Slipway knows"},
		{Name: Database, Help: "postgres://… instead of the workspace's SQLite file", secret: true},
		{Name: Server, Help: "address of a server to talk to; empty uses the workspace on this machine"},
		{Name: Token, Help: "token for that server", secret: true},
		{Name: Listen, Value: "127.0.0.1:7070", Help: "address of the interface, the API and the MLflow API"},
		{Name: Inference, Value: "127.0.0.1:7071", Help: "address of the inference endpoints"},
		{Name: GRPC, Help: "address of the inference endpoints over gRPC, or off; empty is the port after that of inference"},
		{Name: Rate, Value: "0", Help: "predictions a second that one caller may ask for; 0 for any number"},
		{Name: Parallel, Value: "1024", Help: "predictions that are made at once; more are refused with 429; 0 for any number"},
		{Name: PerCaller, Value: "0", Help: "predictions that are made at once for one caller; more are refused with 429; 0 for any number"},
		{Name: AccessLog, Value: "off", Help: "where inference requests are logged, a line of JSON each: off, stderr or a file that is appended to"},
		{Name: Traces, Help: "OpenTelemetry collector that gets traces of predictions by OTLP over HTTP, such as http://127.0.0.1:4318; empty is OTEL_EXPORTER_OTLP_ENDPOINT, or none; off is none"},
		{Name: Host, Help: "names, joined by commas, that requests may be addressed to beside loopback ones"},
		{Name: Python, Value: "python3", Help: "interpreter for Python models and environments"},
		{Name: Workers, Value: "1", Help: "processes that a Python model may run in"},
		{Name: Idle, Value: "0s", Help: "without a request, after which such a process ends; the next request starts it again; 0s for never"},
		{Name: Memory, Value: "2GB", Help: "memory limit of a query"},
		{Name: Durable, Value: "process", Help: "when a prediction counts as logged: process (survives kill -9) or sync (survives power loss)"},
		{Name: Webhooks, Value: "public", Help: "where webhooks may go: public (https to public addresses) or any (http and private networks too)"},
		{Name: FileBytes, Value: "0", Help: "largest file that a client may log, such as 5GB; 0 for any size"},
		{Name: AllBytes, Value: "0", Help: "how much the files that clients log in one project may have together, such as 500GB; 0 for any number"},
		{Name: AllRuns, Value: "0", Help: "runs that clients may make in one project; deleted ones count until slipway gc; 0 for any number"},
		{Name: Remote, Help: "where data push and pull go: s3://HOST/BUCKET/PREFIX or a folder", secret: true},
	}}
	for _, s := range c.settings {
		s.Env, s.Origin = "SLIPWAY_"+strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_")), Default
		if v := getenv(s.Env); v != "" {
			s.Value, s.Origin = v, Environment
		}
	}
	return c
}

// Get returns the value of a setting; a name that is none of the constants is
// a defect and panics.
func (c *Config) Get(name string) string { return c.find(name).Value }

// Set gives a setting a value from a flag.
func (c *Config) Set(name, value string) {
	s := c.find(name)
	s.Value, s.Origin = value, Flag
}

// Default gives a setting that nobody set the value that others imply.
func (c *Config) Default(name, value string) {
	if s := c.find(name); s.Origin == Default {
		s.Value = value
	}
}

// Settings lists every setting; secrets read "set" or "".
func (c *Config) Settings() []Setting {
	out := make([]Setting, len(c.settings))
	for i, s := range c.settings {
		out[i] = *s
		if s.secret && s.Value != "" {
			out[i].Value = "set"
		}
	}
	return out
}

// Validate refuses values that cannot work. It fails with Invalid.
func (c *Config) Validate() error {
	if d := c.Get(Database); d != "" && !strings.HasPrefix(d, "postgres://") && !strings.HasPrefix(d, "postgresql://") {
		return slipway.Errorf(slipway.Invalid, "SLIPWAY_DATABASE must start with postgres://").
			WithHint("leave it unset to use the SQLite file of the workspace")
	}
	if d := c.Get(Durable); d != "process" && d != "sync" {
		return slipway.Errorf(slipway.Invalid, "durability is %q; it must be process or sync", d)
	}
	for _, name := range []string{FileBytes, AllBytes} {
		if _, err := parseBytes(c.Get(name)); err != nil {
			return slipway.Errorf(slipway.Invalid, "%s is %q; it must be a size such as 500MB or 5GB, or 0", c.find(name).Env, c.Get(name))
		}
	}
	for _, name := range []string{Rate, Parallel, PerCaller, Workers, AllRuns} {
		if v, err := strconv.ParseFloat(c.Get(name), 64); err != nil || v < 0 || v > 1e9 {
			return slipway.Errorf(slipway.Invalid, "%s is %q; it must be a number, 0 or more", c.find(name).Env, c.Get(name))
		}
	}
	if d, err := time.ParseDuration(c.Get(Idle)); err != nil || d < 0 {
		return slipway.Errorf(slipway.Invalid, "%s is %q; it must be a duration such as 10m", c.find(Idle).Env, c.Get(Idle))
	}
	return nil
}

// Duration is the value of a setting that Validate holds to be one.
func (c *Config) Duration(name string) time.Duration {
	d, _ := time.ParseDuration(c.Get(name))
	return d
}

// Number is the value of a setting that Validate holds to be a number.
func (c *Config) Number(name string) float64 {
	v, _ := strconv.ParseFloat(c.Get(name), 64)
	return v
}

// Bytes is the value of a setting that Validate holds to be a size.
func (c *Config) Bytes(name string) int64 {
	n, _ := parseBytes(c.Get(name))
	return n
}

// units are powers of 1024, as memory is counted.
var units = map[string]int64{"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}

// parseBytes reads a size: a number, and a unit or none.
func parseBytes(s string) (int64, error) {
	number := strings.TrimRight(s, "BKMGT")
	unit, ok := units[s[len(number):]]
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(v >= 0 && v*float64(unit) < 1<<62) {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return int64(v * float64(unit)), nil
}

func (c *Config) find(name string) *Setting {
	for _, s := range c.settings {
		if s.Name == name {
			return s
		}
	}
	panic(fmt.Sprintf("config: no setting %q", name))
}
