package tree

import "golang.org/x/sys/cpu"

//go:generate go run widegen.go

// The kernels of wide_amd64.s, by depth.
var (
	avx512 = [maxWideDepth + 1]wideKernel{3: wide3avx512, 4: wide4avx512, 5: wide5avx512, 6: wide6avx512}
	avx2   = [maxWideDepth + 1]wideKernel{3: wide3avx2, 4: wide4avx2, 5: wide5avx2, 6: wide6avx2}

	// hasAVX512 and hasAVX2 are variables for tests.
	hasAVX512, hasAVX2 = cpu.X86.HasAVX512F, cpu.X86.HasAVX2
)

// kernelOf is the fastest kernel that this processor has for trees of a depth.
func kernelOf(depth int) wideKernel {
	switch {
	case hasAVX512:
		return avx512[depth]
	case hasAVX2:
		return avx2[depth]
	}
	return nil
}

//go:noescape
func wide3avx512(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide4avx512(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide5avx512(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide6avx512(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide3avx2(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide4avx2(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide5avx2(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)

//go:noescape
func wide6avx2(columns *float32, offset *uint32, threshold, leaf, sum *float32, blocks, stride uintptr)
