package core

import (
	"math"
	"math/big"
	"testing"
	"time"
)

func TestFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p            PictureSize
		w, h, fw, fh int
	}{
		"native":            {PictureSize{}, 1920, 1080, 1920, 1080},
		"exact":             {PictureSize{Width: 300, Height: 300}, 1920, 1080, 300, 300},
		"exact may enlarge": {PictureSize{Width: 300, Height: 200}, 10, 10, 300, 200},
		"wide":              {PictureSize{MaxSide: 640}, 1920, 1080, 640, 360},
		"tall":              {PictureSize{MaxSide: 640}, 1080, 1920, 360, 640},
		"square":            {PictureSize{MaxSide: 640}, 1000, 1000, 640, 640},
		"fits":              {PictureSize{MaxSide: 640}, 640, 480, 640, 480},
		"never enlarged":    {PictureSize{MaxSide: 640}, 320, 240, 320, 240},
		"rounds":            {PictureSize{MaxSide: 416}, 1920, 1080, 416, 234},
		"rounds half up":    {PictureSize{MaxSide: 5}, 10, 5, 5, 3},
		"no side is 0":      {PictureSize{MaxSide: 10}, 1000, 1, 10, 1},
		"nor the other":     {PictureSize{MaxSide: 10}, 1, 1000, 1, 10},
	} {
		if w, h := c.p.Fit(c.w, c.h); w != c.fw || h != c.fh {
			t.Errorf("%s: %dx%d, want %dx%d", name, w, h, c.fw, c.fh)
		}
	}
	if !(PictureSize{}).Native() || (PictureSize{MaxSide: 1}).Native() {
		t.Error("native")
	}
}

func TestPacked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		f       PixelFormat
		w, h    int
		offsets []int64
		size    int64
	}{
		"gray":      {GRAY8, 7, 5, []int64{0}, 35},
		"rgb":       {RGB, 7, 5, []int64{0}, 105},
		"bgr":       {BGR, 2, 2, []int64{0}, 12},
		"i420":      {I420, 640, 480, []int64{0, 307200, 384000}, 460800},
		"i420, odd": {I420, 7, 5, []int64{0, 35, 47}, 59},
		"nv12":      {NV12, 640, 480, []int64{0, 307200}, 460800},
		"nv12, odd": {NV12, 7, 5, []int64{0, 35}, 59},
		"unknown":   {"YUY2", 7, 5, nil, 0},
	} {
		l, size := Packed(c.f, c.w, c.h)
		if size != c.size || len(l.Planes) != len(c.offsets) {
			t.Errorf("%s: %d bytes, %+v", name, size, l)
			continue
		}
		for i, p := range l.Planes {
			if p.Offset != c.offsets[i] {
				t.Errorf("%s: plane %d at %d", name, i, p.Offset)
			}
		}
		if err := l.Check(size); (err == nil) != c.f.Known() {
			t.Errorf("%s: %v", name, err)
		}
		if c.f.Known() && l.Check(size-1) == nil {
			t.Errorf("%s: fits into a byte less", name)
		}
	}
}

