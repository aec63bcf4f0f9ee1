package match

import (
	"math"
	"unsafe"

	"github.com/capstan-video/capstan/core"
)

const (
	// columns is the vectors of a block: two registers of AVX-512, four of AVX2.
	columns = 32
	// segmentBytes is the memory that blocks are cut from.
	segmentBytes = 4 << 20
	// cacheLine is the alignment of a row of a block, in bytes.
	cacheLine = 64
)

// block is 32 vectors: row d has dimension d of each. The score of a column for a query is
// bias + query·vector; the larger, the nearer. For cosine the bias is 0, for euclidean
// -|vector|²/2. Columns without a vector have a bias of -Inf, so that nothing asks for them.
type block struct {
	values []float32 // rows x columns
	bias   *[columns]float32
	norms  *[columns]float64 // as the vectors were given; 0 without a vector
	length float64           // the length of the longest vector in values
}

// paddedRows makes the rows a multiple of four, so that kernels need no rest. The rows beyond
// the last dimension are 0.
func paddedRows(dim int) int { return (dim + 3) &^ 3 }

// aligned gives n zeros that begin at a cache line.
func aligned(n int) []float32 {
	const spare = cacheLine / 4
	memory := make([]float32, n+spare)
	past := uintptr(unsafe.Pointer(unsafe.SliceData(memory))) % cacheLine
	skip := int((cacheLine-past)%cacheLine) / 4
	return memory[skip : skip+n : skip+n]
}

func newBlock(values []float32) block {
	b := block{values: values, bias: new([columns]float32), norms: new([columns]float64)}
	for c := range b.bias {
		b.bias[c] = float32(math.Inf(-1))
	}
	return b
}

// set writes a prepared vector, whose length was norm, into a column.
func (b *block) set(column int, values []float64, norm float64, metric core.Metric) {
	for d, v := range values {
		b.values[d*columns+column] = float32(v)
	}
	b.norms[column], b.bias[column], b.length = norm, 0, 1+1e-6
	if metric == core.Euclidean {
		b.bias[column] = float32(-norm * norm / 2)
		b.measure()
	}
}

// clear empties a column.
func (b *block) clear(column int) {
	for at := column; at < len(b.values); at += columns {
		b.values[at] = 0
	}
	b.bias[column], b.norms[column] = float32(math.Inf(-1)), 0
}

// copyColumn takes a column of another block over.
func (b *block) copyColumn(column int, from *block, at int) {
	for row := 0; row < len(b.values); row += columns {
		b.values[row+column] = from.values[row+at]
	}
	b.bias[column], b.norms[column] = from.bias[at], from.norms[at]
	b.length = max(b.length, from.length)
}

// measure finds the longest vector of a euclidean block, where values are as long as given.
func (b *block) measure() {
	b.length = 0
	for _, n := range b.norms {
		b.length = max(b.length, n)
	}
}

// distance measures a column from a prepared query in float64.
func (b *block) distance(metric core.Metric, query []float64, column int) float64 {
	values := b.values[column:]
	return distance(metric, query, func(d int) float64 { return float64(values[d*columns]) })
}
