package main

import (
	"math"

	"github.com/capstan-video/capstan/sdk"
)

// The crop that is encoded, and what it is divided into.
const (
	cropWidth, cropHeight  = 64, 128
	cell                   = 16
	cellsAcross, cellsDown = cropWidth / cell, cropHeight / cell
	bins                   = 9 // of gradient directions, over half a turn
	stripes                = 8 // of colour, from top to bottom
	hues, tones            = 8, 4
	colours                = 2*hues + tones // pale hues, strong hues, greys
	blocks                 = (cellsAcross - 1) * (cellsDown - 1)
	size                   = blocks*4*bins + stripes*colours
)

// colourShare is how much of the encoding's length is colour; shape has the rest. People in one
// street differ more in what they wear than in how they stand.
const colourShare = 0.8

// sample fills the crop with the box's part of the picture, the box stretched to the crop's
// size; places beyond the picture repeat its edge. It is false for a box that is no box.
func (e *encoder) sample(pix []byte, stride, w, h int, b sdk.Box) bool {
	if math.IsNaN(b.X1 + b.Y1 + b.X2 + b.Y2) {
		return false
	}
	near := func(v float64, side int) float64 { return math.Max(-float64(side), math.Min(v, 2*float64(side))) }
	b.X1, b.Y1, b.X2, b.Y2 = near(b.X1, w), near(b.Y1, h), near(b.X2, w), near(b.Y2, h)
	columns := taps(b.X1, b.X2, cropWidth, w)
	rows := taps(b.Y1, b.Y2, cropHeight, h)
	for y, r := range rows {
		for x, c := range columns {
			at := (y*cropWidth + x) * 3
			for k := range 3 {
				e.crop[at+k] = mix(pix, stride, r, c, k)
			}
		}
	}
	return true
}

// tap is where a pixel of the crop looks: pixels first to last, the first with a weight of
// 1-share against the second when there are just two (between pixels), the mean of all otherwise.
type tap struct {
	first, last int
	share       float32
}

// taps divides lo..hi into n parts of a line of pixels: bilinear where a part is smaller than a
// pixel, the mean of its pixels where it is larger.
func taps(lo, hi float64, n, pixels int) []tap {
	out := make([]tap, n)
	step := (hi - lo) / float64(n)
	clamp := func(v float64) int { return int(math.Min(math.Max(v, 0), float64(pixels-1))) }
	for i := range out {
		if step > 1.5 {
			out[i] = tap{clamp(math.Floor(lo + float64(i)*step)), clamp(math.Ceil(lo+float64(i+1)*step) - 1), -1}
			continue
		}
		at := lo + (float64(i)+0.5)*step - 0.5
		out[i] = tap{clamp(math.Floor(at)), clamp(math.Floor(at) + 1), float32(at - math.Floor(at))}
	}
	return out
}

func mix(pix []byte, stride int, r, c tap, k int) float32 {
	var sum, weights float32
	for y := r.first; y <= r.last; y++ {
		wy := r.weight(y)
		for x := c.first; x <= c.last; x++ {
			w := wy * c.weight(x)
			sum += w * float32(pix[y*stride+3*x+k])
			weights += w
		}
	}
	if weights == 0 {
		return float32(pix[r.last*stride+3*c.last+k])
	}
	return sum / weights
}

func (t tap) weight(i int) float32 {
	switch {
	case t.share < 0 || t.first == t.last:
		return 1
	case i == t.first:
		return 1 - t.share
	default:
		return t.share
	}
}

// encode gives the encoding of the crop: directions of edges in overlapping blocks, then
// colours in stripes, of length 1 altogether.
func (e *encoder) encode() sdk.Encoding {
	out := make(sdk.Encoding, 0, size)
	e.gradients()
	out = e.shape(out)
	out = e.colour(out)
	shape, colour := out[:blocks*4*bins], out[blocks*4*bins:]
	centred(shape, math.Sqrt(1-colourShare))
	centred(colour, math.Sqrt(colourShare))
	return out
}

