package core

import (
	"fmt"
	"math"
	"time"
)

// StreamID names a configured stream.
type StreamID string

// PTS is the time since the session's first frame. It serves order and difference and is
// never a wall clock.
type PTS time.Duration

// Seconds gives the PTS in seconds.
func (p PTS) Seconds() float64 { return time.Duration(p).Seconds() }

// PixelFormat names how pixels lie in memory, in GStreamer's spelling.
type PixelFormat string

// The pixel formats that cross the frame bus.
const (
	GRAY8 PixelFormat = "GRAY8" // 8-bit luma, one plane
	I420  PixelFormat = "I420"  // planar YUV 4:2:0, planes Y, U, V
	NV12  PixelFormat = "NV12"  // planar Y, then interleaved UV
	RGB   PixelFormat = "RGB"   // packed, 3 bytes a pixel
	BGR   PixelFormat = "BGR"   // packed, 3 bytes a pixel
)

// PixelFormats lists every format of the bus.
var PixelFormats = []PixelFormat{GRAY8, I420, NV12, RGB, BGR}

// Known says whether the format is one of PixelFormats.
func (f PixelFormat) Known() bool {
	for _, k := range PixelFormats {
		if f == k {
			return true
		}
	}
	return false
}

// Planes gives the number of planes, 0 for an unknown format.
func (f PixelFormat) Planes() int {
	switch f {
	case GRAY8, RGB, BGR:
		return 1
	case NV12:
		return 2
	case I420:
		return 3
	default:
		return 0
	}
}

// PlaneSize gives the bytes that a row of plane i uses and its number of rows, for a picture
// of w by h pixels. Odd sizes round the chroma up, as GStreamer does.
func (f PixelFormat) PlaneSize(i, w, h int) (rowBytes, rows int) {
	switch {
	case f == RGB || f == BGR:
		return 3 * w, h
	case i == 0:
		return w, h
	case f == NV12:
		return (w + 1) / 2 * 2, (h + 1) / 2
	default:
		return (w + 1) / 2, (h + 1) / 2
	}
}

// Matrix names the conversion between YUV and RGB.
type Matrix string

// The matrices that sources come with.
const (
	BT601 Matrix = "bt601"
	BT709 Matrix = "bt709"
)

// Caps is what a stream negotiated: the size of its pictures after rotation, in pixels, and
// its rate.
type Caps struct {
	Format    PixelFormat
	Width     int
	Height    int
	RateN     int // frames per RateD seconds; 0 when the source does not say or it varies
	RateD     int
	Matrix    Matrix
	FullRange bool // luma spans 0..255, not 16..235
}

// FPS gives frames a second, 0 when not known.
func (c Caps) FPS() float64 {
	if c.RateN <= 0 || c.RateD <= 0 {
		return 0
	}
	return float64(c.RateN) / float64(c.RateD)
}

// String reads like "I420 1920x1080 @ 30 fps".
func (c Caps) String() string {
	s := fmt.Sprintf("%s %dx%d", c.Format, c.Width, c.Height)
	if fps := c.FPS(); fps > 0 {
		s += fmt.Sprintf(" @ %.4g fps", fps)
	}
	return s
}

// Plane is one plane of a picture inside a block of memory. Stride is the bytes from one row
// to the next and may exceed the row's width.
type Plane struct {
	Offset int64 // bytes from the start of the block
	Stride int
}

// Layout says where the pixels of one picture lie inside a block of memory (an arena, or the
// bytes of a copied frame).
type Layout struct {
	Format    PixelFormat
	Width     int
	Height    int
	Planes    []Plane
	Matrix    Matrix
	FullRange bool
}

// Check refuses a layout that does not fit into size bytes. It stands between every message
// that names memory and the first read of it.
func (l Layout) Check(size int64) error {
	if l.Width <= 0 || l.Height <= 0 || l.Width > 1<<15 || l.Height > 1<<15 {
		return Faultf(Invalid, "layout", "", "size %dx%d is not within 1..32768", l.Width, l.Height)
	}
	if n := l.Format.Planes(); n == 0 || n != len(l.Planes) {
		return Faultf(Invalid, "layout", "", "format %q with %d planes", l.Format, len(l.Planes))
	}
	for i, p := range l.Planes {
		row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
		if p.Offset < 0 || p.Stride < row || int64(p.Stride) > size || int64(p.Stride) > math.MaxInt64/int64(rows) {
			return Faultf(Invalid, "layout", "", "plane %d: offset %d, stride %d for rows of %d bytes", i, p.Offset, p.Stride, row)
		}
		if end := int64(p.Stride)*int64(rows-1) + int64(row); p.Offset > size-end {
			return Faultf(Invalid, "layout", "", "plane %d ends at byte %d of %d", i, p.Offset+end, size)
		}
	}
	return nil
}

// Packed gives the layout of a picture without padding and its size in bytes.
func Packed(f PixelFormat, w, h int) (Layout, int64) {
	l := Layout{Format: f, Width: w, Height: h}
	var at int64
	for i := range f.Planes() {
		row, rows := f.PlaneSize(i, w, h)
		l.Planes = append(l.Planes, Plane{Offset: at, Stride: row})
		at += int64(row) * int64(rows)
	}
	return l, at
}

// Frame is one decoded picture: what is known of it, without its pixels.
type Frame struct {
	Stream   StreamID
	Seq      uint64    // 1, 2, 3… within a session as the source gives them; a gap is a drop
	PTS      PTS       // since the session's first frame
	Captured time.Time // UTC, when the picture is said to be from
	Caps     Caps
}
