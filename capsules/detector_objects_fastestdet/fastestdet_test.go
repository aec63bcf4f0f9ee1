package main

import (
	"math"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func TestDetectionsAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	var ref struct {
		Images map[string]map[string][]struct {
			Label string
			Score float64
			Box   [4]float64 `json:"box_xyxy"`
		}
	}
	onnxtest.Reference(t, "object_detectors", &ref)
	p := onnxtest.Open(t, capsule, map[string]any{"threshold": 0.6})
	for name, models := range ref.Images {
		m := cliptest.Picture(t, cliptest.Data(t, "images", strings.TrimPrefix(name, "images/")))
		got := onnxtest.Process(t, p, onnxtest.Frame(t, capsule, m))
		if n := len(got) - len(models["FastestDet"]); n < 0 || n > 1 {
			t.Errorf("%s: %d detections, the reference has %d", name, len(got), len(models["FastestDet"]))
		}
		for _, want := range models["FastestDet"] {
			box := core.Box{X1: math.Max(want.Box[0], 0), Y1: math.Max(want.Box[1], 0), X2: want.Box[2], Y2: want.Box[3]}
			n, overlap := onnxtest.Nearest(got, want.Label, box)
			if n == nil {
				t.Errorf("%s: no %s at %v", name, want.Label, want.Box)
				continue
			}
			score, _ := n.Confidence()
			t.Logf("%s: %s %.3f, reference %.3f, IoU %.3f", name, want.Label, score, want.Score, overlap)
			if overlap < 0.85 || math.Abs(score-want.Score) > 0.05 {
				t.Errorf("%s: %s of %.3f overlaps by %.3f; the reference has %.3f", name, want.Label, score, overlap, want.Score)
			}
		}
	}
}

func TestClasses(t *testing.T) {
	onnxtest.Models(t)
	_, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, map[string]any{"classes": []string{"lorry"}})})
	if err == nil || !strings.Contains(err.Error(), `"lorry"`) {
		t.Errorf("an unknown class: %v", err)
	}
	other := onnxtest.Model(t, "object_detection", "yolox_nano_416x416.onnx")
	_, err = capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, map[string]any{"model": other})})
	if err == nil || !strings.Contains(err.Error(), "yolox_nano_416x416.onnx") || !strings.Contains(err.Error(), "352") {
		t.Errorf("another model: %v", err)
	}
}

func TestClip(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, nil)
	clip := cliptest.Open(t, cliptest.Data(t, "videos", "objects", "bottle-detection.mp4"))
	looked, with := 0, 0
	for i := 0; i < 300 && clip.Next(); i++ {
		if i%30 != 0 {
			continue
		}
		looked++
		f := clip.Frame(core.BGR, 0)
		layout, mem := cliptest.Shrink(f.Layout(), f.Memory(), side, side)
		small, err := sdk.NewFrame(clip.Info(), layout, mem, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range onnxtest.Process(t, p, small) {
			if n.Class == "bottle" {
				with++
				break
			}
		}
	}
	if t.Logf("bottles in %d of %d frames", with, looked); looked == 0 || with < looked/2 {
		t.Errorf("bottles in %d of %d frames, want half", with, looked)
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_bus.jpg")))
}

func BenchmarkFrame(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "objects", "coco_bus.jpg")))
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
