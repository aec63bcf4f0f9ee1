package match

// lanes is the queries that go through a block together.
const lanes = 8

// scores is what a kernel found: the score of each column for each query.
type scores [lanes][columns]float32

// hits has a bit for every column whose score reached a query's limit.
type hits [lanes]uint32

// kernel goes through one block.
type kernel struct {
	name string
	// one fills s[0] and h[0] for one query, of which it reads len(values)/columns numbers, and
	// gives h[0].
	one func(values []float32, bias *[columns]float32, query []float32, limit float32, s *scores, h *hits) uint32
	// eight fills s and h for eight queries, which lie row by row: number d of query q at
	// d*lanes+q. It gives all bits of h.
	eight func(values []float32, bias *[columns]float32, queries []float32, limits *[lanes]float32, s *scores, h *hits) uint32
}

// portable is the kernel for machines that have no better one.
var portable = kernel{name: "portable", one: onePortable, eight: eightPortable}

// fastest is the kernel for this machine, fixed at start.
var fastest = kernels()[0]

func onePortable(values []float32, bias *[columns]float32, query []float32, limit float32, s *scores, h *hits) uint32 {
	sum := &s[0]
	*sum = *bias
	for d := range len(values) / columns {
		row := (*[columns]float32)(values[d*columns:])
		q := query[d]
		for c, v := range row {
			sum[c] += v * q
		}
	}
	h[0] = reached(sum, limit)
	return h[0]
}

func eightPortable(values []float32, bias *[columns]float32, queries []float32, limits *[lanes]float32, s *scores, h *hits) uint32 {
	var all uint32
	for q := range lanes {
		sum := &s[q]
		*sum = *bias
		for d := range len(values) / columns {
			row := (*[columns]float32)(values[d*columns:])
			x := queries[d*lanes+q]
			for c, v := range row {
				sum[c] += v * x
			}
		}
		h[q] = reached(sum, limits[q])
		all |= h[q]
	}
	return all
}

func reached(s *[columns]float32, limit float32) uint32 {
	var bits uint32
	for c, v := range s {
		if v >= limit {
			bits |= 1 << c
		}
	}
	return bits
}
