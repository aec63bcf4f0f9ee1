package assign

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func pairs(numbers ...int) (p []Pair) {
	for i := 0; i < len(numbers); i += 2 {
		p = append(p, Pair{Row: numbers[i], Col: numbers[i+1]})
	}
	return p
}

func TestSolve(t *testing.T) {
	var s Solver // one for all: what it keeps must not show
	for _, c := range []struct {
		name       string
		rows, cols int
		cost       []float64
		want       []Pair
	}{
		{"square", 3, 3, []float64{4, 1, 3, 2, 0, 5, 3, 2, 2}, pairs(0, 1, 1, 0, 2, 2)},
		{"more rows", 4, 3, []float64{7, 5, 9, 8, 2, 6, 4, 3, 1, 6, 9, 7}, pairs(1, 1, 2, 2, 3, 0)},
		{"nothing", 0, 3, nil, nil},
		{"more columns", 2, 3, []float64{1, 2, 3, 2, 4, 6}, pairs(0, 1, 1, 0)},
		{"no columns", 3, 0, nil, nil},
		{"negative", 2, 2, []float64{-1, -5, -4, -9}, pairs(0, 0, 1, 1)},
		{"forbidden", 2, 2, []float64{math.Inf(1), 1, 1, math.Inf(1)}, pairs(0, 1, 1, 0)},
		{"not a number", 2, 2, []float64{math.NaN(), 1, 1, math.NaN()}, pairs(0, 1, 1, 0)},
		{"all forbidden", 2, 2, slices.Repeat([]float64{math.Inf(1)}, 4), pairs(0, 0, 1, 1)},
		{"wanted at any price", 2, 2, []float64{0, math.Inf(-1), 0, 0}, pairs(0, 1, 1, 0)},
		{"one", 1, 1, []float64{7}, pairs(0, 0)},
	} {
		if got := s.Solve(c.cost, c.rows, c.cols); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWithin(t *testing.T) {
	var s Solver
	for _, c := range []struct {
		name       string
		rows, cols int
		cost       []float64
		limit      float64
		want       []Pair
	}{
		{"both", 2, 2, []float64{0.1, 0.2, 0.15, 0.9}, 0.5, pairs(0, 1, 1, 0)},
		{"one stays alone", 2, 2, []float64{0.1, 0.9, 0.2, 0.95}, 0.5, pairs(0, 0)},
		{"alone is cheaper than a bad pair", 2, 2, []float64{0.1, 0.49, 0.49, 2}, 0.5, pairs(0, 0)},
		{"at the limit", 1, 1, []float64{0.5}, 0.5, nil},
		{"not a number", 1, 2, []float64{math.NaN(), 0.4}, 0.5, pairs(0, 1)},
		{"nothing", 0, 0, nil, 0.5, nil},
	} {
		if got := s.Within(c.cost, c.rows, c.cols, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestTurned: rows and columns exchanged give the same total.
func TestTurned(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	var s Solver
	for range 200 {
		rows, cols := 1+r.IntN(30), 1+r.IntN(30)
		cost, turned := make([]float64, rows*cols), make([]float64, rows*cols)
		for i := range cost {
			cost[i] = r.NormFloat64()
			turned[i%cols*rows+i/cols] = cost[i]
		}
		a, b := 0.0, 0.0
		used := map[int]bool{}
		first := slices.Clone(s.Solve(cost, rows, cols))
		for _, p := range first {
			a += cost[p.Row*cols+p.Col]
			used[p.Col] = true
		}
		for _, p := range s.Solve(turned, cols, rows) {
			b += turned[p.Row*rows+p.Col]
		}
		if math.Abs(a-b) > 1e-9 || len(first) != min(rows, cols) || len(used) != len(first) {
			t.Fatalf("%dx%d: total %v and turned %v, %d pairs, %d columns", rows, cols, a, b, len(first), len(used))
		}
	}
}
