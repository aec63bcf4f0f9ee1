package tensor

import (
	"image"
	"math"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"gorgonia.org/tensor"
)

// The names of cases follow tables 6.4 and 6.5 of the capsule contract. Where ours differ from
// the older Python SDK on purpose, the case says so.

func TestCrop(t *testing.T) {
	for _, c := range []struct {
		name string
		crop Crop
		want image.Rectangle
	}{
		{"inside", Crop{30, 30, 40, 40}, image.Rect(30, 30, 40, 40)},
		{"past the far edge (Python: 9x9, ends at 99)", Crop{90, 90, 110, 110}, image.Rect(90, 90, 100, 100)},
		{"past the near edge", Crop{-10, -10, 10, 10}, image.Rect(0, 0, 10, 10)},
		{"all of it", Crop{0, 0, 100, 100}, image.Rect(0, 0, 100, 100)},
		{"a margin", Crop{10, 10, 90, 90}, image.Rect(10, 10, 90, 90)},
		{"10 percent", Crop{10, 10, 20, 20}.PadPercent(10, 10, 10, 10), image.Rect(9, 9, 21, 21)},
		{"10 pixels", Crop{10, 10, 20, 20}.PadPixels(10, 10, 10, 10), image.Rect(0, 0, 30, 30)},
		{"of a box", CropOf(sdk.Box{X1: 10, Y1: 10, X2: 20, Y2: 20}), image.Rect(10, 10, 20, 20)},
		{"percent by side", Crop{40, 40, 50, 50}.PadPercent(10, 20, 30, 40), image.Rect(37, 39, 54, 52)},
		{"pixels by side", Crop{40, 40, 50, 50}.PadPixels(1, 2, 3, 4), image.Rect(37, 39, 54, 52)},
		{"percent twice", Crop{40, 40, 50, 50}.PadPercent(50, 0, 0, 0).PadPercent(50, 0, 0, 0), image.Rect(40, 28, 50, 50)},
		{"15 percent", Crop{10, 20, 43, 41}.PadPercent(15, 15, 15, 15), image.Rect(5, 17, 48, 44)},
		{"halves", Crop{0.5, 0.5, 1.5, 1.5}, image.Rect(0, 0, 2, 2)},
		{"halves to even", Crop{1.5, 2.5, 3.5, 4.5}, image.Rect(2, 2, 4, 4)},
		{"padded past the far edge (Python: 19x19)", Crop{90, 90, 100, 100}.PadPixels(10, 10, 10, 10), image.Rect(80, 80, 100, 100)},
		{"polygon", CropOf(sdk.Polygon{{X: 10, Y: 15}, {X: 30, Y: 12}, {X: 25, Y: 40}}.Box()), image.Rect(10, 12, 30, 40)},
	} {
		if got, ok := c.crop.Within(100, 100); got != c.want || !ok {
			t.Errorf("%s: %v %v, want %v", c.name, got, ok, c.want)
		}
	}
	for _, c := range []Crop{{150, 150, 200, 200}, {-20, -20, -10, -10}, {60, 60, 50, 50}, {math.NaN(), 0, 5, 5}} {
		if r, ok := c.Within(100, 100); ok {
			t.Errorf("%v gave %v, want nothing", c, r)
		}
	}
}

func TestClamp(t *testing.T) {
	for _, c := range []struct {
		w, h, maxW, maxH int
		outW, outH       int
		factor           float64
		box              [4]float64 // of 10,10,100,100
	}{
		{800, 800, 100, 100, 100, 100, 0.125, [4]float64{80, 80, 800, 800}},
		{800, 600, 100, 100, 100, 75, 0.125, [4]float64{80, 80, 800, 800}},
		{600, 800, 100, 100, 75, 100, 0.125, [4]float64{80, 80, 800, 800}},
		{60, 50, 100, 100, 60, 50, 1, [4]float64{10, 10, 100, 100}},
		{600, 800, 100, 700, 525, 700, 0.875, [4]float64{11, 11, 114, 114}}, // the width limit is passed
		{1920, 1080, 640, 640, 640, 360, 1.0 / 3, [4]float64{30, 30, 300, 300}},
		{100, 101, 100, 100, 99, 100, 100.0 / 101, [4]float64{10, 10, 101, 101}},
		{1000, 3, 100, 100, 100, 1, 0.1, [4]float64{100, 100, 1000, 1000}}, // Python: height 0
	} {
		got := ClampTo(c.w, c.h, c.maxW, c.maxH)
		if got.Width != c.outW || got.Height != c.outH || math.Abs(got.Factor-c.factor) > 1e-12 {
			t.Errorf("%dx%d to %dx%d: %+v, want %dx%d by %v", c.w, c.h, c.maxW, c.maxH, got, c.outW, c.outH, c.factor)
		}
		b := got.Restore(sdk.Rect(10, 10, 100, 100)).Box()
		if (b != sdk.Box{X1: c.box[0], Y1: c.box[1], X2: c.box[2], Y2: c.box[3]}) {
			t.Errorf("%dx%d to %dx%d: box %v, want %v", c.w, c.h, c.maxW, c.maxH, b, c.box)
		}
	}
}

