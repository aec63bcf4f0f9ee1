// Package overlay draws detections into a copy of a frame: outline, class, confidence, track
// and attributes. It works on I420 bytes in plain Go, far from the path that capsules use.
package overlay

import (
	"image"

	"github.com/capstan-video/capstan/core"
)

// Canvas is a writable I420 picture without padding.
type Canvas struct {
	Pix    []byte // Y, U, V planes one after the other, as core.Packed lays them
	Layout core.Layout
}

// NewCanvas gives a black picture of w by h pixels.
func NewCanvas(w, h int) *Canvas {
	l, size := core.Packed(core.I420, w, h)
	c := &Canvas{Pix: make([]byte, size), Layout: l}
	c.fill()
	return c
}

func (c *Canvas) fill() {
	chroma := c.Layout.Planes[1].Offset
	for i := range c.Pix {
		if int64(i) < chroma {
			c.Pix[i] = 16
		} else {
			c.Pix[i] = 128
		}
	}
}

// Load copies an I420 picture of the canvas's own size out of mem. A picture of another size
// is placed at the top left and cut, on black.
func (c *Canvas) Load(l core.Layout, mem []byte) error {
	if err := l.Check(int64(len(mem))); err != nil {
		return err
	}
	if l.Format != core.I420 {
		return core.Faultf(core.Invalid, "overlay", "", "a picture in %s, want I420", l.Format)
	}
	if l.Width != c.Layout.Width || l.Height != c.Layout.Height {
		c.fill()
	}
	w, h := min(l.Width, c.Layout.Width), min(l.Height, c.Layout.Height)
	for i, to := range c.Layout.Planes {
		row, rows := core.I420.PlaneSize(i, w, h)
		from := l.Planes[i]
		for y := range rows {
			d := to.Offset + int64(y*to.Stride)
			s := from.Offset + int64(y*from.Stride)
			copy(c.Pix[d:d+int64(row)], mem[s:s+int64(row)])
		}
	}
	return nil
}

// yuv is a colour in limited range.
type yuv struct{ y, u, v uint8 }

// rect paints a filled rectangle, cut at the edges, mixing alpha (0..255) of the colour in.
func (c *Canvas) rect(r image.Rectangle, col yuv, alpha int) {
	r = r.Intersect(image.Rect(0, 0, c.Layout.Width, c.Layout.Height))
	if r.Empty() {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := c.luma(y)[r.Min.X:r.Max.X]
		for x := range row {
			row[x] = mix(row[x], col.y, alpha)
		}
	}
	for y := r.Min.Y / 2; y < (r.Max.Y+1)/2; y++ {
		u, v := c.chroma(y)
		for x := r.Min.X / 2; x < (r.Max.X+1)/2; x++ {
			u[x], v[x] = mix(u[x], col.u, alpha), mix(v[x], col.v, alpha)
		}
	}
}

func (c *Canvas) luma(y int) []byte {
	p := c.Layout.Planes[0]
	return c.Pix[p.Offset+int64(y*p.Stride):][:c.Layout.Width]
}

func (c *Canvas) chroma(y int) (u, v []byte) {
	w := (c.Layout.Width + 1) / 2
	pu, pv := c.Layout.Planes[1], c.Layout.Planes[2]
	return c.Pix[pu.Offset+int64(y*pu.Stride):][:w], c.Pix[pv.Offset+int64(y*pv.Stride):][:w]
}

func mix(old, new uint8, alpha int) uint8 {
	return uint8((int(old)*(255-alpha) + int(new)*alpha + 127) / 255)
}

// line paints a straight line of the given thickness in pixels.
func (c *Canvas) line(a, b core.Point, thick int, col yuv) {
	dx, dy := b.X-a.X, b.Y-a.Y
	steps := int(max(abs(dx), abs(dy)))
	if steps > 4*(c.Layout.Width+c.Layout.Height) {
		return // far outside the picture
	}
	for i := 0; i <= steps; i++ {
		t := 0.0
		if steps > 0 {
			t = float64(i) / float64(steps)
		}
		x, y := int(a.X+t*dx)-thick/2, int(a.Y+t*dy)-thick/2
		c.rect(image.Rect(x, y, x+thick, y+thick), col, 255)
	}
}

func abs(x float64) float64 { return max(x, -x) }
