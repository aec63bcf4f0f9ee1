package zones

import (
	"math"
	"slices"

	"github.com/capstan-video/capstan/core"
)

// side is positive to the right of the way from a to b (y points down), negative to the left.
func side(a, b, p core.Point) float64 { return (b.X-a.X)*(p.Y-a.Y) - (b.Y-a.Y)*(p.X-a.X) }

// crosses says whether the step from p to q goes over the segment from a to b: 1 to its right,
// -1 to its left, 0 not. A point on the line counts as to its right, and of the segment's two
// ends the first alone belongs to it, so that a step over the corner of two segments counts once.
func crosses(a, b, p, q core.Point) int {
	before, after := side(a, b, p) >= 0, side(a, b, q) >= 0
	if before == after {
		return 0
	}
	if (side(p, q, a) >= 0) == (side(p, q, b) >= 0) {
		return 0
	}
	if after {
		return 1
	}
	return -1
}

// distance gives the distance of p from the segment from a to b.
func distance(a, b, p core.Point) float64 {
	dx, dy := b.X-a.X, b.Y-a.Y
	length := dx*dx + dy*dy
	t := 0.0
	if length > 0 {
		t = min(1, max(0, ((p.X-a.X)*dx+(p.Y-a.Y)*dy)/length))
	}
	return math.Hypot(p.X-a.X-t*dx, p.Y-a.Y-t*dy)
}

// contains says whether a polygon contains a point, by the number of edges to the point's right.
func contains(p core.Polygon, at core.Point) bool {
	in := false
	j := len(p) - 1
	for i := range p {
		if (p[i].Y > at.Y) != (p[j].Y > at.Y) && at.X < (p[j].X-p[i].X)*(at.Y-p[i].Y)/(p[j].Y-p[i].Y)+p[i].X {
			in = !in
		}
		j = i
	}
	return in
}

// clears says whether a point is at least so far from every edge of an outline.
func clears(p core.Polygon, at core.Point, margin float64) bool {
	edges := len(p)
	if edges == 2 {
		edges = 1
	}
	for i := range edges {
		if distance(p[i], p[(i+1)%len(p)], at) < margin {
			return false
		}
	}
	return true
}

// passes counts how often a step goes over the edges of a polygon.
func passes(p core.Polygon, from, to core.Point) int {
	n := 0
	for i := range p {
		if crosses(p[i], p[(i+1)%len(p)], from, to) != 0 {
			n++
		}
	}
	return n
}

// touches says whether a segment and a box have a point in common.
func touches(a, b core.Point, box core.Box) bool {
	t0, t1 := 0.0, 1.0
	for _, axis := range [2][4]float64{{a.X, b.X - a.X, box.X1, box.X2}, {a.Y, b.Y - a.Y, box.Y1, box.Y2}} {
		start, step, low, high := axis[0], axis[1], axis[2], axis[3]
		if step == 0 {
			if start < low || start > high {
				return false
			}
			continue
		}
		near, far := (low-start)/step, (high-start)/step
		t0, t1 = max(t0, min(near, far)), min(t1, max(near, far))
	}
	return t0 <= t1
}

// Check says what is wrong with the outline of a zone, as a fault of kind Invalid: one point,
// points that are no numbers, a line without length, a polygon that crosses itself or is flat. A
// corner of a polygon may be given several times in a row, as a double click or a closed ring gives it.
func Check(p core.Polygon) error {
	refuse := func(format string, args ...any) error {
		f := core.Faultf(core.Invalid, "zone", "", format, args...)
		f.Hint = "give two points for a line, or three or more corners of an outline that does not cross itself"
		return f
	}
	for i, at := range p {
		if math.IsNaN(at.X) || math.IsNaN(at.Y) || math.Abs(at.X) > maxCoordinate || math.Abs(at.Y) > maxCoordinate {
			return refuse("point %d is (%v, %v)", i, at.X, at.Y)
		}
	}
	switch {
	case len(p) == 1:
		return refuse("it has one point")
	case len(p) == 2 && p[0] == p[1]:
		return refuse("both points of the line are the same")
	case len(p) > maxCorners:
		return refuse("it has %d corners, at most %d can be watched", len(p), maxCorners)
	case len(p) < 3:
		return nil
	}
	if p = corners(p); len(p) < 3 || flat(p) {
		return refuse("its %d corners lie on one line", len(p))
	}
	for i := range p {
		for j := i + 1; j < len(p); j++ {
			if meets(p, i, j) {
				return refuse("its sides %d and %d cross", i, j)
			}
		}
	}
	if area(p) == 0 {
		return refuse("it has no area")
	}
	return nil
}

// corners gives a polygon without the points that are those before them again.
func corners(p core.Polygon) core.Polygon {
	out := slices.Compact(slices.Clone(p))
	for len(out) > 1 && out[0] == out[len(out)-1] {
		out = out[:len(out)-1]
	}
	return out
}

// flat says whether all corners lie on the line of the first two.
func flat(p core.Polygon) bool {
	u := core.Point{X: p[1].X - p[0].X, Y: p[1].Y - p[0].Y}
	for _, at := range p[2:] {
		if u.X*(at.Y-p[0].Y) != u.Y*(at.X-p[0].X) {
			return false
		}
	}
	return true
}

// Bounds of an outline, far above anything that a picture has.
const (
	maxCoordinate = 1 << 20
	maxCorners    = 1000
)

func area(p core.Polygon) float64 {
	sum := 0.0
	for i, a := range p {
		b := p[(i+1)%len(p)]
		sum += a.X*b.Y - b.X*a.Y
	}
	return sum / 2
}

// meets says whether two sides of a polygon have a point in common, other than the corner
// between neighbours.
func meets(p core.Polygon, i, j int) bool {
	n := len(p)
	a, b, c, d := p[i], p[(i+1)%n], p[j], p[(j+1)%n]
	switch {
	case (i+1)%n == j: // they share b
		return onSegment(a, b, d) || onSegment(c, d, a)
	case (j+1)%n == i: // they share a
		return onSegment(a, b, c) || onSegment(c, d, b)
	}
	s1, s2, s3, s4 := side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)
	if s1*s2 < 0 && s3*s4 < 0 {
		return true
	}
	return onSegment(a, b, c) || onSegment(a, b, d) || onSegment(c, d, a) || onSegment(c, d, b)
}

func onSegment(a, b, p core.Point) bool {
	return side(a, b, p) == 0 && p.X >= min(a.X, b.X) && p.X <= max(a.X, b.X) && p.Y >= min(a.Y, b.Y) && p.Y <= max(a.Y, b.Y)
}
