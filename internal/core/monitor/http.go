package monitor

import (
	"context"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/kit/web"
)

// InProject names a project.
type InProject struct {
	Project string `path:"project"`
}

// SendLabels is a batch of labels.
type SendLabels struct {
	Project string `path:"project"`
	Body    struct {
		Labels []SentLabel `json:"labels" doc:"each names a prediction_id, or an endpoint and a key" maxItems:"100000"`
	}
}

// SentLabel is a slipway.Label as it is sent: without a time, the truth became
// known now.
type SentLabel struct {
	Prediction string    `json:"prediction_id,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	Key        string    `json:"key,omitempty"`
	Value      any       `json:"value" doc:"class or number"`
	Time       time.Time `json:"time,omitzero" required:"false" doc:"event time at which the truth became known"`
}

// AtEndpoint names an endpoint and a time; zero ends are open.
type AtEndpoint struct {
	Project  string    `path:"project"`
	Endpoint string    `path:"endpoint"`
	From     time.Time `query:"from" doc:"event time; by default 90 days before the latest prediction"`
	To       time.Time `query:"to" doc:"event time, not included"`
}

// AskQuality asks for the quality of an endpoint.
type AskQuality struct {
	AtEndpoint
	Metric   string `query:"metric" doc:"one metric only; all when left out"`
	Versions bool   `query:"versions" doc:"also what was said of a day before it was restated"`
}

// AskFeature asks for one feature.
type AskFeature struct {
	AtEndpoint
	Feature string `path:"feature"`
}

// AskAlarms asks for alarms or alerts.
type AskAlarms struct {
	Project  string `path:"project"`
	Endpoint string `query:"endpoint" doc:"one endpoint only"`
	Limit    int    `query:"limit" default:"100" minimum:"1" maximum:"10000"`
}

// AskPrediction names a prediction.
type AskPrediction struct {
	Project string `path:"project"`
	ID      string `path:"id"`
}

const under = "/api/v1/projects/{project}"

// Operations of monitor.
var (
	OpLabels = web.Op[SendLabels, LabelCount]{Method: "POST", Path: under + "/labels", Needs: slipway.Writer, Tag: "monitor", MaxBody: 64 << 20,
		Summary: "Tell the truth about predictions; sending it twice does no harm"}
	OpStatus     = web.Op[InProject, []MonitorStatus]{Method: "GET", Path: under + "/monitor", Needs: slipway.Reader, Tag: "monitor", Summary: "How every endpoint fares"}
	OpDrift      = web.Op[AtEndpoint, HeatMap]{Method: "GET", Path: under + "/monitor/{endpoint}/drift", Needs: slipway.Reader, Tag: "monitor", Summary: "Drift of every feature in every window"}
	OpQuality    = web.Op[AskQuality, QualityHistory]{Method: "GET", Path: under + "/monitor/{endpoint}/quality", Needs: slipway.Reader, Tag: "monitor", Summary: "Metrics by day and by window, with their intervals and the labels behind them"}
	OpTraffic    = web.Op[AtEndpoint, []HourTraffic]{Method: "GET", Path: under + "/monitor/{endpoint}/traffic", Needs: slipway.Reader, Tag: "monitor", Summary: "Requests and failures by hour of event time; the last week unless from is given"}
	OpFeature    = web.Op[AskFeature, FeatureDetail]{Method: "GET", Path: under + "/monitor/{endpoint}/features/{feature}", Needs: slipway.Reader, Tag: "monitor", Summary: "One feature beside its training rows; the last window unless from is given"}
	OpAlarms     = web.Op[AskAlarms, []Alarm]{Method: "GET", Path: under + "/alarms", Needs: slipway.Reader, Tag: "monitor", Summary: "Alarms, those that fire first"}
	OpAlerts     = web.Op[AskAlarms, []Alert]{Method: "GET", Path: under + "/alerts", Needs: slipway.Reader, Tag: "monitor", Summary: "Messages to people about alarms, newest first"}
	OpPrediction = web.Op[AskPrediction, LoggedPrediction]{Method: "GET", Path: under + "/predictions/{id}", Needs: slipway.Reader, Tag: "monitor", Summary: "One logged prediction, with its inputs and its label"}
)

// Routes adds the operations.
func (s *Service) Routes(a *web.API) {
	OpLabels.Serve(a, func(ctx context.Context, in SendLabels) (LabelCount, error) {
		labels := make([]slipway.Label, len(in.Body.Labels))
		for i, l := range in.Body.Labels {
			labels[i] = slipway.Label(l)
		}
		return s.AddLabels(ctx, in.Project, labels)
	})
	OpStatus.Serve(a, func(ctx context.Context, in InProject) ([]MonitorStatus, error) { return s.Status(ctx, in.Project) })
	OpDrift.Serve(a, func(ctx context.Context, in AtEndpoint) (HeatMap, error) {
		return s.Heat(ctx, in.Project, in.Endpoint, in.From, in.To)
	})
	OpQuality.Serve(a, func(ctx context.Context, in AskQuality) (QualityHistory, error) {
		return s.QualityOf(ctx, in.Project, in.Endpoint, in.Metric, in.From, in.To, in.Versions)
	})
	OpTraffic.Serve(a, func(ctx context.Context, in AtEndpoint) ([]HourTraffic, error) {
		return s.TrafficOf(ctx, in.Project, in.Endpoint, in.From, in.To)
	})
	OpFeature.Serve(a, func(ctx context.Context, in AskFeature) (FeatureDetail, error) {
		return s.FeatureOf(ctx, in.Project, in.Endpoint, in.Feature, in.From, in.To)
	})
	OpAlarms.Serve(a, func(ctx context.Context, in AskAlarms) ([]Alarm, error) {
		out, err := s.Alarms(ctx, in.Project, in.Endpoint, in.Limit)
		return orEmpty(out), err
	})
	OpAlerts.Serve(a, func(ctx context.Context, in AskAlarms) ([]Alert, error) {
		out, err := s.Alerts(ctx, in.Project, in.Limit)
		return orEmpty(out), err
	})
	OpPrediction.Serve(a, func(ctx context.Context, in AskPrediction) (LoggedPrediction, error) {
		return s.Prediction(ctx, in.Project, in.ID)
	})
	s.importRoute(a)
	s.versionRoute(a)
}
