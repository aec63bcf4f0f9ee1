package gstreamer

// #include "bus.h"
import "C"

import (
	"unsafe"

	"github.com/capstan-video/capstan/core"
)

// Convert makes of a picture in mem one of another format and size, as a view of a stream's
// picture is made, into memory of its own without padding. Formats are those that decoders give:
// from is GRAY8, I420 or NV12.
func Convert(from core.Layout, mem []byte, format core.PixelFormat, w, h int) (core.Layout, []byte, error) {
	if err := from.Check(int64(len(mem))); err != nil {
		return core.Layout{}, nil, err
	}
	if !format.Known() || w <= 0 || h <= 0 || w > 1<<14 || h > 1<<14 {
		return core.Layout{}, nil, core.Faultf(core.Invalid, "convert", "", "%q %dx%d: want a format of %v and sides within 1..16384", format, w, h, core.PixelFormats)
	}
	l, size := core.Packed(format, w, h)
	l.Matrix, l.FullRange = from.Matrix, from.FullRange
	out := make([]byte, size)
	src, dst := cPicture(from), cPicture(l)
	if n := C.bus_convert(unsafe.Pointer(&mem[0]), &src, unsafe.Pointer(&out[0]), &dst); n != 0 {
		return core.Layout{}, nil, core.Faultf(core.Unsupported, "convert", "", "libyuv refused %s %dx%d to %s %dx%d (%d)", from.Format, from.Width, from.Height, format, w, h, int(n))
	}
	return l, out, nil
}