func TestLayoutCheck(t *testing.T) {
	t.Parallel()
	base := func() (Layout, int64) { return Packed(I420, 64, 48) }
	for name, spoil := range map[string]func(l *Layout, size *int64){
		"no width":         func(l *Layout, _ *int64) { l.Width = 0 },
		"height below 0":   func(l *Layout, _ *int64) { l.Height = -1 },
		"too wide":         func(l *Layout, _ *int64) { l.Width = 1<<15 + 1 },
		"unknown format":   func(l *Layout, _ *int64) { l.Format = "" },
		"plane missing":    func(l *Layout, _ *int64) { l.Planes = l.Planes[:2] },
		"plane too many":   func(l *Layout, _ *int64) { l.Planes = append(l.Planes, Plane{}) },
		"offset below 0":   func(l *Layout, _ *int64) { l.Planes[1].Offset = -1 },
		"offset at end":    func(l *Layout, size *int64) { l.Planes[2].Offset = *size },
		"offset huge":      func(l *Layout, _ *int64) { l.Planes[2].Offset = math.MaxInt64 },
		"stride short":     func(l *Layout, _ *int64) { l.Planes[0].Stride = 63 },
		"stride below 0":   func(l *Layout, _ *int64) { l.Planes[0].Stride = -64 },
		"stride long":      func(l *Layout, _ *int64) { l.Planes[2].Stride = 64 },
		"stride overflows": func(l *Layout, size *int64) { *size = math.MaxInt64; l.Planes[0].Stride = math.MaxInt64 / 40 },
		"block empty":      func(_ *Layout, size *int64) { *size = 0 },
		"block below 0":    func(_ *Layout, size *int64) { *size = -1 },
		"a byte short":     func(_ *Layout, size *int64) { *size-- },
	} {
		l, size := base()
		spoil(&l, &size)
		if err := l.Check(size); KindOf(err) != Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	l, size := base()
	l.Planes[0].Stride, l.Planes[1].Offset, l.Planes[2].Offset = 80, 80*48, 80*48+32*24
	if err := l.Check(size + 16*48); err != nil {
		t.Errorf("padded rows: %v", err)
	}
	if err := l.Check(size + 16*48 - 1); err == nil {
		t.Error("padded rows, a byte short")
	}
}

// No layout that passes reaches outside the block.
func FuzzLayoutCheck(f *testing.F) {
	f.Add(0, 7, 5, int64(0), 7, int64(100))
	f.Add(3, 32768, 32768, int64(math.MaxInt64), math.MaxInt64, int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, format, w, h int, offset int64, stride int, size int64) {
		l := Layout{Format: PixelFormats[uint(format)%uint(len(PixelFormats))], Width: w, Height: h}
		for range l.Format.Planes() {
			l.Planes = append(l.Planes, Plane{offset, stride})
		}
		if l.Check(size) != nil {
			return
		}
		for i, p := range l.Planes {
			row, rows := l.Format.PlaneSize(i, w, h)
			end := new(big.Int).Mul(big.NewInt(int64(p.Stride)), big.NewInt(int64(rows-1)))
			end.Add(end, big.NewInt(int64(row))).Add(end, big.NewInt(p.Offset))
			if p.Offset < 0 || p.Stride < row || end.Cmp(big.NewInt(size)) > 0 {
				t.Fatalf("plane %d ends at %v of %d", i, end, size)
			}
		}
	})
}

func TestPixelFormats(t *testing.T) {
	t.Parallel()
	for f, planes := range map[PixelFormat]int{GRAY8: 1, I420: 3, NV12: 2, RGB: 1, BGR: 1, "YUY2": 0} {
		if f.Planes() != planes || f.Known() != (planes > 0) {
			t.Errorf("%s: %d planes, known %v", f, f.Planes(), f.Known())
		}
	}
}

func TestCaps(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Caps{
		"I420 1920x1080 @ 30 fps":   {Format: I420, Width: 1920, Height: 1080, RateN: 30, RateD: 1},
		"NV12 640x480 @ 29.97 fps":  {Format: NV12, Width: 640, Height: 480, RateN: 30000, RateD: 1001},
		"RGB 1x2":                   {Format: RGB, Width: 1, Height: 2},
		"GRAY8 1x2":                 {Format: GRAY8, Width: 1, Height: 2, RateN: 5},
		"BGR 3x4 @ 0.5 fps":         {Format: BGR, Width: 3, Height: 4, RateN: 1, RateD: 2},
		"I420 1280x720 @ 23.98 fps": {Format: I420, Width: 1280, Height: 720, RateN: 24000, RateD: 1001},
	} {
		if got := c.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if s := PTS(1500 * time.Millisecond).Seconds(); s != 1.5 {
		t.Errorf("PTS %v", s)
	}
}
