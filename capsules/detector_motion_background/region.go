package main

import (
	"cmp"
	"math"
	"slices"
)

// region is a connected part of the picture that moves. Edges are in pixels, the far ones
// exclusive.
type region struct {
	x1, y1, x2, y2 int
	pixels         int
	excess         float64 // sum over the pixels
}

// regions gives the connected regions of the moving pixels. A pixel with fewer than five moving
// neighbours is noise, or a thin bridge between two things that move.
func regions(excess []float32, w, h int) []region {
	solid := make([]bool, w*h)
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*w + x
			if excess[i] > 0 && neighbours(excess, i, w) >= 5 {
				solid[i] = true
			}
		}
	}
	var found []region
	var stack []int
	for start, s := range solid {
		if !s {
			continue
		}
		r := region{x1: w, y1: h}
		solid[start] = false
		stack = append(stack[:0], start)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			r.add(i%w, i/w, excess[i])
			stack = spread(stack, solid, i, w, h)
		}
		found = append(found, r)
	}
	return found
}

func neighbours(excess []float32, i, w int) (n int) {
	for _, row := range [3][]float32{excess[i-w-1 : i-w+2], excess[i-1 : i+2], excess[i+w-1 : i+w+2]} {
		for _, e := range row {
			if e > 0 {
				n++
			}
		}
	}
	return n - 1
}

// spread puts the solid pixels beside i on the stack and clears them.
func spread(stack []int, solid []bool, i, w, h int) []int {
	x, y := i%w, i/w
	for ny := max(y-1, 0); ny <= min(y+1, h-1); ny++ {
		for nx := max(x-1, 0); nx <= min(x+1, w-1); nx++ {
			if j := ny*w + nx; solid[j] {
				solid[j] = false
				stack = append(stack, j)
			}
		}
	}
	return stack
}

func (r *region) add(x, y int, excess float32) {
	r.x1, r.y1 = min(r.x1, x), min(r.y1, y)
	r.x2, r.y2 = max(r.x2, x+1), max(r.y2, y+1)
	r.pixels++
	r.excess += float64(excess)
}

// joined merges the regions of at least some pixels whose boxes are at most gap pixels apart.
// Something that stands upright (a person whose middle has the colour of the wall) may have gaps
// twice as high. What is judged are the boxes as they were found: a merged box would swallow
// whoever stands in a corner of it, and a speck between two persons would make them one.
func joined(all []region, gap int, some float64) []region {
	all = slices.DeleteFunc(all, func(r region) bool { return float64(r.pixels) < some })
	group := make([]int, len(all)) // the lowest index of those that belong together
	for i := range all {
		group[i] = i
		for j := range i {
			if from, to := group[i], group[j]; from != to && near(all[i], all[j], gap) {
				for k := range i + 1 {
					if group[k] == from || group[k] == to {
						group[k] = min(from, to)
					}
				}
			}
		}
	}
	var whole []region
	for i, r := range all {
		if group[i] == i {
			for j := i + 1; j < len(all); j++ {
				if group[j] == i {
					r = merged(r, all[j])
				}
			}
			whole = append(whole, r)
		}
	}
	slices.SortFunc(whole, func(a, b region) int {
		return cmp.Or(cmp.Compare(b.pixels, a.pixels), cmp.Compare(a.y1, b.y1), cmp.Compare(a.x1, b.x1))
	})
	return whole
}

// near says whether two boxes stand side by side or one above the other, not only corner to
// corner: along the other axis they share at least half of the smaller one.
func near(a, b region, gap int) bool {
	dx, dy := max(a.x1, b.x1)-min(a.x2, b.x2), max(a.y1, b.y1)-min(a.y2, b.y2)
	across := -2*dx >= min(a.x2-a.x1, b.x2-b.x1)
	along := -2*dy >= min(a.y2-a.y1, b.y2-b.y1)
	return (dx <= gap && along) || (dy <= 2*gap && across)
}

func merged(a, b region) region {
	return region{
		x1: min(a.x1, b.x1), y1: min(a.y1, b.y1), x2: max(a.x2, b.x2), y2: max(a.y2, b.y2),
		pixels: a.pixels + b.pixels, excess: a.excess + b.excess,
	}
}

// confidence grows with how much the region stands out from the noise and with its size over
// the least size asked for.
func (r region) confidence(threshold, least float64) float64 {
	strength := r.excess / float64(r.pixels) / threshold // 1 and up
	size := float64(r.pixels) / math.Max(least, 1)       // 1 and up
	return (1 - 0.5*math.Exp(1-strength)) * (1 - 0.5*math.Exp((1-size)/2))
}
