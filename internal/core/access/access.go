// Package access says who is asking: tokens for people and services beyond this
// machine. What a principal may do is its role, which every operation names.
// The steps of a run come with leases, which are the pipeline's.
package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/db"
)

// Token is what is known of one token; its secret is shown once, when it is
// made, and only its hash is kept.
type Token struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"` // the principal that it stands for
	Role    slipway.Role `json:"role"`
	Project string       `json:"project,omitempty"` // empty means every project
	Created time.Time    `json:"created"`
	Creator string       `json:"creator"`
	Expires time.Time    `json:"expires,omitzero"` // zero means never
	Revoked time.Time    `json:"revoked,omitzero"`
	Used    time.Time    `json:"used,omitzero"` // to the day
}

// NewToken is a Token with its secret.
type NewToken struct {
	Token
	Secret string `json:"secret"`
}

// Options is what a Service needs.
type Options struct {
	DB  *db.DB
	Now func() time.Time // machine time; nil is time.Now
}

// Service keeps tokens.
type Service struct{ o Options }

// New makes a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{o}
}

// secretPrefix tells people, and scanners of repositories, what a secret is.
const secretPrefix = "slw_"

// Create makes a token. A principal may not give more than it has.
func (s *Service) Create(ctx context.Context, name string, role slipway.Role, project string, life time.Duration) (NewToken, error) {
	if err := checkToken(ctx, name, role, life); err != nil {
		return NewToken{}, err
	}
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return NewToken{}, err
	}
	secret := secretPrefix + base64.RawURLEncoding.EncodeToString(raw)
	t := Token{ID: string(slipway.DigestOf([]byte(secret)))[:12], Name: name, Role: role, Project: project,
		Created: s.o.Now().UTC(), Creator: slipway.PrincipalOf(ctx).Name}
	if life > 0 {
		t.Expires = t.Created.Add(life)
	}
	return NewToken{t, secret}, s.insert(ctx, t, slipway.DigestOf([]byte(secret)))
}

func checkToken(ctx context.Context, name string, role slipway.Role, life time.Duration) error {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > 100:
		return slipway.Errorf(slipway.Invalid, "a token needs a name of at most 100 characters: whom it stands for")
	case !role.Valid():
		return slipway.Errorf(slipway.Invalid, "%q is not a role", role).WithHint("choose reader, writer, operator or admin")
	case life < 0:
		return slipway.Errorf(slipway.Invalid, "a token cannot expire before it is made")
	}
	return slipway.Allow(ctx, role, "")
}

// Authenticate finds whom a secret stands for. It fails with Unauthenticated
// for one that is unknown, expired or revoked, and does not say which.
func (s *Service) Authenticate(ctx context.Context, secret string) (slipway.Principal, error) {
	t, err := s.byDigest(ctx, slipway.DigestOf([]byte(secret)))
	now := s.o.Now()
	if slipway.IsCode(err, slipway.NotFound) || err == nil && (!t.Revoked.IsZero() || !t.Expires.IsZero() && !now.Before(t.Expires)) {
		return slipway.Principal{}, errToken
	}
	if err != nil {
		return slipway.Principal{}, err
	}
	// Written once a day, so that a token in use costs no write a request.
	if day := now.UTC().Truncate(24 * time.Hour); t.Used.Before(day) {
		err = s.touch(ctx, t.ID, day)
	}
	return slipway.Principal{Name: t.Name, Role: t.Role, Project: t.Project}, err
}

var errToken = slipway.Errorf(slipway.Unauthenticated, "the token is not valid (unknown, expired or revoked)").
	WithHint("`slipway token create` makes a new one")
