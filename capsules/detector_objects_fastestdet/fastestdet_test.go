package main

import (
	"path/filepath"
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
	p := onnxtest.Open(t, capsule, map[string]any{"threshold": 0.6})
	for path, want := range onnxtest.ReferenceObjects(t, "FastestDet") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f := onnxtest.Frame(t, capsule, cliptest.Picture(t, path))
			// The reference averages by exact areas (INTER_AREA).
			onnxtest.HoldObjects(t, onnxtest.Process(t, p, f), want, f.Caps().Width, f.Caps().Height, 0.87, 0.03)
		})
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
