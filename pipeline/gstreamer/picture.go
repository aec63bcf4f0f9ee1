package gstreamer

// #include "bus.h"
import "C"

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

var (
	formatCodes = map[core.PixelFormat]C.int{core.GRAY8: C.BUS_GRAY8, core.I420: C.BUS_I420, core.NV12: C.BUS_NV12, core.RGB: C.BUS_RGB, core.BGR: C.BUS_BGR}
	filterCodes = map[core.Filter]C.int{core.Mean: C.BUS_MEAN, core.Linear: C.BUS_LINEAR, core.OpenCV: C.BUS_OPENCV}
	codeFormats = map[C.int]core.PixelFormat{C.BUS_GRAY8: core.GRAY8, C.BUS_I420: core.I420, C.BUS_NV12: core.NV12}
)

// matrixName gives the nearest matrix that core has a name for. Conversions use the exact one.
func matrixName(code C.int) core.Matrix {
	if code == C.BUS_BT601 {
		return core.BT601
	}
	return core.BT709
}

func layoutOf(p *C.bus_picture) core.Layout {
	l := core.Layout{Format: codeFormats[p.format], Width: int(p.width), Height: int(p.height), Matrix: matrixName(p.matrix), FullRange: p.full_range != 0}
	for i := range l.Format.Planes() {
		l.Planes = append(l.Planes, core.Plane{Offset: int64(p.offset[i]), Stride: int(p.stride[i])})
	}
	return l
}

func cPicture(l core.Layout) C.bus_picture {
	p := C.bus_picture{format: formatCodes[l.Format], width: C.int(l.Width), height: C.int(l.Height), planes: C.int(len(l.Planes))}
	if l.Matrix == core.BT709 {
		p.matrix = C.BUS_BT709
	}
	if l.FullRange {
		p.full_range = 1
	}
	for i, plane := range l.Planes {
		p.offset[i], p.stride[i] = C.int64_t(plane.Offset), C.int(plane.Stride)
	}
	return p
}

// packedAt is the layout without padding at an offset of a block, and its bytes.
func packedAt(f core.PixelFormat, w, h int, offset int64) (core.Layout, int64) {
	l, size := core.Packed(f, w, h)
	for i := range l.Planes {
		l.Planes[i].Offset += offset
	}
	return l, size
}

// picture is a frame in an arena. It holds either the sample that the decoder wrote, or the
// slot that it was copied to.
type picture struct {
	set    *arenas
	count  *counters
	native C.bus_picture
	layout core.Layout
	arena  *arena
	sample *C.GstSample
	copied slot

	refs     atomic.Int32
	mu       sync.Mutex // guards the map, not the making of a variant
	variants map[variantKey]*variant
}

type variantKey struct {
	format core.PixelFormat
	w, h   int
	filter core.Filter
}

// variant is a picture made of another one, once.
type variant struct {
	once sync.Once
	slot slot
	view shm.View
	err  error
}

// Retain adds a reference. The caller must hold one.
func (p *picture) Retain() {
	if p.refs.Add(1) <= 1 {
		p.refs.Add(-1)
		p.set.log.Error("a picture was retained after its last release")
	}
}

// Release gives a reference back; the last one frees the slots.
func (p *picture) Release() {
	switch n := p.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		p.refs.Add(1)
		p.set.log.Error("a picture was released more often than it was held")
		return
	}
	p.mu.Lock()
	variants := p.variants
	p.variants = nil
	p.mu.Unlock()
	for _, v := range variants {
		if v.slot.arena != nil {
			v.slot.give()
		}
	}
	if p.sample != nil {
		C.bus_sample_unref(p.sample)
		p.sample = nil
	} else {
		p.copied.give()
	}
	p.count.released()
}

// View is as pipeline.Picture says. A picture without formats has no pixels: the zero View.
func (p *picture) View(formats []core.PixelFormat, size core.PictureSize) (shm.View, error) {
	if p.refs.Load() <= 0 {
		return shm.View{}, core.Faultf(core.Closed, "view", "", "the picture was released")
	}
	if len(formats) == 0 {
		return shm.View{}, nil
	}
	if i := slices.IndexFunc(formats, func(f core.PixelFormat) bool { return !f.Known() }); i >= 0 {
		return shm.View{}, core.Faultf(core.Invalid, "view", "", "format %q is not one of %v", formats[i], core.PixelFormats)
	}
	w, h := size.Fit(p.layout.Width, p.layout.Height)
	if w <= 0 || h <= 0 || w > 1<<14 || h > 1<<14 {
		return shm.View{}, core.Faultf(core.Invalid, "view", "", "size %dx%d is not within 1..16384", w, h)
	}
	if _, ok := filterCodes[size.Filter]; !ok {
		return shm.View{}, core.Faultf(core.Invalid, "view", "", "filter %q is not one of %v", size.Filter, core.Filters)
	}
	if w == p.layout.Width && h == p.layout.Height {
		for _, f := range formats {
			if f == p.layout.Format {
				return shm.View{Arena: p.arena.block, Layout: p.layout}, nil
			}
			if f == core.GRAY8 {
				return shm.View{Arena: p.arena.block, Layout: p.luma()}, nil
			}
		}
	}
	return p.variant(variantKey{formats[0], w, h, p.filterFor(formats[0], size.Filter, w, h)})
}

