package tensor

import (
	"image"
	"math"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// Fit says how a picture takes a size.
type Fit int

// The fits.
const (
	FitNone   Fit = iota // it stays as it is
	FitWidth             // the width is met, the height follows
	FitHeight            // the height is met, the width follows
	FitBoth              // the largest that is within both
	FitOne               // the smallest that covers both
	FitExact             // both are met, whatever the aspect
)

// Edge says where a picture loses or gains pixels.
type Edge int

// The edges.
const (
	EdgeNone        Edge = iota
	EdgeRightBottom      // crop and pad at the right and the bottom
	EdgeLeftTop          // at the left and the top
	EdgeAll              // all around; the odd pixel at the right and the bottom
)

// Resize changes a picture step by step and keeps how, so that outlines found in the result can
// be brought back to the original. Steps give r again; after one that cannot be, Err says why
// and the picture stays.
type Resize struct {
	picture *tensor.Dense
	w, h    int
	steps   []step
	err     error
}

// step is one change: a scale, or an offset of the new origin in the old picture.
type step struct {
	sx, sy float64 // 0: an offset
	ox, oy float64
}

// NewResize begins with a picture of uint8, [h, w] or [h, w, channels]. It is never changed.
func NewResize(picture *tensor.Dense) *Resize {
	r := &Resize{picture: picture}
	p, err := pixelsOf(picture)
	r.w, r.h, r.err = p.w, p.h, err
	return r
}

// Picture gives the picture as it is now; after crops alone it shares memory with the original.
func (r *Resize) Picture() *tensor.Dense { return r.picture }

// Size gives width and height of the picture as it is now.
func (r *Resize) Size() (w, h int) { return r.w, r.h }

// Err gives the first error of a step.
func (r *Resize) Err() error { return r.err }

// FitSize gives the size that a picture of w by h takes for a fit to tw by th: rounded half to
// even, and at least 1 (the older Python SDK goes down to 0).
func FitSize(w, h, tw, th int, fit Fit) (int, int) {
	x, y := float64(tw)/float64(w), float64(th)/float64(h)
	round := func(v float64) int { return max(1, int(math.RoundToEven(v))) }
	switch {
	case fit == FitNone:
		return w, h
	case fit == FitExact:
		return max(1, tw), max(1, th)
	case fit == FitWidth, fit == FitBoth && x <= y, fit == FitOne && x >= y:
		return max(1, tw), round(float64(h) * x)
	default:
		return round(float64(w) * y), max(1, th)
	}
}

// Resize scales the picture, bilinear.
func (r *Resize) Resize(w, h int, fit Fit) *Resize {
	if r.err != nil || fit == FitNone {
		return r
	}
	nw, nh := FitSize(r.w, r.h, w, h, fit)
	p, err := pixelsOf(r.picture)
	if err != nil {
		return r.failed(err)
	}
	out := newPixels(nw, nh, p.n)
	p.resample(p.bounds(), nw, nh, func(x, y int, values []float32) {
		for k, v := range values {
			out.mem[(y*nw+x)*p.n+k] = uint8(v + 0.5)
		}
	})
	r.steps = append(r.steps, step{sx: float64(nw) / float64(r.w), sy: float64(nh) / float64(r.h)})
	return r.become(out.dense(len(r.picture.Shape()) == 3), nw, nh)
}

// Crop cuts the picture down to at most w by h; pixels go at the given edge. It never grows.
func (r *Resize) Crop(w, h int, edge Edge) *Resize {
	if edge == EdgeNone {
		return r
	}
	w, h = min(w, r.w), min(h, r.h)
	var from image.Point
	switch edge {
	case EdgeLeftTop:
		from = image.Pt(r.w-w, r.h-h)
	case EdgeAll:
		from = image.Pt((r.w-w)/2, (r.h-h)/2)
	}
	return r.cut(image.Rectangle{Min: from, Max: from.Add(image.Pt(w, h))})
}

// CropAt cuts w by h pixels out of the picture, beginning at left, top, as far as it has them.
func (r *Resize) CropAt(left, top, w, h int) *Resize {
	return r.cut(image.Rectangle{Min: image.Pt(left, top), Max: image.Pt(left+w, top+h)})
}

// CropBox cuts a box out of the picture; its near corner, width and height are cut off to whole
// pixels.
func (r *Resize) CropBox(b sdk.Box) *Resize {
	limit := func(v float64) int { return int(math.Max(-1e6, math.Min(v, 1e6))) }
	return r.CropAt(limit(b.X1), limit(b.Y1), limit(b.Width()), limit(b.Height()))
}

func (r *Resize) cut(part image.Rectangle) *Resize {
	if r.err != nil {
		return r
	}
	part = part.Intersect(image.Rect(0, 0, r.w, r.h))
	if part.Empty() {
		return r.failed(core.Faultf(core.Invalid, "resize", "crop", "nothing of the crop lies within the picture of %dx%d", r.w, r.h))
	}
	d, err := Region(r.picture, part)
	if err != nil {
		return r.failed(err)
	}
	r.steps = append(r.steps, step{ox: float64(part.Min.X), oy: float64(part.Min.Y)})
	return r.become(d, part.Dx(), part.Dy())
}

// Pad grows the picture to at least w by h with pixels of a value at the given edge. It never
// shrinks.
func (r *Resize) Pad(w, h int, value uint8, edge Edge) *Resize {
	if r.err != nil || edge == EdgeNone {
		return r
	}
	w, h = max(w, r.w), max(h, r.h)
	var at image.Point
	switch edge {
	case EdgeLeftTop:
		at = image.Pt(w-r.w, h-r.h)
	case EdgeAll:
		at = image.Pt((w-r.w)/2, (h-r.h)/2)
	}
	p, err := pixelsOf(r.picture)
	if err != nil {
		return r.failed(err)
	}
	out := newPixels(w, h, p.n)
	for i := range out.mem {
		out.mem[i] = value
	}
	for y := range p.h {
		for x := range p.w {
			from := y*p.stride + x*p.step
			copy(out.mem[((y+at.Y)*w+x+at.X)*p.n:], p.mem[from:from+p.n])
		}
	}
	r.steps = append(r.steps, step{ox: -float64(at.X), oy: -float64(at.Y)})
	return r.become(out.dense(len(r.picture.Shape()) == 3), w, h)
}

func (r *Resize) become(d *tensor.Dense, w, h int) *Resize {
	r.picture, r.w, r.h = d, w, h
	return r
}

func (r *Resize) failed(err error) *Resize {
	r.err = err
	return r
}

// Restore gives an outline of the picture as it is now in pixels of the original one. It rounds
// half to even at every scale, as the older Python SDK does.
func (r *Resize) Restore(p sdk.Polygon) sdk.Polygon { return r.back(p, math.RoundToEven) }

// RestoreExact is Restore without rounding.
func (r *Resize) RestoreExact(p sdk.Polygon) sdk.Polygon {
	return r.back(p, func(v float64) float64 { return v })
}

func (r *Resize) back(p sdk.Polygon, round func(float64) float64) sdk.Polygon {
	for i := len(r.steps) - 1; i >= 0; i-- {
		if s := r.steps[i]; s.sx != 0 {
			p = scaled(p, 1/s.sx, 1/s.sy, round)
		} else {
			p = shifted(p, s.ox, s.oy)
		}
	}
	return p
}
