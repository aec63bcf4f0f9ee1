package tensor

import (
	"cmp"
	"math"
	"slices"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/assign"
)

// Intersection gives the area that two boxes share.
func Intersection(a, b sdk.Box) float64 {
	w := math.Min(a.X2, b.X2) - math.Max(a.X1, b.X1)
	h := math.Min(a.Y2, b.Y2) - math.Max(a.Y1, b.Y1)
	return math.Max(w, 0) * math.Max(h, 0)
}

// IoU gives intersection over union, 0 where the union has no area.
func IoU(a, b sdk.Box) float64 {
	common := Intersection(a, b)
	union := a.Area() + b.Area() - common
	if !(union > 0) {
		return 0
	}
	return common / union
}

// Matrix is a matrix of costs, row by row.
type Matrix struct {
	Rows, Cols int
	Data       []float64
}

// At gives the entry in row r, column c.
func (m Matrix) At(r, c int) float64 { return m.Data[r*m.Cols+c] }

// IoUCost gives 1-IoU of every a (row) with every b (column); either may be empty.
func IoUCost(a, b []sdk.Box) Matrix {
	m := Matrix{Rows: len(a), Cols: len(b), Data: make([]float64, 0, len(a)*len(b))}
	for _, x := range a {
		for _, y := range b {
			m.Data = append(m.Data, 1-IoU(x, y))
		}
	}
	return m
}

// Pair says that a row goes with a column.
type Pair = assign.Pair

// Assign gives the min(rows, columns) pairs of least total cost, sorted by row. It takes
// O(n³): 500 by 500 take some ten milliseconds.
func Assign(cost Matrix) []Pair {
	var s assign.Solver
	return slices.Clone(s.Solve(cost.Data, cost.Rows, cost.Cols))
}

// AssignWithin gives the pairs that cost less than limit, chosen so that their costs, and limit
// for every pair left apart, add up to the least.
func AssignWithin(cost Matrix, limit float64) []Pair {
	var s assign.Solver
	return slices.Clone(s.Within(cost.Data, cost.Rows, cost.Cols, limit))
}

// NMS gives the indices of the boxes that stay, best score first: a box goes when its IoU with
// a better one that stays is above limit. With classes (one for each box; nil: all are alike)
// only boxes of one class suppress each other. Scores that are NaN come last.
func NMS(boxes []sdk.Box, scores []float64, classes []int, limit float64) []int {
	return suppress(ranked(len(boxes), func(i int) float64 { return at(scores, i) }), func(better, worse int) bool {
		if classes != nil && classes[better] != classes[worse] {
			return false
		}
		return IoU(boxes[better], boxes[worse]) > limit
	})
}

// OverlapNMS is the suppression of the older Python SDK, kept so that results agree: the overlap
// is the intersection as a share of the worse box, pixels count from edge to edge inclusive (so
// that boxes touch at a shared edge), and classes do not matter. Without scores (nil) the boxes
// whose lower edge is lowest come first.
func OverlapNMS(boxes []sdk.Box, scores []float64, limit float64) []int {
	rank := func(i int) float64 { return at(scores, i) }
	if scores == nil {
		rank = func(i int) float64 { return boxes[i].Y2 }
	}
	wide := func(b sdk.Box) sdk.Box { return sdk.Box{X1: b.X1, Y1: b.Y1, X2: b.X2 + 1, Y2: b.Y2 + 1} }
	return suppress(ranked(len(boxes), rank), func(better, worse int) bool {
		w := wide(boxes[worse])
		area := w.Area()
		return area > 0 && Intersection(wide(boxes[better]), w)/area > limit
	})
}

func at(scores []float64, i int) float64 {
	if i >= len(scores) || math.IsNaN(scores[i]) {
		return math.Inf(-1)
	}
	return scores[i]
}

// ranked gives 0..n-1 by descending score; equals keep their order.
func ranked(n int, score func(int) float64) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score(b), score(a)) })
	return order
}

func suppress(order []int, covers func(better, worse int) bool) []int {
	kept := make([]int, 0, len(order))
	for _, i := range order {
		if !slices.ContainsFunc(kept, func(k int) bool { return covers(k, i) }) {
			kept = append(kept, i)
		}
	}
	return kept
}

// SizeFilter keeps boxes by size. Limits are inclusive; a zero limit does not filter.
type SizeFilter struct {
	MinSide, MaxSide float64 // of the shorter and the longer side, pixels
	MinArea, MaxArea float64 // square pixels
}

// Keeps says whether b is within the limits.
func (s SizeFilter) Keeps(b sdk.Box) bool {
	short, long := math.Min(b.Width(), b.Height()), math.Max(b.Width(), b.Height())
	return short >= s.MinSide && b.Area() >= s.MinArea && (s.MaxSide == 0 || long <= s.MaxSide) && (s.MaxArea == 0 || b.Area() <= s.MaxArea)
}
