package detect

import (
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// ramp is a picture whose red grows to the right and green downwards.
func ramp(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.NRGBA{R: uint8(2 * x), G: uint8(2 * y), B: 40, A: 255})
		}
	}
	return m
}

func frameOf(t testing.TB, m image.Image, format core.PixelFormat, padding int) *sdk.Frame {
	t.Helper()
	b := sdktest.FrameOf(m, format, sdktest.Padded(padding))
	f, err := sdk.NewFrame(b.Info, b.Layout, b.Memory, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFillTakesPixelsAsTheyAre(t *testing.T) {
	t.Parallel()
	const w, h = 20, 12
	for _, c := range []struct {
		format core.PixelFormat
		bgr    bool
		slack  float64 // chroma of 4:2:0 is shared by four pixels
	}{{core.RGB, false, 0}, {core.RGB, true, 0}, {core.BGR, false, 0}, {core.BGR, true, 0}, {core.I420, false, 8}, {core.NV12, true, 8}} {
		f := frameOf(t, ramp(w, h), c.format, 7)
		in := NewInput(24, 16, Norm{BGR: c.bgr, Pad: 114})
		warp, _ := Letterbox(w, h, w, h)
		d := in.Fill(f, warp).Data().([]float32)
		r, g, b := in.channels()
		for y := range 16 {
			for x := range 24 {
				want := [3]float64{}
				want[r], want[g], want[b] = float64(2*x), float64(2*y), 40
				if x >= w || y >= h {
					want = [3]float64{114, 114, 114}
				}
				for k := range 3 {
					if got := float64(d[(k*16+y)*24+x]); math.Abs(got-want[k]) > c.slack {
						t.Fatalf("%s, BGR %v: channel %d at (%d, %d) is %v, want %v", c.format, c.bgr, k, x, y, got, want[k])
					}
				}
			}
		}
	}
}

func TestFillInterpolatesAndAverages(t *testing.T) {
	t.Parallel()
	const w, h = 96, 64
	for _, scale := range []float64{0.5, 0.7, 1.5, 2, 3, 3.4} {
		f := frameOf(t, ramp(w, h), core.RGB, 0)
		iw, ih := int(w/scale), int(h/scale)
		in := NewInput(iw, ih, Norm{})
		d := in.Fill(f, Cut(sdk.Box{X2: float64(iw) * scale, Y2: float64(ih) * scale}, iw, ih)).Data().([]float32)
		for y := 2; y < ih-3; y++ {
			for x := 2; x < iw-3; x++ {
				// On a ramp the mean is the value in the middle.
				wantR, wantG := 2*((float64(x)+0.5)*scale-0.5), 2*((float64(y)+0.5)*scale-0.5)
				if r, g := float64(d[y*iw+x]), float64(d[(ih+y)*iw+x]); math.Abs(r-wantR) > 1.1 || math.Abs(g-wantG) > 1.1 {
					t.Fatalf("scale %v at (%d, %d): %v, %v; want %v, %v", scale, x, y, r, g, wantR, wantG)
				}
			}
		}
	}
}

// A picture of single black columns among white ones is grey when it is averaged; between two
// columns it is not.
func TestFillLinearDoesNotAverage(t *testing.T) {
	t.Parallel()
	m := image.NewNRGBA(image.Rect(0, 0, 90, 30))
	for y := range 30 {
		for x := range 90 {
			if x%3 != 1 {
				m.Set(x, y, color.White)
			} else {
				m.Set(x, y, color.Black)
			}
		}
	}
	f := frameOf(t, m, core.RGB, 0)
	for linear, want := range map[bool]float32{false: 170, true: 0} {
		d := NewInput(30, 10, Norm{Linear: linear}).Fill(f, Cut(sdk.Box{X2: 90, Y2: 30}, 30, 10)).Data().([]float32)
		for i := range 300 {
			if d[i] != want {
				t.Fatalf("linear %v: pixel %d is %v, want %v", linear, i, d[i], want)
			}
		}
	}
}

func TestFillWithinSeesNothingElse(t *testing.T) {
	t.Parallel()
	f := frameOf(t, ramp(40, 40), core.RGB, 0)
	part := sdk.Box{X1: 10, Y1: 12, X2: 20, Y2: 22}
	in := NewInput(24, 24, Norm{Pad: 7})
	d := in.FillWithin(f, Cut(sdk.Box{X1: 5, Y1: 5, X2: 29, Y2: 29}, 24, 24), part).Data().([]float32)
	for y := range 24 {
		for x := range 24 {
			want := [3]float32{7, 7, 7}
			if px, py := x+5, y+5; px >= 10 && px < 20 && py >= 12 && py < 22 {
				want = [3]float32{float32(2 * px), float32(2 * py), 40}
			}
			for k := range 3 {
				if got := d[(k*24+y)*24+x]; got != want[k] {
					t.Fatalf("channel %d at (%d, %d) is %v, want %v", k, x, y, got, want[k])
				}
			}
		}
	}
}

func TestWhole(t *testing.T) {
	t.Parallel()
	if got, want := Whole(sdk.Box{X1: 1.9, Y1: -0.5, X2: 4.8, Y2: 3}), (sdk.Box{X1: 1, Y1: -1, X2: 3, Y2: 2}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFillTurns(t *testing.T) {
	t.Parallel()
	f := frameOf(t, ramp(100, 100), core.RGB, 0)
	// A quarter turn: the input's x runs down the picture.
	w, ok := Align([]sdk.Point{{X: 0, Y: 0}, {X: 10, Y: 0}}, []sdk.Point{{X: 50, Y: 20}, {X: 50, Y: 30}})
	if !ok {
		t.Fatal("no similarity")
	}
	d := NewInput(10, 10, Norm{}).Fill(f, w).Data().([]float32)
	for y := range 10 {
		for x := range 10 {
			wantR, wantG := float32(2*(50-y)), float32(2*(20+x))
			if r, g := d[10*y+x], d[100+10*y+x]; math.Abs(float64(r-wantR)) > 0.01 || math.Abs(float64(g-wantG)) > 0.01 {
				t.Fatalf("(%d, %d): %v, %v; want %v, %v", x, y, r, g, wantR, wantG)
			}
		}
	}
}

func TestFillNormalises(t *testing.T) {
	t.Parallel()
	m := image.NewUniform(color.NRGBA{R: 200, G: 100, B: 50, A: 255})
	f := frameOf(t, cropped{m, image.Rect(0, 0, 8, 8)}, core.RGB, 0)
	for name, c := range map[string]struct {
		norm Norm
		want [3]float64
	}{
		"none":     {Norm{}, [3]float64{200, 100, 50}},
		"even":     {Even(true, 127.5, 127.5), [3]float64{50/127.5 - 1, 100/127.5 - 1, 200/127.5 - 1}},
		"ImageNet": {ImageNet, [3]float64{(200/255.0 - 0.485) / 0.229, (100/255.0 - 0.456) / 0.224, (50/255.0 - 0.406) / 0.225}},
	} {
		for _, warp := range []Warp{Cut(sdk.Box{X2: 8, Y2: 8}, 8, 8), Cut(sdk.Box{X1: 1, Y1: 1, X2: 7, Y2: 7}, 8, 8)} {
			d := NewInput(8, 8, c.norm).Fill(f, warp).Data().([]float32)
			for k := range 3 {
				if got := float64(d[64*k+27]); math.Abs(got-c.want[k]) > 1e-4 {
					t.Errorf("%s: channel %d is %v, want %v", name, k, got, c.want[k])
				}
			}
		}
	}
}

type cropped struct {
	image.Image
	r image.Rectangle
}

func (c cropped) Bounds() image.Rectangle { return c.r }

func TestYUVIsWhatTheFrameSays(t *testing.T) {
	t.Parallel()
	for _, format := range []core.PixelFormat{core.I420, core.NV12} {
		for _, matrix := range []core.Matrix{core.BT601, core.BT709} {
			for _, full := range []bool{true, false} {
				b := sdktest.FrameOf(ramp(31, 17), format)
				b.Layout.Matrix, b.Layout.FullRange = matrix, full
				f, err := sdk.NewFrame(b.Info, b.Layout, b.Memory, nil)
				if err != nil {
					t.Fatal(err)
				}
				d := NewInput(31, 17, Norm{}).Fill(f, Cut(sdk.Box{X2: 31, Y2: 17}, 31, 17)).Data().([]float32)
				m := f.Image().(*sdk.YUVImage)
				for y := range 17 {
					for x := range 31 {
						r, g, bl := m.RGB(x, y)
						for k, want := range []uint8{r, g, bl} {
							if got := d[(17*k+y)*31+x]; math.Abs(float64(got)-float64(want)) > 1 {
								t.Fatalf("%s %s full %v at (%d, %d): channel %d is %v, want %d", format, matrix, full, x, y, k, got, want)
							}
						}
					}
				}
			}
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
	f.Add(0.3, 0.2, -5.0, -0.2, 0.3, 900.0, 0.0, 0.0)
	f.Add(1e9, 0.0, -1e9, 0.0, 1e-9, 0.0, 0.001, -0.01)
	m := ramp(13, 9)
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i float64) {
		for _, format := range core.PixelFormats {
			in := NewInput(7, 5, Norm{Pad: 9})
			for _, v := range in.Fill(frameOf(t, m, format, 3), Warp{a, b, c, d, e, g, h, i, 1}).Data().([]float32) {
				if !(v >= 0 && v <= 255) {
					t.Fatalf("%s: %v", format, v)
				}
			}
		}
	})
}

func BenchmarkFill(b *testing.B) {
	m := ramp(640, 360)
	for name, c := range map[string]struct {
		format core.PixelFormat
		warp   func() Warp
		w, h   int
	}{
		"as it is":   {core.BGR, func() Warp { w, _ := Letterbox(640, 360, 640, 360); return w }, 640, 384},
		"shrunk":     {core.BGR, func() Warp { w, _ := Letterbox(640, 360, 416, 416); return w }, 416, 416},
		"enlarged":   {core.BGR, func() Warp { w, _ := Letterbox(640, 360, 800, 800); return w }, 800, 800},
		"I420 crop":  {core.I420, func() Warp { return Cut(sdk.Box{X1: 100, Y1: 50, X2: 230, Y2: 330}, 128, 256) }, 128, 256},
		"I420 turnt": {core.I420, func() Warp { w, _ := Align(arcFace[:2], []sdk.Point{{X: 200, Y: 150}, {X: 230, Y: 160}}); return w }, 112, 112},
	} {
		f := frameOf(b, m, c.format, 0)
		b.Run(name, func(b *testing.B) {
			in, warp := NewInput(c.w, c.h, Norm{Pad: 114}), c.warp()
			for b.Loop() {
				in.Fill(f, warp)
			}
		})
	}
}

func TestStepsFollowThePicture(t *testing.T) {
	t.Parallel()
	letterbox, _ := Letterbox(1280, 720, 416, 416)
	tilted, _ := Straighten([]sdk.Point{{X: 0, Y: 0}, {X: 672, Y: 20}, {X: 670, Y: 212}, {X: 3, Y: 190}}, 168, 48)
	for name, c := range map[string]struct {
		warp   Warp
		w, h   int
		kx, ky int
	}{
		"letterbox": {letterbox, 416, 416, 3, 3},
		"squeezed":  {Cut(sdk.Box{X2: 640, Y2: 100}, 64, 50), 64, 50, 10, 2},
		"enlarged":  {Cut(sdk.Box{X2: 64, Y2: 50}, 640, 500), 640, 500, 1, 1},
		"tilted":    {tilted, 168, 48, 4, 4},
		"nothing":   {Warp{}, 8, 8, 1, 1},
	} {
		if kx, ky := c.warp.steps(c.w, c.h); abs(kx-c.kx) > 1 || abs(ky-c.ky) > 1 || (name != "tilted" && (kx != c.kx || ky != c.ky)) {
			t.Errorf("%s: %d by %d, want %d by %d", name, kx, ky, c.kx, c.ky)
		}
	}
}

func abs(v int) int { return max(v, -v) }
