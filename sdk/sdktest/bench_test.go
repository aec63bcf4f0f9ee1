package sdktest_test

import (
	"context"
	"image"
	"image/color"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func gradient(w, h int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetGray(x, y, color.Gray{Y: uint8(3*x + 5*y)})
		}
	}
	return m
}

// brightest marks the brightest pixel of a frame.
func brightest(formats ...sdk.PixelFormat) sdk.Capsule {
	return sdk.Capsule{
		Name: "detector_spot_test", Version: "1", Gives: sdk.Finds("spot"), Formats: formats,
		Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
				g, at, best := f.Gray(), image.Point{}, -1
				for y := range f.Height() {
					for x := range f.Width() {
						if v := int(g.GrayAt(x, y).Y); v > best {
							best, at = v, image.Pt(x, y)
						}
					}
				}
				f.Add("spot", sdk.Rect(float64(at.X), float64(at.Y), float64(at.X+1), float64(at.Y+1))).SetConfidence(float64(best) / 255)
				return nil
			}), nil
		},
	}
}

func TestFrameOfGivesTheSamePictureInEveryFormat(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {7, 5}, {16, 8}, {33, 21}} {
		img := image.NewGray(image.Rectangle{Max: size})
		spot := image.Pt(size.X-1, size.Y/2)
		img.SetGray(spot.X, spot.Y, color.Gray{Y: 204})
		for _, format := range core.PixelFormats {
			for _, pad := range []int{0, 1, 13} {
				b := sdktest.Open(t, brightest(format), nil)
				got := b.Process(sdktest.FrameOf(img, format, sdktest.Padded(pad), sdktest.At(time.Second)))
				if len(got.Added) != 1 {
					t.Fatalf("%v %s pad %d: %d nodes, want 1", size, format, pad, len(got.Added))
				}
				want := core.Rect(float64(spot.X), float64(spot.Y), float64(spot.X+1), float64(spot.Y+1)).Box()
				if box := got.Added[0].Coords.Box(); box != want {
					t.Errorf("%v %s pad %d: spot at %v, want %v", size, format, pad, box, want)
				}
				if c, _ := got.Added[0].Confidence(); c < 0.79 || c > 0.81 {
					t.Errorf("%v %s pad %d: brightness %v, want 0.8", size, format, pad, c)
				}
			}
		}
	}
}

func TestNodesAreMeasuredInThePixelsOfTheStream(t *testing.T) {
	t.Parallel()
	c := sdk.Capsule{
		Name: "c", Version: "1", Needs: sdk.Each("person"), Gives: sdk.Each("person"), Formats: []sdk.PixelFormat{sdk.GRAY8},
		Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
				f.Node().SetExtra("seen", f.Node().Box())
				f.Add("person", f.Node().Coords())
				return nil
			}), nil
		},
	}
	b := sdktest.Open(t, c, nil)
	f := sdktest.FrameOf(gradient(64, 36), sdk.GRAY8, sdktest.Native(640, 180), sdktest.With(
		&core.Node{Class: "person", Coords: core.Rect(101, 20, 333, 105)}, &core.Node{Class: "car"}))
	got := b.Process(f)
	if len(got.Nodes) != 3 || len(got.Added) != 1 {
		t.Fatalf("%d nodes, %d added; want 3 and 1", len(got.Nodes), len(got.Added))
	}
	if want := (core.Box{X1: 101, Y1: 20, X2: 333, Y2: 105}); got.Added[0].Coords.Box() != want {
		t.Errorf("added at %v, want %v", got.Added[0].Coords.Box(), want)
	}
	if s := string(got.Nodes[0].ExtraData["seen"]); s != `{"X1":10.1,"Y1":4,"X2":33.3,"Y2":21}` {
		t.Errorf("the capsule saw it at %s", s)
	}
	if f.Nodes[0].ExtraData != nil {
		t.Errorf("the frame's own node was changed")
	}
}

func TestConformanceOfAGoodCapsule(t *testing.T) {
	sdktest.Run(t, brightest(core.PixelFormats...), gradient(80, 60))
	classify := sdk.Capsule{
		Name: "classifier_test", Version: "1", Needs: sdk.Description{Size: sdk.Single, Detections: []string{"person"}, Tracked: true, Encoded: true, ExtraData: []string{"confidence"}},
		Gives:   sdk.Description{Size: sdk.Single, Detections: []string{"person"}, Attributes: []sdk.Attribute{{Name: "side", Values: []string{"left", "right"}}}},
		Options: []sdk.Option{sdk.Float("split", 0.5, "", sdk.Between(0, 1)), sdk.Int("n", 3, "", sdk.AtLeast(1)), sdk.Bool("on", true, ""), sdk.Enum("mode", "a", []string{"a", "b"}, "")},
		Open: func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
				side := "left"
				if f.Node().Box().Center().X > s.Options.Float("split")*float64(f.Width()) {
					side = "right"
				}
				f.Node().SetAttribute("side", side)
				return nil
			}), nil
		},
	}
	sdktest.Run(t, classify)
	track := sdk.Capsule{
		Name: "tracker_test", Version: "1", Needs: sdk.Every("person"), Gives: sdk.Description{Size: sdk.All, Tracked: true}, Stateful: true,
		Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
				for _, n := range f.Nodes() {
					n.SetTrackID("t")
				}
				return nil
			}), nil
		},
	}
	sdktest.Run(t, track)
}

// What Try refuses is what a capsule's author would see as a failed test.
func TestTryRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		needs sdk.Description
		gives sdk.Description
		does  func(f *sdk.Frame) error
		says  string
	}{
		{"undeclared class", sdk.Description{}, sdk.Finds("spot"), func(f *sdk.Frame) error { f.Add("stain", nil); return nil }, "does not satisfy"},
		{"undeclared value", sdk.Each(), sdk.Description{Size: sdk.Single, Attributes: []sdk.Attribute{{Name: "a", Values: []string{"x"}}}},
			func(f *sdk.Frame) error { f.Node().SetAttribute("a", "y"); return nil }, "not one of"},
		{"forgotten attribute", sdk.Each(), sdk.Description{Size: sdk.Single, Attributes: []sdk.Attribute{{Name: "a", Values: []string{"x"}}}},
			func(*sdk.Frame) error { return nil }, "missing: [attribute a]"},
		{"two for one", sdk.Description{}, sdk.Each("spot"), func(f *sdk.Frame) error { f.Add("spot", nil); f.Add("spot", nil); return nil }, "gives single"},
		{"writes", sdk.Description{}, sdk.Finds(), func(f *sdk.Frame) error { f.Memory()[0]++; return nil }, "read-only"},
		{"panics", sdk.Description{}, sdk.Finds(), func(*sdk.Frame) error { panic("boom") }, "panic in Process: boom"},
		{"no JSON", sdk.Each(), sdk.Each(), func(f *sdk.Frame) error { f.Node().SetExtra("f", func() {}); return nil }, "unsupported type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := sdktest.Open(t, sdk.Capsule{
				Name: "c", Version: "1", Needs: tt.needs, Gives: tt.gives, Formats: []sdk.PixelFormat{sdk.GRAY8},
				Open: func(context.Context, sdk.Stream) (sdk.Processor, error) {
					return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error { return tt.does(f) }), nil
				},
			}, nil)
			_, err := b.Try(sdktest.FrameOf(gradient(8, 8), sdk.GRAY8, sdktest.With(&core.Node{Class: "person"})))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}
