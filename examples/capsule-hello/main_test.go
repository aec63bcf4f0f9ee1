package main

import (
	"image"
	"image/color"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// spotted is a dark picture with one bright square.
func spotted() image.Image {
	img := image.NewGray(image.Rect(0, 0, 160, 96))
	for y := 64; y < 96; y++ {
		for x := 96; x < 128; x++ {
			img.SetGray(x, y, color.Gray{Y: 255})
		}
	}
	return img
}

func TestFindsTheSpot(t *testing.T) {
	for side, want := range map[int]sdk.Box{32: {X1: 96, Y1: 64, X2: 128, Y2: 96}, 16: {X1: 96, Y1: 64, X2: 112, Y2: 80}} {
		out := sdktest.Open(t, capsule, map[string]any{"side": side}).Process(sdktest.FrameOf(spotted(), sdk.GRAY8))
		if len(out.Added) != 1 || out.Added[0].Coords.Box() != want {
			t.Fatalf("side %d: found %+v", side, out.Added)
		}
		if c, ok := out.Added[0].Confidence(); !ok || c != 1 {
			t.Errorf("side %d: confidence %v", side, c)
		}
	}
	if out := sdktest.Open(t, capsule, map[string]any{"side": 512}).Process(sdktest.FrameOf(spotted(), sdk.GRAY8)); len(out.Added) != 0 {
		t.Errorf("in a picture that is too small it found %+v", out.Added)
	}
}

func TestConformance(t *testing.T) { sdktest.Run(t, capsule, spotted()) }
