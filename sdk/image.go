package sdk

import (
	"image"
	"image/color"

	"github.com/capstan-video/capstan/core"
)

// PackedImage is a picture of 3 bytes a pixel over memory that it does not own.
type PackedImage struct {
	Pix    []byte
	Stride int
	Rect   image.Rectangle
	BGR    bool // bytes are blue, green, red
}

// ColorModel gives color.RGBAModel.
func (p *PackedImage) ColorModel() color.Model { return color.RGBAModel }

// Bounds gives the picture's rectangle.
func (p *PackedImage) Bounds() image.Rectangle { return p.Rect }

// At gives the colour of a pixel.
func (p *PackedImage) At(x, y int) color.Color {
	if !(image.Point{X: x, Y: y}.In(p.Rect)) {
		return color.RGBA{}
	}
	i := (y-p.Rect.Min.Y)*p.Stride + 3*(x-p.Rect.Min.X)
	if p.BGR {
		return color.RGBA{R: p.Pix[i+2], G: p.Pix[i+1], B: p.Pix[i], A: 255}
	}
	return color.RGBA{R: p.Pix[i], G: p.Pix[i+1], B: p.Pix[i+2], A: 255}
}

// YUVImage is a 4:2:0 picture over memory that it does not own; it knows its matrix and range,
// which image.YCbCr does not.
type YUVImage struct {
	Y, U, V           []byte
	YStride, UVStride int
	UVStep            int // bytes from one chroma sample to the next: 1 for I420, 2 for NV12
	Rect              image.Rectangle
	Matrix            core.Matrix
	FullRange         bool
}

func (f *Frame) yuvImage() *YUVImage {
	m := &YUVImage{Rect: f.bounds(), Matrix: f.layout.Matrix, FullRange: f.layout.FullRange, UVStep: 1}
	m.Y, m.YStride = f.Plane(0)
	m.U, m.UVStride = f.Plane(1)
	if f.layout.Format == NV12 {
		m.V, m.UVStep = m.U[1:], 2
		return m
	}
	var stride int
	m.V, stride = f.Plane(2)
	if stride != m.UVStride { // no decoder does that; a copy keeps the promise all the same
		m.V = restride(m.V, stride, m.UVStride, (f.layout.Height+1)/2)
	}
	return m
}

func restride(pix []byte, from, to, rows int) []byte {
	out := make([]byte, to*rows)
	for y := range rows {
		copy(out[y*to:(y+1)*to], pix[min(len(pix), y*from):min(len(pix), (y+1)*from)])
	}
	return out
}

// ColorModel gives color.RGBAModel.
func (m *YUVImage) ColorModel() color.Model { return color.RGBAModel }

// Bounds gives the picture's rectangle.
func (m *YUVImage) Bounds() image.Rectangle { return m.Rect }

// At gives the colour of a pixel.
func (m *YUVImage) At(x, y int) color.Color {
	if !(image.Point{X: x, Y: y}.In(m.Rect)) {
		return color.RGBA{}
	}
	r, g, b := m.RGB(x, y)
	return color.RGBA{R: r, G: g, B: b, A: 255}
}

// RGB converts one pixel; x and y must lie within Rect.
func (m *YUVImage) RGB(x, y int) (r, g, b uint8) {
	x, y = x-m.Rect.Min.X, y-m.Rect.Min.Y
	c := y/2*m.UVStride + x/2*m.UVStep
	luma := float32(m.Y[y*m.YStride+x])
	u, v := float32(m.U[c])-128, float32(m.V[c])-128
	if !m.FullRange {
		luma, u, v = (luma-16)*255/219, u*255/224, v*255/224
	}
	rv, gu, gv, bu := float32(1.402), float32(0.344136), float32(0.714136), float32(1.772)
	if m.Matrix == core.BT709 {
		rv, gu, gv, bu = 1.5748, 0.187324, 0.468124, 1.8556
	}
	return clamp8(luma + rv*v), clamp8(luma - gu*u - gv*v), clamp8(luma + bu*u)
}

func clamp8(v float32) uint8 {
	return uint8(max(0, min(255, v+0.5)))
}
