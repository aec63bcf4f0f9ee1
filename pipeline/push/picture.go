package push

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// picture is a frame in shared memory.
type picture struct {
	feed   *Feed
	frame  core.Frame
	layout core.Layout
	slot   *slot

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
	slot *slot
	view shm.View
	err  error
}

// Retain adds a reference. The caller must hold one.
func (p *picture) Retain() {
	if p.refs.Add(1) <= 1 {
		panic("push: a picture was retained after its last release")
	}
}

// Release gives a reference back; the last one frees the memory.
func (p *picture) Release() {
	switch n := p.refs.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("push: a picture was released more often than it was held")
	}
	p.feed.count.held.Add(-1)
	p.free()
	tell(p.feed.space)
}

// free gives the memory back.
func (p *picture) free() {
	p.mu.Lock()
	variants := p.variants
	p.variants = nil
	p.mu.Unlock()
	for _, v := range variants {
		v.slot.give()
	}
	p.slot.give()
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
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide {
		return shm.View{}, core.Faultf(core.Invalid, "view", "", "size %dx%d is not within 1..%d", w, h, maxSide)
	}
	if size.Filter != core.Mean && !slices.Contains(core.Filters, size.Filter) {
		return shm.View{}, core.Faultf(core.Invalid, "view", "", "filter %q is not one of %v", size.Filter, core.Filters)
	}
	if w == p.layout.Width && h == p.layout.Height {
		for _, f := range formats {
			if l, ok := p.costless(f); ok {
				return shm.View{Arena: p.slot.block.arena, Layout: l}, nil
			}
		}
	}
	return p.variant(variantKey{formats[0], w, h, p.filterFor(formats[0], size.Filter, w, h)})
}

// costless gives the layout of a view that costs nothing: the frame itself, or its luma.
func (p *picture) costless(f core.PixelFormat) (core.Layout, bool) {
	l := p.layout
	if f == l.Format {
		return l, true
	}
	if f != core.GRAY8 || packed(l.Format) {
		return l, false
	}
	l.Format, l.Planes = core.GRAY8, l.Planes[:1:1]
	return l, true
}

// filterFor gives the filter that makes the difference: capsules that ask for others share the
// picture where all give the same.
func (p *picture) filterFor(format core.PixelFormat, f core.Filter, w, h int) core.Filter {
	if f == core.OpenCV && packed(format) {
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
	l, size := core.Packed(key.format, key.w, key.h)
	s, err := p.feed.views.take(size)
	if err == nil && s == nil {
		f := core.Faultf(core.Exhausted, "view", "", "no memory is free for a %s picture of %dx%d", key.format, key.w, key.h)
		f.Hint = "too many pictures are held at once, or Config.Memory is too small"
		err = f
	}
	if v.err = err; err != nil {
		return
	}
	v.slot = s
	l = shifted(l, s.offset)
	l.Matrix, l.FullRange = p.layout.Matrix, p.layout.FullRange
	convert(planesOf(p.layout, p.slot.bytes()), planesOf(l, s.bytes()), key.filter)
	v.view = shm.View{Arena: s.block.arena, Layout: l}
	p.feed.count.converts.Add(1)
	p.feed.count.convertTime.Add(int64(time.Since(began)))
}
