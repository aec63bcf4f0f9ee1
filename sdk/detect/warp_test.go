package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

func near(t *testing.T, what string, gotX, gotY, x, y float64) {
	t.Helper()
	if math.Abs(gotX-x) > 1e-6 || math.Abs(gotY-y) > 1e-6 {
		t.Errorf("%s: (%v, %v), want (%v, %v)", what, gotX, gotY, x, y)
	}
}

func TestLetterboxFitsTheLongerSide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		w, h  int
		scale float64
	}{{832, 416, 0.5}, {416, 832, 0.5}, {104, 52, 4}, {416, 416, 1}} {
		warp, scale := Letterbox(c.w, c.h, 416, 416)
		if scale != c.scale {
			t.Errorf("%dx%d: scale %v, want %v", c.w, c.h, scale, c.scale)
		}
		// Corners meet: the place half a pixel before the first one is the same in both.
		x, y := warp.At(-0.5, -0.5)
		near(t, "corner", x, y, -0.5, -0.5)
		x, y = warp.At(float64(c.w)*scale-0.5, float64(c.h)*scale-0.5)
		near(t, "far corner", x, y, float64(c.w)-0.5, float64(c.h)-0.5)
	}
	f := Found{Box: sdk.Box{X1: 10, Y1: 20, X2: 30, Y2: 40}, Points: []sdk.Point{{X: 5, Y: 6}}}
	if f.Scale(0.5); f.Box != (sdk.Box{X1: 20, Y1: 40, X2: 60, Y2: 80}) || f.Points[0] != (sdk.Point{X: 10, Y: 12}) {
		t.Errorf("back: %+v", f)
	}
}

func TestCutMeetsTheBox(t *testing.T) {
	t.Parallel()
	w := Cut(sdk.Box{X1: 10, Y1: 20, X2: 50, Y2: 100}, 8, 16)
	x, y := w.At(-0.5, -0.5)
	near(t, "near corner", x, y, 9.5, 19.5)
	x, y = w.At(7.5, 15.5)
	near(t, "far corner", x, y, 49.5, 99.5)
}

func TestAlignFindsASimilarity(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		scale, angle := 0.1+3*r.Float64(), 2*math.Pi*r.Float64()
		dx, dy := 200*r.Float64(), 200*r.Float64()
		sin, cos := math.Sincos(angle)
		var from, to []sdk.Point
		for range 5 {
			p := sdk.Point{X: 100 * r.Float64(), Y: 100 * r.Float64()}
			from = append(from, p)
			to = append(to, sdk.Point{X: scale*(cos*p.X-sin*p.Y) + dx, Y: scale*(sin*p.X+cos*p.Y) + dy})
		}
		w, ok := Align(from, to)
		if !ok {
			t.Fatal("no similarity")
		}
		for i := range from {
			x, y := w.At(from[i].X, from[i].Y)
			near(t, "point", x, y, to[i].X, to[i].Y)
		}
	}
	same := []sdk.Point{{X: 1, Y: 1}, {X: 1, Y: 1}}
	nan := []sdk.Point{{X: math.NaN(), Y: 1}, {X: 1, Y: 2}}
	for name, c := range map[string][2][]sdk.Point{
		"one point": {same[:1], same[:1]}, "all in one": {same, nan[:2]}, "onto one": {arcFace[:2], same}, "NaN": {arcFace[:2], nan}, "other number": {arcFace, same}, "none": {},
	} {
		if w, ok := Align(c[0], c[1]); ok {
			t.Errorf("%s: %v", name, w)
		}
	}
}

func TestStraightenMeetsTheCorners(t *testing.T) {
	t.Parallel()
	for name, corners := range map[string][]sdk.Point{
		"rectangle":     sdk.Rect(10, 20, 110, 60),
		"leaning":       {{X: 10, Y: 20}, {X: 100, Y: 40}, {X: 90, Y: 80}, {X: 0, Y: 60}},
		"from the side": {{X: 10, Y: 20}, {X: 100, Y: 30}, {X: 104, Y: 50}, {X: 8, Y: 90}},
	} {
		w, ok := Straighten(corners, 168, 48)
		if !ok {
			t.Errorf("%s: refused", name)
			continue
		}
		for i, c := range [][2]float64{{-0.5, -0.5}, {167.5, -0.5}, {167.5, 47.5}, {-0.5, 47.5}} {
			x, y := w.At(c[0], c[1])
			near(t, name, x, y, corners[i].X-0.5, corners[i].Y-0.5)
		}
	}
	for name, corners := range map[string][]sdk.Point{
		"three": {{}, {X: 1}, {Y: 1}}, "a line": {{}, {X: 1}, {X: 2}, {X: 3}}, "crossed": {{}, {X: 9, Y: 9}, {X: 9}, {Y: 9}},
		"other sense": {{}, {Y: 9}, {X: 9, Y: 9}, {X: 9}}, "NaN": {{X: math.NaN()}, {X: 9}, {X: 9, Y: 9}, {Y: 9}},
	} {
		if _, ok := Straighten(corners, 10, 10); ok {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBoxes(t *testing.T) {
	t.Parallel()
	if got := Grow(sdk.Box{X1: 10, Y1: 10, X2: 20, Y2: 30}, 1.5); got != (sdk.Box{X1: 7.5, Y1: 5, X2: 22.5, Y2: 35}) {
		t.Errorf("grown: %v", got)
	}
	for _, c := range []struct {
		in, want sdk.Box
		ok       bool
	}{
		{sdk.Box{X1: -5, Y1: -5, X2: 50, Y2: 50}, sdk.Box{X2: 40, Y2: 30}, true},
		{sdk.Box{X1: 5, Y1: 6, X2: 7, Y2: 8}, sdk.Box{X1: 5, Y1: 6, X2: 7, Y2: 8}, true},
		{sdk.Box{X1: 39.5, Y1: 6, X2: 70, Y2: 8}, sdk.Box{}, false},
		{sdk.Box{X1: 100, Y1: 6, X2: 170, Y2: 8}, sdk.Box{}, false},
	} {
		if got, ok := Within(c.in, 40, 30); ok != c.ok || (ok && got != c.want) {
			t.Errorf("%v: %v, %v", c.in, got, ok)
		}
	}
}

// FuzzReadMarks reads the landmarks that another capsule gave: the warp of a face is always one that
// can be drawn.
func FuzzReadMarks(f *testing.F) {
	for _, s := range []string{``, `{}`, `null`, `{"left_eye":{"X":1,"Y":2}}`, `{"left_eye":[1,2]}`, `{"left_eye":{"X":1e308,"Y":-1e308},"right_eye":{"X":1e308},"nose":{},"mouth_left":{},"mouth_right":{}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		node := &core.Node{ID: 1, Class: "face", Coords: core.Rect(10, 10, 50, 60), ExtraData: core.ExtraData{"landmarks": []byte(text)}}
		frame, err := sdk.NewFrame(core.Frame{Caps: core.Caps{Width: 64, Height: 64}}, core.Layout{}, nil, []*core.Node{node})
		if err != nil {
			t.Skip()
		}
		if points, ok := ReadMarks(frame.Nodes()[0], frame); ok && len(points) != len(Marks) {
			t.Errorf("%d points of %q", len(points), text)
		}
		_ = FaceWarp(frame.Nodes()[0], frame)
	})
}
