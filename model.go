package slipway

import (
	"strconv"
	"time"
)

// Artifact is a file or a folder that a run wrote.
type Artifact struct {
	Path   string `json:"path"` // in the project; a folder may end in /
	Digest Digest `json:"digest"`
	Size   int64  `json:"size"`           // bytes
	Tree   bool   `json:"tree,omitempty"` // a folder: the digest is of a content.Tree
}

// ModelVersion is one set of model files under a name, and where it came from.
type ModelVersion struct {
	Project     string              `json:"project"`
	Name        string              `json:"name"`
	Version     int                 `json:"version"`
	Content     Digest              `json:"content"` // content.Tree of its files
	Size        int64               `json:"size"`    // bytes
	Source      Source              `json:"source"`
	Run         string              `json:"run,omitempty"`
	Dataset     []Ref               `json:"dataset,omitempty"` // versions that the run read
	Commit      string              `json:"commit,omitempty"`
	Environment string              `json:"environment,omitempty"` // locked packages of the run
	Output      map[string]Artifact `json:"output,omitempty"`      // what the run wrote, by step.output
	Training    string              `json:"training,omitempty"`    // the Output that holds the rows it was trained on
	Window      Window              `json:"window,omitzero"`       // event time of those rows
	Rows        int                 `json:"rows,omitempty"`        // how many they were
	Signature   Signature           `json:"signature"`
	Range       []Range             `json:"range,omitempty"` // of the numeric features in those rows
	State       ModelState          `json:"state"`
	Stage       string              `json:"stage,omitempty"`       // None, Staging, Production or Archived
	Origin      string              `json:"origin,omitempty"`      // URI under which a client registered it
	Description string              `json:"description,omitempty"` // what people wrote about it
	Created     time.Time           `json:"created"`
	Actor       string              `json:"actor"`
}

// Source says who made a model version.
type Source string

// The sources of a model version.
const (
	FromPipeline Source = "pipeline" // a run of the project's pipeline
	FromClient   Source = "client"   // a person or a program that registered files
)

// ModelState is what the gates said of a version so far.
type ModelState string

// The states of a model version. Registered ones wait for their gates.
const (
	ModelRegistered ModelState = "registered"
	ModelPassed     ModelState = "passed"
	ModelRefused    ModelState = "refused"
	ModelUndecided  ModelState = "undecided"
	ModelUngated    ModelState = "ungated" // no gate judged it
	ModelDeleted    ModelState = "deleted"
)

// ID is name@vN.
func (v ModelVersion) ID() string { return v.Name + "@v" + strconv.Itoa(v.Version) }

// Ref is the version's name in lineage.
func (v ModelVersion) Ref() Ref { return VersionRef(KindModel, v.Name, v.Version) }

// Verdict is what a gate says of a model version.
type Verdict string

// The verdicts. Only Pass lets a version through by itself.
const (
	Pass      Verdict = "pass"
	Refuse    Verdict = "refuse"
	Undecided Verdict = "undecided" // not enough data, or something could not be measured
	Ungated   Verdict = "ungated"   // nothing judged it
)
