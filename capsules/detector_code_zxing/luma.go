package main

import (
	"image"

	"github.com/makiuchi-d/gozxing"
)

// luma is a gozxing source over a grey picture. It lends the picture's own memory to readers,
// which only look at it; rows are copied, because an inverted source writes into the row it is given.
type luma struct {
	pix           []byte
	stride        int
	width, height int
	packed        []byte // made when the picture has padding and a reader wants all of it
}

func newLuma(g *image.Gray) *luma {
	return &luma{pix: g.Pix, stride: g.Stride, width: g.Rect.Dx(), height: g.Rect.Dy()}
}

// GetWidth gives the width in pixels.
func (l *luma) GetWidth() int { return l.width }

// GetHeight gives the height in pixels.
func (l *luma) GetHeight() int { return l.height }

// GetRow copies row y into row, or into new memory if row is too short.
func (l *luma) GetRow(y int, row []byte) ([]byte, error) {
	if y < 0 || y >= l.height {
		return nil, gozxing.NewNotFoundException("row %d of %d", y, l.height)
	}
	if len(row) < l.width {
		row = make([]byte, l.width)
	}
	copy(row, l.pix[y*l.stride:y*l.stride+l.width])
	return row, nil
}

// GetMatrix gives all pixels without padding, for reading only.
func (l *luma) GetMatrix() []byte {
	if l.stride == l.width {
		return l.pix[:l.width*l.height]
	}
	if l.packed == nil {
		l.packed = make([]byte, 0, l.width*l.height)
		for y := range l.height {
			l.packed = append(l.packed, l.pix[y*l.stride:y*l.stride+l.width]...)
		}
	}
	return l.packed
}

// IsCropSupported gives true.
func (l *luma) IsCropSupported() bool { return true }

// Crop gives a part of the picture over the same memory.
func (l *luma) Crop(left, top, width, height int) (gozxing.LuminanceSource, error) {
	if left < 0 || top < 0 || width < 1 || height < 1 || left+width > l.width || top+height > l.height {
		return nil, gozxing.NewNotFoundException("crop %d,%d %dx%d of %dx%d", left, top, width, height, l.width, l.height)
	}
	return &luma{pix: l.pix[top*l.stride+left:], stride: l.stride, width: width, height: height}, nil
}

// IsRotateSupported gives true.
func (l *luma) IsRotateSupported() bool { return true }

// Invert gives the picture with black and white exchanged.
func (l *luma) Invert() gozxing.LuminanceSource { return gozxing.LuminanceSourceInvert(l) }

// RotateCounterClockwise gives a turned copy.
func (l *luma) RotateCounterClockwise() (gozxing.LuminanceSource, error) {
	out := &luma{pix: make([]byte, l.width*l.height), stride: l.height, width: l.height, height: l.width}
	for y := range l.height {
		row := l.pix[y*l.stride : y*l.stride+l.width]
		for x, v := range row {
			out.pix[(l.width-1-x)*out.stride+y] = v
		}
	}
	return out, nil
}

// RotateCounterClockwise45 is refused; no reader needs it.
func (l *luma) RotateCounterClockwise45() (gozxing.LuminanceSource, error) {
	return nil, gozxing.NewNotFoundException("a turn by 45 degrees is not supported")
}

// String shows the picture in characters.
func (l *luma) String() string { return gozxing.LuminanceSourceString(l) }

// halved gives the picture at half its size, which takes the grain out of large codes.
func halved(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx()/2, g.Rect.Dy()/2
	out := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		a, b := g.Pix[2*y*g.Stride:], g.Pix[(2*y+1)*g.Stride:]
		row := out.Pix[y*out.Stride : y*out.Stride+w]
		for x := range row {
			row[x] = uint8((int(a[2*x]) + int(a[2*x+1]) + int(b[2*x]) + int(b[2*x+1]) + 2) / 4)
		}
	}
	return out
}

// stretched gives the picture with its luma spread over 0..255, leaving out the darkest and
// brightest hundredth.
func stretched(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	var count [256]int
	for y := range h {
		for _, v := range g.Pix[y*g.Stride : y*g.Stride+w] {
			count[v]++
		}
	}
	lo, hi, cut := 0, 255, w*h/100
	for sum := count[0]; sum <= cut && lo < 254; sum += count[lo] {
		lo++
	}
	for sum := count[255]; sum <= cut && hi > lo+1; sum += count[hi] {
		hi--
	}
	var to [256]uint8
	for v := range to {
		to[v] = uint8(max(0, min(255, (v-lo)*255/(hi-lo))))
	}
	out := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		row := out.Pix[y*w : (y+1)*w]
		for x, v := range g.Pix[y*g.Stride : y*g.Stride+w] {
			row[x] = to[v]
		}
	}
	return out
}
