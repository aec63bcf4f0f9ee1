// Package assign solves the linear assignment problem: who goes with whom at the least total cost.
package assign

import "math"

// Pair says that a row goes with a column.
type Pair struct{ Row, Col int }

// Solver finds assignments and keeps its working memory between them. The zero value is ready;
// it is for one goroutine at a time.
type Solver struct {
	u, v, least []float64 // prices of rows and columns; cheapest way to a column so far
	of, from    []int     // row of a column; column before it on that way
	done        []bool
	turned      []float64
	capped      []float64
	pairs       []Pair
}

// Solve gives the min(rows, cols) pairs of least total cost, sorted by row. cost has rows*cols
// entries, row by row; NaN and infinity count as a cost above every other. It takes
// O(min² · max). The pairs are valid until the next call.
func (s *Solver) Solve(cost []float64, rows, cols int) []Pair {
	s.pairs = s.pairs[:0]
	if rows == 0 || cols == 0 {
		return s.pairs
	}
	cost = s.clean(cost[:rows*cols])
	if rows <= cols {
		s.run(cost, rows, cols)
		s.collect(rows, cols, false)
		return s.pairs
	}
	s.turned = grow(s.turned, rows*cols)
	for r := range rows {
		for c := range cols {
			s.turned[c*rows+r] = cost[r*cols+c]
		}
	}
	s.run(s.turned, cols, rows)
	s.collect(cols, rows, true)
	return s.pairs
}

// Within gives the pairs that cost less than limit, chosen so that pairs and limit for each
// row (or column) left alone add up to the least. It is Solve with a choice to stay alone.
func (s *Solver) Within(cost []float64, rows, cols int, limit float64) []Pair {
	s.capped = grow(s.capped, rows*cols)
	capped := s.capped
	for i, c := range cost[:rows*cols] {
		capped[i] = limit
		if c < limit {
			capped[i] = c
		}
	}
	kept := s.Solve(capped, rows, cols)[:0]
	for _, p := range s.pairs {
		if capped[p.Row*cols+p.Col] < limit {
			kept = append(kept, p)
		}
	}
	return kept
}

// clean replaces what is no finite cost; without any it gives cost itself.
func (s *Solver) clean(cost []float64) []float64 {
	highest, bad := 0.0, false
	for _, c := range cost {
		if math.IsNaN(c) || math.IsInf(c, 0) {
			bad = true
		} else {
			highest = max(highest, math.Abs(c))
		}
	}
	if !bad {
		return cost
	}
	clean := make([]float64, len(cost))
	for i, c := range cost {
		switch {
		case math.IsInf(c, -1):
			clean[i] = -1e3 * (highest + 1)
		case math.IsNaN(c) || math.IsInf(c, 1):
			clean[i] = 1e3 * (highest + 1)
		default:
			clean[i] = c
		}
	}
	return clean
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// run is the shortest augmenting path method for rows <= cols, with rows and columns counted
// from 1 and column 0 as the start of every path.
func (s *Solver) run(cost []float64, rows, cols int) {
	s.u, s.v = grow(s.u, rows+1), grow(s.v, cols+1)
	s.least, s.done = grow(s.least, cols+1), grow(s.done, cols+1)
	s.of, s.from = grow(s.of, cols+1), grow(s.from, cols+1)
	for r := 1; r <= rows; r++ {
		s.augment(cost, r, cols)
	}
}

// augment gives row r a column, moving other rows along the cheapest path.
func (s *Solver) augment(cost []float64, r, cols int) {
	for c := range s.least {
		s.least[c], s.done[c] = math.Inf(1), false
	}
	s.of[0] = r
	at := 0
	for s.of[at] != 0 {
		s.done[at] = true
		next, step := 0, math.Inf(1)
		row := s.of[at]
		line := cost[(row-1)*cols : row*cols]
		for c := 1; c <= cols; c++ {
			if s.done[c] {
				continue
			}
			if reduced := line[c-1] - s.u[row] - s.v[c]; reduced < s.least[c] {
				s.least[c], s.from[c] = reduced, at
			}
			if s.least[c] < step {
				next, step = c, s.least[c]
			}
		}
		for c := 0; c <= cols; c++ {
			if s.done[c] {
				s.u[s.of[c]] += step
				s.v[c] -= step
			} else {
				s.least[c] -= step
			}
		}
		at = next
	}
	for at != 0 {
		before := s.from[at]
		s.of[at] = s.of[before]
		at = before
	}
}

// collect reads the pairs off, sorted by the caller's row.
func (s *Solver) collect(rows, cols int, turned bool) {
	if turned { // the solver's columns are the caller's rows
		for c := 1; c <= cols; c++ {
			if s.of[c] != 0 {
				s.pairs = append(s.pairs, Pair{Row: c - 1, Col: s.of[c] - 1})
			}
		}
		return
	}
	if cap(s.pairs) < rows {
		s.pairs = make([]Pair, rows)
	}
	s.pairs = s.pairs[:rows]
	for c := 1; c <= cols; c++ {
		if r := s.of[c]; r != 0 {
			s.pairs[r-1] = Pair{Row: r - 1, Col: c - 1}
		}
	}
}
