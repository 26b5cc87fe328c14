package inference

import (
	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/core/serving"
)

// tensorMetadata describes an input or output, as the protocol has it.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// modelMetadata describes an endpoint.
type modelMetadata struct {
	Name       string           `json:"name"`
	Versions   []string         `json:"versions"`
	Platform   string           `json:"platform"`
	Inputs     []tensorMetadata `json:"inputs"`
	Outputs    []tensorMetadata `json:"outputs"`
	Parameters map[string]any   `json:"parameters,omitempty"`
}

func metadataOf(e serving.Handle, name string) modelMetadata {
	signature, v := e.Signature()
	m := modelMetadata{Name: name, Platform: "slipway", Inputs: tensors(signature.Input), Outputs: tensors(signature.Output)}
	for _, r := range e.Resident() {
		m.Versions = append(m.Versions, serving.Version(r.Model))
	}
	m.Parameters = map[string]any{"model": v.Model, "task": signature.Task, "classes": signature.Classes}
	var extra []string
	for _, f := range e.Layout().Field[e.Layout().Inputs:] {
		extra = append(extra, f.Name)
	}
	m.Parameters["optional"] = extra // key, time and unit columns
	return m
}

func tensors(s slipway.Schema) []tensorMetadata {
	out := []tensorMetadata{}
	for _, c := range s {
		out = append(out, tensorMetadata{c.Name, datatype(c.Type), []int{-1}})
	}
	return out
}
