package conform

import (
	"image"
	"image/color"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// Frame is a frame for a capsule under test. Its fields may be changed before it is processed; it
// can be processed again and again, because tests work on copies of its nodes.
type Frame struct {
	Info   core.Frame // Caps has the size in which Nodes are measured
	Layout core.Layout
	Memory []byte
	Nodes  []*core.Node
}

// FrameOption changes how FrameOf makes a frame.
type FrameOption func(*Frame)

// Seq sets the frame's number; frames count from 1.
func Seq(n uint64) FrameOption { return func(f *Frame) { f.Info.Seq = n } }

// At sets the time since the session's first frame.
func At(pts time.Duration) FrameOption { return func(f *Frame) { f.Info.PTS = core.PTS(pts) } }

// Captured sets the time that the picture is said to be from.
func Captured(t time.Time) FrameOption { return func(f *Frame) { f.Info.Captured = t } }

// OnStream names the stream; "test" without it.
func OnStream(id core.StreamID) FrameOption { return func(f *Frame) { f.Info.Stream = id } }

// Native says that the picture is a smaller (or larger) one of a stream of w by h pixels, in
// which the nodes are measured.
func Native(w, h int) FrameOption {
	return func(f *Frame) { f.Info.Caps.Width, f.Info.Caps.Height = w, h }
}

// With puts nodes on the frame. Those without an ID get one.
func With(nodes ...*core.Node) FrameOption {
	return func(f *Frame) { f.Nodes = append(f.Nodes, nodes...) }
}

// Padded adds bytes to the end of every row, as decoders do; they hold noise.
func Padded(bytes int) FrameOption {
	return func(f *Frame) {
		l, size := f.Layout, int64(0)
		l.Planes = nil
		for i := range l.Format.Planes() {
			row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
			l.Planes = append(l.Planes, core.Plane{Offset: size, Stride: row + bytes})
			size += int64(row+bytes) * int64(rows)
		}
		mem := make([]byte, size)
		for i := range mem {
			mem[i] = byte(i*37 + 11)
		}
		for i, p := range l.Planes {
			row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
			from := f.Layout.Planes[i]
			for y := range rows {
				copy(mem[p.Offset+int64(y*p.Stride):][:row], f.Memory[from.Offset+int64(y*from.Stride):])
			}
		}
		f.Layout, f.Memory = l, mem
	}
}

// Blank makes a frame without pixels of a stream of w by h.
func Blank(w, h int, options ...FrameOption) *Frame {
	f := &Frame{Info: core.Frame{Stream: "test", Seq: 1, Caps: core.Caps{Width: w, Height: h, RateN: 25, RateD: 1}}}
	for _, o := range options {
		o(f)
	}
	return f
}

// FrameOf makes a frame of a picture in a format of the bus, rows without padding. YUV formats
// and GRAY8 are BT.601 of full range, so that grey levels stay as they are.
func FrameOf(img image.Image, format sdk.PixelFormat, options ...FrameOption) *Frame {
	b := img.Bounds()
	f := Blank(b.Dx(), b.Dy())
	layout, size := core.Packed(format, b.Dx(), b.Dy())
	layout.Matrix, layout.FullRange = core.BT601, true
	f.Layout, f.Memory = layout, make([]byte, size)
	f.Info.Caps.Format, f.Info.Caps.Matrix, f.Info.Caps.FullRange = format, core.BT601, true
	switch format {
	case sdk.RGB:
		f.pack(img, 0, 2)
	case sdk.BGR:
		f.pack(img, 2, 0)
	case sdk.GRAY8:
		f.luma(img)
	default:
		f.luma(img)
		f.chroma(img)
	}
	for _, o := range options {
		o(f)
	}
	return f
}

func (f *Frame) pack(img image.Image, r, b int) {
	at := img.Bounds().Min
	for y := range f.Layout.Height {
		row := f.Memory[y*f.Layout.Planes[0].Stride:]
		for x := range f.Layout.Width {
			c := color.NRGBAModel.Convert(img.At(at.X+x, at.Y+y)).(color.NRGBA)
			row[3*x+r], row[3*x+1], row[3*x+b] = c.R, c.G, c.B
		}
	}
}

func (f *Frame) luma(img image.Image) {
	at := img.Bounds().Min
	for y := range f.Layout.Height {
		row := f.Memory[y*f.Layout.Planes[0].Stride:]
		for x := range f.Layout.Width {
			row[x], _, _ = ycc(img, at.X+x, at.Y+y)
		}
	}
}

// chroma averages the pixels under each sample.
func (f *Frame) chroma(img image.Image) {
	b := img.Bounds()
	for y := 0; y < f.Layout.Height; y += 2 {
		for x := 0; x < f.Layout.Width; x += 2 {
			var u, v, n int
			for _, p := range []image.Point{{x, y}, {x + 1, y}, {x, y + 1}, {x + 1, y + 1}} {
				if p.X >= f.Layout.Width || p.Y >= f.Layout.Height {
					continue
				}
				_, pu, pv := ycc(img, b.Min.X+p.X, b.Min.Y+p.Y)
				u, v, n = u+int(pu), v+int(pv), n+1
			}
			f.setChroma(x/2, y/2, byte((u+n/2)/n), byte((v+n/2)/n))
		}
	}
}

func (f *Frame) setChroma(x, y int, u, v byte) {
	p := f.Layout.Planes[1]
	at := p.Offset + int64(y*p.Stride)
	if f.Layout.Format == sdk.NV12 {
		f.Memory[at+int64(2*x)], f.Memory[at+int64(2*x)+1] = u, v
		return
	}
	f.Memory[at+int64(x)] = u
	q := f.Layout.Planes[2]
	f.Memory[q.Offset+int64(y*q.Stride)+int64(x)] = v
}

func ycc(img image.Image, x, y int) (luma, u, v byte) {
	switch m := img.(type) {
	case *image.YCbCr:
		c := m.YCbCrAt(x, y)
		return c.Y, c.Cb, c.Cr
	case *image.Gray:
		return m.GrayAt(x, y).Y, 128, 128
	}
	c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
	return color.RGBToYCbCr(c.R, c.G, c.B)
}
