package gstreamer

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// pixel reads a pixel of a packed view.
func pixel(v shm.View, x, y int) [3]int {
	at := int(v.Layout.Planes[0].Offset) + y*v.Layout.Planes[0].Stride + 3*x
	b := v.Arena.Bytes()[at : at+3]
	return [3]int{int(b[0]), int(b[1]), int(b[2])}
}

// yuvOf makes the I420 or NV12 picture of a colour by the textbook formula, with its middle at 128.
func yuvOf(m core.Matrix, full bool, r, g, b float64) (y, u, v byte) {
	kr, kb := 0.299, 0.114
	if m == core.BT709 {
		kr, kb = 0.2126, 0.0722
	}
	l := kr*r + (1-kr-kb)*g + kb*b
	cb, cr := (b-l)/(2*(1-kb)), (r-l)/(2*(1-kr))
	if full {
		return round(l), round(128 + cb), round(128 + cr)
	}
	return round(16 + l*219/255), round(128 + cb*224/255), round(128 + cr*224/255)
}

func round(x float64) byte { return byte(min(255, max(0, math.Round(x)))) }

// handmade gives a picture of w by h of one colour, in memory of its own.
func handmade(t testing.TB, f core.PixelFormat, w, h int, y, u, v byte, m core.Matrix, full bool) *picture {
	t.Helper()
	set := &arenas{log: newMedia(t).log}
	t.Cleanup(set.close)
	_, size := core.Packed(f, w, h)
	a, err := set.need(w, h, size)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := set.forCopy(size)
	if !ok {
		t.Fatal("no slot")
	}
	l, _ := packedAt(f, w, h, s.offset)
	l.Matrix, l.FullRange = m, full
	b := a.block.Bytes()
	for i, p := range l.Planes {
		row, rows := f.PlaneSize(i, w, h)
		for k := range row * rows {
			switch {
			case i == 0:
				b[p.Offset+int64(k)] = y
			case i == 1 && (f == core.I420 || k%2 == 0):
				b[p.Offset+int64(k)] = u
			default:
				b[p.Offset+int64(k)] = v
			}
		}
	}
	unref(a)
	p := &picture{set: set, count: &counters{freed: make(chan struct{}, 1)}, layout: l, native: cPicture(l), arena: a, copied: s}
	p.refs.Store(1)
	t.Cleanup(p.Release)
	return p
}

// TestColours converts pictures of known colours: every matrix, range, format and size.
func TestColours(t *testing.T) {
	colours := map[string][3]float64{"red": {255, 0, 0}, "green": {0, 255, 0}, "blue": {0, 0, 255}, "grey": {128, 128, 128}, "skin": {224, 172, 105}, "white": {255, 255, 255}, "black": {0, 0, 0}}
	sizes := []core.PictureSize{{}, {MaxSide: 32}, {Width: 100, Height: 30}, {MaxSide: 50}, {Width: 7, Height: 5}}
	for _, m := range []core.Matrix{core.BT601, core.BT709} {
		for _, full := range []bool{false, true} {
			for _, f := range []core.PixelFormat{core.I420, core.NV12} {
				for name, c := range colours {
					t.Run(fmt.Sprintf("%s/%s/full=%t/%s", name, m, full, f), func(t *testing.T) {
						y, u, v := yuvOf(m, full, c[0], c[1], c[2])
						p := handmade(t, f, 65, 49, y, u, v, m, full)
						for _, size := range sizes {
							within := 3.0
							if !size.Native() {
								within = 8 // libyuv's scalers round down, and the matrix doubles that
							}
							w, h := size.Fit(65, 49)
							for _, packed := range []core.PixelFormat{core.RGB, core.BGR} {
								view, err := p.View([]core.PixelFormat{packed}, size)
								if err != nil || view.Layout.Width != w || view.Layout.Height != h {
									t.Fatal(view.Layout, err)
								}
								for _, at := range [][2]int{{0, 0}, {w - 1, h - 1}, {w / 2, h / 2}} {
									got := pixel(view, at[0], at[1])
									if packed == core.BGR {
										got[0], got[2] = got[2], got[0]
									}
									for i := range 3 {
										if d := float64(got[i]) - c[i]; d < -within || d > within {
											t.Errorf("%s %dx%d at %v is %v, want %v", packed, w, h, at, got, c)
										}
									}
								}
							}
							for _, planar := range []core.PixelFormat{core.I420, core.NV12, core.GRAY8} {
								view, err := p.View([]core.PixelFormat{planar}, size)
								if err != nil || view.Layout.Format != planar || view.Layout.Matrix != m || view.Layout.FullRange != full {
									t.Fatal(view.Layout, err)
								}
								last := view.Layout.Planes[0].Offset + int64(view.Layout.Planes[0].Stride*(h-1)+w-1)
								if got := view.Arena.Bytes()[last]; got != y && (size.Native() || got != y-1) {
									t.Errorf("%s %dx%d: luma %d, want %d", planar, w, h, got, y)
								}
							}
						}
					})
				}
			}
		}
	}
}

