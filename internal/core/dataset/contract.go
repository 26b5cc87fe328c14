package dataset

import (
	"context"

	"github.com/slipway-ml/slipway"
)

// Contract is what every new version must meet.
type Contract struct{}

// Report is what the checks of a contract found.
type Report struct{}

func (c *Contract) types() slipway.Schema { return nil }

func (w *work) contract(context.Context) (*Contract, error) { return nil, nil }

func (w *work) check(context.Context, *table, *Contract) (Outcome, error) { return Outcome{}, nil }

func (w *work) shifts(context.Context, *Profile) ([]string, error) { return nil, nil }
