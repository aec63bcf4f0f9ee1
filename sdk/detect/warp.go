// Package detect is what capsules with networks share around a network: pictures cut, warped and
// normalised into its input, and its output decoded into boxes, points and text.
//
// Places in a picture are measured as everywhere, from the corner of the first pixel. A Warp
// alone counts pixels: the centre of the first one is (0, 0).
package detect

import (
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// Warp maps a pixel of a network's input to a pixel of the picture: a 3x3 projective matrix by
// rows, of which the last is 0, 0, 1 where parallels stay parallel.
type Warp [9]float64

// At gives the pixel of the picture for one of the input; both may lie between pixels.
func (w *Warp) At(x, y float64) (px, py float64) {
	px, py = w[0]*x+w[1]*y+w[2], w[3]*x+w[4]*y+w[5]
	if z := w[6]*x + w[7]*y + w[8]; z != 1 {
		px, py = px/z, py/z
	}
	return px, py
}

// Cut maps an input of w by h pixels onto a box of the picture, whatever its aspect.
func Cut(box sdk.Box, w, h int) Warp {
	sx, sy := box.Width()/float64(w), box.Height()/float64(h)
	return Warp{sx, 0, box.X1 + sx/2 - 0.5, 0, sy, box.Y1 + sy/2 - 0.5, 0, 0, 1}
}

// Letterbox fits a picture of pw by ph into the top left of an input of w by h, its aspect kept.
// scale is input pixels for one of the picture: a place in the input divided by it is one in the
// picture.
func Letterbox(pw, ph, w, h int) (warp Warp, scale float64) {
	scale = math.Min(float64(w)/float64(pw), float64(h)/float64(ph))
	off := 0.5/scale - 0.5
	return Warp{1 / scale, 0, off, 0, 1 / scale, off, 0, 0, 1}, scale
}

// Align gives the rotation, scale and shift that bring the points of an input closest to those of
// a picture, by least squares. There are as many of both; fewer than two, or all in one place,
// give false.
func Align(input, picture []sdk.Point) (Warp, bool) {
	n := len(input)
	if n < 2 || len(picture) != n {
		return Warp{}, false
	}
	ci, cp := middle(input), middle(picture)
	var dot, cross, norm float64
	for k := range n {
		ix, iy := input[k].X-ci.X, input[k].Y-ci.Y
		px, py := picture[k].X-cp.X, picture[k].Y-cp.Y
		dot, cross, norm = dot+ix*px+iy*py, cross+ix*py-iy*px, norm+ix*ix+iy*iy
	}
	a, b := dot/norm, cross/norm
	if !(math.Hypot(a, b) > 1e-9) || math.IsInf(a, 0) || math.IsInf(b, 0) {
		return Warp{}, false
	}
	return Warp{a, -b, cp.X - a*ci.X + b*ci.Y, b, a, cp.Y - b*ci.X - a*ci.Y, 0, 0, 1}, true
}

func middle(points []sdk.Point) (m sdk.Point) {
	for _, p := range points {
		m.X, m.Y = m.X+p.X/float64(len(points)), m.Y+p.Y/float64(len(points))
	}
	return m
}

// Straighten maps an input of w by h onto a four-cornered outline of the picture, its corners
// clockwise from the top left. Corners of which three lie on a line give false.
func Straighten(corners []sdk.Point, w, h int) (Warp, bool) {
	if len(corners) != 4 {
		return Warp{}, false
	}
	for i := range 4 {
		a, b, c := corners[i], corners[(i+1)%4], corners[(i+2)%4]
		if turn := (b.X-a.X)*(c.Y-b.Y) - (b.Y-a.Y)*(c.X-b.X); !(turn > 1e-6) {
			return Warp{}, false
		}
	}
	// The unit square onto the corners, in closed form; then the input onto the unit square.
	p0, p1, p2, p3 := corners[0], corners[1], corners[2], corners[3]
	sx, sy := p0.X-p1.X+p2.X-p3.X, p0.Y-p1.Y+p2.Y-p3.Y
	dx1, dy1, dx2, dy2 := p1.X-p2.X, p1.Y-p2.Y, p3.X-p2.X, p3.Y-p2.Y
	det := dx1*dy2 - dx2*dy1
	g, k := (sx*dy2-dx2*sy)/det, (dx1*sy-sx*dy1)/det
	unit := Warp{p1.X - p0.X + g*p1.X, p3.X - p0.X + k*p3.X, p0.X, p1.Y - p0.Y + g*p1.Y, p3.Y - p0.Y + k*p3.Y, p0.Y, g, k, 1}
	u, v := 1/float64(w), 1/float64(h)
	warp := product(unit, Warp{u, 0, u / 2, 0, v, v / 2, 0, 0, 1})
	return product(Warp{1, 0, -0.5, 0, 1, -0.5, 0, 0, 1}, warp), true
}

// product gives b, then a.
func product(a, b Warp) (c Warp) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				c[3*i+j] += a[3*i+k] * b[3*k+j]
			}
		}
	}
	return c
}

// steps gives how many pixels of the picture one of an input of width by height spans in x and y
// at its middle, whole numbers from 1 to 32: so many are averaged before anything is interpolated.
func (w *Warp) steps(width, height int) (kx, ky int) {
	cx, cy := float64(width-1)/2, float64(height-1)/2
	x, y := w.At(cx, cy)
	rx, ry := w.At(cx+1, cy)
	dx, dy := w.At(cx, cy+1)
	if ry == y && dx == x {
		return whole(math.Abs(rx - x)), whole(math.Abs(dy - y))
	}
	k := whole(math.Min(math.Hypot(rx-x, ry-y), math.Hypot(dx-x, dy-y)))
	return k, k
}

func whole(s float64) int {
	if !(s > 1) { // not a number counts as 1 too
		return 1
	}
	return int(math.Min(s+1e-6, 32))
}

// Grow gives the box with its sides multiplied by factor, about its middle.
func Grow(b sdk.Box, factor float64) sdk.Box {
	dx, dy := b.Width()*(factor-1)/2, b.Height()*(factor-1)/2
	return sdk.Box{X1: b.X1 - dx, Y1: b.Y1 - dy, X2: b.X2 + dx, Y2: b.Y2 + dy}
}

// Within cuts the box off at the edges of a picture; false where nothing of at least a pixel in
// both directions is left.
func Within(b sdk.Box, w, h int) (sdk.Box, bool) {
	b = sdk.Box{X1: math.Max(b.X1, 0), Y1: math.Max(b.Y1, 0), X2: math.Min(b.X2, float64(w)), Y2: math.Min(b.Y2, float64(h))}
	return b, b.Width() >= 1 && b.Height() >= 1
}

// Whole gives the box as programs in whole pixels have it: place and size each rounded down.
func Whole(b sdk.Box) sdk.Box {
	x, y := math.Floor(b.X1), math.Floor(b.Y1)
	return sdk.Box{X1: x, Y1: y, X2: x + math.Floor(b.Width()), Y2: y + math.Floor(b.Height())}
}
