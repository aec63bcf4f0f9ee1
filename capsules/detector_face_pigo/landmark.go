package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"math"
	"slices"
)

// locator is one of pigo's point finders: stages of trees of pixel comparisons that move a
// point step by step to a pupil, a nose, a corner of a mouth. pigo's own code starts from
// random places; here they are fixed, so that a picture always gives the same points.
type locator struct {
	stages, trees, depth int
	shrink               float64 // of the scale after each stage
	codes                []int8
	leaf                 []float32 // row, column; 1<<depth pairs for each tree
}

// newLocator reads pigo's puploc and lps formats: stages, shrink, trees, depth, then for each
// tree the comparisons and the leaves, little-endian.
func newLocator(data []byte) (*locator, error) {
	if len(data) < 16 {
		return nil, fmt.Errorf("locator: %d bytes have no header", len(data))
	}
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(data[i:]) }
	l := &locator{stages: int(word(0)), shrink: float64(math.Float32frombits(word(4))), trees: int(word(8)), depth: int(word(12))}
	if l.stages < 1 || l.stages > 64 || l.trees < 1 || l.trees > 1<<10 || l.depth < 1 || l.depth > 12 {
		return nil, fmt.Errorf("locator: %d stages of %d trees of depth %d", l.stages, l.trees, l.depth)
	}
	leaves := 1 << l.depth
	each := 4*(leaves-1) + 8*leaves
	if want := 16 + l.stages*l.trees*each; len(data) != want {
		return nil, fmt.Errorf("locator: %d bytes, want %d", len(data), want)
	}
	for at := 16; at < len(data); at += each {
		for _, b := range data[at : at+4*(leaves-1)] {
			l.codes = append(l.codes, int8(b))
		}
		for i := at + 4*(leaves-1); i < at+each; i += 4 {
			l.leaf = append(l.leaf, math.Float32frombits(word(i)))
		}
	}
	return l, nil
}

// spot is a place in pixels.
type spot struct{ x, y float64 }

// starts is the number of places that a search starts from; their median is the answer.
const starts = 21

// locate gives the point near from, searched in a window of about size pixels. mirrored looks
// for the same point of the other half of a face.
func (l *locator) locate(g *image.Gray, from spot, size float64, mirrored bool) spot {
	var xs, ys [starts]float64
	for i := range starts {
		dx, dy, ds := halton(i+1, 2)-0.5, halton(i+1, 3)-0.5, halton(i+1, 5)-0.5
		s := l.step(g, spot{from.x + 0.15*size*dx, from.y + 0.15*size*dy}, size*(1+0.15*ds), mirrored)
		xs[i], ys[i] = s.x, s.y
	}
	slices.Sort(xs[:])
	slices.Sort(ys[:])
	return spot{xs[starts/2], ys[starts/2]}
}

// halton gives the i-th of numbers that fill 0..1 evenly, different for each prime base.
func halton(i, base int) float64 {
	r, f := 0.0, 1.0
	for ; i > 0; i /= base {
		f /= float64(base)
		r += f * float64(i%base)
	}
	return r
}

func (l *locator) step(g *image.Gray, at spot, size float64, mirrored bool) spot {
	side := 1.0
	if mirrored {
		side = -1
	}
	leaves := 1 << l.depth
	for stage := range l.stages {
		dx, dy := 0.0, 0.0
		for t := stage * l.trees; t < (stage+1)*l.trees; t++ {
			leaf := l.walk(g, t, at, int(math.Round(size)), int(side))
			pair := l.leaf[2*(leaves*t+leaf):]
			dy, dx = dy+float64(pair[0]), dx+side*float64(pair[1])
		}
		at.x, at.y = at.x+dx*size, at.y+dy*size
		size *= l.shrink
	}
	return at
}

// walk goes down one tree and gives the number of the leaf.
func (l *locator) walk(g *image.Gray, tree int, at spot, size, side int) int {
	leaves := 1 << l.depth
	codes := l.codes[4*(leaves-1)*tree:]
	x, y := int(at.x), int(at.y)
	pixel := func(row, col int8) uint8 {
		py := min(max(y+int(row)*size>>8, 0), g.Rect.Dy()-1)
		px := min(max(x+side*int(col)*size>>8, 0), g.Rect.Dx()-1)
		return g.Pix[py*g.Stride+px]
	}
	node := 0
	for node < leaves-1 {
		c := codes[4*node : 4*node+4]
		node = 2*node + 1
		if pixel(c[0], c[1]) > pixel(c[2], c[3]) {
			node++
		}
	}
	return node - (leaves - 1)
}

// points finds eyes, nose and corners of the mouth of f. Left and right are the picture's.
func (m *models) points(g *image.Gray, f face) map[string]spot {
	sin, cos := math.Sincos(float64(f.tilt) * math.Pi / 180)
	on := func(dx, dy float64) spot {
		return spot{f.x + f.size*(dx*cos-dy*sin), f.y + f.size*(dx*sin+dy*cos)}
	}
	left := m.pupil.locate(g, on(-0.175, -0.075), 0.25*f.size, false)
	right := m.pupil.locate(g, on(0.185, -0.075), 0.25*f.size, false)
	apart := math.Hypot(right.x-left.x, right.y-left.y)
	middle := spot{(left.x+right.x)/2 + 0.15*apart, (left.y+right.y)/2 + 0.25*apart}
	return map[string]spot{
		"left_eye": left, "right_eye": right,
		"nose":        m.nose.locate(g, middle, 3*apart, false),
		"mouth_left":  m.mouth.locate(g, middle, 3*apart, false),
		"mouth_right": m.mouth.locate(g, middle, 3*apart, true),
	}
}
