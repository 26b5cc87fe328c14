package mem_test

import (
	"testing"

	"github.com/slipway-ml/slipway/internal/backend/blob"
	"github.com/slipway-ml/slipway/internal/backend/blob/blobtest"
	"github.com/slipway-ml/slipway/internal/backend/blob/mem"
)

func TestBucket(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Bucket { return mem.New() })
}

// A Faulty that is not told to fail is a bucket like any other.
func TestFaulty(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blob.Bucket { return blobtest.NewFaulty(mem.New()) })
}