// filterFor gives the filter that makes the difference: capsules that ask for others share the
// picture where all give the same.
func (p *picture) filterFor(format core.PixelFormat, f core.Filter, w, h int) core.Filter {
	if f == core.OpenCV && (format == core.RGB || format == core.BGR) {
		return f
	}
	if p.layout.Width/2 < w || p.layout.Height/2 < h { // nothing to average
		return core.Mean
	}
	if f == core.OpenCV {
		return core.Linear
	}
	return f
}

// luma is the first plane seen as a picture of its own.
func (p *picture) luma() core.Layout {
	l := p.layout
	l.Format, l.Planes = core.GRAY8, l.Planes[:1:1]
	return l
}

func (p *picture) variant(key variantKey) (shm.View, error) {
	p.mu.Lock()
	v := p.variants[key]
	if v == nil {
		v = &variant{}
		if p.variants == nil {
			p.variants = map[variantKey]*variant{}
		}
		p.variants[key] = v
	}
	p.mu.Unlock()
	v.once.Do(func() { p.make(key, v) })
	return v.view, v.err
}

func (p *picture) make(key variantKey, v *variant) {
	began := time.Now()
	_, size := core.Packed(key.format, key.w, key.h)
	s, ok := p.set.forVariant(size)
	if !ok {
		s, ok = p.arena.take(C.BUS_VARIANT, size)
	}
	if !ok {
		v.err = &core.Fault{Op: "view", Kind: core.Exhausted, Err: core.Faultf(core.Exhausted, "", "", "no slot is free for a %s picture of %dx%d", key.format, key.w, key.h),
			Hint: "too many pictures are held at once"}
		return
	}
	v.slot = s
	l, _ := packedAt(key.format, key.w, key.h, s.offset)
	l.Matrix, l.FullRange = p.layout.Matrix, p.layout.FullRange
	dst := cPicture(l)
	if n := C.bus_convert_by(blockOf(p.arena.block), &p.native, blockOf(s.arena.block), &dst, filterCodes[key.filter]); n != 0 {
		v.err = core.Faultf(core.Internal, "view", "", "libyuv refused %s %dx%d to %s %dx%d (%d)", p.layout.Format, p.layout.Width, p.layout.Height, key.format, key.w, key.h, int(n))
		return
	}
	v.view = shm.View{Arena: s.arena.block, Layout: l}
	p.count.made(time.Since(began))
}

func blockOf(a *shm.Arena) unsafe.Pointer { return unsafe.Pointer(&a.Bytes()[0]) }

// CopyI420 gives a copy of an I420 or NV12 view as I420 without padding (planes Y, U, V; odd
// sizes round the chroma up), in dst when it is large enough. The caller must hold the view's
// picture.
func CopyI420(v shm.View, dst []byte) ([]byte, error) {
	if v.Arena == nil || (v.Layout.Format != core.I420 && v.Layout.Format != core.NV12) {
		return nil, core.Faultf(core.Invalid, "copy", "", "a %q view is not I420 or NV12", v.Layout.Format)
	}
	if err := v.Layout.Check(int64(len(v.Arena.Bytes()))); err != nil {
		return nil, err
	}
	l, size := core.Packed(core.I420, v.Layout.Width, v.Layout.Height)
	if int64(cap(dst)) < size {
		dst = make([]byte, size)
	}
	dst = dst[:size]
	from, to := cPicture(v.Layout), cPicture(l)
	if n := C.bus_convert(blockOf(v.Arena), &from, unsafe.Pointer(&dst[0]), &to); n != 0 {
		return nil, core.Faultf(core.Internal, "copy", "", "libyuv refused %s %dx%d (%d)", v.Layout.Format, v.Layout.Width, v.Layout.Height, int(n))
	}
	return dst, nil
}
