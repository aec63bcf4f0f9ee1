package service

import (
	"context"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// tapRoom is how many pictures wait in a tap; the next ones are left out.
const tapRoom = 2

// taps gives the pictures of streams that are analysed to who shows them: a webcam can be opened
// only once. Its zero value is ready.
type taps struct {
	mu  sync.Mutex
	all map[core.StreamNumber][]*tap
}

// tap is one reader of a stream's pictures; it implements pipeline.Pictures.
type tap struct {
	of    *taps
	n     core.StreamNumber
	ch    chan pipeline.I420
	ended chan struct{}
	once  sync.Once
}

func (t *taps) open(n core.StreamNumber) *tap {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = map[core.StreamNumber][]*tap{}
	}
	p := &tap{of: t, n: n, ch: make(chan pipeline.I420, tapRoom), ended: make(chan struct{})}
	t.all[n] = append(t.all[n], p)
	return p
}

// end ends all taps of a stream whose session is over.
func (t *taps) end(n core.StreamNumber) {
	t.mu.Lock()
	list := t.all[n]
	delete(t.all, n)
	t.mu.Unlock()
	for _, p := range list {
		p.over()
	}
}

// see copies the picture of a result for those that have room for it. The caller has the picture yet.
func (t *taps) see(n core.StreamNumber, r *pipeline.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var picture *pipeline.I420
	for _, p := range t.all[n] {
		if len(p.ch) == tapRoom { // nobody but this puts in
			continue
		}
		if picture == nil {
			made, err := i420Of(r)
			if err != nil {
				return
			}
			picture = &made
		}
		p.ch <- *picture
	}
}

// i420Of copies a result's picture, without padding.
func i420Of(r *pipeline.Result) (out pipeline.I420, err error) {
	v, err := r.View([]core.PixelFormat{core.I420}, core.PictureSize{})
	if err != nil {
		return out, err
	}
	l, mem := v.Layout, v.Arena.Bytes()
	if err := l.Check(int64(len(mem))); err != nil {
		return out, err
	}
	if l.Format != core.I420 {
		return out, core.Faultf(core.Internal, "", "frame", "the picture is %s and not I420", l.Format)
	}
	out = pipeline.I420{Caps: r.Frame.Caps, PTS: r.Frame.PTS, Pixels: packed(l, mem)}
	out.Caps.Format, out.Caps.Width, out.Caps.Height = core.I420, l.Width, l.Height
	return out, nil
}

// packed copies a picture without its padding.
func packed(l core.Layout, mem []byte) []byte {
	to, size := core.Packed(l.Format, l.Width, l.Height)
	out := make([]byte, size)
	for i, p := range to.Planes {
		row, rows := l.Format.PlaneSize(i, l.Width, l.Height)
		for y := range rows {
			copy(out[p.Offset+int64(y*p.Stride):][:row], mem[l.Planes[i].Offset+int64(y*l.Planes[i].Stride):])
		}
	}
	return out
}

// Next is as pipeline.Pictures says.
func (p *tap) Next(ctx context.Context) (pipeline.I420, error) {
	select {
	case picture := <-p.ch:
		return picture, nil
	case <-p.ended:
		return pipeline.I420{}, core.Faultf(core.Closed, "", "stream", "its analysis was stopped, or begins anew")
	case <-ctx.Done():
		return pipeline.I420{}, context.Cause(ctx)
	}
}

// Close is as pipeline.Pictures says.
func (p *tap) Close() error {
	p.of.mu.Lock()
	list := p.of.all[p.n]
	for i := range list {
		if list[i] == p {
			p.of.all[p.n] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(p.of.all[p.n]) == 0 {
		delete(p.of.all, p.n)
	}
	p.of.mu.Unlock()
	p.over()
	return nil
}

func (p *tap) over() { p.once.Do(func() { close(p.ended) }) }