func TestFitSize(t *testing.T) {
	for _, c := range []struct {
		w, h int
		fit  Fit
		tw   int
		th   int
		ow   int
		oh   int
	}{
		{5, 10, FitBoth, 10, 20, 10, 20},
		{5, 10, FitOne, 10, 20, 10, 20},
		{5, 10, FitBoth, 30, 30, 15, 30},
		{5, 10, FitOne, 30, 30, 30, 60},
		{5, 10, FitBoth, 10, 30, 10, 20},
		{5, 10, FitOne, 10, 30, 15, 30},
		{5, 10, FitWidth, 30, 0, 30, 60},
		{5, 10, FitHeight, 0, 30, 15, 30},
		{5, 10, FitExact, 8, 7, 8, 7},
		{5, 10, FitBoth, 10, 15, 8, 15},
		{15, 4, FitBoth, 20, 10, 20, 5},
		{1920, 1080, FitBoth, 300, 300, 300, 169},
		{1920, 1080, FitOne, 300, 300, 533, 300},
		{5, 10, FitBoth, 5, 5, 2, 5},
		{8, 4, FitWidth, 5, 0, 5, 2},
		{5, 10, FitNone, 1, 1, 5, 10},
		{1000, 1, FitBoth, 10, 10, 10, 1}, // Python: height 0
	} {
		if w, h := FitSize(c.w, c.h, c.tw, c.th, c.fit); w != c.ow || h != c.oh {
			t.Errorf("%dx%d fit %d to %dx%d: %dx%d, want %dx%d", c.w, c.h, c.fit, c.tw, c.th, w, h, c.ow, c.oh)
		}
	}
}

// numbered gives a picture of w by h whose pixels count from 0 row by row.
func numbered(w, h int) *tensor.Dense {
	p := newPixels(w, h, 1)
	for i := range p.mem {
		p.mem[i] = uint8(i)
	}
	return p.dense(false)
}

func values(t *testing.T, d *tensor.Dense) (rows [][]byte) {
	t.Helper()
	p, err := pixelsOf(d)
	if err != nil {
		t.Fatal(err)
	}
	for y := range p.h {
		var row []byte
		for x := range p.w {
			row = append(row, p.mem[y*p.stride+x*p.step])
		}
		rows = append(rows, row)
	}
	return rows
}

func TestResizeCrops(t *testing.T) {
	for _, c := range []struct {
		name       string
		do         func(*Resize) *Resize
		x, y, w, h int // of the 5x10 source
	}{
		{"right bottom", func(r *Resize) *Resize { return r.Crop(3, 4, EdgeRightBottom) }, 0, 0, 3, 4},
		{"left top", func(r *Resize) *Resize { return r.Crop(4, 3, EdgeLeftTop) }, 1, 7, 4, 3},
		{"from a point", func(r *Resize) *Resize { return r.CropAt(1, 3, 2, 7) }, 1, 3, 2, 7},
		{"all around", func(r *Resize) *Resize { return r.Crop(2, 3, EdgeAll) }, 1, 3, 2, 3},
		{"larger than it is", func(r *Resize) *Resize { return r.Crop(6, 11, EdgeAll) }, 0, 0, 5, 10},
		{"none", func(r *Resize) *Resize { return r.Crop(-1, -1, EdgeNone) }, 0, 0, 5, 10},
		{"one column", func(r *Resize) *Resize { return r.CropAt(2, 1, 1, 4) }, 2, 1, 1, 4},
		{"one row", func(r *Resize) *Resize { return r.CropAt(1, 9, 3, 1) }, 1, 9, 3, 1},
	} {
		r := c.do(NewResize(numbered(5, 10)))
		if r.Err() != nil {
			t.Fatalf("%s: %v", c.name, r.Err())
		}
		rows := values(t, r.Picture())
		if len(rows) != c.h || len(rows[0]) != c.w {
			t.Fatalf("%s: %dx%d, want %dx%d", c.name, len(rows[0]), len(rows), c.w, c.h)
		}
		for y, row := range rows {
			for x, v := range row {
				if want := uint8((c.y+y)*5 + c.x + x); v != want {
					t.Errorf("%s: pixel %d,%d is %d, want %d", c.name, x, y, v, want)
				}
			}
		}
	}
}

