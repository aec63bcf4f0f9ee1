package tensor

import (
	"image"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// Plane gives plane i of the frame as a tensor of uint8: [rows, columns], or [rows, columns, 2]
// for the chroma of NV12. It shares the frame's memory, which is read-only and valid until
// Process returns; it is copied only where gorgonia has no view for it (a picture of one row or
// column, and padding after the last row that the memory does not have).
func Plane(f *sdk.Frame, i int) (*tensor.Dense, error) {
	l := f.Layout()
	if i < 0 || i >= len(l.Planes) {
		return nil, core.Faultf(core.Invalid, "tensor", "plane", "there is no plane %d in a frame of format %q", i, l.Format)
	}
	row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
	channels := 1
	switch {
	case l.Format == sdk.RGB || l.Format == sdk.BGR:
		channels = 3
	case l.Format == sdk.NV12 && i == 1:
		channels = 2
	}
	p := l.Planes[i]
	return rowsOf(f.Memory()[p.Offset:], p.Stride, rows, row/channels, channels)
}

// Packed gives the picture of an RGB or BGR frame as a tensor of uint8, [height, width, 3],
// shared with the frame as Plane's.
func Packed(f *sdk.Frame) (*tensor.Dense, error) {
	if f.Format() != sdk.RGB && f.Format() != sdk.BGR {
		return nil, core.Faultf(core.Invalid, "tensor", "packed", "the frame is %q, want RGB or BGR", f.Format())
	}
	return Plane(f, 0)
}

// rowsOf makes [rows, columns] or [rows, columns, channels] of memory with a stride.
func rowsOf(mem []byte, stride, rows, columns, channels int) (*tensor.Dense, error) {
	shape := tensor.Shape{rows, columns, channels}
	full := tensor.Shape{rows, stride / channels, channels}
	if channels == 1 {
		shape, full = shape[:2], full[:2]
	}
	row := columns * channels
	switch {
	case stride == row:
		return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(mem[:rows*row])), nil
	case rows > 1 && columns > 1 && stride%channels == 0 && len(mem) >= rows*stride:
		all := tensor.New(tensor.WithShape(full...), tensor.WithBacking(mem[:rows*stride]))
		return slice(all, image.Rect(0, 0, columns, rows))
	}
	packed := make([]byte, 0, rows*row)
	for y := range rows {
		packed = append(packed, mem[y*stride:y*stride+row]...)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(packed)), nil
}

func slice(d *tensor.Dense, r image.Rectangle) (*tensor.Dense, error) {
	v, err := d.Slice(tensor.S(r.Min.Y, r.Max.Y), tensor.S(r.Min.X, r.Max.X))
	if err != nil {
		return nil, core.Faultf(core.Invalid, "tensor", "slice", "%v of %v: %w", r, d.Shape(), err)
	}
	return v.(*tensor.Dense), nil
}

// Region gives a part of a picture of uint8, [h, w] or [h, w, channels], as a view of the same
// memory (a part of one row or column is copied: gorgonia drops such dimensions). The part must
// lie within the picture: see Crop.
func Region(d *tensor.Dense, r image.Rectangle) (*tensor.Dense, error) {
	p, err := pixelsOf(d)
	if err != nil {
		return nil, err
	}
	if r.Empty() || !r.In(image.Rect(0, 0, p.w, p.h)) {
		return nil, core.Faultf(core.Invalid, "tensor", "region", "%v is not within a picture of %dx%d", r, p.w, p.h)
	}
	if r.Dx() > 1 && r.Dy() > 1 {
		return slice(d, r)
	}
	out := newPixels(r.Dx(), r.Dy(), p.n)
	for y := range out.h {
		from := (y+r.Min.Y)*p.stride + r.Min.X*p.step
		for x := range out.w {
			copy(out.mem[(y*out.w+x)*out.n:], p.mem[from+x*p.step:from+x*p.step+p.n])
		}
	}
	return out.dense(len(d.Shape()) == 3), nil
}

// pixels is a picture of uint8 inside a tensor.
type pixels struct {
	mem          []byte
	w, h, n      int // n: channels
	stride, step int // bytes from row to row, from pixel to pixel
}

func newPixels(w, h, n int) pixels {
	return pixels{mem: make([]byte, w*h*n), w: w, h: h, n: n, stride: w * n, step: n}
}

// pixelsOf looks into a tensor of uint8 with shape [h, w] or [h, w, channels].
func pixelsOf(d *tensor.Dense) (pixels, error) {
	mem, ok := d.Data().([]byte)
	shape, strides := d.Shape(), d.Strides()
	if !ok || len(shape) < 2 || len(shape) > 3 || len(strides) != len(shape) {
		return pixels{}, core.Faultf(core.Invalid, "tensor", "picture", "%v of %v is no picture: want uint8, [h, w] or [h, w, channels]", d.Dtype(), shape)
	}
	p := pixels{mem: mem, h: shape[0], w: shape[1], n: 1, stride: strides[0], step: strides[1]}
	if len(shape) == 3 {
		p.n = shape[2]
		if strides[2] != 1 && p.n != 1 {
			return pixels{}, core.Faultf(core.Invalid, "tensor", "picture", "channels are %d bytes apart, want 1", strides[2])
		}
	}
	return p, nil
}

func (p pixels) dense(channels bool) *tensor.Dense {
	shape := tensor.Shape{p.h, p.w}
	if channels {
		shape = append(shape, p.n)
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(p.mem))
}
