package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
)

// numbered is a grey picture whose every pixel is n.
func numbered(n, w, h int) Frame {
	return Frame{Format: core.GRAY8, Width: w, Height: h, Planes: [][]byte{bytes.Repeat([]byte{byte(n)}, w*h)}}
}

func newTestFeed(t testing.TB, c Config) (*Media, *Feed) {
	t.Helper()
	m := New(nil)
	f, err := m.Feed("test", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Error(err)
		}
	})
	return m, f
}

func push(t testing.TB, f *Feed, frames ...Frame) {
	t.Helper()
	for i, fr := range frames {
		if err := f.Push(t.Context(), fr); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
	}
}

func openFeed(t testing.TB, m *Media, f *Feed) pipeline.MediaStream {
	t.Helper()
	st, err := m.Open(t.Context(), f.Source())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// first gives the first byte of a view in a format.
func first(t testing.TB, p pipeline.Picture, f core.PixelFormat) byte {
	t.Helper()
	v, err := p.View([]core.PixelFormat{f}, core.PictureSize{})
	if err != nil {
		t.Fatal(err)
	}
	return v.Arena.Bytes()[v.Layout.Planes[0].Offset]
}

func TestFramesComeInOrder(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{Queue: 2, Stamps: ByRate, FPS: 25})
	go func() {
		defer f.End()
		for i := range 100 {
			if err := f.Push(t.Context(), numbered(i, 8, 6)); err != nil {
				t.Error(err)
			}
		}
	}()
	st := openFeed(t, m, f)
	if info := st.Info(); info.Live || info.Caps.Width != 8 || info.Caps.Height != 6 || info.Caps.FPS() != 25 || info.Caps.Format != core.GRAY8 {
		t.Errorf("info is %+v", info)
	}
	for i := range 100 {
		fr, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if fr.Seq != uint64(i+1) || fr.PTS != core.PTS(i)*core.PTS(40*time.Millisecond) || fr.Stream != "test" || first(t, p, core.GRAY8) != byte(i) {
			t.Fatalf("frame %d is %+v, of %d", i, fr, first(t, p, core.GRAY8))
		}
		p.Release()
	}
	for range 2 {
		if _, _, err := st.Next(t.Context()); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
	if err := f.Push(t.Context(), numbered(0, 8, 6)); core.KindOf(err) != core.Closed {
		t.Errorf("push after the end: %v", err)
	}
	if s := f.Stats(); s != (Stats{Pushed: 100, Given: 100}) {
		t.Errorf("stats are %+v", s)
	}
	if s := st.Stats(); s.Frames != 100 || s.Copied != 100 || s.Converts != 0 {
		t.Errorf("media stats are %+v", s)
	}
}

func TestDropOldest(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{Queue: 2, Full: DropOldest})
	for i := range 10 {
		push(t, f, numbered(i, 8, 6))
	}
	if s := f.Stats(); s.Pushed != 10 || s.Dropped != 8 || s.Waiting != 2 {
		t.Errorf("stats are %+v", s)
	}
	st := openFeed(t, m, f)
	if !st.Info().Live {
		t.Error("it is not live")
	}
	last := core.PTS(-1)
	for _, want := range []int{8, 9} {
		fr, p, err := st.Next(t.Context())
		if err != nil || fr.Seq != uint64(want+1) || first(t, p, core.GRAY8) != byte(want) || fr.PTS <= last {
			t.Fatalf("%+v %v, want frame %d", fr, err, want)
		}
		last = fr.PTS
		p.Release()
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, _, err := st.Next(ctx); err != why {
		t.Errorf("next gives %v", err)
	}
}

// TestHolders never release: a live feed goes on and says so, another one waits.
func TestHolders(t *testing.T) {
	t.Parallel()
	const slots = 1 << 20 / (512 * 512)
	m, live := newTestFeed(t, Config{Queue: 2, Full: DropOldest, Memory: 2 << 20})
	wait, err := m.Feed("wait", Config{Queue: 2, Memory: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer wait.Close()
	for _, f := range []*Feed{live, wait} {
		push(t, f, numbered(0, 512, 512))
		st := openFeed(t, m, f)
		var held []pipeline.Picture
		take := func() {
			_, p, err := st.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, p)
		}
		take()
		for i := 1; i < slots; i++ {
			push(t, f, numbered(i, 512, 512))
			take()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		err := f.Push(ctx, numbered(99, 512, 512))
		if f == live && (err != nil || f.Stats().NoSlot != 1) || f == wait && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("push gives %v, stats %+v", err, f.Stats())
		}
		for i, p := range held {
			if got := first(t, p, core.GRAY8); got != byte(i) {
				t.Errorf("picture %d changed to %d", i, got)
			}
		}
		done := make(chan error, 1)
		go func() { done <- f.Push(t.Context(), numbered(100, 512, 512)) }()
		held[0].Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if f.Stats().Waiting == 1 { // a live feed may have dropped it before the release
			take()
			if got := first(t, held[len(held)-1], core.GRAY8); got != 100 {
				t.Errorf("after a release it is %d", got)
			}
		}
		for _, p := range held[1:] {
			p.Release()
		}
	}
	if err := wait.Push(t.Context(), numbered(0, 2048, 2048)); core.KindOf(err) != core.Exhausted {
		t.Errorf("a picture larger than the memory gives %v", err)
	}
}

func TestPushRefuses(t *testing.T) {
	t.Parallel()
	_, f := newTestFeed(t, Config{Stamps: Given})
	ok := numbered(1, 8, 6)
	ok.PTS = time.Second
	push(t, f, ok)
	with := func(change func(*Frame)) Frame {
		fr := numbered(1, 8, 6)
		fr.PTS = 2 * time.Second
		change(&fr)
		return fr
	}
	for name, fr := range map[string]Frame{
		"nothing":         {},
		"no width":        with(func(f *Frame) { f.Width = 0 }),
		"too high":        with(func(f *Frame) { f.Height = maxSide + 1 }),
		"no format":       with(func(f *Frame) { f.Format = "YUY2" }),
		"a plane missing": with(func(f *Frame) { f.Format = core.I420 }),
		"short":           with(func(f *Frame) { f.Planes[0] = f.Planes[0][1:] }),
		"narrow stride":   with(func(f *Frame) { f.Strides = []int{7} }),
		"wide stride":     with(func(f *Frame) { f.Strides = []int{9} }),
		"huge stride":     with(func(f *Frame) { f.Strides = []int{1 << 62} }),
		"below zero":      with(func(f *Frame) { f.Strides = []int{-8} }),
		"two strides":     with(func(f *Frame) { f.Strides = []int{8, 8} }),
		"matrix":          with(func(f *Frame) { f.Matrix = "bt2020" }),
		"the same PTS":    with(func(f *Frame) { f.PTS = time.Second }),
		"an earlier PTS":  with(func(f *Frame) { f.PTS = 0 }),
		"an empty image":  with(func(f *Frame) { f.Image = image.NewGray(image.Rectangle{}) }),
	} {
		if err := f.Push(t.Context(), fr); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := f.Stats(); s.Pushed != 1 || s.Waiting != 1 {
		t.Errorf("stats are %+v", s)
	}
	push(t, f, with(func(*Frame) {}))
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	m := New(nil)
	for name, c := range map[string]Config{
		"queue": {Queue: -1}, "long queue": {Queue: maxQueue + 1}, "policy": {Full: 2}, "stamps": {Stamps: 3}, "rate": {FPS: -1},
		"fast": {FPS: 1001}, "by no rate": {Stamps: ByRate}, "memory": {Memory: 1},
	} {
		if _, err := m.Feed("x", c); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.Feed("", Config{}); core.KindOf(err) != core.Invalid {
		t.Errorf("no name: %v", err)
	}
	f, err := m.Feed("a b/c", Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := m.Feed("a b/c", Config{}); core.KindOf(err) != core.Exists {
		t.Errorf("a second one: %v", err)
	}
	for url, kind := range map[string]core.Kind{"push://nobody": core.SourceOpen, "video.mp4": core.SourceOpen} {
		if _, err := m.Open(t.Context(), pipeline.Source{URL: url}); core.KindOf(err) != kind {
			t.Errorf("%s: %v", url, err)
		}
	}
	push(t, f, numbered(1, 4, 4))
	st := openFeed(t, m, f)
	if _, err := m.Open(t.Context(), f.Source()); core.KindOf(err) != core.SourceOpen {
		t.Errorf("opened twice: %v", err)
	}
	if errors.Join(st.Close(), st.Close()) != nil {
		t.Error("closing twice")
	}
	if f, err = m.Feed("a b/c", Config{}); err != nil {
		t.Errorf("the name is not free: %v", err)
	} else {
		f.End()
		if _, err := m.Open(t.Context(), f.Source()); core.KindOf(err) != core.SourceOpen {
			t.Errorf("a feed without frames: %v", err)
		}
		f.Close()
	}
	played := pipelinetest.Playing(pipelinetest.Script{Frames: 1})
	if st, err := New(played).Open(t.Context(), pipeline.Source{URL: "video.mp4"}); err != nil {
		t.Errorf("others: %v", err)
	} else {
		st.Close()
	}
}

// TestEnds ends feeds in every way while both sides wait.
func TestEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("the cable is out")
	for name, c := range map[string]struct {
		end  func(f *Feed, st pipeline.MediaStream)
		left int // frames that still come
		want func(error) bool
	}{
		"end":    {func(f *Feed, _ pipeline.MediaStream) { f.End(); f.End() }, 1, func(err error) bool { return err == io.EOF }},
		"fail":   {func(f *Feed, _ pipeline.MediaStream) { f.Fail(broken) }, 1, func(err error) bool { return err == broken }},
		"close":  {func(f *Feed, _ pipeline.MediaStream) { f.Close() }, 0, func(err error) bool { return core.KindOf(err) == core.Closed }},
		"stream": {func(_ *Feed, st pipeline.MediaStream) { st.Close() }, 0, func(err error) bool { return core.KindOf(err) == core.Closed }},
	} {
		m, f := newTestFeed(t, Config{Queue: 1})
		push(t, f, numbered(1, 4, 4))
		st := openFeed(t, m, f)
		pushing := make(chan error, 1)
		go func() { pushing <- f.Push(context.Background(), numbered(2, 4, 4)) }()
		time.Sleep(5 * time.Millisecond) // so that most runs have it waiting
		c.end(f, st)
		if err := <-pushing; core.KindOf(err) != core.Closed {
			t.Errorf("%s: push gives %v", name, err)
		}
		for range c.left {
			_, p, err := st.Next(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			p.Release()
		}
		if _, _, err := st.Next(t.Context()); !c.want(err) {
			t.Errorf("%s: next gives %v", name, err)
		}
	}
}

// TestSizesChange pushes pictures of many sizes and formats: the memory of those before goes.
func TestSizesChange(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{Queue: 8, Memory: 8 << 20})
	go func() {
		defer f.End()
		for i := range 60 {
			side := 16 + i/10*100
			if err := f.Push(t.Context(), numbered(i, side, side+2)); err != nil {
				t.Error(err)
			}
		}
	}()
	st := openFeed(t, m, f)
	var held pipeline.Picture
	n := 0
	for ; ; n++ {
		fr, p, err := st.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		side := 16 + n/10*100
		if fr.Caps.Width != side || fr.Caps.Height != side+2 || first(t, p, core.GRAY8) != byte(n) || first(t, p, core.I420) != byte(n) {
			t.Errorf("frame %d is %v", n, fr.Caps)
		}
		if held == nil {
			held = p
			continue
		}
		p.Release()
	}
	if n != 60 || first(t, held, core.GRAY8) != 0 {
		t.Errorf("%d frames, the first one is %d", n, first(t, held, core.GRAY8))
	}
	f.frames.mu.Lock()
	blocks, slots := len(f.frames.blocks), f.frames.slots
	f.frames.mu.Unlock()
	if blocks > 3 || slots != 1 {
		t.Errorf("%d blocks and %d slots are left", blocks, slots)
	}
	held.Release()
}

// TestPictureOutlivesFeed reads a picture after its feed was closed.
func TestPictureOutlivesFeed(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{})
	push(t, f, numbered(7, 64, 48))
	st := openFeed(t, m, f)
	_, p, err := st.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	v.Arena.OnClose(func() { closed = true })
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if first(t, p, core.GRAY8) != 7 || first(t, p, core.NV12) != 7 || closed {
		t.Error("the picture went with its feed")
	}
	p.Retain()
	p.Release()
	if closed {
		t.Error("the memory went with a reference that was not the last")
	}
	p.Release()
	if !closed || f.Stats().Held != 0 {
		t.Errorf("the memory stays after the last release; stats %+v", f.Stats())
	}
	if _, err := p.View([]core.PixelFormat{core.GRAY8}, core.PictureSize{}); core.KindOf(err) != core.Closed {
		t.Errorf("after the release: %v", err)
	}
}

// TestViewsAreMadeOnce asks for views from many goroutines.
func TestViewsAreMadeOnce(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{})
	push(t, f, Frame{Image: image.NewYCbCr(image.Rect(0, 0, 320, 240), image.YCbCrSubsampleRatio420)})
	st := openFeed(t, m, f)
	_, p, err := st.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	view := func(size core.PictureSize, formats ...core.PixelFormat) shm.View {
		v, err := p.View(formats, size)
		if err != nil {
			t.Error(err)
			return v
		}
		if v.Arena != nil {
			if err := v.Layout.Check(int64(len(v.Arena.Bytes()))); err != nil {
				t.Error(err)
			}
		}
		return v
	}
	native := view(core.PictureSize{}, core.I420)
	if luma := view(core.PictureSize{MaxSide: 1000}, core.RGB, core.GRAY8); luma.Layout.Planes[0] != native.Layout.Planes[0] || luma.Layout.Format != core.GRAY8 {
		t.Errorf("the free view is %+v", luma.Layout)
	}
	if view(core.PictureSize{}).Arena != nil {
		t.Error("no formats give pixels")
	}
	if n := st.Stats().Converts; n != 0 {
		t.Errorf("%d conversions for views that are free", n)
	}
	small := view(core.PictureSize{MaxSide: 64}, core.RGB, core.GRAY8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if v := view(core.PictureSize{MaxSide: 64}, core.RGB); v.Layout.Planes[0] != small.Layout.Planes[0] {
				t.Errorf("another picture: %+v", v.Layout)
			}
			view(core.PictureSize{}, core.BGR)
		})
	}
	wg.Wait()
	if s := st.Stats(); s.Converts != 2 || s.ConvertTime <= 0 {
		t.Errorf("stats are %+v", s)
	}
	for _, bad := range []core.PictureSize{{Width: maxSide + 1, Height: 1}, {Filter: "cubic"}} {
		if _, err := p.View([]core.PixelFormat{core.RGB}, bad); core.KindOf(err) != core.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := p.View([]core.PixelFormat{"YUY2"}, core.PictureSize{}); core.KindOf(err) != core.Invalid {
		t.Errorf("an unknown format gives %v", err)
	}
	made := 0
	for ; made < 1000; made++ {
		if _, err = p.View([]core.PixelFormat{core.RGB}, core.PictureSize{Width: 4000 + made, Height: 4000}); err != nil {
			break
		}
	}
	if core.KindOf(err) != core.Exhausted || made < 2 || made > 11 {
		t.Errorf("%d large views, then %v", made, err)
	}
}

// TestImages pushes pictures of the image packages, whole and parts.
func TestImages(t *testing.T) {
	t.Parallel()
	at := func(x, y int) color.RGBA {
		return color.RGBA{uint8(40 + 9*x), uint8(200 - 7*y), uint8(90 + x + y), 255}
	}
	r := image.Rect(3, 5, 24, 20)
	whole := image.Rect(0, 0, 30, 30)
	rgba, nrgba, gray := image.NewRGBA(whole), image.NewNRGBA(whole), image.NewGray(whole)
	images := map[string]image.Image{}
	for y := range 30 {
		for x := range 30 {
			rgba.Set(x, y, at(x, y))
			c := at(x, y)
			nrgba.SetNRGBA(x, y, color.NRGBA{c.R, c.G, c.B, uint8(255 - 8*x)})
			gray.Set(x, y, at(x, y))
		}
	}
	images["RGBA"], images["NRGBA"], images["Gray"] = rgba.SubImage(r), nrgba.SubImage(r), gray.SubImage(r)
	images["another kind"] = struct{ image.Image }{nrgba.SubImage(r)}
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411} {
		m := image.NewYCbCr(whole, ratio)
		for y := range 30 {
			for x := range 30 {
				c := at(12, 12) // of one colour, so that subsampling does not count
				yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
				m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = yy, cb, cr
			}
		}
		images["YCbCr "+ratio.String()] = m.SubImage(r)
	}
	for name, img := range images {
		m, f := newTestFeed(t, Config{})
		push(t, f, Frame{Image: img})
		_, p, err := openFeed(t, m, f).Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{})
		if err != nil || v.Layout.Width != r.Dx() || v.Layout.Height != r.Dy() {
			t.Fatal(v.Layout, err)
		}
		for y := range r.Dy() {
			for x := range r.Dx() {
				px := v.Arena.Bytes()[int(v.Layout.Planes[0].Offset)+y*v.Layout.Planes[0].Stride+3*x:]
				want := color.RGBAModel.Convert(img.At(r.Min.X+x, r.Min.Y+y)).(color.RGBA)
				if near(px[0], want.R) > 1 || near(px[1], want.G) > 1 || near(px[2], want.B) > 1 {
					t.Fatalf("%s at %d,%d: %v, want %v", name, x, y, px[:3], want)
				}
			}
		}
		p.Release()
	}
}