func TestCropBoxOfAPicture(t *testing.T) {
	for _, c := range []struct {
		box        sdk.Box
		x, y, w, h int
	}{
		{sdk.Box{X1: 5, Y1: 6, X2: 15, Y2: 26}, 5, 6, 10, 20},
		{sdk.Box{X1: 5.9, Y1: 6.9, X2: 15.2, Y2: 26.8}, 5, 6, 9, 19}, // place and size are cut off, not the far corner
		{sdk.Box{X1: -5, Y1: -5, X2: 10, Y2: 10}, 0, 0, 10, 10},
		{sdk.Box{X1: 15, Y1: 25, X2: 30, Y2: 40}, 15, 25, 5, 5},
	} {
		r := NewResize(numbered(20, 30)).CropBox(c.box)
		w, h := r.Size()
		back := r.Restore(sdk.Rect(0, 0, float64(w), float64(h))).Box()
		want := sdk.Box{X1: float64(c.x), Y1: float64(c.y), X2: float64(c.x + c.w), Y2: float64(c.y + c.h)}
		if w != c.w || h != c.h || back != want {
			t.Errorf("%v: %dx%d at %v, want %v", c.box, w, h, back, want)
		}
	}
	r := NewResize(numbered(20, 30)).CropBox(sdk.Box{X1: 30, Y1: 40, X2: 50, Y2: 60}).Resize(5, 5, FitExact)
	if w, h := r.Size(); r.Err() == nil || w != 20 || h != 30 {
		t.Errorf("a crop outside: %dx%d, %v; want an error and the picture as it was", w, h, r.Err())
	}
}

func TestPad(t *testing.T) {
	r := NewResize(numbered(10, 5)).Pad(13, 9, 255, EdgeRightBottom).Pad(17, 11, 254, EdgeLeftTop)
	rows := values(t, r.Picture())
	if len(rows) != 11 || len(rows[0]) != 17 {
		t.Fatalf("%dx%d, want 17x11", len(rows[0]), len(rows))
	}
	for y, row := range rows {
		for x, v := range row {
			want := uint8((y-2)*10 + x - 4)
			switch {
			case x < 4 || y < 2:
				want = 254
			case x >= 14 || y >= 7:
				want = 255
			}
			if v != want {
				t.Fatalf("pixel %d,%d is %d, want %d", x, y, v, want)
			}
		}
	}
	all := values(t, NewResize(numbered(10, 5)).Pad(13, 9, 200, EdgeAll).Picture())
	if len(all) != 9 || len(all[0]) != 13 || all[2][1] != 0 || all[1][1] != 200 || all[2][0] != 200 || all[6][10] != 49 {
		t.Errorf("all around: %v", all)
	}
	for _, r := range []*Resize{NewResize(numbered(10, 5)).Pad(9, 4, 1, EdgeAll), NewResize(numbered(10, 5)).Pad(20, 20, 1, EdgeNone)} {
		if w, h := r.Size(); w != 10 || h != 5 {
			t.Errorf("%dx%d, want it unchanged", w, h)
		}
	}
}

func TestWayBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		r       *Resize
		in, out [4]float64
	}{
		{"scaled", NewResize(numbered(5, 10)).Resize(10, 20, FitExact), [4]float64{10, 10, 20, 20}, [4]float64{5, 5, 10, 10}},
		{"scaled twice", NewResize(numbered(5, 10)).Resize(10, 20, FitExact).Resize(20, 40, FitExact), [4]float64{15, 15, 20, 20}, [4]float64{4, 4, 5, 5}},
		{"rounded twice", NewResize(numbered(5, 10)).Resize(10, 20, FitExact).Resize(20, 40, FitExact), [4]float64{3, 5, 7, 9}, [4]float64{1, 1, 2, 2}},
		{"half to even", NewResize(numbered(5, 10)).Resize(10, 20, FitExact), [4]float64{1, 3, 5, 7}, [4]float64{0, 2, 2, 4}},
		{"cropped", NewResize(numbered(20, 30)).Crop(15, 20, EdgeLeftTop), [4]float64{15, 15, 20, 20}, [4]float64{20, 25, 25, 30}},
		{"cropped three times", NewResize(numbered(20, 30)).Crop(15, 20, EdgeLeftTop).Crop(10, 15, EdgeRightBottom).Crop(8, 5, EdgeAll), [4]float64{15, 15, 20, 20}, [4]float64{21, 30, 26, 35}},
		{"cropped, scaled", NewResize(numbered(20, 30)).Crop(15, 20, EdgeLeftTop).Resize(30, 40, FitExact), [4]float64{15, 15, 20, 20}, [4]float64{13, 18, 15, 20}},
		{"scaled, cropped", NewResize(numbered(20, 30)).Resize(30, 40, FitExact).Crop(15, 20, EdgeLeftTop), [4]float64{15, 15, 20, 20}, [4]float64{20, 26, 23, 30}},
		{"letterboxed", NewResize(numbered(1920, 1080)).Resize(416, 416, FitBoth).Pad(416, 416, 0, EdgeAll), [4]float64{104, 104, 312, 312}, [4]float64{480, 60, 1440, 1020}},
		{"top left", NewResize(numbered(1920, 1080)).Resize(416, 416, FitBoth).Pad(416, 416, 0, EdgeRightBottom), [4]float64{0, 0, 416, 234}, [4]float64{0, 0, 1920, 1080}},
		{"padded", NewResize(numbered(10, 5)).Pad(17, 11, 0, EdgeLeftTop), [4]float64{7, 6, 8, 7}, [4]float64{0, 0, 1, 1}},
	} {
		if c.r.Err() != nil {
			t.Fatalf("%s: %v", c.name, c.r.Err())
		}
		got := c.r.Restore(sdk.Rect(c.in[0], c.in[1], c.in[2], c.in[3])).Box()
		if (got != sdk.Box{X1: c.out[0], Y1: c.out[1], X2: c.out[2], Y2: c.out[3]}) {
			t.Errorf("%s: %v, want %v", c.name, got, c.out)
		}
	}
	exact := NewResize(numbered(5, 10)).Resize(10, 20, FitExact).RestoreExact(sdk.Rect(1, 3, 5, 7)).Box()
	if (exact != sdk.Box{X1: 0.5, Y1: 1.5, X2: 2.5, Y2: 3.5}) {
		t.Errorf("without rounding: %v", exact)
	}
}

func TestSizeFilter(t *testing.T) {
	box := sdk.Box{X2: 10, Y2: 10}
	for _, c := range []struct {
		f    SizeFilter
		want bool
	}{
		{SizeFilter{}, true}, {SizeFilter{MinSide: 12, MaxSide: 100}, false}, {SizeFilter{MinSide: 5, MaxSide: 8}, false},
		{SizeFilter{MinSide: 5, MaxSide: 15}, true}, {SizeFilter{MinArea: 100, MaxArea: 121}, true}, {SizeFilter{MinArea: 121, MaxArea: 121}, false},
		{SizeFilter{MinArea: 81, MaxArea: 81}, false}, {SizeFilter{MinSide: 10, MaxSide: 10, MinArea: 100}, true},
	} {
		if got := c.f.Keeps(box); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
}

func TestResizeKeepsThePicture(t *testing.T) {
	d := numbered(6, 4)
	before := slices.Clone(d.Data().([]byte))
	r := NewResize(d).Resize(3, 2, FitExact).Pad(9, 9, 7, EdgeAll).Crop(4, 4, EdgeAll)
	if r.Err() != nil || !slices.Equal(before, d.Data().([]byte)) {
		t.Error("the original was changed")
	}
	flat := newPixels(7, 5, 3)
	for i := range flat.mem {
		flat.mem[i] = uint8(10 * (1 + i%3))
	}
	rgb := NewResize(flat.dense(true)).Resize(31, 3, FitExact)
	if p, err := pixelsOf(rgb.Picture()); err != nil || p.n != 3 || p.mem[3*40] != 10 || p.mem[3*40+2] != 30 {
		t.Errorf("three channels: %v %v", rgb.Picture().Shape(), err)
	}
	bad := NewResize(tensor.New(tensor.WithShape(4), tensor.WithBacking([]float32{1, 2, 3, 4})))
	if bad.Resize(2, 2, FitExact).Pad(9, 9, 0, EdgeAll).Crop(1, 1, EdgeAll).Err() == nil {
		t.Error("a vector of floats was taken for a picture")
	}
}
