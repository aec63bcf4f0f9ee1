package main

import (
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// The colours, in the order of the declared values.
const (
	black = iota
	white
	gray
	red
	orange
	yellow
	green
	blue
	purple
	pink
	brown
	colors
)

var names = [colors]string{"black", "white", "gray", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown"}

// patch is the part of the picture that is looked at; far edges are exclusive.
type patch struct{ x1, y1, x2, y2 int }

// patchOf gives the inner part of a box within a picture, at least one pixel: the nearest one
// for a box outside. inside says whether box and picture have anything in common; ok is false
// for a box that is no box.
func patchOf(b sdk.Box, margin float64, w, h int) (p patch, inside, ok bool) {
	if math.IsNaN(b.X1 + b.Y1 + b.X2 + b.Y2) {
		return patch{}, false, false
	}
	inside = b.X2 >= 0 && b.Y2 >= 0 && b.X1 < float64(w) && b.Y1 < float64(h)
	dx, dy := margin*b.Width(), margin*b.Height()
	lo := func(v float64, most int) int { return int(math.Min(math.Max(v, 0), float64(most-1))) }
	p = patch{x1: lo(b.X1+dx, w), y1: lo(b.Y1+dy, h)}
	p.x2 = max(int(math.Max(0, math.Min(math.Ceil(b.X2-dx), float64(w)))), p.x1+1)
	p.y2 = max(int(math.Max(0, math.Min(math.Ceil(b.Y2-dy), float64(h)))), p.y1+1)
	return p, inside, true
}

// samples bounds the pixels looked at in each direction.
const samples = 64

// dominant gives the colour of most of the patch and its share. Pixels near the middle count
// more than those at the edge, and coloured ones more than grey ones: shadows, glass and wheels
// are part of everything.
func (c *classifier) dominant(pix []byte, stride int, p patch) (name string, share float64) {
	var votes [colors]float64
	total := 0.0
	w, h := p.x2-p.x1, p.y2-p.y1
	stepX, stepY := max(1, w/samples), max(1, h/samples)
	for y := p.y1; y < p.y2; y += stepY {
		dy := (float64(y-p.y1)+0.5)/float64(h)*2 - 1
		for x := p.x1; x < p.x2; x += stepX {
			dx := (float64(x-p.x1)+0.5)/float64(w)*2 - 1
			i := y*stride + 3*x
			color, saturation := c.name(pix[i], pix[i+1], pix[i+2])
			weight := math.Exp(-1.5*(dx*dx+dy*dy)) * (1 + saturation)
			votes[color] += weight
			total += weight
		}
	}
	best := 0
	for k, v := range votes {
		if v > votes[best] {
			best = k
		}
	}
	return names[best], votes[best] / total
}

// name gives the colour of a pixel and, for coloured ones, its saturation.
func (c *classifier) name(r, g, b uint8) (color int, saturation float64) {
	h, s, v := hsv(r, g, b)
	// In the dark saturation means little: a noise of a few levels reaches 1.
	chroma := s * v
	switch {
	case v < 0.18, v < 0.3 && chroma < 0.12:
		return black, 0
	case s < c.saturation || chroma < 0.1:
		switch {
		case v > 0.78:
			return white, 0
		case v < 0.28:
			return black, 0
		}
		return gray, 0
	}
	return hue(h, s, v), s
}

// hue names a coloured pixel. Dark orange is brown and pale red is pink: they are words for
// brightness as much as for hue.
func hue(h, s, v float64) int {
	switch {
	case h < 14 || h >= 345:
		if s < 0.5 && v > 0.7 {
			return pink
		}
		if h >= 8 && h < 14 && v < 0.5 {
			return brown
		}
		return red
	case h < 42:
		if v < 0.62 || (s < 0.5 && v < 0.75) {
			return brown
		}
		return orange
	case h < 68:
		if v < 0.4 {
			return brown
		}
		return yellow
	case h < 165:
		return green
	case h < 255:
		return blue
	case h < 300:
		return purple
	default:
		return pink
	}
}

// hsv gives hue in degrees, saturation and value in 0..1. Grey has hue and saturation 0.
func hsv(r, g, b uint8) (h, s, v float64) {
	hi, lo := max(r, g, b), min(r, g, b)
	v = float64(hi) / 255
	d := float64(hi - lo)
	if d == 0 {
		return 0, 0, v
	}
	switch hi {
	case r:
		h = (float64(g) - float64(b)) / d
	case g:
		h = 2 + (float64(b)-float64(r))/d
	default:
		h = 4 + (float64(r)-float64(g))/d
	}
	h *= 60
	if h < 0 {
		h += 360
	}
	return h, d / float64(hi), v
}
