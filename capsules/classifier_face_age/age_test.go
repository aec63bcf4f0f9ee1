package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestAgesAreThoseOfTheReference(t *testing.T) {
	onnxtest.ReferenceAttributes(t, capsule, func(t *testing.T, n *sdk.Node, reference json.RawMessage) {
		var want struct {
			Age float64 `json:"age_ssrnet_rgb_crop_plus20pct"`
		}
		if err := json.Unmarshal(reference, &want); err != nil {
			t.Fatal(err)
		}
		age, ok := n.ExtraFloat("age")
		g, _ := n.Attribute("age_group")
		t.Logf("%.1f years (%s), reference %.1f", age, g, want.Age)
		if !ok || math.Abs(age-want.Age) > 0.6 || g != group(age) {
			t.Errorf("%.1f years, %s; the reference has %.1f", age, g, want.Age)
		}
	})
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

func BenchmarkFace(b *testing.B) { onnxtest.BenchmarkFace(b, capsule) }
