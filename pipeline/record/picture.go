package record

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Picture is a recorded picture in an arena of its own, with the views that are made of it.
type Picture struct {
	view    shm.View
	convert Convert
	made    *atomic.Uint64
	refs    atomic.Int64

	mu    sync.Mutex
	views map[viewKey]*made
}

var _ pipeline.Picture = (*Picture)(nil)

type viewKey struct {
	format core.PixelFormat
	w, h   int
}

type made struct {
	once sync.Once
	view shm.View
	err  error
}

// NewPicture copies a picture into an arena; it has one reference.
func NewPicture(l core.Layout, mem []byte, convert Convert) (*Picture, error) {
	v, err := inArena(l, mem)
	if err != nil {
		return nil, err
	}
	p := &Picture{view: v, convert: convert, views: map[viewKey]*made{}}
	p.refs.Store(1)
	return p, nil
}

func inArena(l core.Layout, mem []byte) (shm.View, error) {
	if err := l.Check(int64(len(mem))); err != nil {
		return shm.View{}, err
	}
	a, err := shm.Create(int64(len(mem)))
	if err != nil {
		return shm.View{}, err
	}
	copy(a.Bytes(), mem)
	return shm.View{Arena: a, Layout: l}, nil
}

// Retain adds a reference.
func (p *Picture) Retain() { p.refs.Add(1) }

// Release gives a reference back; the last one frees the arenas.
func (p *Picture) Release() {
	if p.refs.Add(-1) != 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range p.views {
		if v.view.Arena != nil && v.view.Arena != p.view.Arena {
			_ = v.view.Arena.Close()
		}
	}
	_ = p.view.Arena.Close()
}

// View chooses as the pictures of decoders do: what costs nothing, else the first format.
func (p *Picture) View(formats []core.PixelFormat, size core.PictureSize) (shm.View, error) {
	if p.refs.Load() <= 0 {
		return shm.View{}, core.Faultf(core.Closed, "view", "", "the picture was released")
	}
	if len(formats) == 0 {
		return shm.View{}, nil
	}
	l := p.view.Layout
	w, h := size.Fit(l.Width, l.Height)
	if w == l.Width && h == l.Height {
		planar := l.Format == core.I420 || l.Format == core.NV12
		for _, f := range formats {
			if f == l.Format {
				return p.view, nil
			}
			if f == core.GRAY8 && planar {
				l.Format, l.Planes = core.GRAY8, l.Planes[:1:1]
				return shm.View{Arena: p.view.Arena, Layout: l}, nil
			}
		}
	}
	return p.make(viewKey{formats[0], w, h})
}

func (p *Picture) make(key viewKey) (shm.View, error) {
	if p.convert == nil || slices.Contains([]core.PixelFormat{core.RGB, core.BGR}, p.view.Layout.Format) {
		return shm.View{}, core.Faultf(core.Unsupported, "view", "", "a recorded %s picture cannot be made %s %dx%d", p.view.Layout.Format, key.format, key.w, key.h)
	}
	p.mu.Lock()
	v := p.views[key]
	if v == nil {
		v = &made{}
		p.views[key] = v
	}
	p.mu.Unlock()
	v.once.Do(func() {
		var l core.Layout
		var mem []byte
		if l, mem, v.err = p.convert(p.view.Layout, p.view.Arena.Bytes(), key.format, key.w, key.h); v.err == nil {
			v.view, v.err = inArena(l, mem)
		}
		if p.made != nil {
			p.made.Add(1)
		}
	})
	return v.view, v.err
}
