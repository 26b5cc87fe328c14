package pipeline

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/slipway-ml/slipway/internal/project"
)

// machine hands out this machine's cores and memory to steps.
type machine struct {
	mu     sync.Mutex
	cpu    float64
	memory int64
	freed  chan struct{} // closed and replaced whenever something is given back
}

// need is what a step takes: one core unless it says otherwise, so that as many
// steps run as there are cores.
func need(st *project.Step) (cpu float64, memory int64) {
	cpu = 1
	if r := st.Resources; r != nil {
		if r.CPU > 0 {
			cpu = r.CPU
		}
		memory = int64(r.Memory)
	}
	return cpu, memory
}

// take waits until the step's share is free. Who takes must give back. all is
// the machine's size: a step without a declared need runs even on half a core.
func (m *machine) take(ctx context.Context, cpu float64, memory int64, all float64) error {
	cpu = min(cpu, all)
	for {
		m.mu.Lock()
		if m.cpu >= cpu && m.memory >= memory {
			m.cpu -= cpu
			m.memory -= memory
			m.mu.Unlock()
			return nil
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// force takes without waiting, for steps that run already.
func (m *machine) force(cpu float64, memory int64, all float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu -= min(cpu, all)
	m.memory -= memory
}

func (m *machine) give(cpu float64, memory int64, all float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cpu += min(cpu, all)
	m.memory += memory
	close(m.freed)
	m.freed = make(chan struct{})
}

// machineMemory is this machine's memory in bytes, or a terabyte where it is
// not told: then memory limits nothing.
func machineMemory() int64 {
	const unknown = 1 << 40
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return unknown
}