// TestScaling holds scaled luma against the mean of the pixels that it stands for.
func TestScaling(t *testing.T) {
	t.Parallel()
	const w, h = 640, 360
	p := handmade(t, core.I420, w, h, 0, 128, 128, core.BT601, true)
	l := p.layout.Planes[0]
	at := func(x, y int) float64 { return 128 + 60*math.Sin(float64(x)/40) + 60*math.Cos(float64(y)/30) }
	for y := range h {
		for x := range w {
			noise := float64((x*7919+y*104729)%41) - 20 // gone in a mean, not in a sample
			p.arena.block.Bytes()[l.Offset+int64(y*l.Stride+x)] = round(at(x, y) + noise)
		}
	}
	for _, side := range []int{320, 160, 80, 213, 120, 100, 40, 500} {
		v, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{MaxSide: side})
		if err != nil {
			t.Fatal(err)
		}
		worst, sum := 0.0, 0.0
		pl, n := v.Layout.Planes[0], 0
		for y := 1; y < v.Layout.Height-1; y++ {
			for x := 1; x < v.Layout.Width-1; x++ {
				fx, fy := float64(w)/float64(v.Layout.Width), float64(h)/float64(v.Layout.Height)
				want := at(int((float64(x)+0.5)*fx), int((float64(y)+0.5)*fy))
				d := math.Abs(float64(v.Arena.Bytes()[pl.Offset+int64(y*pl.Stride+x)]) - want)
				worst, sum, n = max(worst, d), sum+d, n+1
			}
		}
		if limit := 16 / float64(w/side); sum/float64(n) > limit {
			t.Errorf("%dx%d: off by %.1f in the mean, %.0f at worst; want %.1f", v.Layout.Width, v.Layout.Height, sum/float64(n), worst, limit)
		}
	}
}

// TestViews looks at the frames of a file: what costs nothing, what is made, and once only.
func TestViews(t *testing.T) {
	t.Parallel()
	st := open(t, newMedia(t), pipeline.Source{URL: build(t, "a.mp4", ballH264+" ! mp4mux", 10, 320, 240)})
	_, p, err := st.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	view := func(size core.PictureSize, formats ...core.PixelFormat) shm.View {
		t.Helper()
		v, err := p.View(formats, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Layout.Check(int64(len(v.Arena.Bytes()))); err != nil {
			t.Fatal(err)
		}
		return v
	}
	native := view(core.PictureSize{}, core.I420)
	luma := view(core.PictureSize{MaxSide: 1000}, core.RGB, core.GRAY8)
	if luma.Layout.Format != core.GRAY8 || luma.Layout.Planes[0] != native.Layout.Planes[0] || luma.Arena != native.Arena {
		t.Errorf("the free view is %+v", luma.Layout)
	}
	if v := view(core.PictureSize{}, core.NV12, core.I420); v.Layout.Format != core.I420 {
		t.Errorf("the native view is %+v", v.Layout)
	}
	if n := st.Stats().Converts; n != 0 {
		t.Errorf("%d conversions for views that are free", n)
	}
	small := view(core.PictureSize{MaxSide: 64}, core.RGB, core.GRAY8)
	if small.Layout.Format != core.RGB || small.Layout.Width != 64 || small.Layout.Height != 48 {
		t.Errorf("the small view is %+v", small.Layout)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{MaxSide: 64}); err != nil || v.Layout.Planes[0] != small.Layout.Planes[0] {
				t.Errorf("another picture: %+v %v", v.Layout, err)
			}
			if _, err := p.View([]core.PixelFormat{core.BGR}, core.PictureSize{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := st.Stats(); s.Converts != 2 || s.ConvertTime <= 0 {
		t.Errorf("stats are %+v", s)
	}
	if v := view(core.PictureSize{Width: 1280, Height: 960}, core.RGB); v.Layout.Width != 1280 {
		t.Errorf("the enlarged view is %+v", v.Layout)
	}
	if v, err := p.View(nil, core.PictureSize{}); err != nil || v.Arena != nil {
		t.Errorf("no formats give %+v (%v)", v, err)
	}
	if _, err := p.View([]core.PixelFormat{"YUY2"}, core.PictureSize{}); core.KindOf(err) != core.Invalid {
		t.Errorf("an unknown format gives %v", err)
	}
	i420, err := CopyI420(native, nil)
	if err != nil || len(i420) != 320*240*3/2 || !bytes.Equal(i420[:320*240], gray(t, p)) {
		t.Errorf("the copy has %d bytes (%v)", len(i420), err)
	}
	if _, err := CopyI420(small, nil); core.KindOf(err) != core.Invalid {
		t.Errorf("a copy of RGB gives %v", err)
	}
	p.Retain()
	p.Release()
	view(core.PictureSize{}, core.I420)
	p.Release()
	if _, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{}); core.KindOf(err) != core.Closed {
		t.Errorf("after its release it gives %v", err)
	}
}

// TestManyVariants makes more pictures than the arena has slots: extra memory, then a fault.
func TestManyVariants(t *testing.T) {
	t.Parallel()
	p := handmade(t, core.I420, 64, 48, 100, 128, 128, core.BT601, false)
	made := 0
	for w := 1; w <= 200; w++ {
		_, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{Width: w, Height: 10})
		if err != nil {
			if core.KindOf(err) != core.Exhausted {
				t.Error(err)
			}
			break
		}
		made++
	}
	if made != variantSlots+maxExtras*extraSlots {
		t.Errorf("%d variants", made)
	}
}

// TestPictureOutlivesStream reads a picture after its stream was closed.
func TestPictureOutlivesStream(t *testing.T) {
	t.Parallel()
	st := open(t, newMedia(t), pipeline.Source{URL: build(t, "a.mp4", ballH264+" ! mp4mux", 30, 320, 240)})
	var held []pipeline.Picture
	var before [][]byte
	for range 5 {
		_, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
		before = append(before, gray(t, p))
	}
	v, err := held[0].View([]core.PixelFormat{core.GRAY8}, core.PictureSize{})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	v.Arena.OnClose(func() { close(closed) })
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for i, p := range held {
		if !bytes.Equal(gray(t, p), before[i]) {
			t.Errorf("picture %d changed", i)
		}
		if _, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{}); err != nil {
			t.Error(err)
		}
		select {
		case <-closed:
			t.Error("the arena is closed while pictures are held")
		default:
		}
		p.Release()
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the arena is not closed after the last release")
	}
}

