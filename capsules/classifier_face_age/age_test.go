package main

import (
	"math"
	"testing"

	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestAgesAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	var ref map[string]struct {
		Age float64 `json:"age_ssrnet_rgb_crop_plus20pct"`
	}
	onnxtest.Reference(t, "face_attributes", &ref)
	faces := onnxtest.ReferenceFaces(t)
	p := onnxtest.Open(t, capsule, nil)
	for name, want := range ref {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "faces", name))
		f := onnxtest.Frame(t, capsule, m, faces[name][0])
		if err := p.Process(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		age, ok := f.Node().ExtraFloat("age")
		g, _ := f.Node().Attribute("age_group")
		t.Logf("%s: %.1f years (%s), reference %.1f", name, age, g, want.Age)
		if !ok || math.Abs(age-want.Age) > 0.6 || g != group(age) {
			t.Errorf("%s: %.1f years, %s; the reference has %.1f", name, age, g, want.Age)
		}
	}
}

func TestGroups(t *testing.T) {
	for age, want := range map[float64]string{0: "child", 12.9: "child", 13: "teenager", 20: "young_adult", 34.9: "young_adult", 35: "adult", 60: "senior", 120: "senior"} {
		if got := group(age); got != want {
			t.Errorf("%v years: %s, want %s", age, got, want)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png")))
}

func BenchmarkFace(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "faces", "astronaut.png")), onnxtest.ReferenceFaces(b)["astronaut.png"][0])
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
