package app

import (
	"testing"

	"github.com/slipway-ml/slipway/internal/config"
)

// testConfig is the settings of a process with nothing in its environment.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	return config.Load(func(string) string { return "" }, t.TempDir())
}