// TestHolder never releases a picture: a live source goes on, a file ends in a fault or at its end.
func TestHolder(t *testing.T) {
	path := build(t, "a.mp4", ballH264+" ! mp4mux", 300, 64, 48)
	hold := func(t *testing.T, st pipeline.MediaStream, until time.Duration) (held []pipeline.Picture, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), until)
		defer cancel()
		sums := map[pipeline.Picture][]byte{}
		for err == nil {
			var p pipeline.Picture
			if _, p, err = st.Next(ctx); err == nil {
				held = append(held, p)
				sums[p] = gray(t, p)
			}
		}
		for p, b := range sums {
			if !bytes.Equal(gray(t, p), b) {
				t.Error("a held picture changed")
			}
			p.Release()
		}
		return held, err
	}
	t.Run("live", func(t *testing.T) {
		t.Parallel()
		st := open(t, newMedia(t), pipeline.Source{URL: "test://?size=64x48&fps=200&live=true"})
		held, err := hold(t, st, time.Second)
		s := st.Stats()
		if len(held) < 10 || len(held) > nativeSlots || s.NoSlot < 50 {
			t.Errorf("held %d, %+v (%v)", len(held), s, err)
		}
		if _, p, err := st.Next(t.Context()); err != nil {
			t.Errorf("after the release: %v", err)
		} else {
			p.Release()
		}
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		m := newMedia(t)
		m.SlotWait = 50 * time.Millisecond
		st := open(t, m, pipeline.Source{URL: path})
		held, err := hold(t, st, 30*time.Second)
		if core.KindOf(err) != core.Exhausted || len(held) < nativeSlots || len(held) > nativeSlots+maxExtras*extraSlots {
			t.Errorf("held %d (%v)", len(held), err)
		}
	})
	t.Run("slow file", func(t *testing.T) {
		t.Parallel()
		st := open(t, newMedia(t), pipeline.Source{URL: path})
		var held []pipeline.Picture
		var wg sync.WaitGroup
		n := 0
		for {
			_, p, err := st.Next(t.Context())
			if err != nil {
				break
			}
			n++
			if held = append(held, p); len(held) == nativeSlots-12 {
				old := held[:nativeSlots/4]
				held = held[nativeSlots/4:]
				wg.Go(func() {
					time.Sleep(20 * time.Millisecond)
					for _, p := range old {
						p.Release()
					}
				})
			}
		}
		wg.Wait()
		for _, p := range held {
			p.Release()
		}
		if s := st.Stats(); n != 300 || s.NoSlot+s.Dropped != 0 {
			t.Errorf("%d frames, %+v", n, s)
		}
	})
}
