package main

import (
	"image"
	"image/color"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/track"
)

// scene paints a textured wall with sensor noise, lit by light, and a square if it has a side.
type scene struct {
	noise *rand.Rand
	light float64
}

const sceneWidth, sceneHeight = 160, 120

func newScene() *scene { return &scene{noise: rand.New(rand.NewPCG(7, 7)), light: 1} }

func (s *scene) paint(square image.Rectangle, shade uint8) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, sceneWidth, sceneHeight))
	for y := range sceneHeight {
		for x := range sceneWidth {
			v := float64(90 + (x*7+y*13)%23)
			if (image.Point{X: x, Y: y}).In(square) {
				v = float64(shade)
			}
			g.SetGray(x, y, color.Gray{Y: uint8(min(255, v*s.light+s.noise.NormFloat64()*3))})
		}
	}
	return g
}

func openWith(t testing.TB, given map[string]any) *motion {
	t.Helper()
	p, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, given)})
	if err != nil {
		t.Fatal(err)
	}
	return p.(*motion)
}

// frame gives a picture as the frame at pts seconds.
func frame(t testing.TB, g *image.Gray, pts float64) *sdk.Frame {
	t.Helper()
	w, h := g.Rect.Dx(), g.Rect.Dy()
	layout, _ := core.Packed(core.GRAY8, w, h)
	info := core.Frame{PTS: core.PTS(pts * float64(time.Second)), Caps: core.Caps{Width: w, Height: h}}
	f, err := sdk.NewFrame(info, layout, g.Pix, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func process(t testing.TB, m *motion, f *sdk.Frame) []*sdk.Node {
	t.Helper()
	if err := m.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return f.Added()
}

func TestMovingSquareIsFoundAtAnyRate(t *testing.T) {
	for _, fps := range []float64{5, 12.5, 30}[:max(1, 3/cliptest.Every)] {
		m, s := openWith(t, nil), newScene()
		hits, looked := 0, 0
		for pts := 0.0; pts < 6; pts += 1 / fps {
			x := int(-60 + 40*pts) // it comes in after 1.5 s
			square := image.Rect(x, 40, x+24, 70)
			nodes := process(t, m, frame(t, s.paint(square, 30), pts))
			if pts < 1 && len(nodes) > 0 {
				t.Fatalf("%v fps: a node at %.2f s, while the scene is learnt", fps, pts)
			}
			if pts < 2.5 || pts > 5 {
				continue
			}
			looked++
			want := core.Box{X1: float64(x), Y1: 40, X2: float64(x + 24), Y2: 70}
			if len(nodes) == 1 && track.IoU(nodes[0].Box(), want) > 0.6 {
				hits++
			}
		}
		if hits < looked*95/100 || looked == 0 {
			t.Errorf("%v fps: the square was found in %d of %d frames", fps, hits, looked)
		}
	}
}

func TestNothingMovesNothingIsFound(t *testing.T) {
	for name, light := range map[string]func(pts float64) float64{
		"noise":        func(float64) float64 { return 1 },
		"dawn":         func(pts float64) float64 { return 0.6 + 0.06*pts },
		"light on":     func(pts float64) float64 { return 1 + 0.25*float64(int(pts/4)) },
		"dark picture": func(float64) float64 { return 0.2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, s := openWith(t, nil), newScene()
			for i := 0; i < 240; i += cliptest.Every {
				pts := float64(i) / 30
				s.light = light(pts)
				if nodes := process(t, m, frame(t, s.paint(image.Rectangle{}, 0), pts)); len(nodes) > 0 {
					t.Fatalf("%.2f s: %v", pts, nodes[0].Box())
				}
			}
		})
	}
}

func TestWhatStopsBecomesUsual(t *testing.T) {
	m, s := openWith(t, map[string]any{"absorb": "5s"}), newScene()
	found := func(pts float64) bool {
		square := image.Rectangle{}
		if pts > 10 {
			square = image.Rect(60, 40, 90, 80)
		}
		return len(process(t, m, frame(t, s.paint(square, 200), pts))) > 0
	}
	at := map[int]bool{}
	for i := range 10 * 50 { // 50 s at 10 frames a second
		at[i] = found(float64(i) / 10)
	}
	if !at[105] || !at[120] || at[495] {
		t.Errorf("found at 10.5 s: %v, 12 s: %v, 49.5 s: %v; want true, true, false", at[105], at[120], at[495])
	}
}

func TestNoGhostOfWhatLeaves(t *testing.T) {
	m, s := openWith(t, nil), newScene()
	for i := range 80 {
		pts := float64(i) / 10
		square := image.Rect(60, 40, 90, 80)
		if pts > 2 {
			square = image.Rectangle{}
		}
		nodes := process(t, m, frame(t, s.paint(square, 220), pts))
		if pts > 6 && len(nodes) > 0 {
			t.Fatalf("%.1f s: a ghost at %v", pts, nodes[0].Box())
		}
	}
}

func TestCutResizeAndClockJump(t *testing.T) {
	m, s := openWith(t, nil), newScene()
	still := func(pts float64) []*sdk.Node {
		return process(t, m, frame(t, s.paint(image.Rectangle{}, 0), pts))
	}
	for i := range 60 {
		still(float64(i) / 20)
	}
	for i := range 10 {
		if n := process(t, m, frame(t, s.paint(image.Rect(0, 0, 150, 110), 250), 3+float64(i)/20)); len(n) > 0 {
			t.Fatalf("a node at a cut: %v", n[0].Box())
		}
	}
	if n := process(t, m, frame(t, image.NewGray(image.Rect(0, 0, 7, 5)), 4)); len(n) > 0 {
		t.Error("a node right after another size")
	}
	if n := still(1); len(n) > 0 {
		t.Error("a node right after the clock went back")
	}
	for _, size := range []image.Point{{1, 1}, {2, 1}, {1, 2}, {3, 3}} {
		for pts := range 5 {
			process(t, m, frame(t, image.NewGray(image.Rectangle{Max: size}), 100+float64(pts)))
		}
	}
}

func TestJoined(t *testing.T) {
	at := func(x1, y1, x2, y2 int) region { return region{x1: x1, y1: y1, x2: x2, y2: y2, pixels: 10, excess: 50} }
	for _, c := range []struct {
		name string
		in   []region
		want int
	}{
		{"apart", []region{at(0, 0, 5, 5), at(20, 20, 25, 25)}, 2},
		{"side by side", []region{at(0, 0, 5, 5), at(7, 0, 12, 5)}, 1},
		{"beyond the gap", []region{at(0, 0, 5, 5), at(8, 0, 12, 5)}, 2},
		{"one above the other", []region{at(0, 0, 5, 5), at(1, 9, 6, 14)}, 1},
		{"a chain", []region{at(0, 0, 5, 5), at(14, 0, 19, 5), at(7, 0, 12, 5)}, 1},
		{"a chain the other way", []region{at(14, 0, 19, 5), at(0, 0, 5, 5), at(30, 0, 35, 5), at(7, 0, 12, 5)}, 2},
		{"in the corner of two that are one", []region{at(0, 0, 5, 30), at(6, 25, 40, 30), at(30, 0, 35, 10)}, 2},
		{"a speck between", []region{at(0, 0, 5, 5), {x1: 7, y1: 0, x2: 9, y2: 2, pixels: 4, excess: 9}, at(11, 0, 16, 5)}, 2},
		{"none", nil, 0},
	} {
		if got := joined(c.in, 2, 5); len(got) != c.want {
			t.Errorf("%s: %d regions, want %d", c.name, len(got), c.want)
		}
	}
}

// follow runs a clip through the detector and a tracker.
func follow(t *testing.T, path string, most int) (frames, with int, tracks map[core.TrackID]int, perFrame time.Duration) {
	c, m, tracker := cliptest.Open(t, path), openWith(t, nil), track.New(track.Default())
	tracks = map[core.TrackID]int{}
	var spent time.Duration
	for frames < most && c.Next() {
		frames++
		f := c.Frame(core.GRAY8, capsule.Picture.MaxSide)
		start := time.Now()
		nodes := process(t, m, f)
		spent += time.Since(start)
		if len(nodes) > 0 {
			with++
		}
		var detections []track.Detection
		for _, n := range nodes {
			score, _ := n.Confidence()
			detections = append(detections, track.Detection{Box: n.Box(), Score: score, Class: n.Class()})
		}
		for _, id := range tracker.Update(f.PTS(), detections) {
			if id != "" {
				tracks[id]++
			}
		}
	}
	return frames, with, tracks, spent / time.Duration(max(frames, 1))
}

func TestClips(t *testing.T) {
	const street = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"
	for _, c := range []struct {
		name, path string
		share      float64 // of the frames that show something moving
		tracks     [2]int
	}{
		{"street with pedestrians", street, 0.9, [2]int{8, 60}},
		{"cars from above", "vehicles/car-detection.mp4", 0.3, [2]int{2, 12}},
		{"a worker", "people/worker-zone-detection_480x270_from_gif.mp4", 0.7, [2]int{1, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.path
			if path != street {
				path = cliptest.Data(t, "videos", path)
			} else if _, err := os.Stat(path); err != nil {
				t.Skipf("Debian's opencv-doc is not installed: %v", err)
			}
			if cliptest.Every > 1 {
				t.Skip("too slow under the race detector")
			}
			frames, with, tracks, perFrame := follow(t, path, 300)
			long := 0
			for _, n := range tracks {
				if n >= 10 {
					long++
				}
			}
			t.Logf("%d frames, %d with motion, %d tracks, %d of 10 frames or more, %v a frame", frames, with, len(tracks), long, perFrame)
			if float64(with) < c.share*float64(frames) {
				t.Errorf("motion in %d of %d frames, want at least %.0f %%", with, frames, 100*c.share)
			}
			if long < c.tracks[0] || long > c.tracks[1] {
				t.Errorf("%d tracks of 10 frames or more, want %d to %d", long, c.tracks[0], c.tracks[1])
			}
		})
	}
}