func near(a, b byte) int { return max(int(a)-int(b), int(b)-int(a)) }

// TestSession has an engine run a capsule on what is pushed.
func TestSession(t *testing.T) {
	t.Parallel()
	m, f := newTestFeed(t, Config{})
	e := pipeline.New(m, hclog.NewNullLogger())
	defer e.Close()
	decl := core.Declaration{Name: "detector_level", Version: "1", API: core.APIVersion, Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"level"}}, Formats: []core.PixelFormat{core.GRAY8}, Entry: "x"}
	capsule := &pipelinetest.Capsule{Decl: decl, ProcessFunc: func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		v := float64(c.View.Arena.Bytes()[c.View.Layout.Planes[0].Offset])
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{{Class: "level", Coords: core.Rect(v, 0, v+1, 1)}}}}}, nil
	}}
	if err := e.Add(capsule); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer f.End()
		for i := range 50 {
			if err := f.Push(t.Context(), numbered(i, 16, 16)); err != nil {
				t.Error(err)
			}
		}
	}()
	s, err := e.Open(t.Context(), pipeline.Job{Source: f.Source()})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		r, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Nodes) != 1 || r.Nodes[0].Coords[0].X != float64(i) || r.Frame.Seq != uint64(i+1) {
			t.Errorf("result %d is %+v %+v", i, r.Frame, r.Nodes)
		}
		r.Release()
	}
	if _, err := s.Next(t.Context()); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Push(t.Context(), numbered(0, 16, 16)); core.KindOf(err) != core.Closed {
		t.Errorf("push after the session: %v", err)
	}
}

