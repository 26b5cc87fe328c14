// Package computetest is the contract of compute.Runner.
package computetest

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-ml/slipway"
	"github.com/slipway-ml/slipway/internal/backend/compute"
)

// Variant is a runner under test and processes that it can start.
type Variant struct {
	Runner compute.Runner
	Exit   func(code int) compute.Spec // a process that ends with that status
	Hang   func() compute.Spec         // a process that ends only when it is killed
}

// Run puts a variant through the contract.
func Run(t *testing.T, make func(t *testing.T) Variant) {
	limit := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("the exit status is told", func(t *testing.T) {
		v := make(t)
		for _, code := range []int{0, 3} {
			h, err := v.Runner.Start(limit(t), v.Exit(code))
			if err != nil {
				t.Fatal(err)
			}
			exit, err := h.Wait(limit(t))
			if err != nil || exit != (compute.Exit{Code: code, Known: true}) {
				t.Errorf("Wait = %+v, %v; want status %d", exit, err, code)
			}
		}
	})
	t.Run("a running process is adopted, killed, and then gone", func(t *testing.T) {
		v := make(t)
		h, err := v.Runner.Start(limit(t), v.Hang())
		if err != nil {
			t.Fatal(err)
		}
		adopted, err := v.Runner.Adopt(limit(t), h.ID())
		if err != nil {
			t.Fatal(err)
		}
		if adopted.ID() != h.ID() {
			t.Errorf("the adopted process is %s, not %s", adopted.ID(), h.ID())
		}
		if err := adopted.Kill(limit(t), 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		for _, one := range []compute.Handle{h, adopted} {
			if exit, err := one.Wait(limit(t)); err != nil || exit.Code == 0 {
				t.Errorf("after a kill Wait = %+v, %v", exit, err)
			}
			if err := one.Kill(limit(t), time.Second); err != nil {
				t.Errorf("killing what has ended: %v", err)
			}
		}
		if _, err := v.Runner.Adopt(limit(t), h.ID()); !slipway.IsCode(err, slipway.NotFound) {
			t.Errorf("Adopt of a killed process = %v, want not_found", err)
		}
	})
	t.Run("nobody can be adopted by an unknown id", func(t *testing.T) {
		v := make(t)
		for _, id := range []string{"", "nonsense", "1-1", "99999999-1"} {
			if _, err := v.Runner.Adopt(limit(t), id); !slipway.IsCode(err, slipway.NotFound) {
				t.Errorf("Adopt(%q) = %v, want not_found", id, err)
			}
		}
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		v := make(t)
		h, err := v.Runner.Start(limit(t), v.Hang())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Kill(context.Background(), 0) })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := h.Wait(ctx); err != context.Canceled {
			t.Errorf("Wait = %v, want context.Canceled", err)
		}
	})
	t.Run("no program is invalid", func(t *testing.T) {
		v := make(t)
		if _, err := v.Runner.Start(limit(t), compute.Spec{Name: "x"}); !slipway.IsCode(err, slipway.Invalid) {
			t.Errorf("Start = %v, want invalid", err)
		}
	})
}
