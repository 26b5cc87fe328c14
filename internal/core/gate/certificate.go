package gate

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/project"
	"github.com/slipway-ml/slipway/internal/stat"
)

// Certificate says what a gate found about a model version.
type Certificate struct {
	Version     int               `json:"version"` // of this format: 1
	Project     string            `json:"project"`
	Model       string            `json:"model"`   // name@vN
	Content     slipway.Digest    `json:"content"` // of its files
	Source      slipway.Source    `json:"source"`
	Run         string            `json:"run,omitempty"`
	Dataset     []slipway.Ref     `json:"dataset,omitempty"`
	Commit      string            `json:"commit,omitempty"`
	Environment string            `json:"environment,omitempty"`
	Revision    slipway.Digest    `json:"revision,omitempty"` // of the slipway.yaml in force
	Spec        json.RawMessage   `json:"spec,omitempty"`     // the gates in it
	Data        string            `json:"data,omitempty"`     // what gates.data names
	Gated       bool              `json:"gated"`
	Champion    string            `json:"champion,omitempty"` // name@vN that it was compared with
	Rows        int               `json:"rows,omitempty"`     // that were scored
	Blocks      int               `json:"blocks,omitempty"`
	Block       string            `json:"block,omitempty"` // length of one, or "row"
	Verdict     slipway.Verdict   `json:"verdict"`
	Reason      string            `json:"reason,omitempty"` // the first check that did not pass
	Check       []Check           `json:"check,omitempty"`
	Evidence    map[string]Digest `json:"evidence,omitempty"` // by name
	Golden      slipway.Digest    `json:"golden,omitempty"`
	GoldenRows  int               `json:"golden_rows,omitempty"`
	Host        Host              `json:"host"` // on which it was measured
	Time        time.Time         `json:"time"`
	Actor       string            `json:"actor"`
}

// Digest is a piece of evidence.
type Digest struct {
	Digest slipway.Digest `json:"digest"`
	Rows   int            `json:"rows"`
	Size   int64          `json:"size"`
}

// Host is the machine that a gate ran on: latency means nothing without it.
type Host struct {
	Name   string `json:"name"`
	System string `json:"system"` // such as linux/amd64
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores"`
}

// Kind is what a check is about.
type Kind string

// The kinds of checks.
const (
	KindModel    Kind = "model"    // it can be opened and answers with numbers
	KindData     Kind = "data"     // the rows are there, fit, and are no training rows
	KindMetric   Kind = "metric"   // a limit on a metric
	KindChampion Kind = "champion" // a comparison with the version in production
	KindSlice    Kind = "slice"    // a limit in a group of rows
	KindLatency  Kind = "latency"  // measured on the real server
	KindGolden   Kind = "golden"   // rows that the model must reproduce
)

// Verdicts of a check that do not count.
const (
	Shown   slipway.Verdict = "shown"   // for the reader: too few rows to judge, or within chance
	Skipped slipway.Verdict = "skipped" // it does not apply, and the reason says why
)

// Check is one line of a certificate.
type Check struct {
	Name     string                `json:"name"`
	Kind     Kind                  `json:"kind"`
	Metric   string                `json:"metric,omitempty"`
	Slice    map[string]string     `json:"slice,omitempty"`    // value by column
	Estimate *stat.Estimate        `json:"estimate,omitempty"` // the value, or the gain over the champion
	Compared *float64              `json:"compared,omitempty"` // what was held against the limit: a bound, or the value
	Op       string                `json:"op,omitempty"`       // ">=" or "<="
	Limit    *float64              `json:"limit,omitempty"`
	QValue   *float64              `json:"q_value,omitempty"` // of a slice: chance of it, corrected over the groups
	Curve    []stat.ReliabilityBin `json:"curve,omitempty"`   // of a calibration error
	Repeat   []float64             `json:"repeat,omitempty"`  // every measurement of a latency, in milliseconds
	Verdict  slipway.Verdict       `json:"verdict"`
	Reason   string                `json:"reason,omitempty"`
}

