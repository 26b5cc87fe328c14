package project

import (
	"bytes"
	"fmt"
	"strings"

	reflector "github.com/invopop/jsonschema"
)

// sections is the order of the reference: a section, then what stands in it.
var sections = []struct{ key, def string }{
	{"", "Project"},
	{"data.NAME", "Dataset"},
	{"data.NAME.source", "Source"},
	{"data.NAME.split", "Split"},
	{"pipeline.NAME", "Step"},
	{"pipeline.NAME.resources", "Resources"},
	{"environment", "Environment"},
	{"model", "Model"},
	{"gates", "Gates"},
	{"gates.metrics[]", "MetricGate"},
	{"gates.slices[]", "SliceGate"},
	{"gates.latency", "LatencyGate"},
	{"deploy.NAME", "DeployEnvironment"},
	{"deploy.NAME.rollout", "Rollout"},
	{"deploy.NAME.rollout.abort", "Abort"},
	{"deploy.NAME.rollout.decide", "Decide"},
	{"monitor", "Monitor"},
	{"monitor.drift", "Drift"},
	{"monitor.quality", "Quality"},
	{"monitor.quality.labels", "Labels"},
	{"monitor.alerts[]", "Alert"},
	{"retrain", "Retrain"},
	{"retrain.on[]", "Trigger"},
	{"retrain.on[].drift", "DriftTrigger"},
}

// reference writes a page of tables from the schema.
func reference(schema *reflector.Schema) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Made from internal/project by go generate; change the comments there. -->\n\n")
	b.WriteString("# slipway.yaml\n\n")
	b.WriteString("Every key of the file. A section that is not needed is left out. ")
	b.WriteString("[slipway.schema.json](slipway.schema.json) says the same to editors: begin the file with\n")
	b.WriteString("`# yaml-language-server: $schema=` and the address or path of that file.\n\n")
	b.WriteString("Lengths of time are written `90d`, `2w`, `12h`, `30m` or `15s`, where a day is 24 hours; sizes `512MB` or `4GiB`. ")
	b.WriteString("Paths are relative to the folder of the file and stay inside it. `$NAME` names a secret.\n")
	anchor := map[string]string{}
	for _, s := range sections {
		anchor["#/$defs/"+s.def] = s.key
	}
	for _, s := range sections {
		def := schema.Definitions[s.def]
		title := "## The file"
		if s.key != "" {
			title = strings.Repeat("#", min(4, 2+strings.Count(strings.ReplaceAll(s.key, ".NAME", ""), "."))) + " `" + s.key + "`"
		}
		fmt.Fprintf(&b, "\n%s\n\n%s\n\n| key | form | meaning |\n| --- | --- | --- |\n", title, def.Description)
		required := map[string]bool{}
		for _, k := range def.Required {
			required[k] = true
		}
		for p := def.Properties.Oldest(); p != nil; p = p.Next() {
			must := ""
			if required[p.Key] {
				must = " **Required.**"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s%s |\n", p.Key, cell(form(p.Value, anchor)), cell(p.Value.Description), must)
		}
	}
	return b.Bytes()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// form says in words what a value looks like.
func form(s *reflector.Schema, anchor map[string]string) string {
	switch {
	case s.Ref != "":
		return "[" + anchor[s.Ref] + "](#" + slug(anchor[s.Ref]) + ")"
	case strings.HasPrefix(s.Title, "map of names to ") && s.AdditionalProperties != nil && s.AdditionalProperties.Ref != "":
		return "map of names to " + form(s.AdditionalProperties, anchor)
	case s.Title != "":
		return s.Title
	case len(s.Enum) > 0:
		var out []string
		for _, v := range s.Enum {
			out = append(out, fmt.Sprintf("`%v`", v))
		}
		return oneOf(out)
	case s.Type == "array":
		return "list of " + form(s.Items, anchor)
	case s.Type == "object" && s.AdditionalProperties != nil:
		return "map of names to " + form(s.AdditionalProperties, anchor)
	}
	return map[string]string{"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}[s.Type]
}

// slug is the anchor that Markdown gives a heading.
func slug(heading string) string {
	keep := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return -1
	}
	return strings.Map(keep, strings.ToLower(heading))
}
