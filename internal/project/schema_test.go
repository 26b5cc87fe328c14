package project

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	reflector "github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write the schema and the reference instead of comparing them")

const (
	module     = "github.com/slipway-ml/slipway"
	address    = "https://" + module + "/slipway.schema.json"
	duration   = `{"title": "length of time", "type": "string", "pattern": "^([0-9]*\\.?[0-9]+(w|d|h|m|s|ms|us|µs|ns))+$", "examples": ["7d", "12h", "30m"]}`
	words      = `{"title": "text or list of texts", "oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "uniqueItems": true}]}`
	nameKeys   = `"propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"}`
	anyObject  = `{"title": "map of names to values", "type": "object"}`
	secretText = `{"title": "$NAME", "type": "string", "pattern": "^\\$[A-Za-z_][A-Za-z0-9_]*$"}`
)

// forms are the schemas of the types that read themselves.
var forms = map[reflect.Type]string{
	reflect.TypeFor[Duration]():      duration,
	reflect.TypeFor[Size]():          `{"title": "size", "type": "string", "pattern": "^[0-9.]+ *([KMGT]i?)?B$", "examples": ["512MB", "4GB"]}`,
	reflect.TypeFor[Secret]():        secretText,
	reflect.TypeFor[Names]():         words,
	reflect.TypeFor[Inputs]():        words,
	reflect.TypeFor[Input]():         `{"title": "text", "type": "string", "minLength": 1}`,
	reflect.TypeFor[OutputRef]():     `{"title": "step.output", "type": "string", "pattern": "^[^.]+\\..+$"}`,
	reflect.TypeFor[Params]():        anyObject,
	reflect.TypeFor[Env]():           `{"title": "map of variables to texts", "type": "object", "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}}`,
	reflect.TypeFor[Features]():      `{"title": "all or list of texts", "oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true}]}`,
	reflect.TypeFor[EventTime]():     `{"title": "text, or {order: [columns]}", "oneOf": [{"type": "string", "minLength": 1}, {"type": "object", "properties": {"order": ` + words + `}, "required": ["order"], "additionalProperties": false}]}`,
	reflect.TypeFor[Command]():       `{"title": "text or list of texts", "oneOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}`,
	reflect.TypeFor[Outputs]():       `{"title": "list of paths, or map of names to paths", "oneOf": [` + words[:len(words)-1] + `}, {"type": "object", ` + nameKeys + `, "additionalProperties": {"type": "string", "minLength": 1}}]}`,
	reflect.TypeFor[Pipeline]():      `{"title": "map of names to Step", "type": "object", ` + nameKeys + `, "additionalProperties": {"$ref": "#/$defs/Step"}}`,
	reflect.TypeFor[Deploy]():        `{"title": "map of names to DeployEnvironment", "type": "object", ` + nameKeys + `, "additionalProperties": {"$ref": "#/$defs/DeployEnvironment"}}`,
	reflect.TypeFor[MetricTrigger](): `{"title": "map of one metric to its limit", "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": {"type": "string", "pattern": "^ *(<|<=|>|>=) *[-+0-9.eE]+ *$"}}`,
	reflect.TypeFor[TrainWindow]():   `{"title": "expanding, fixed or {last: 90d}", "oneOf": [{"enum": ["expanding", "fixed"]}, {"type": "object", "properties": {"last": ` + duration + `}, "required": ["last"], "additionalProperties": false}]}`,
}

// generate makes the schema from the types, their tags and their comments.
func generate(t *testing.T) *reflector.Schema {
	t.Helper()
	r := &reflector.Reflector{RequiredFromJSONSchemaTags: true, Mapper: func(t reflect.Type) *reflector.Schema {
		form, ok := forms[t]
		if !ok {
			return nil
		}
		s := &reflector.Schema{}
		if err := json.Unmarshal([]byte(form), s); err != nil {
			panic(t.String() + ": " + err.Error())
		}
		return s
	}}
	if err := r.AddGoComments(module+"/internal/project", "."); err != nil {
		t.Fatal(err)
	}
	for key, text := range r.CommentMap {
		r.CommentMap[key] = strings.Join(strings.Fields(text), " ")
	}
	out := r.Reflect(&Project{})
	for _, part := range []any{&Step{}, &DeployEnvironment{}} {
		for name, def := range r.Reflect(part).Definitions {
			out.Definitions[name] = def
		}
	}
	// A trigger is a map of one key, or the word commit alone.
	trigger := out.Definitions["Trigger"]
	one := uint64(1)
	trigger.MinProperties, trigger.MaxProperties = &one, &one
	trigger.Properties.Delete("commit")
	trigger.Type = ""
	trigger.OneOf = []*reflector.Schema{{Type: "object"}, {Const: "commit"}}
	out.ID = reflector.ID(address)
	out.Title = "slipway.yaml"
	return out
}

// TestReference keeps the schema and the reference as fresh as the types.
func TestReference(t *testing.T) {
	made := generate(t)
	b, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, b, "", "  "); err != nil {
		t.Fatal(err)
	}
	text.WriteByte('\n')
	docs := filepath.Join("..", "..", "docs", "reference")
	for path, want := range map[string][]byte{
		"slipway.schema.json":                      text.Bytes(),
		filepath.Join(docs, "slipway.schema.json"): text.Bytes(),
		filepath.Join(docs, "slipway-yaml.md"):     reference(made),
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale; run go generate ./internal/project\n%s", path, diff)
		}
	}
}

// TestEveryFieldIsExplained keeps the reference without blanks.
func TestEveryFieldIsExplained(t *testing.T) {
	for name, def := range generate(t).Definitions {
		if def.Description == "" {
			t.Errorf("%s has no comment", name)
		}
		for p := def.Properties.Oldest(); p != nil; p = p.Next() {
			if p.Value.Description == "" {
				t.Errorf("%s.%s has no comment", name, p.Key)
			}
		}
	}
}

func compile(t testing.TB) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource(address, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// valid asks the schema about YAML text.
func valid(t testing.TB, s *validator.Schema, text []byte) error {
	t.Helper()
	b, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := validator.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// TestSchemaAgreesWithParse checks that an editor accepts what Parse accepts,
// the files and their normal forms, and refuses mistakes of form.
func TestSchemaAgreesWithParse(t *testing.T) {
	s := compile(t)
	for name, text := range good(t) {
		if err := valid(t, s, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p, err := Parse("slipway.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		normal, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, s, normal); err != nil {
			t.Errorf("the normal form of %s: %v", name, err)
		}
	}
	for _, text := range []string{
		"pipelines: {}",
		"pipeline: {a: {run: x, retires: 3}}",
		"pipeline: {a: {retries: 3}}",
		"pipeline: {a: {run: x, retries: -1}}",
		"pipeline: {a: {run: x, timeout: 5}}",
		"model: {name: m, from: train, task: binary}",
		"model: {name: m, from: train.model, task: binry}",
		"monitor: {alerts: [{slack: https://hooks.example}]}",
		"retrain: {on: [{schedule: x, data: y}]}",
		"retrain: {on: [comit]}",
		"retrain: {on: [commit], window: 90d}",
	} {
		if valid(t, s, []byte(text)) == nil {
			t.Errorf("the schema accepts %s", text)
		}
		if _, err := Parse("slipway.yaml", []byte(text)); err == nil {
			t.Errorf("Parse accepts %s", text)
		}
	}
}
