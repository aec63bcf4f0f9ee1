package tensor

import (
	"math"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// Order is the order of a model's dimensions.
type Order int

// The orders.
const (
	NCHW Order = iota // batch, channel, row, column
	NHWC              // batch, row, column, channel
)

// Channels is what a model takes as its channels.
type Channels int

// The channels.
const (
	RGB Channels = iota
	BGR
	Gray // one channel, luma
)

// Placing says how a picture of another aspect goes into the model's input.
type Placing int

// The placings.
const (
	Stretch   Placing = iota // both sides are met, whatever the aspect
	Letterbox                // aspect kept, in the middle
	TopLeft                  // aspect kept, in the top left corner
)

// Input describes what a model takes. A value becomes (pixel*Scale - Mean) / Std, channel by
// channel in the model's order; a Scale or Std of 0 counts as 1.
type Input struct {
	Width, Height int
	Order         Order
	Channels      Channels
	Placing       Placing
	Pad           float32 // pixel value around a letterbox, 0..255
	Scale         float32 // 1/255 for models that take 0..1
	Mean, Std     [3]float32
}

// Place says where a part of a frame went in a model's input.
type Place struct {
	left, top      float64 // of the picture within the input, pixels
	scaleX, scaleY float64 // input pixels for a frame pixel
	x, y           float64 // of the part within the frame
}

// Point gives a place of the input in pixels of the frame that the input was made of.
func (p Place) Point(x, y float64) sdk.Point {
	return sdk.Point{X: (x-p.left)/p.scaleX + p.x, Y: (y-p.top)/p.scaleY + p.y}
}

// Outline gives an outline in the input in pixels of the frame.
func (p Place) Outline(o sdk.Polygon) sdk.Polygon {
	out := make(sdk.Polygon, len(o))
	for i, q := range o {
		out[i] = p.Point(q.X, q.Y)
	}
	return out
}

// Box gives a box in the input in pixels of the frame.
func (p Place) Box(b sdk.Box) sdk.Box {
	lo, hi := p.Point(b.X1, b.Y1), p.Point(b.X2, b.Y2)
	return sdk.Box{X1: lo.X, Y1: lo.Y, X2: hi.X, Y2: hi.Y}
}

// channels gives the number of channels.
func (in Input) channels() int {
	if in.Channels == Gray {
		return 1
	}
	return 3
}

// Len gives the number of values of one picture.
func (in Input) Len() int { return in.channels() * in.Width * in.Height }

// Shape gives the shape of a batch of n.
func (in Input) Shape(n int) tensor.Shape {
	if in.Order == NHWC {
		return tensor.Shape{n, in.Height, in.Width, in.channels()}
	}
	return tensor.Shape{n, in.channels(), in.Height, in.Width}
}

// Tensor makes the model's input of a whole frame of any format: a tensor of float32 for a
// batch of one, and where the frame went.
func (in Input) Tensor(f *sdk.Frame) (*tensor.Dense, Place, error) {
	d, places, err := in.Batch(f, []sdk.Box{{X2: float64(f.Width()), Y2: float64(f.Height())}})
	if err != nil {
		return nil, Place{}, err
	}
	return d, places[0], nil
}

// Batch makes the model's input of several parts of a frame: a tensor of float32 for a batch of
// len(parts), and where each went. A part may leave the frame, whose edge is then repeated, but
// not lie outside it.
func (in Input) Batch(f *sdk.Frame, parts []sdk.Box) (*tensor.Dense, []Place, error) {
	if len(parts) == 0 {
		return nil, nil, core.Faultf(core.Invalid, "tensor", "input", "there is no part of the frame to make it of")
	}
	if err := in.check(); err != nil {
		return nil, nil, err
	}
	values := make([]float32, len(parts)*in.Len())
	places := make([]Place, len(parts))
	for i, b := range parts {
		var err error
		if places[i], err = in.Fill(values[i*in.Len():(i+1)*in.Len()], f, b); err != nil {
			return nil, nil, err
		}
	}
	return tensor.New(tensor.WithShape(in.Shape(len(parts))...), tensor.WithBacking(values)), places, nil
}

func (in Input) check() error {
	if in.Width < 1 || in.Height < 1 || in.Width > 1<<14 || in.Height > 1<<14 {
		return core.Faultf(core.Invalid, "tensor", "input", "size %dx%d: sides are within 1..16384", in.Width, in.Height)
	}
	return nil
}

// Fill writes one picture into to, which has Len values, so that memory can be used again.
func (in Input) Fill(to []float32, f *sdk.Frame, part sdk.Box) (Place, error) {
	if err := in.check(); err != nil {
		return Place{}, err
	}
	w, h := float64(f.Width()), float64(f.Height())
	switch {
	case len(to) != in.Len():
		return Place{}, core.Faultf(core.Invalid, "tensor", "input", "%d values, want %d", len(to), in.Len())
	case f.Format() == "":
		return Place{}, core.Faultf(core.Invalid, "tensor", "input", "the frame has no pixels; does the capsule declare Formats?")
	case !(part.X2 > 0 && part.Y2 > 0 && part.X1 < w && part.Y1 < h && part.Width() > 0 && part.Height() > 0):
		return Place{}, core.Faultf(core.Invalid, "tensor", "input", "part %v is not within the frame of %gx%g", part, w, h)
	}
	source, err := newSource(f, in.Channels)
	if err != nil {
		return Place{}, err
	}
	iw, ih, left, top := in.inner(part)
	n, plane := in.channels(), in.Width*in.Height
	write := in.writer(to, n, plane)
	if iw < in.Width || ih < in.Height {
		pad := [3]float32{in.Pad, in.Pad, in.Pad}
		for y := range in.Height {
			for x := range in.Width {
				write(x, y, pad[:n])
			}
		}
	}
	of := area{part.X1, part.Y1, part.X2, part.Y2}
	source.resample(of, iw, ih, func(x, y int, v []float32) { write(x+left, y+top, v) })
	return Place{
		left: float64(left), top: float64(top), x: part.X1, y: part.Y1,
		scaleX: float64(iw) / part.Width(), scaleY: float64(ih) / part.Height(),
	}, nil
}

// inner gives the size of the picture within the input and where it begins: the longer side is
// met, the shorter cut off to whole pixels and at least 1, the odd pixel of padding comes last.
func (in Input) inner(part sdk.Box) (w, h, left, top int) {
	if in.Placing == Stretch {
		return in.Width, in.Height, 0, 0
	}
	scale := math.Min(float64(in.Width)/part.Width(), float64(in.Height)/part.Height())
	fit := func(side float64, most int) int { return min(most, max(1, int(side*scale+1e-9))) }
	w, h = fit(part.Width(), in.Width), fit(part.Height(), in.Height)
	if in.Placing == Letterbox {
		left, top = (in.Width-w)/2, (in.Height-h)/2
	}
	return w, h, left, top
}

// writer gives the function that normalises a pixel and puts it in its place.
func (in Input) writer(to []float32, n, plane int) func(x, y int, v []float32) {
	var factor, offset [3]float32
	for k := range factor {
		scale, std := in.Scale, in.Std[k]
		if scale == 0 {
			scale = 1
		}
		if std == 0 {
			std = 1
		}
		factor[k], offset[k] = scale/std, -in.Mean[k]/std
	}
	step, apart := 1, plane
	if in.Order == NHWC {
		step, apart = n, 1
	}
	return func(x, y int, v []float32) {
		at := (y*in.Width + x) * step
		for k, p := range v {
			to[at+k*apart] = p*factor[k] + offset[k]
		}
	}
}
