package access

import (
	"context"
	"encoding/json"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// CreateToken asks for a token.
type CreateToken struct {
	Body struct {
		Name    string       `json:"name" doc:"whom the token stands for"`
		Role    slipway.Role `json:"role" doc:"reader, writer, operator or admin"`
		Project string       `json:"project,omitempty" doc:"limits it to one project"`
		Life    string       `json:"life,omitempty" doc:"how long it is valid, such as 90d; for ever when left out"`
	}
}

// NamedToken names a token by its id, or by its principal.
type NamedToken struct {
	Name string `path:"name"`
}

// Operations on tokens, and the question who one is.
var (
	OpCreateToken = web.Op[CreateToken, NewToken]{Method: "POST", Path: "/api/v1/tokens", Needs: slipway.Admin, Tag: "access", Summary: "Make a token; its secret is shown this once"}
	OpTokens      = web.Op[web.None, []Token]{Method: "GET", Path: "/api/v1/tokens", Needs: slipway.Admin, Tag: "access", Summary: "Every token, newest first"}
	OpRevokeToken = web.Op[NamedToken, Token]{Method: "DELETE", Path: "/api/v1/tokens/{name}", Needs: slipway.Admin, Tag: "access", Summary: "End a token"}
	OpWhoAmI      = web.Op[web.None, slipway.Principal]{Method: "GET", Path: "/api/v1/principal", Tag: "access", Summary: "Who is asking"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpCreateToken.Serve(a, func(ctx context.Context, in CreateToken) (NewToken, error) {
		var life time.Duration
		if in.Body.Life != "" {
			var err error
			if life, err = slipway.ParseDuration(in.Body.Life); err != nil {
				return NewToken{}, err
			}
		}
		return s.Create(ctx, in.Body.Name, in.Body.Role, in.Body.Project, life)
	})
	OpTokens.Serve(a, func(ctx context.Context, _ web.None) ([]Token, error) { return s.List(ctx) })
	OpRevokeToken.Serve(a, func(ctx context.Context, in NamedToken) (Token, error) { return s.Revoke(ctx, in.Name) })
	OpWhoAmI.Serve(a, func(ctx context.Context, _ web.None) (slipway.Principal, error) { return slipway.PrincipalOf(ctx), nil })
}

// eventData is what the log says of a token: all but its secret.
func eventData(t Token) json.RawMessage {
	b, _ := json.Marshal(t) // times and strings always marshal
	return b
}
