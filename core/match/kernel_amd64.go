//go:build amd64 && !purego

package match

// kernels gives those that this machine can run, the fastest first.
func kernels() []kernel {
	list := []kernel{portable}
	avx2, avx512 := features()
	if avx2 {
		list = append([]kernel{{
			name: "avx2",
			one: func(values []float32, bias *[columns]float32, query []float32, limit float32, s *scores, h *hits) uint32 {
				return oneAVX2(&values[0], bias, &query[0], limit, len(values)/columns, s, h)
			},
			eight: func(values []float32, bias *[columns]float32, queries []float32, limits *[lanes]float32, s *scores, h *hits) uint32 {
				return eightAVX2(&values[0], bias, &queries[0], limits, len(values)/columns, s, h)
			},
		}}, list...)
	}
	if avx512 {
		list = append([]kernel{{
			name: "avx512",
			one: func(values []float32, bias *[columns]float32, query []float32, limit float32, s *scores, h *hits) uint32 {
				return oneAVX512(&values[0], bias, &query[0], limit, len(values)/columns, s, h)
			},
			eight: func(values []float32, bias *[columns]float32, queries []float32, limits *[lanes]float32, s *scores, h *hits) uint32 {
				return eightAVX512(&values[0], bias, &queries[0], limits, len(values)/columns, s, h)
			},
		}}, list...)
	}
	return list
}

// features asks the processor, and the system whether it keeps the registers.
func features() (avx2, avx512 bool) {
	most, _, _, _ := cpuid(0, 0)
	if most < 7 {
		return false, false
	}
	const fma, xsave, avx = 1 << 12, 1 << 27, 1 << 28
	_, _, c, _ := cpuid(1, 0)
	if c&fma == 0 || c&xsave == 0 || c&avx == 0 {
		return false, false
	}
	const ymm, zmm = 0b110, 0b11100110 // state that the system keeps
	kept, _ := xgetbv()
	_, b, _, _ := cpuid(7, 0)
	avx2 = kept&ymm == ymm && b&(1<<5) != 0
	avx512 = avx2 && kept&zmm == zmm && b&(1<<16) != 0
	return avx2, avx512
}

// cpuid runs CPUID.
//
//go:noescape
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// xgetbv reads the extended control register 0.
//
//go:noescape
func xgetbv() (low, high uint32)

// rows is a multiple of 4 and above 0.
//
//go:noescape
func oneAVX2(values *float32, bias *[columns]float32, query *float32, limit float32, rows int, s *scores, h *hits) uint32

//go:noescape
func eightAVX2(values *float32, bias *[columns]float32, queries *float32, limits *[lanes]float32, rows int, s *scores, h *hits) uint32

//go:noescape
func oneAVX512(values *float32, bias *[columns]float32, query *float32, limit float32, rows int, s *scores, h *hits) uint32

//go:noescape
func eightAVX512(values *float32, bias *[columns]float32, queries *float32, limits *[lanes]float32, rows int, s *scores, h *hits) uint32