// Signed is a certificate with its name, its envelope's parts, and whether
// somebody waived it since.
type Signed struct {
	Digest      slipway.Digest `json:"digest"` // of the envelope, which is content
	Certificate Certificate    `json:"certificate"`
	Key         []byte         `json:"key"` // public key that its signature holds under
	Waiver      *Waiver        `json:"waiver,omitempty"`
}

// Waiver lets a version through that no gate passed, in somebody's name.
type Waiver struct {
	Reason string    `json:"reason"`
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
}

// payloadType names a certificate inside its envelope.
const payloadType = "application/vnd.slipway.certificate+json"

// envelope is a DSSE envelope (github.com/secure-systems-lab/dsse, v1.0), the
// form that in-toto and Sigstore sign in.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"` // the public key in hexadecimal
	Sig   []byte `json:"sig"`
}

// encoding is what DSSE signs: its pre-authentication encoding.
func encoding(kind string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
}

// seal signs a certificate.
func seal(c Certificate, key ed25519.PrivateKey) ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	sig := ed25519.Sign(key, encoding(payloadType, payload))
	return json.Marshal(envelope{payloadType, payload, []signature{{hex.EncodeToString(key.Public().(ed25519.PublicKey)), sig}}})
}

// Verify reads a certificate from its envelope. It fails with Refused unless
// key signed every byte of it.
func Verify(raw []byte, key ed25519.PublicKey) (Certificate, error) {
	var c Certificate
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil || e.PayloadType != payloadType {
		return c, slipway.Errorf(slipway.Invalid, "this is no certificate")
	}
	for _, s := range e.Signatures {
		if ed25519.Verify(key, encoding(e.PayloadType, e.Payload), s.Sig) {
			if err := json.Unmarshal(e.Payload, &c); err != nil {
				return c, slipway.Errorf(slipway.Invalid, "the certificate cannot be read: %v", err)
			}
			return c, nil
		}
	}
	return c, slipway.Errorf(slipway.Refused, "the certificate was changed, or was not signed by this workspace")
}

// certificate begins one: all that is known before anything is measured.
func (s *Service) certificate(ctx context.Context, p *project.Project, v slipway.ModelVersion) Certificate {
	c := Certificate{Version: 1, Project: v.Project, Model: v.ID(), Content: v.Content, Source: v.Source, Run: v.Run, Dataset: v.Dataset,
		Commit: v.Commit, Environment: v.Environment, Host: host(), Time: s.o.Now().UTC().Truncate(time.Microsecond), Actor: slipway.PrincipalOf(ctx).Name}
	if p != nil {
		if len(p.Source) > 0 {
			c.Revision = slipway.DigestOf(p.Source)
		}
	}
	return c
}

// sign stores the signed certificate as content and records it.
func (s *Service) sign(ctx context.Context, c Certificate, cause string) (Signed, error) {
	raw, err := seal(c, s.o.Key)
	if err != nil {
		return Signed{}, err
	}
	digest, _, err := s.o.Content.Put(ctx, bytes.NewReader(raw))
	if err != nil {
		return Signed{}, err
	}
	out := Signed{Digest: digest, Certificate: c, Key: s.o.Key.Public().(ed25519.PublicKey)}
	return out, s.insert(ctx, out, cause)
}

// read loads a certificate from content and verifies it.
func (s *Service) read(ctx context.Context, d slipway.Digest) (Signed, error) {
	r, err := s.o.Content.Open(ctx, d)
	if err != nil {
		return Signed{}, err
	}
	defer r.Close()
	raw, err := io.ReadAll(r)
	if err != nil {
		return Signed{}, err
	}
	key := s.o.Key.Public().(ed25519.PublicKey)
	c, err := Verify(raw, key)
	return Signed{Digest: d, Certificate: c, Key: key}, err
}

func host() Host {
	h := Host{System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU()}
	h.Name, _ = os.Hostname() // unknown is left empty
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			h.CPU = strings.TrimSpace(value)
			break
		}
	}
	return h
}