// TestLeaks makes and closes feeds: no goroutine, descriptor or arena is left. It runs alone.
func TestLeaks(t *testing.T) {
	usage := func() (descriptors, arenas, goroutines int) {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc")
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries), strings.Count(string(maps), "capstan-arena"), runtime.NumGoroutine()
	}
	round := func() {
		m, f := newTestFeed(t, Config{Full: DropOldest})
		for i := range 12 {
			push(t, f, numbered(i, 32, 16+i/4))
		}
		st := openFeed(t, m, f)
		_, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.View([]core.PixelFormat{core.RGB}, core.PictureSize{MaxSide: 8}); err != nil {
			t.Fatal(err)
		}
		f.Close()
		p.Release()
	}
	round()
	d0, a0, g0 := usage()
	for range 200 {
		round()
	}
	d1, a1, g1 := usage()
	if d1 > d0 || a1 > a0 || g1 > g0 {
		t.Errorf("descriptors %d → %d, arenas %d → %d, goroutines %d → %d", d0, d1, a0, a1, g0, g1)
	}
}

func BenchmarkPush1080p(b *testing.B) {
	m, f := newTestFeed(b, Config{})
	l, size := core.Packed(core.I420, 1920, 1080)
	mem := make([]byte, size)
	fr := Frame{Format: core.I420, Width: 1920, Height: 1080}
	for i, p := range l.Planes {
		row, rows := core.I420.PlaneSize(i, 1920, 1080)
		fr.Planes = append(fr.Planes, mem[p.Offset:p.Offset+int64(row*rows)])
	}
	push(b, f, fr)
	st := openFeed(b, m, f)
	for _, format := range []core.PixelFormat{core.GRAY8, core.RGB} {
		b.Run(fmt.Sprint(format), func(b *testing.B) {
			for b.Loop() {
				push(b, f, fr)
				_, p, err := st.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := p.View([]core.PixelFormat{format}, core.PictureSize{}); err != nil {
					b.Fatal(err)
				}
				p.Release()
			}
		})
	}
}

