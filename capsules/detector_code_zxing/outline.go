package main

import (
	"image"
	"math"
	"slices"

	"github.com/capstan-video/capstan/sdk"
	"github.com/makiuchi-d/gozxing"
)

func point(p gozxing.ResultPoint) sdk.Point { return sdk.Point{X: p.GetX(), Y: p.GetY()} }

// between gives the two points that lie farthest apart.
func between(points []gozxing.ResultPoint) (p, q sdk.Point) {
	far := -1.0
	for i, a := range points {
		for _, b := range points[i+1:] {
			if d := math.Hypot(a.GetX()-b.GetX(), a.GetY()-b.GetY()); d > far {
				far, p, q = d, point(a), point(b)
			}
		}
	}
	return p, q
}

// hull gives the points in the order in which they lie around their middle.
func hull(points []gozxing.ResultPoint) sdk.Polygon {
	var outline sdk.Polygon
	var x, y float64
	for _, p := range points {
		if p == nil {
			continue
		}
		outline = append(outline, point(p))
		x, y = x+p.GetX(), y+p.GetY()
	}
	x, y = x/float64(len(outline)), y/float64(len(outline))
	slices.SortStableFunc(outline, func(a, b sdk.Point) int {
		return int(math.Copysign(1, math.Atan2(a.Y-y, a.X-x)-math.Atan2(b.Y-y, b.X-x)))
	})
	return outline
}

// squareOutline gives the corners of a QR code. Its points are the middles of the three finder
// patterns (bottom left, top left, top right), 3.5 modules away from its edges.
func squareOutline(g *image.Gray, points []gozxing.ResultPoint) sdk.Polygon {
	if len(points) < 3 {
		return hull(points)
	}
	bottom, corner, right := point(points[0]), point(points[1]), point(points[2])
	x := sdk.Point{X: right.X - corner.X, Y: right.Y - corner.Y}
	y := sdk.Point{X: bottom.X - corner.X, Y: bottom.Y - corner.Y}
	m := 3.5 * moduleShare(g, corner, x)
	at := func(u, v float64) sdk.Point {
		return sdk.Point{X: corner.X + u*x.X + v*y.X, Y: corner.Y + u*x.Y + v*y.Y}
	}
	return sdk.Polygon{at(-m, -m), at(1+m, -m), at(1+m, 1+m), at(-m, 1+m)}
}

// moduleShare gives the size of a module as a share of the way across, from the middle of one
// finder pattern to the next. The dark core of a pattern ends 1.5 modules from its middle. A
// code has 21 to 177 modules, so that the way is 14 to 170 of them.
func moduleShare(g *image.Gray, from, way sdk.Point) float64 {
	const fewest, most = 14.0, 170.0
	dark := luminance(g, from.X, from.Y)
	bright := dark
	for s := 0.0; s < 2.5/fewest; s += 0.25 / most {
		bright = max(bright, luminance(g, from.X+s*way.X, from.Y+s*way.Y))
	}
	for s := 0.0; s < 2.5/fewest; s += 0.25 / most {
		if luminance(g, from.X+s*way.X, from.Y+s*way.Y) > (dark+bright)/2 {
			return min(max(s/1.5, 1/most), 1/fewest)
		}
	}
	return 1 / fewest
}

// luminance gives the pixel at x, y, or the nearest one of the picture.
func luminance(g *image.Gray, x, y float64) int {
	px, py := min(max(int(x), 0), g.Rect.Dx()-1), min(max(int(y), 0), g.Rect.Dy()-1)
	return int(g.Pix[py*g.Stride+px])
}

// samples is how many pixels of a bar code's line are compared with the lines beside it.
const samples = 64

// barOutline gives the rectangle of a bar code that was read on the line from p to q: as far to
// both sides as the lines look alike.
func barOutline(g *image.Gray, p, q sdk.Point) sdk.Polygon {
	length := math.Max(math.Hypot(q.X-p.X, q.Y-p.Y), 1)
	n := sdk.Point{X: -(q.Y - p.Y) / length, Y: (q.X - p.X) / length}
	line := profile(g, p, q)
	reach := func(side float64) float64 {
		k := 1.0
		for misses := 0; misses < 3 && k < length; k++ {
			d := side * k
			if alike(line, profile(g, sdk.Point{X: p.X + d*n.X, Y: p.Y + d*n.Y}, sdk.Point{X: q.X + d*n.X, Y: q.Y + d*n.Y})) {
				misses = 0
			} else {
				misses++
			}
		}
		return side * max(k-3, 1)
	}
	up, down := reach(-1), reach(1)
	at := func(o sdk.Point, d float64) sdk.Point { return sdk.Point{X: o.X + d*n.X, Y: o.Y + d*n.Y} }
	return sdk.Polygon{at(p, up), at(q, up), at(q, down), at(p, down)}
}

func profile(g *image.Gray, p, q sdk.Point) (line [samples]float64) {
	for i := range line {
		t := (float64(i) + 0.5) / samples
		line[i] = float64(luminance(g, p.X+t*(q.X-p.X), p.Y+t*(q.Y-p.Y)))
	}
	return line
}

// alike says whether two lines correlate by more than 0.7.
func alike(a, b [samples]float64) bool {
	var sa, sb, aa, bb, ab float64
	for i := range a {
		sa, sb = sa+a[i], sb+b[i]
		aa, bb, ab = aa+a[i]*a[i], bb+b[i]*b[i], ab+a[i]*b[i]
	}
	va, vb := aa-sa*sa/samples, bb-sb*sb/samples
	return va > 0 && vb > 0 && ab-sa*sb/samples > 0.7*math.Sqrt(va*vb)
}
