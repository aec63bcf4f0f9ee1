package tensor

import (
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// source gives resampled pixels of a frame in a model's channels.
type source interface {
	resample(of area, w, h int, set func(x, y int, values []float32))
}

// newSource picks the way from the frame's format to the channels.
func newSource(f *sdk.Frame, c Channels) (source, error) {
	l := f.Layout()
	luma := func() pixels {
		g := f.Gray()
		return pixels{mem: g.Pix, w: l.Width, h: l.Height, n: 1, stride: g.Stride, step: 1}
	}
	switch l.Format {
	case sdk.GRAY8:
		return grey{luma(), channelsOf(c)}, nil
	case sdk.RGB, sdk.BGR:
		if c == Gray {
			return grey{luma(), 1}, nil
		}
		mem, stride := f.Plane(0)
		p := pixels{mem: mem, w: l.Width, h: l.Height, n: 3, stride: stride, step: 3}
		if (l.Format == sdk.BGR) != (c == BGR) {
			return swapped{p}, nil
		}
		return p, nil
	case sdk.I420, sdk.NV12:
		if c == Gray {
			return grey{luma(), 1}, nil
		}
		return newYUV(f, luma(), c), nil
	default:
		return nil, core.Faultf(core.Unsupported, "tensor", "input", "format %q", l.Format)
	}
}

func channelsOf(c Channels) int {
	if c == Gray {
		return 1
	}
	return 3
}

// grey gives one luma n times.
type grey struct {
	pixels
	times int
}

func (g grey) resample(of area, w, h int, set func(x, y int, values []float32)) {
	values := make([]float32, g.times)
	g.pixels.resample(of, w, h, func(x, y int, v []float32) {
		for k := range values {
			values[k] = v[0]
		}
		set(x, y, values)
	})
}

// swapped exchanges the first and the third channel.
type swapped struct{ pixels }

func (s swapped) resample(of area, w, h int, set func(x, y int, values []float32)) {
	s.pixels.resample(of, w, h, func(x, y int, v []float32) {
		v[0], v[2] = v[2], v[0]
		set(x, y, v)
	})
}

// yuv resamples luma and chroma apart and converts once for each pixel of the result.
type yuv struct {
	y, u, v            pixels
	fullRange          bool
	rv, gu, gv, bu     float32
	redFirst           bool
	lumaScale, uvScale float32
}

func newYUV(f *sdk.Frame, luma pixels, c Channels) yuv {
	l := f.Layout()
	s := yuv{y: luma, fullRange: l.FullRange, redFirst: c == RGB, lumaScale: 1, uvScale: 1}
	if !l.FullRange {
		s.lumaScale, s.uvScale = 255.0/219, 255.0/224
	}
	s.rv, s.gu, s.gv, s.bu = 1.402, 0.344136, 0.714136, 1.772
	if l.Matrix == core.BT709 {
		s.rv, s.gu, s.gv, s.bu = 1.5748, 0.187324, 0.468124, 1.8556
	}
	cw, ch := (l.Width+1)/2, (l.Height+1)/2
	u, stride := f.Plane(1)
	s.u = pixels{mem: u, w: cw, h: ch, n: 1, stride: stride, step: 1}
	if l.Format == sdk.NV12 {
		s.u.step = 2
		s.v = s.u
		s.v.mem = u[1:]
		return s
	}
	v, stride := f.Plane(2)
	s.v = pixels{mem: v, w: cw, h: ch, n: 1, stride: stride, step: 1}
	return s
}

func (s yuv) resample(of area, w, h int, set func(x, y int, values []float32)) {
	columns, rows := taps(of.x1, of.x2, w, s.y.w), taps(of.y1, of.y2, h, s.y.h)
	halfColumns, halfRows := taps(of.x1/2, of.x2/2, w, s.u.w), taps(of.y1/2, of.y2/2, h, s.u.h)
	values := make([]float32, 3)
	for y := range rows {
		for x := range columns {
			luma := s.y.lerp(rows[y], columns[x], 0)
			u, v := s.u.lerp(halfRows[y], halfColumns[x], 0)-128, s.v.lerp(halfRows[y], halfColumns[x], 0)-128
			if !s.fullRange {
				luma -= 16
			}
			luma, u, v = luma*s.lumaScale, u*s.uvScale, v*s.uvScale
			values[0], values[1], values[2] = limit(luma+s.rv*v), limit(luma-s.gu*u-s.gv*v), limit(luma+s.bu*u)
			if !s.redFirst {
				values[0], values[2] = values[2], values[0]
			}
			set(x, y, values)
		}
	}
}

func limit(v float32) float32 { return max(0, min(255, v)) }
