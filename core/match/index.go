// Package match finds the nearest of up to millions of encodings, exactly: every answer is the
// one that a plain search in float64 gives, in order of distance and then of ID.
//
// Vectors lie in blocks of 32, one dimension after the other, so that one query or eight at
// once go through a block in vector registers. What the registers give in float32 only sorts
// out: whatever could be among the answers, given the rounding errors that are possible, is
// measured again in float64. Answers are therefore the same on every machine, alone or in a
// batch.
package match

import (
	"math"
	"slices"
	"sync"

	"github.com/capstan-video/capstan/core"
)

// ID names a vector of an index.
type ID uint64

// Match is one answer of a search.
type Match struct {
	ID ID
	// Distance is 1 less the cosine of the angle, within 0..2, or the euclidean distance.
	Distance float64
}

// MaxDim bounds the dimensions of an index.
const MaxDim = 1 << 14

// maxNorm keeps every sum of products far from the end of float32.
const maxNorm = 1e18

// Index holds vectors of one encoder. Any number of goroutines may search it while one
// changes it: a change waits for the searches that run, and later ones wait for it.
type Index struct {
	dim    int
	metric core.Metric
	kernel kernel

	mu     sync.RWMutex
	blocks []block
	ids    []ID       // by place; place p is column p%columns of block p/columns
	places map[ID]int // the inverse of ids
}

// New gives an empty index for vectors of dim numbers.
func New(dim int, metric core.Metric) (*Index, error) {
	return newIndex(dim, metric, fastest)
}

func newIndex(dim int, metric core.Metric, k kernel) (*Index, error) {
	if dim < 1 || dim > MaxDim {
		return nil, core.Faultf(core.Invalid, "index", "", "%d dimensions are not within 1..%d", dim, MaxDim)
	}
	if metric != core.Cosine && metric != core.Euclidean {
		return nil, core.Faultf(core.Invalid, "index", "", "metric %q is not one of cosine, euclidean", metric)
	}
	return &Index{dim: dim, metric: metric, kernel: k, places: map[ID]int{}}, nil
}

// Dim gives the number of dimensions.
func (x *Index) Dim() int { return x.dim }

// Metric gives how distances are measured.
func (x *Index) Metric() core.Metric { return x.metric }

// Len gives the number of vectors.
func (x *Index) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.ids)
}

// Add puts a vector in; the one that has the ID already is replaced. The vector is copied. A
// fault of kind Invalid says what is wrong with it: its dimensions, a number that is not
// finite, or for cosine a length of zero.
func (x *Index) Add(id ID, vector []float32) error {
	values, norm, err := x.prepare("add", vector)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	place, ok := x.places[id]
	if !ok {
		place = len(x.ids)
		x.ids = append(x.ids, id)
		x.places[id] = place
		x.reserve(place)
	}
	x.blocks[place/columns].set(place%columns, values, norm, x.metric)
	return nil
}

// Remove takes a vector out and says whether there was one.
func (x *Index) Remove(id ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	place, ok := x.places[id]
	if !ok {
		return false
	}
	last := len(x.ids) - 1
	from := &x.blocks[last/columns]
	if place != last {
		x.blocks[place/columns].copyColumn(place%columns, from, last%columns)
		x.ids[place] = x.ids[last]
		x.places[x.ids[place]] = place
	}
	from.clear(last % columns)
	x.ids = x.ids[:last]
	delete(x.places, id)
	x.shrink()
	return true
}

// Vector gives a copy of a vector as it was added, for cosine to the precision of float32;
// false when there is none.
func (x *Index) Vector(id ID) ([]float32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	place, ok := x.places[id]
	if !ok {
		return nil, false
	}
	b, column := &x.blocks[place/columns], place%columns
	v := make([]float32, x.dim)
	for d := range v {
		v[d] = b.values[d*columns+column]
		if x.metric == core.Cosine {
			v[d] = float32(float64(v[d]) * b.norms[column])
		}
	}
	return v, true
}

// prepare checks a vector and gives it in float64, for cosine with the length 1, and the
// length that it had.
func (x *Index) prepare(op string, vector []float32) ([]float64, float64, error) {
	if len(vector) != x.dim {
		return nil, 0, core.Faultf(core.Invalid, op, "", "the vector has %d dimensions, those of the index have %d", len(vector), x.dim)
	}
	return prepare(op, x.metric, vector)
}

func prepare(op string, metric core.Metric, vector []float32) ([]float64, float64, error) {
	values := make([]float64, len(vector))
	var sum float64
	for d, f := range vector {
		v := float64(f)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, 0, core.Faultf(core.Invalid, op, "", "dimension %d of the vector is %v, which is not a finite number", d, f)
		}
		values[d] = v
		sum += v * v
	}
	norm := math.Sqrt(sum)
	switch {
	case metric == core.Cosine && norm == 0:
		return nil, 0, core.Faultf(core.Invalid, op, "", "every dimension of the vector is 0, so it has no direction to compare by cosine")
	case metric == core.Cosine:
		for d := range values {
			values[d] /= norm
		}
	case norm > maxNorm:
		return nil, 0, core.Faultf(core.Invalid, op, "", "the length %g of the vector is above %g", norm, maxNorm)
	}
	return values, norm, nil
}

// Distance measures two vectors of the same dimensions, as an index does.
func Distance(metric core.Metric, a, b []float32) (float64, error) {
	x, err := newIndex(len(a), metric, portable)
	if err != nil {
		return 0, err
	}
	p, _, err := x.prepare("distance", a)
	if err != nil {
		return 0, err
	}
	q, _, err := x.prepare("distance", b)
	if err != nil {
		return 0, err
	}
	return distance(metric, p, func(d int) float64 { return q[d] }), nil
}

// distance sums up in the order of the dimensions, so that the result is the same everywhere.
func distance(metric core.Metric, a []float64, b func(d int) float64) float64 {
	var sum float64
	if metric == core.Cosine {
		for d, v := range a {
			sum += float64(v * b(d)) // the conversion forbids a fused step
		}
		return min(max(1-sum, 0), 2)
	}
	for d, v := range a {
		v -= b(d)
		sum += float64(v * v)
	}
	return math.Sqrt(sum)
}

// reserve makes room for a place. Blocks share segments of memory that double up to
// segmentBytes, so that small indexes stay small and large ones never move.
func (x *Index) reserve(place int) {
	if place/columns < len(x.blocks) {
		return
	}
	rows := paddedRows(x.dim)
	most := max(1, segmentBytes/(rows*columns*4))
	n := min(max(1, len(x.blocks)), most)
	memory := aligned(n * rows * columns)
	x.blocks = slices.Grow(x.blocks, n)
	for i := range n {
		x.blocks = append(x.blocks, newBlock(memory[i*rows*columns:][:rows*columns]))
	}
}

// shrink gives memory back when three quarters of it are unused.
func (x *Index) shrink() {
	used := (len(x.ids) + columns - 1) / columns
	rows := paddedRows(x.dim)
	if len(x.blocks) < 4 || used > len(x.blocks)/4 || len(x.blocks)*rows*columns*4 < segmentBytes {
		return
	}
	kept := make([]block, used)
	memory := aligned(used * rows * columns)
	for i := range kept {
		kept[i] = x.blocks[i]
		kept[i].values = memory[i*rows*columns:][:rows*columns]
		copy(kept[i].values, x.blocks[i].values)
	}
	x.blocks = kept
}
