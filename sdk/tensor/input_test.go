package tensor

import (
	"image"
	"image/color"
	"math"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// frameOf makes a frame of a format with padded rows, every byte from its place.
func frameOf(t testing.TB, format core.PixelFormat, w, h, pad int, value func(plane, x, y int) uint8) *sdk.Frame {
	t.Helper()
	l := core.Layout{Format: format, Width: w, Height: h, FullRange: true, Matrix: core.BT601}
	var mem []byte
	for i := range format.Planes() {
		row, rows := format.PlaneSize(i, w, h)
		l.Planes = append(l.Planes, core.Plane{Offset: int64(len(mem)), Stride: row + pad})
		for y := range rows {
			for x := range row + pad {
				v := uint8(255)
				if x < row {
					v = value(i, x, y)
				}
				mem = append(mem, v)
			}
		}
	}
	f, err := sdk.NewFrame(core.Frame{Caps: core.Caps{Width: w, Height: h}}, l, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPlanesShareTheFramesMemory(t *testing.T) {
	place := func(plane, x, y int) uint8 { return uint8(plane*100 + y*16 + x) }
	for _, c := range []struct {
		format core.PixelFormat
		plane  int
		pad    int
		shape  tensor.Shape
		shares bool
	}{
		{core.GRAY8, 0, 0, tensor.Shape{6, 8}, true},
		{core.GRAY8, 0, 5, tensor.Shape{6, 8}, true},
		{core.I420, 1, 3, tensor.Shape{3, 4}, true},
		{core.NV12, 1, 4, tensor.Shape{3, 4, 2}, true},
		{core.RGB, 0, 0, tensor.Shape{6, 8, 3}, true},
		{core.RGB, 0, 6, tensor.Shape{6, 8, 3}, true},
		{core.BGR, 0, 4, tensor.Shape{6, 8, 3}, false}, // padding that is no whole pixel
	} {
		f := frameOf(t, c.format, 8, 6, c.pad, place)
		d, err := Plane(f, c.plane)
		if err != nil {
			t.Fatalf("%s %d: %v", c.format, c.plane, err)
		}
		if !d.Shape().Eq(c.shape) {
			t.Errorf("%s %d: shape %v, want %v", c.format, c.plane, d.Shape(), c.shape)
		}
		at := []int{2, 3, 1}[:len(c.shape)]
		x := at[1]
		if len(c.shape) == 3 {
			x = at[1]*c.shape[2] + at[2]
		}
		if v, err := d.At(at...); err != nil || v.(uint8) != place(c.plane, x, 2) {
			t.Errorf("%s %d: at %v is %v (%v), want %d", c.format, c.plane, at, v, err, place(c.plane, x, 2))
		}
		data := d.Data().([]byte)
		if shares := &data[0] == &f.Memory()[f.Layout().Planes[c.plane].Offset]; shares != c.shares {
			t.Errorf("%s %d with padding %d: shares memory: %v", c.format, c.plane, c.pad, shares)
		}
	}
}

func TestPlaneRefusals(t *testing.T) {
	f := frameOf(t, core.GRAY8, 4, 4, 0, func(_, x, _ int) uint8 { return uint8(x) })
	if _, err := Plane(f, 1); core.KindOf(err) != core.Invalid {
		t.Errorf("plane 1 of GRAY8: %v", err)
	}
	if _, err := Packed(f); core.KindOf(err) != core.Invalid {
		t.Errorf("GRAY8 as packed: %v", err)
	}
	empty, err := sdk.NewFrame(core.Frame{}, core.Layout{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Plane(empty, 0); core.KindOf(err) != core.Invalid {
		t.Errorf("a frame without pixels: %v", err)
	}
	if _, _, err := (Input{Width: 2, Height: 2}).Tensor(empty); err == nil {
		t.Error("an input of a frame without pixels")
	}
	for _, size := range []image.Point{{1, 5}, {5, 1}, {1, 1}} { // gorgonia drops dimensions of 1
		f := frameOf(t, core.GRAY8, size.X, size.Y, 2, func(_, x, y int) uint8 { return uint8(10*y + x) })
		d, err := Plane(f, 0)
		if err != nil || !d.Shape().Eq(tensor.Shape{size.Y, size.X}) {
			t.Errorf("%v: %v", size, err)
		}
	}
}

func TestRegion(t *testing.T) {
	f := frameOf(t, core.RGB, 8, 6, 6, func(_, x, y int) uint8 { return uint8(y*24 + x) })
	d, err := Packed(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []image.Rectangle{image.Rect(2, 1, 5, 4), image.Rect(2, 1, 3, 4), image.Rect(0, 5, 8, 6), image.Rect(7, 5, 8, 6)} {
		part, err := Region(d, r)
		if err != nil {
			t.Fatal(err)
		}
		if !part.Shape().Eq(tensor.Shape{r.Dy(), r.Dx(), 3}) {
			t.Errorf("%v: shape %v", r, part.Shape())
		}
		v, err := part.At(r.Dy()-1, r.Dx()-1, 2)
		if want := uint8((r.Max.Y-1)*24 + 3*(r.Max.X-1) + 2); err != nil || v.(uint8) != want {
			t.Errorf("%v: last pixel %v (%v), want %d", r, v, err, want)
		}
	}
	for _, r := range []image.Rectangle{image.Rect(0, 0, 9, 6), image.Rect(-1, 0, 3, 3), image.Rect(3, 3, 3, 3)} {
		if _, err := Region(d, r); core.KindOf(err) != core.Invalid {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// painted gives the same picture in every format: red, green, blue and grey quarters.
func painted(t *testing.T, format core.PixelFormat, w, h int) *sdk.Frame {
	quarter := func(x, y int) color.RGBA {
		switch {
		case x < w/2 && y < h/2:
			return color.RGBA{R: 200, G: 40, B: 30}
		case y < h/2:
			return color.RGBA{R: 30, G: 190, B: 60}
		case x < w/2:
			return color.RGBA{R: 40, G: 50, B: 210}
		default:
			return color.RGBA{R: 128, G: 128, B: 128}
		}
	}
	return frameOf(t, format, w, h, 4, func(plane, x, y int) uint8 {
		switch format {
		case core.RGB, core.BGR:
			c := quarter(x/3, y)
			v := [3]uint8{c.R, c.G, c.B}
			if format == core.BGR {
				v = [3]uint8{c.B, c.G, c.R}
			}
			return v[x%3]
		}
		if plane == 0 {
			c := quarter(x, y)
			l, _, _ := color.RGBToYCbCr(c.R, c.G, c.B)
			return l
		}
		cx := x
		if format == core.NV12 {
			cx = x / 2
		}
		c := quarter(2*cx, 2*y)
		_, u, v := color.RGBToYCbCr(c.R, c.G, c.B)
		if plane == 2 || (format == core.NV12 && x%2 == 1) {
			return v
		}
		return u
	})
}

func TestInputIsAlikeFromEveryFormat(t *testing.T) {
	in := Input{Width: 16, Height: 12, Scale: 1.0 / 255, Mean: [3]float32{0.5, 0.4, 0.3}, Std: [3]float32{0.2, 0.25, 0.5}}
	for _, order := range []Order{NCHW, NHWC} {
		for _, channels := range []Channels{RGB, BGR} {
			in.Order, in.Channels = order, channels
			for _, format := range []core.PixelFormat{core.RGB, core.BGR, core.I420, core.NV12} {
				d, place, err := in.Tensor(painted(t, format, 64, 48))
				if err != nil {
					t.Fatal(err)
				}
				if !d.Shape().Eq(in.Shape(1)) || d.Dtype() != tensor.Float32 {
					t.Fatalf("%v of %v", d.Dtype(), d.Shape())
				}
				for k, pixel := range []float64{200, 40, 30} { // the middle of the red quarter
					channel := k
					if channels == BGR {
						channel = 2 - k
					}
					at := []int{0, channel, 3, 4}
					if order == NHWC {
						at = []int{0, 3, 4, channel}
					}
					v, err := d.At(at...)
					if err != nil {
						t.Fatal(err)
					}
					want := (pixel/255 - float64(in.Mean[channel])) / float64(in.Std[channel])
					if math.Abs(float64(v.(float32))-want) > 0.03 {
						t.Errorf("%s to %v/%v: channel %d is %v, want %.3f", format, order, channels, channel, v, want)
					}
				}
				if p := place.Point(4, 3); p != (sdk.Point{X: 16, Y: 12}) {
					t.Errorf("the way back: %v", p)
				}
			}
		}
	}
}

func TestLimitedRange(t *testing.T) {
	l, n := core.Packed(core.I420, 4, 4)
	l.Matrix = core.BT709
	mem := slices.Repeat([]byte{128}, int(n))
	for i := range 16 {
		mem[i] = []byte{16, 235}[i/8]
	}
	f, err := sdk.NewFrame(core.Frame{}, l, mem, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := Input{Width: 4, Height: 4}.Tensor(f)
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range map[int]float32{0: 0, 3: 255} {
		if v, _ := d.At(0, 1, k, 2); math.Abs(float64(v.(float32)-want)) > 0.01 {
			t.Errorf("row %d: %v, want %v", k, v, want)
		}
	}
}

func TestLetterbox(t *testing.T) {
	for _, c := range []struct {
		w, h, side                int
		innerW, innerH, left, top int
	}{
		{50, 100, 299, 149, 299, 75, 0}, {100, 50, 299, 299, 149, 0, 75}, {1000, 1, 299, 299, 1, 0, 149}, {3, 7, 10, 4, 10, 3, 0},
	} {
		f := frameOf(t, core.GRAY8, c.w, c.h, 0, func(int, int, int) uint8 { return 200 })
		in := Input{Width: c.side, Height: c.side, Channels: Gray, Placing: Letterbox, Pad: 7}
		d, place, err := in.Tensor(f)
		if err != nil {
			t.Fatal(err)
		}
		w, h, left, top := in.inner(sdk.Box{X2: float64(c.w), Y2: float64(c.h)})
		if w != c.innerW || h != c.innerH || left != c.left || top != c.top {
			t.Errorf("%dx%d: %dx%d at %d,%d, want %dx%d at %d,%d", c.w, c.h, w, h, left, top, c.innerW, c.innerH, c.left, c.top)
		}
		values := d.Data().([]float32)
		inside := 0
		for i, v := range values {
			x, y := i%c.side, i/c.side
			within := x >= left && x < left+w && y >= top && y < top+h
			if (within && v != 200) || (!within && v != 7) {
				t.Fatalf("%dx%d: %v at %d,%d", c.w, c.h, v, x, y)
			}
			if within {
				inside++
			}
		}
		b := place.Box(sdk.Box{X1: float64(left), Y1: float64(top), X2: float64(left + w), Y2: float64(top + h)})
		if inside != w*h || math.Abs(b.X2-float64(c.w)) > 1e-9 || math.Abs(b.Y2-float64(c.h)) > 1e-9 || b.X1 != 0 || b.Y1 != 0 {
			t.Errorf("%dx%d: %d pixels, back to %v", c.w, c.h, inside, b)
		}
		in.Placing = TopLeft
		if _, _, left, top := in.inner(sdk.Box{X2: float64(c.w), Y2: float64(c.h)}); left != 0 || top != 0 {
			t.Errorf("top left is at %d,%d", left, top)
		}
	}
}

func TestBatchOfParts(t *testing.T) {
	f := painted(t, core.RGB, 40, 40)
	parts := []sdk.Box{box(2, 2, 18, 18), box(22, 2, 38, 18), box(-20, 22, 18, 60)}
	d, places, err := Input{Width: 8, Height: 8}.Batch(f, parts)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Shape().Eq(tensor.Shape{3, 3, 8, 8}) || len(places) != 3 {
		t.Fatalf("shape %v, %d places", d.Shape(), len(places))
	}
	for i, want := range []float32{200, 30, 40} {
		if v, _ := d.At(i, 0, 4, 4); v.(float32) != want {
			t.Errorf("part %d is %v red, want %v", i, v, want)
		}
	}
	if o := places[1].Outline(sdk.Rect(0, 0, 8, 4)).Box(); o != box(22, 2, 38, 10) {
		t.Errorf("back: %v", o)
	}
	for _, bad := range [][]sdk.Box{nil, {box(50, 0, 60, 10)}, {box(5, 5, 5, 9)}, {box(math.NaN(), 0, 5, 5)}} {
		if _, _, err := (Input{Width: 8, Height: 8}).Batch(f, bad); core.KindOf(err) != core.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if _, _, err := (Input{Width: -1, Height: 8}).Tensor(f); core.KindOf(err) != core.Invalid {
		t.Errorf("a negative size: %v", err)
	}
}
