package conform

import (
	"image"
	"image/color"
	"math/rand/v2"

	"github.com/capstan-video/capstan/core"
)

// The patterns that Filled knows.
const (
	Black    = "black"
	White    = "white"
	Noise    = "noise"    // every byte random, so that limited-range luma leaves its range
	Gradient = "gradient" // dark on the left, bright on the right, waves from top to bottom
)

// Patterns lists them.
var Patterns = []string{Black, White, Noise, Gradient}

// Filled makes a frame of w by h pixels with a pattern, rows longer by pad bytes. It is much
// faster than FrameOf. Colours are BT.601; full says whether luma spans 0..255.
func Filled(pattern string, format core.PixelFormat, w, h, pad int, full bool, seed uint64) *Frame {
	f := Blank(w, h)
	f.Layout = core.Layout{Format: format, Width: w, Height: h, Matrix: core.BT601, FullRange: full}
	f.Info.Caps.Format, f.Info.Caps.Matrix, f.Info.Caps.FullRange = format, core.BT601, full
	size := int64(0)
	for i := range format.Planes() {
		row, rows := format.PlaneSize(i, w, h)
		f.Layout.Planes = append(f.Layout.Planes, core.Plane{Offset: size, Stride: row + pad})
		size += int64(row+pad) * int64(rows)
	}
	f.Memory = make([]byte, size)
	random := rand.New(rand.NewPCG(seed, uint64(w)<<32|uint64(h))) // #nosec G404 -- pictures of tests
	for i, p := range f.Layout.Planes {
		row, rows := format.PlaneSize(i, w, h)
		for y := range rows {
			line := f.Memory[p.Offset+int64(y*p.Stride):][:row+pad]
			fill(line[:row], pattern, format, i, y, full, random)
			for x := row; x < len(line); x++ { // what decoders leave there is no picture
				line[x] = byte(x*37 + y)
			}
		}
	}
	return f
}

func fill(line []byte, pattern string, format core.PixelFormat, plane, y int, full bool, random *rand.Rand) {
	yuv := format != core.RGB && format != core.BGR
	low, high := byte(0), byte(255)
	if yuv && !full {
		low, high = 16, 235
	}
	for x := range line {
		switch {
		case pattern == Noise:
			line[x] = byte(random.Uint32())
		case yuv && plane > 0:
			line[x] = 128
		case pattern == White:
			line[x] = high
		case pattern == Gradient:
			line[x] = low + byte(int(high-low)*x/len(line)+y/4)%max(1, high-low)
		default:
			line[x] = low
		}
	}
}

// ownPictures are small ones that a capsule may meet and is not to stumble over.
func ownPictures() []image.Image {
	random := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- pictures of tests
	noise := image.NewNRGBA(image.Rect(0, 0, 161, 91))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(random.Uint32()) | uint8(i%4/3*255)
	}
	grey := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range grey.Pix {
		grey.Pix[i] = 128
	}
	return []image.Image{noise, grey}
}

// resized is a picture in another size, by its nearest pixels.
type resized struct {
	image.Image
	w, h int
}

// Bounds gives the new size.
func (r resized) Bounds() image.Rectangle { return image.Rect(0, 0, r.w, r.h) }

// At gives the nearest pixel.
func (r resized) At(x, y int) color.Color {
	b := r.Image.Bounds()
	return r.Image.At(b.Min.X+x*b.Dx()/r.w, b.Min.Y+y*b.Dy()/r.h)
}
