package push

import (
	"image"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Frame is a picture to be pushed: an Image, or planes of pixels.
type Frame struct {
	// Image is the picture. *image.Gray and *image.YCbCr go in as they are, as GRAY8 and I420 of
	// BT.601 and full range; all others as RGB, over black where they are transparent. The
	// fields of pixels below do not count then.
	Image image.Image

	Format        core.PixelFormat
	Width, Height int      // in pixels, 1 to 16384
	Planes        [][]byte // those of Format, in its order, the upper row first
	Strides       []int    // bytes from row to row, for each plane; nil: rows lie without a gap

	// Matrix and FullRange say how the colours of YUV and grey are meant. Matrix "": BT.709 above
	// 576 rows, else BT.601.
	Matrix    core.Matrix
	FullRange bool

	PTS      time.Duration // where Config.Stamps is Given
	Captured time.Time     // when the picture is from; zero: the first Push and the PTS
}

// maxSide is that of views too.
const maxSide = 1 << 14

// check refuses a frame that cannot be, and gives its layout without padding and its bytes.
func (f *Frame) check(name string) (core.Layout, int64, error) {
	format, w, h := f.Format, f.Width, f.Height
	matrix, full := f.Matrix, f.FullRange
	if f.Image != nil {
		r := f.Image.Bounds()
		w, h = r.Dx(), r.Dy()
		format, matrix, full = formatOf(f.Image), core.BT601, true
	}
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return core.Layout{}, 0, core.Faultf(core.Invalid, "push", name, "size %dx%d is not within 1..%d", w, h, maxSide)
	}
	if !format.Known() {
		return core.Layout{}, 0, core.Faultf(core.Invalid, "push", name, "format %q is not one of %v", format, core.PixelFormats)
	}
	switch {
	case packed(format): // what is made of it
		matrix, full = core.BT601, true
	case matrix == "" && h > 576:
		matrix = core.BT709
	case matrix == "":
		matrix = core.BT601
	case matrix != core.BT601 && matrix != core.BT709:
		return core.Layout{}, 0, core.Faultf(core.Invalid, "push", name, "matrix %q is not %s or %s", matrix, core.BT601, core.BT709)
	}
	l, size := core.Packed(format, w, h)
	l.Matrix, l.FullRange = matrix, full
	return l, size, f.checkPlanes(name)
}

func (f *Frame) checkPlanes(name string) error {
	if f.Image != nil {
		return nil
	}
	n := f.Format.Planes()
	if len(f.Planes) != n || (f.Strides != nil && len(f.Strides) != n) {
		return core.Faultf(core.Invalid, "push", name, "%s has %d planes; got %d, and %d strides", f.Format, n, len(f.Planes), len(f.Strides))
	}
	for i, pix := range f.Planes {
		row, rows := f.Format.PlaneSize(i, f.Width, f.Height)
		stride := f.stride(i)
		if stride < row || int64(stride)*int64(rows-1)+int64(row) > int64(len(pix)) {
			return core.Faultf(core.Invalid, "push", name, "plane %d of %s %dx%d: %d rows of %d bytes, stride %d, do not lie within %d bytes",
				i, f.Format, f.Width, f.Height, rows, row, stride, len(pix))
		}
	}
	return nil
}

func (f *Frame) stride(i int) int {
	if f.Strides != nil {
		return f.Strides[i]
	}
	row, _ := f.Format.PlaneSize(i, f.Width, f.Height)
	return row
}

func packed(f core.PixelFormat) bool { return f == core.RGB || f == core.BGR }

// shifted moves a layout to an offset of a block.
func shifted(l core.Layout, offset int64) core.Layout {
	for i := range l.Planes {
		l.Planes[i].Offset += offset
	}
	return l
}

// copyTo writes the pixels to their place. The frame was checked.
func (f *Frame) copyTo(d planes) {
	if f.Image != nil {
		copyImage(d, f.Image)
		return
	}
	for i, pix := range f.Planes {
		row, rows := f.Format.PlaneSize(i, f.Width, f.Height)
		copyRows(d.p[i], d.stride[i], pix, f.stride(i), row, rows)
	}
}

func copyRows(dst []byte, dstStride int, src []byte, srcStride, row, rows int) {
	for y := range rows {
		copy(dst[y*dstStride:y*dstStride+row], src[y*srcStride:y*srcStride+row])
	}
}

func formatOf(img image.Image) core.PixelFormat {
	switch img.(type) {
	case *image.Gray:
		return core.GRAY8
	case *image.YCbCr:
		return core.I420
	default:
		return core.RGB
	}
}

// copyImage writes a picture to planes of its formatOf.
func copyImage(d planes, img image.Image) {
	r := img.Bounds()
	switch m := img.(type) {
	case *image.Gray:
		copyRows(d.p[0], d.stride[0], m.Pix[m.PixOffset(r.Min.X, r.Min.Y):], m.Stride, d.w, d.h)
	case *image.YCbCr:
		copyRows(d.p[0], d.stride[0], m.Y[m.YOffset(r.Min.X, r.Min.Y):], m.YStride, d.w, d.h)
		copyChroma(d, m)
	case *image.RGBA:
		for y := range d.h {
			row, out := m.Pix[m.PixOffset(r.Min.X, r.Min.Y+y):], d.p[0][y*d.stride[0]:]
			for x := range d.w {
				out[3*x], out[3*x+1], out[3*x+2] = row[4*x], row[4*x+1], row[4*x+2]
			}
		}
	case image.RGBA64Image:
		for y := range d.h {
			out := d.p[0][y*d.stride[0]:]
			for x := range d.w {
				c := m.RGBA64At(r.Min.X+x, r.Min.Y+y)
				out[3*x], out[3*x+1], out[3*x+2] = uint8(c.R>>8), uint8(c.G>>8), uint8(c.B>>8)
			}
		}
	default:
		for y := range d.h {
			out := d.p[0][y*d.stride[0]:]
			for x := range d.w {
				red, green, blue, _ := img.At(r.Min.X+x, r.Min.Y+y).RGBA()
				out[3*x], out[3*x+1], out[3*x+2] = uint8(red>>8), uint8(green>>8), uint8(blue>>8)
			}
		}
	}
}

// copyChroma brings chroma of any subsampling to 4:2:0, by means.
func copyChroma(d planes, m *image.YCbCr) {
	r := m.Rect
	cw, ch := (d.w+1)/2, (d.h+1)/2
	if m.SubsampleRatio == image.YCbCrSubsampleRatio420 && r.Min.X%2 == 0 && r.Min.Y%2 == 0 {
		at := m.COffset(r.Min.X, r.Min.Y)
		copyRows(d.p[1], d.stride[1], m.Cb[at:], m.CStride, cw, ch)
		copyRows(d.p[2], d.stride[2], m.Cr[at:], m.CStride, cw, ch)
		return
	}
	for y := range ch {
		for x := range cw {
			u, v := 2, 2
			for k := range 4 {
				at := m.COffset(min(r.Min.X+2*x+k%2, r.Max.X-1), min(r.Min.Y+2*y+k/2, r.Max.Y-1))
				u, v = u+int(m.Cb[at]), v+int(m.Cr[at])
			}
			d.p[1][y*d.stride[1]+x], d.p[2][y*d.stride[2]+x] = byte(u/4), byte(v/4)
		}
	}
}
