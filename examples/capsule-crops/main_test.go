package main

import (
	"image"
	"image/color"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// squares are fine at the left and even at the right.
func squares() image.Image {
	img := image.NewGray(image.Rect(0, 0, 256, 128))
	for y := range 128 {
		for x := range 256 {
			v := uint8(120)
			if x < 128 {
				v = uint8((x/8 + y/8) % 2 * 200)
			}
			img.SetGray(x, y, color.Gray{Y: v})
		}
	}
	return img
}

func TestSharpness(t *testing.T) {
	for name, c := range map[string]struct {
		box     sdk.Polygon
		options map[string]any
		want    string
	}{
		"fine":        {sdk.Rect(0, 0, 128, 128), nil, "sharp"},
		"even":        {sdk.Rect(128, 0, 256, 128), nil, "blurred"},
		"outside":     {sdk.Rect(1000, 0, 1100, 90), nil, "blurred"},
		"half inside": {sdk.Rect(-60, -60, 60, 60), nil, "sharp"},
		"no area":     {sdk.Rect(10, 10, 10, 10), nil, "blurred"},
		"strict":      {sdk.Rect(0, 0, 128, 128), map[string]any{"sharp": 200.0}, "blurred"},
	} {
		b := sdktest.Open(t, capsule, c.options)
		out := b.Process(sdktest.FrameOf(squares(), sdk.GRAY8, sdktest.With(&core.Node{Class: "face", Coords: c.box})))
		if got := out.Nodes[0].Attributes["sharpness"]; got != c.want {
			t.Errorf("%s: %q (%s)", name, got, out.Nodes[0].ExtraData["sharpness_score"])
		}
	}
}

// TestOtherClassesAreLeftAlone gives it a car too.
func TestOtherClassesAreLeftAlone(t *testing.T) {
	out := sdktest.Open(t, capsule, nil).Process(sdktest.FrameOf(squares(), sdk.GRAY8,
		sdktest.With(&core.Node{Class: "car", Coords: sdk.Rect(0, 0, 99, 99)})))
	if n := out.Nodes[0]; len(n.Attributes) != 0 || len(out.Returns) != 0 {
		t.Errorf("the car is %+v", n)
	}
}

// TestOnAPhoto holds a real face against the same one, blurred.
func TestOnAPhoto(t *testing.T) {
	photo := cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png"))
	face := &core.Node{Class: "face", Coords: sdk.Rect(170, 60, 280, 200)}
	score := func(img image.Image) float64 {
		n := sdktest.Open(t, capsule, nil).Process(sdktest.FrameOf(img, sdk.GRAY8, sdktest.With(face))).Nodes[0]
		s, _ := n.ExtraData.Float("sharpness_score")
		return s
	}
	if sharp, blurred := score(photo), score(blur(photo, 4)); sharp < 1.5*blurred {
		t.Errorf("sharp %v, blurred %v", sharp, blurred)
	}
}

// blur gives a picture of means over squares of 2r+1 pixels a side.
func blur(img image.Image, r int) image.Image {
	b := img.Bounds()
	out := image.NewGray(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			sum, n := 0, 0
			for dy := -r; dy <= r; dy++ {
				for dx := -r; dx <= r; dx++ {
					if p := (image.Point{X: x + dx, Y: y + dy}); p.In(b) {
						sum, n = sum+int(color.GrayModel.Convert(img.At(p.X, p.Y)).(color.Gray).Y), n+1
					}
				}
			}
			out.SetGray(x, y, color.Gray{Y: uint8(sum / n)})
		}
	}
	return out
}

func TestConformance(t *testing.T) { sdktest.Run(t, capsule, squares()) }