// FuzzFrame pushes planes of any size: what does not fit is refused, nothing panics.
func FuzzFrame(f *testing.F) {
	f.Add(0, 8, 6, 8, 3, 48, 24)
	f.Add(1, 9, 7, 16, 5, 120, 20)
	f.Add(3, 1, 1, 3, 0, 3, 0)
	f.Add(2, 1<<20, -1, -8, 1<<60, 10, 0)
	m := New(nil)
	feed, err := m.Feed("fuzz", Config{Full: DropOldest})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { feed.Close() })
	f.Fuzz(func(t *testing.T, format, w, h, stride, chroma, bytes, more int) {
		fr := Frame{Format: append(core.PixelFormats, "YUY2")[uint(format)%6], Width: w, Height: h}
		for i := range fr.Format.Planes() {
			n, s := bytes, stride
			if i > 0 {
				n, s = more, chroma
			}
			fr.Planes, fr.Strides = append(fr.Planes, make([]byte, uint(n)%(1<<16))), append(fr.Strides, s)
		}
		before := feed.Stats().Pushed
		err := feed.Push(t.Context(), fr)
		if pushed := feed.Stats().Pushed > before; pushed != (err == nil) || err != nil && core.KindOf(err) != core.Invalid {
			t.Errorf("pushed %t: %v", pushed, err)
		}
	})
}
