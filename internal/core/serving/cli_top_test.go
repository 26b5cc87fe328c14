package serving

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ml/slipway"
)

func TestPulsesAreOfTheInterval(t *testing.T) {
	look := func(requests, failed int64) EndpointList {
		return EndpointList{[]EndpointStatus{{Name: "m", Ready: true, Variant: []VariantStatus{{Release: "r", Role: slipway.Champion, Model: "m@v1", Ready: true,
			Requests: requests, Rows: 3 * requests, Failed: failed, Latency: map[string]LatencyQuantile{"predict": {P50: 5, P99: 9}}}}}}}
	}
	want := pulse{Endpoint: "m", Model: "m@v1", Role: slipway.Champion, Requests: 50, Rows: 150, Failed: 2, P50: 5, P99: 9, State: "answers"}
	for name, c := range map[string]struct{ before, now EndpointList }{
		"two looks":             {look(100, 1), look(200, 5)},
		"a process began again": {look(100_000, 50_000), look(100, 4)},
		"it was not there":      {EndpointList{}, look(100, 4)},
	} {
		if diff := cmp.Diff([]pulse{want}, pulses(c.before, c.now, 2*time.Second)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
