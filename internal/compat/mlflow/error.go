package mlflow

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// endpointNotFound is a code of this dialect alone: a path that is not served.
const endpointNotFound slipway.Code = "endpoint_not_found"

// notImplemented is a code of this dialect too: clients that get it do what
// they asked for in another way.
const notImplemented slipway.Code = "not_implemented"

// names is how MLflow spells a code, and the status that goes with it. A
// conflict is 400 there, and nothing that a client did may be 5xx, because it
// would try again. For that reason a used up quota is not 429 either.
var names = map[slipway.Code]struct {
	name   string
	status int
}{
	slipway.Invalid:         {"INVALID_PARAMETER_VALUE", 400},
	slipway.Refused:         {"INVALID_STATE", 400},
	slipway.Unauthenticated: {"UNAUTHENTICATED", 401},
	slipway.Denied:          {"PERMISSION_DENIED", 403},
	slipway.NotFound:        {"RESOURCE_DOES_NOT_EXIST", 404},
	slipway.Conflict:        {"RESOURCE_ALREADY_EXISTS", 400},
	slipway.Unavailable:     {"TEMPORARILY_UNAVAILABLE", 503},
	slipway.Exhausted:       {"RESOURCE_EXHAUSTED", 413},
	slipway.Internal:        {"INTERNAL_ERROR", 500},
	slipway.Interrupted:     {"CANCELLED", 499},
	endpointNotFound:        {"ENDPOINT_NOT_FOUND", 404},
	notImplemented:          {"NOT_IMPLEMENTED", 501},
}

// retryAfter is how many seconds a client waits when the server is busy.
const retryAfter = 1

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	e := slipway.AsError(err)
	row, ok := names[e.Code]
	if !ok {
		row = names[slipway.Internal]
	}
	if row.status == 500 {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if row.status == 503 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	message := e.Message
	if e.Hint != "" {
		message += " (" + e.Hint + ")"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(row.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error_code": row.name, "message": message})
}

// Refuse answers a request that may not come in: as MLflow does where its
// clients ask, and as the rest of this server elsewhere.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	for _, root := range []string{"/api/2.0/", "/api/3.0/", "/ajax-api/"} {
		if strings.HasPrefix(r.URL.Path, root) {
			writeError(w, r, err)
			return
		}
	}
	web.WriteError(w, r, err)
}
