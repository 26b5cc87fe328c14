package replay

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// sendLabels is the request of the labels operation, as the SDK sends it too.
type sendLabels struct {
	Project string `path:"project"`
	Body    struct {
		Labels []slipway.Label `json:"labels"`
	}
}

// The operations that a replay calls. Their servers are other capabilities'.
var (
	opLabels  = web.Op[sendLabels, json.RawMessage]{Method: "POST", Path: "/api/v1/projects/{project}/labels"}
	opAdvance = web.Op[struct {
		Body struct {
			To time.Time `json:"to"`
		}
	}, json.RawMessage]{Method: "POST", Path: "/api/v1/clock"}
)

// inputs asks an endpoint which columns it takes.
func inputs(ctx context.Context, inference, endpoint string) ([]string, error) {
	c := web.Dial(inference, "")
	resp, err := c.Stream(ctx, http.MethodGet, "/v2/models/"+url.PathEscape(endpoint), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var meta struct {
		Inputs []struct {
			Name string `json:"name"`
		} `json:"inputs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&meta); err != nil {
		return nil, slipway.Errorf(slipway.Unavailable, "the endpoint %s does not say what it takes: %v", endpoint, err)
	}
	var names []string
	for _, in := range meta.Inputs {
		names = append(names, in.Name)
	}
	return names, nil
}
