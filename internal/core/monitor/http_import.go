package monitor

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// importLimit bounds the upload of a log, in bytes.
const importLimit = 2 << 30

// importRoute takes a log as a Parquet file, with its plan as JSON in the query
// parameter plan, and answers with an ImportReport.
func (s *Service) importRoute(a *web.API) {
	a.Handle("POST "+under+"/monitor/import", slipway.Writer, func(w http.ResponseWriter, r *http.Request) error {
		var plan ImportPlan
		if err := json.Unmarshal([]byte(r.URL.Query().Get("plan")), &plan); err != nil {
			return slipway.Errorf(slipway.Invalid, "the plan of the import is not readable: %v", err)
		}
		dir, err := os.MkdirTemp("", "slipway-import-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "log.parquet")
		if err := receive(path, http.MaxBytesReader(w, r.Body, importLimit)); err != nil {
			return err
		}
		report, err := s.Import(r.Context(), r.PathValue("project"), plan, []string{path})
		if err != nil {
			return err
		}
		return web.WriteJSON(w, report)
	})
}

func receive(path string, body io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, body); err != nil {
		f.Close()
		return slipway.Errorf(slipway.Invalid, "the upload broke off, or is larger than 2 GB")
	}
	return f.Close()
}
