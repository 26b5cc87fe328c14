package fake

import (
	"context"
	"strconv"
	"testing"

	"github.com/slipway-ml/slipway/internal/backend/compute"
	"github.com/slipway-ml/slipway/internal/backend/compute/computetest"
)

func TestContract(t *testing.T) {
	computetest.Run(t, func(t *testing.T) computetest.Variant {
		r := &Runner{Run: func(ctx context.Context, s compute.Spec) int {
			if s.Args[0] == "hang" {
				<-ctx.Done()
			}
			code, _ := strconv.Atoi(s.Args[0])
			return code
		}}
		return computetest.Variant{Runner: r,
			Exit: func(code int) compute.Spec { return compute.Spec{Name: "exit", Args: []string{strconv.Itoa(code)}} },
			Hang: func() compute.Spec { return compute.Spec{Name: "hang", Args: []string{"hang"}} },
		}
	})
}