// gradients fills the cells' histograms of edge directions, each edge as strong as it is, split
// between the two nearest directions.
func (e *encoder) gradients() {
	clear(e.cells[:])
	for i := range e.luma {
		p := e.crop[3*i : 3*i+3]
		e.luma[i] = 0.299*p[0] + 0.587*p[1] + 0.114*p[2]
	}
	for y := 1; y < cropHeight-1; y++ {
		for x := 1; x < cropWidth-1; x++ {
			i := y*cropWidth + x
			dx, dy := e.luma[i+1]-e.luma[i-1], e.luma[i+cropWidth]-e.luma[i-cropWidth]
			strength := float32(math.Sqrt(float64(dx*dx + dy*dy)))
			if strength == 0 {
				continue
			}
			turn := math.Atan2(float64(dy), float64(dx)) / math.Pi // -1..1
			if turn < 0 {
				turn++
			}
			at := turn*bins - 0.5
			low := math.Floor(at)
			share := float32(at - low)
			h := e.cells[(y/cell*cellsAcross+x/cell)*bins:]
			h[(int(low)+bins)%bins] += strength * (1 - share)
			h[(int(low)+1)%bins] += strength * share
		}
	}
}

// shape appends the blocks of 2x2 cells, each of length 1 with no part above 0.2 of it, so that
// neither the light nor one strong edge decides.
func (e *encoder) shape(out sdk.Encoding) sdk.Encoding {
	for y := range cellsDown - 1 {
		for x := range cellsAcross - 1 {
			start := len(out)
			for _, c := range [4]int{y*cellsAcross + x, y*cellsAcross + x + 1, (y+1)*cellsAcross + x, (y+1)*cellsAcross + x + 1} {
				out = append(out, e.cells[c*bins:(c+1)*bins]...)
			}
			block := out[start:]
			scale(block, 1/(length(block)+1e-3))
			for i, v := range block {
				block[i] = min(v, 0.2)
			}
			scale(block, 1/(length(block)+1e-3))
		}
	}
	return out
}

// colour appends a histogram for each stripe, square roots of shares. The middle of the crop
// counts more than its edges, where the background is.
func (e *encoder) colour(out sdk.Encoding) sdk.Encoding {
	for s := range stripes {
		var h [colours]float64
		total := 0.0
		for y := s * cropHeight / stripes; y < (s+1)*cropHeight/stripes; y++ {
			for x := range cropWidth {
				d := (float64(x)+0.5)/cropWidth*2 - 1
				weight := math.Exp(-2.5 * d * d)
				p := e.crop[(y*cropWidth+x)*3:]
				vote(&h, float64(p[0])/255, float64(p[1])/255, float64(p[2])/255, weight)
				total += weight
			}
		}
		for _, v := range h {
			out = append(out, float32(math.Sqrt(v/total)))
		}
	}
	return out
}

// vote adds a pixel: as far as it has colour to its two nearest hues, for the rest to its two
// nearest tones of grey.
func vote(h *[colours]float64, r, g, b, weight float64) {
	hi, lo := max(r, g, b), min(r, g, b)
	chroma := hi - lo
	coloured := math.Min(1, chroma/0.25)
	if coloured > 0 {
		var hue float64 // 0..6
		switch hi {
		case r:
			hue = math.Mod((g-b)/chroma+6, 6)
		case g:
			hue = (b-r)/chroma + 2
		default:
			hue = (r-g)/chroma + 4
		}
		at := hue / 6 * hues
		low := math.Floor(at)
		first, second := int(low)%hues, (int(low)+1)%hues
		strong := 0
		if chroma > 0.35 {
			strong = hues
		}
		h[strong+first] += weight * coloured * (1 - at + low)
		h[strong+second] += weight * coloured * (at - low)
	}
	at := hi * (tones - 1)
	low := math.Min(math.Floor(at), tones-2)
	h[2*hues+int(low)] += weight * (1 - coloured) * (1 - at + low)
	h[2*hues+int(low)+1] += weight * (1 - coloured) * (at - low)
}

// centred takes the mean off and gives v the length to. Without the mean, which is alike in all
// pictures, distances use their whole range. What has no shape at all becomes one number.
func centred(v []float32, to float64) {
	mean := float32(0)
	for _, x := range v {
		mean += x
	}
	mean /= float32(len(v))
	for i := range v {
		v[i] -= mean
	}
	if l := length(v); l > 1e-6 {
		scale(v, float32(to)/l)
		return
	}
	clear(v)
	v[0] = float32(to)
}

func length(v []float32) float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return float32(math.Sqrt(sum))
}

func scale(v []float32, by float32) {
	for i := range v {
		v[i] *= by
	}
}
