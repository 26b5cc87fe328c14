package slipway

import (
	"strconv"
	"strings"
)

// Kind is a kind of thing that lineage can name.
type Kind string

// The kinds, in the order in which data flows through them.
const (
	KindCommit      Kind = "commit"      // code: a Git commit or the digest of a snapshot
	KindDataset     Kind = "dataset"     // a dataset version: name@v3
	KindEnvironment Kind = "environment" // a locked set of packages
	KindRun         Kind = "run"         // one execution: of a pipeline, a step, or a client's script
	KindArtifact    Kind = "artifact"    // content by its digest
	KindModel       Kind = "model"       // a model version: name@v3
	KindCertificate Kind = "certificate" // a gate's signed verdict
	KindRelease     Kind = "release"     // a model version in an environment
	KindPrediction  Kind = "prediction"  // one logged answer
	KindDrift       Kind = "drift"       // a monitor's verdict about a window
	KindRetraining  Kind = "retraining"  // one time that a trigger spoke
	KindPrincipal   Kind = "principal"   // a person or a service
)

// Ref names one thing inside a project, written kind:id, such as
// "model:flight-delay@v3" or "run:0f3a…".
type Ref struct {
	Kind Kind
	ID   string
}

// NewRef makes a Ref.
func NewRef(kind Kind, id string) Ref { return Ref{kind, id} }

// VersionRef makes the Ref of version n of a named thing: kind:name@vN.
func VersionRef(kind Kind, name string, n int) Ref {
	return Ref{kind, name + "@v" + strconv.Itoa(n)}
}

// ParseRef reads kind:id. It fails with Invalid.
func ParseRef(s string) (Ref, error) {
	kind, id, ok := strings.Cut(s, ":")
	if !ok || kind == "" || id == "" {
		return Ref{}, Errorf(Invalid, "%q is not a reference", s).WithHint("write kind:id, such as model:churn@v3 or run:1f2e…")
	}
	return Ref{Kind(kind), id}, nil
}

func (r Ref) String() string { return string(r.Kind) + ":" + r.ID }

// Version splits name@vN. The number is 0 when the id names no version.
func (r Ref) Version() (name string, n int) {
	name, v, ok := strings.Cut(r.ID, "@v")
	if !ok {
		return r.ID, 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return r.ID, 0
	}
	return name, n
}

// MarshalText writes kind:id, so that a Ref is a string in JSON and YAML.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads kind:id.
func (r *Ref) UnmarshalText(b []byte) error {
	out, err := ParseRef(string(b))
	*r = out
	return err
}
