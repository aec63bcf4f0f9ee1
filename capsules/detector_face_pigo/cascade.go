package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
)

// cascade is pigo's face classifier: trees of pixel comparisons whose leaves add up to a score.
// It decides as pigo's own code does (a test compares them); the places of the pixels are
// worked out once for each window size instead of for each window, which makes it several times as fast.
type cascade struct {
	depth int       // of each tree
	codes []int8    // row, column, row, column of each comparison, in 1/256 of the window
	leaf  []float32 // 1<<depth for each tree
	limit []float32 // a score at or below it after this tree is no face

	mu     sync.Mutex
	scaled map[view]*window
}

// view is a way to look at a picture: a window size in pixels, the picture's stride, and how
// the face is turned.
type view struct {
	size, stride int
	tilt         int  // degrees, clockwise
	mirrored     bool // the classifier's left is the picture's right
}

// window is the cascade laid out for a view.
type window struct {
	offsets    []int32 // of both pixels of each comparison, from the window's centre
	rows, cols int     // the farthest that offsets reach from the centre
}

// maxViews bounds the memory for laid out cascades, 240 kB each. One resolution needs about 50
// for upright faces.
const maxViews = 400

// newCascade reads pigo's facefinder format: 8 bytes to skip, depth, number of trees, then for
// each tree the comparisons, the leaves and the limit, little-endian.
func newCascade(data []byte) (*cascade, error) {
	if len(data) < 16 {
		return nil, fmt.Errorf("cascade: %d bytes have no header", len(data))
	}
	depth, trees := int(binary.LittleEndian.Uint32(data[8:])), int(binary.LittleEndian.Uint32(data[12:]))
	if depth < 1 || depth > 12 || trees < 1 || trees > 1<<14 {
		return nil, fmt.Errorf("cascade: %d trees of depth %d", trees, depth)
	}
	leaves := 1 << depth
	each := 4*(leaves-1) + 4*leaves + 4
	if len(data) != 16+trees*each {
		return nil, fmt.Errorf("cascade: %d bytes, want %d for %d trees of depth %d", len(data), 16+trees*each, trees, depth)
	}
	c := &cascade{depth: depth, scaled: map[view]*window{}}
	for t := range trees {
		p := data[16+t*each:]
		c.codes = append(c.codes, 0, 0, 0, 0) // nodes count from 1
		for _, b := range p[:4*(leaves-1)] {
			c.codes = append(c.codes, int8(b))
		}
		p = p[4*(leaves-1):]
		for i := range leaves {
			c.leaf = append(c.leaf, math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:])))
		}
		c.limit = append(c.limit, math.Float32frombits(binary.LittleEndian.Uint32(p[4*leaves:])))
	}
	return c, nil
}

// at gives the cascade laid out for v. Several goroutines may call it.
func (c *cascade) at(v view) *window {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.scaled[v]; w != nil {
		return w
	}
	if len(c.scaled) >= maxViews {
		clear(c.scaled)
	}
	w := c.layOut(v)
	c.scaled[v] = w
	return w
}

func (c *cascade) layOut(v view) *window {
	w := &window{offsets: make([]int32, 0, len(c.codes)/2)}
	sin, cos := math.Sincos(float64(v.tilt) * math.Pi / 180)
	for i := 0; i < len(c.codes); i += 2 {
		row, col := int(c.codes[i])*v.size>>8, int(c.codes[i+1])*v.size>>8
		if v.mirrored {
			col = -col
		}
		if v.tilt != 0 {
			y, x := float64(row), float64(col)
			row, col = int(math.Round(x*sin+y*cos)), int(math.Round(x*cos-y*sin))
		}
		w.rows, w.cols = max(w.rows, abs(row)), max(w.cols, abs(col))
		w.offsets = append(w.offsets, int32(row*v.stride+col))
	}
	return w
}

func abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}

// score gives how much the window around pix[centre] is a face, 0 for none. The whole window
// lies within the picture: see window.rows and window.cols.
func (c *cascade) score(w *window, pix []byte, centre int) float32 {
	return c.rest(w, pix, centre, 0, 0)
}

// rest goes on from tree first with the sum of those before.
func (c *cascade) rest(w *window, pix []byte, centre, first int, sum float32) float32 {
	leaves := 1 << c.depth
	for t := first; t < len(c.limit); t++ {
		tree := w.offsets[2*leaves*t : 2*leaves*(t+1)]
		node := 1
		for node < leaves {
			node = next(tree, pix, centre, node)
		}
		sum += c.leaf[leaves*t+node-leaves]
		if sum <= c.limit[t] {
			return 0
		}
	}
	return sum - c.limit[len(c.limit)-1]
}

// next gives the child of a node, without a branch: it could not be predicted.
func next(tree []int32, pix []byte, centre, node int) int {
	pair := tree[2*node : 2*node+2 : 2*node+2]
	darker := int(pix[centre+int(pair[1])]) - int(pix[centre+int(pair[0])])
	return 2*node + 1 + darker>>63
}

// together is how many trees score4 does for four windows side by side: most windows are
// refused by then.
const together = 6

// score4 is score of the windows around centre, centre+step, centre+2·step and centre+3·step.
// A step down a tree waits for three loads, one after the other; four windows wait together,
// which halves the time of a search.
func (c *cascade) score4(w *window, pix []byte, centre, step int) (scores [4]float32) {
	var sum [4]float32
	alive := [4]bool{true, true, true, true}
	leaves := 1 << c.depth
	at1, at2, at3 := centre+step, centre+2*step, centre+3*step
	for t := range min(together, len(c.limit)) {
		tree := w.offsets[2*leaves*t : 2*leaves*(t+1)]
		a, b, d, e := 1, 1, 1, 1
		for a < leaves {
			a, b = next(tree, pix, centre, a), next(tree, pix, at1, b)
			d, e = next(tree, pix, at2, d), next(tree, pix, at3, e)
		}
		leaf, limit, any := c.leaf[leaves*t:leaves*(t+1)], c.limit[t], false
		for i, node := range [4]int{a, b, d, e} {
			sum[i] += leaf[node-leaves]
			alive[i] = alive[i] && sum[i] > limit
			any = any || alive[i]
		}
		if !any {
			return scores
		}
	}
	for i, at := range [4]int{centre, at1, at2, at3} {
		if alive[i] {
			scores[i] = c.rest(w, pix, at, min(together, len(c.limit)), sum[i])
		}
	}
	return scores
}
