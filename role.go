package slipway

import "context"

// Role is what a principal may do. Each role includes the ones before it.
type Role string

// The roles, weakest first.
const (
	Reader   Role = "reader"   // look at everything in a project
	Writer   Role = "writer"   // log runs, send predictions and labels
	Operator Role = "operator" // execute code, change policy, release
	Admin    Role = "admin"    // give access
)

var rank = map[Role]int{Reader: 1, Writer: 2, Operator: 3, Admin: 4}

// Includes reports whether r may do what need asks for; the empty need asks
// for nothing.
func (r Role) Includes(need Role) bool { return rank[r] >= rank[need] }

// Valid reports whether r is one of the roles.
func (r Role) Valid() bool { return rank[r] > 0 }

// Principal is who is asking: a person, a service, or a step of a run.
type Principal struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	// Project limits the principal to one project; empty means every project.
	Project string `json:"project,omitempty"`
}

type principalKey struct{}

// WithPrincipal returns a context in which p is asking.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalOf says who is asking; the zero Principal may do nothing.
func PrincipalOf(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// Allow fails with Unauthenticated or Denied unless the principal in ctx has
// the role, in that project ("" for operations of the whole workspace).
func Allow(ctx context.Context, need Role, project string) error {
	p := PrincipalOf(ctx)
	switch {
	case need == "":
		return nil
	case p.Role == "":
		return Errorf(Unauthenticated, "this needs a token").WithHint("send it as `Authorization: Bearer …`; `slipway token create` makes one")
	case !p.Role.Includes(need):
		return Errorf(Denied, "%s has the role %s; this needs %s", p.Name, p.Role, need).
			WithHint("use the link that `slipway up` prints, or a token with that role")
	case p.Project != "" && p.Project != project:
		return Errorf(Denied, "%s is limited to the project %s", p.Name, p.Project)
	}
	return nil
}
