package main

import (
	"math"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestPlatesAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	var ref struct {
		Images map[string]struct {
			Truth [4]float64 `json:"truth_box_xywh"`
			Boxes []struct {
				Box   [4]float64 `json:"box_xywh"`
				Score float64
			} `json:"mnet_plate"`
		}
	}
	onnxtest.Reference(t, "license_plate", &ref)
	p := onnxtest.Open(t, capsule, nil)
	for name, want := range ref.Images {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "plates", name))
		got := onnxtest.Process(t, p, cliptest.Still(t, m, core.BGR)) // nothing but the capsule scales it
		if len(got) != len(want.Boxes) {
			t.Errorf("%s: %d plates, the reference has %d", name, len(got), len(want.Boxes))
			continue
		}
		b, score := want.Boxes[0].Box, want.Boxes[0].Score
		_, overlap := onnxtest.Nearest(got, "license_plate", core.Box{X1: b[0], Y1: b[1], X2: b[0] + b[2], Y2: b[1] + b[3]})
		_, truth := onnxtest.Nearest(got, "license_plate", core.Box{X1: want.Truth[0], Y1: want.Truth[1], X2: want.Truth[0] + want.Truth[2], Y2: want.Truth[1] + want.Truth[3]})
		c, _ := got[0].Confidence()
		t.Logf("%s: %.2f, reference %.2f, IoU %.3f, with the truth %.3f", name, c, score, overlap, truth)
		if overlap < 0.85 || math.Abs(c-score) > 0.015 { // our outline is the corners', the reference's box the network's
			t.Errorf("%s: a plate of %.2f overlaps by %.3f; the reference has %.2f", name, c, overlap, score)
		}
		if len(got[0].Coords) != 4 {
			t.Errorf("%s: %d corners", name, len(got[0].Coords))
		}
	}
}

func TestNoPlate(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, nil)
	for _, name := range []string{"noface/chelsea.png", "noface/coffee.png", "faces/astronaut.png"} {
		m := cliptest.Picture(t, cliptest.Data(t, "images", name))
		if got := onnxtest.Process(t, p, onnxtest.Frame(t, capsule, m)); len(got) != 0 {
			t.Errorf("%s: %d plates", name, len(got))
		}
	}
}

func TestOrderOfCorners(t *testing.T) {
	want := []sdk.Point{{X: 10, Y: 12}, {X: 50, Y: 10}, {X: 52, Y: 25}, {X: 9, Y: 27}}
	for name, order := range map[string][4]int{"as wanted": {0, 1, 2, 3}, "from the bottom right": {2, 3, 0, 1}, "other way round": {2, 1, 0, 3}, "other way from the left": {3, 2, 1, 0}} {
		in := make([]sdk.Point, 0, 4)
		for _, i := range order {
			in = append(in, want[i])
		}
		for i, p := range ordered(in) {
			if p != want[i] {
				t.Errorf("%s: corner %d is %v, want %v", name, i, p, want[i])
			}
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "plates", "us_us1.jpg")))
}

func BenchmarkFrame(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "plates", "us_us1.jpg")))
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
