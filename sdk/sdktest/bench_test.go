package sdktest_test

import (
	"context"
	"image"
	"image/color"
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
