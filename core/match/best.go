package match

import (
	"cmp"
	"slices"
)

// best keeps the k best answers: a heap with the worst on top.
type best struct {
	k     int
	bound float64 // the threshold, and once there are k the worst distance of them
	heap  []Match
}

func worse(a, b Match) bool {
	return a.Distance > b.Distance || a.Distance == b.Distance && a.ID > b.ID
}

// offer takes an answer, if it is one of the best so far.
func (b *best) offer(m Match) {
	switch {
	case m.Distance > b.bound:
		return
	case len(b.heap) < b.k:
		b.heap = append(b.heap, m)
		b.up(len(b.heap) - 1)
	case !worse(b.heap[0], m):
		return
	default:
		b.heap[0] = m
		b.down(0)
	}
	if len(b.heap) == b.k {
		b.bound = b.heap[0].Distance
	}
}

func (b *best) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !worse(b.heap[i], b.heap[parent]) {
			return
		}
		b.heap[i], b.heap[parent] = b.heap[parent], b.heap[i]
		i = parent
	}
}

func (b *best) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(b.heap) {
			return
		}
		if child+1 < len(b.heap) && worse(b.heap[child+1], b.heap[child]) {
			child++
		}
		if !worse(b.heap[child], b.heap[i]) {
			return
		}
		b.heap[i], b.heap[child] = b.heap[child], b.heap[i]
		i = child
	}
}

// merge takes the answers of another part over.
func (b *best) merge(other best) {
	for _, m := range other.heap {
		b.offer(m)
	}
}

// sorted gives the answers, the nearest first.
func (b *best) sorted() []Match {
	slices.SortFunc(b.heap, func(x, y Match) int {
		return cmp.Or(cmp.Compare(x.Distance, y.Distance), cmp.Compare(x.ID, y.ID))
	})
	return b.heap
}
