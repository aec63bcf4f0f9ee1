package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

// native gives the picture as it is, so that nothing but the capsule scales it.
func native(t testing.TB, name string) *sdk.Frame {
	t.Helper()
	return cliptest.Still(t, cliptest.Picture(t, cliptest.Data(t, "images", strings.TrimPrefix(name, "images/"))), core.BGR)
}

func TestDetectionsAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	for _, c := range []struct {
		network, model string
		threshold      float64
	}{{"coco", "yolox_nano_416x416", 0.4}, {"person", "light_person_detector_192", 0.3}} {
		p := onnxtest.Open(t, capsule, map[string]any{"network": c.network, "threshold": c.threshold})
		for path, want := range onnxtest.ReferenceObjects(t, c.model) {
			t.Run(c.network+"/"+filepath.Base(path), func(t *testing.T) {
				f := cliptest.Still(t, cliptest.Picture(t, path), core.BGR)
				// The reference rounds the shrunk picture to whole rows, and reads JPEG by another library:
				// where two cells are nearly as sure of a person it has the other one.
				onnxtest.HoldObjects(t, onnxtest.Process(t, p, f), want, f.Width(), f.Height(), 0.9, 0.022)
			})
		}
	}
}

// TestScaledByTheEngine has pictures that the engine has made small already.
func TestScaledByTheEngine(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, map[string]any{"threshold": 0.4})
	for name, wants := range map[string]map[string]int{
		"objects/coco_bus.jpg":         {"bus": 1, "person": 2},
		"objects/coco_four_people.jpg": {"person": 4},
		"objects/motorcycle_left.png":  {"motorbike": 1},
		"noface/chelsea.png":           {"cat": 1},
		"noface/rocket.jpg":            {},
	} {
		m := cliptest.Picture(t, cliptest.Data(t, "images", name))
		for class, want := range wants {
			got := 0
			for _, n := range onnxtest.Process(t, p, onnxtest.Frame(t, capsule, m)) {
				if n.Class == class {
					got++
				}
			}
			if got != want {
				t.Errorf("%s: %d %s, want %d", name, got, class, want)
			}
		}
	}
}

func TestClasses(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, map[string]any{"classes": []string{"bus"}})
	got := onnxtest.Process(t, p, native(t, "objects/coco_bus.jpg"))
	if len(got) != 1 || got[0].Class != "bus" {
		t.Errorf("with classes [bus]: %d detections", len(got))
	}
	for name, c := range map[string]struct {
		given map[string]any
		want  []string
	}{
		"unknown class":     {map[string]any{"classes": []string{"person", "buss"}}, []string{`"buss"`, "did you mean bus"}},
		"none of them":      {map[string]any{"classes": []string{"car"}, "network": "person"}, []string{"the model tells none", "person"}},
		"too few names":     {map[string]any{"names": []string{"a", "b"}}, []string{"2 names", "80 classes"}},
		"another model":     {map[string]any{"model": onnxtest.Model(t, "face_recognition", "mobilefacenet.onnx")}, []string{"mobilefacenet.onnx", "expected"}},
		"another detector":  {map[string]any{"model": onnxtest.Model(t, "object_detection", "FastestDet.onnx")}, []string{"FastestDet.onnx", "expected"}},
		"no such model":     {map[string]any{"model": "/none/x.onnx"}, []string{"/none/x.onnx", "no such file"}},
		"no such library":   {map[string]any{"onnxruntime": "/none/lib.so"}, []string{"/none/lib.so", "onnxruntime"}},
		"provider not here": {map[string]any{"provider": "cuda"}, []string{"cuda"}},
	} {
		_, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, c.given)})
		if err == nil {
			t.Errorf("%s: it was opened", name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q is not in: %v", name, w, err)
			}
		}
	}
}

func TestModelIsNowhere(t *testing.T) {
	onnxtest.Models(t)
	t.Setenv("CAPSTAN_MODELS", t.TempDir())
	t.Setenv("CAPSTAN_CACHE", t.TempDir())
	lib, err := os.UserCacheDir()
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("CAPSTAN_ONNXRUNTIME", filepath.Join(lib, "capstan", "lib"))
	_, err = capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, nil)})
	if err == nil || !strings.Contains(err.Error(), "capstan models pull") || !strings.Contains(err.Error(), "yolox_nano_416x416.onnx") {
		t.Errorf("got %v", err)
	}
}

func TestInterval(t *testing.T) {
	onnxtest.Models(t)
	b := sdktest.Open(t, capsule, map[string]any{"interval": "200ms"})
	m := cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_bus.jpg"))
	var looked []int
	for i := range 15 {
		f := sdktest.FrameOf(m, sdk.BGR, sdktest.Seq(uint64(i+1)))
		f.Info.PTS = core.PTS(i * 40e6)
		if len(b.Process(f).Added) > 0 {
			looked = append(looked, i)
		}
	}
	if len(looked) != 3 || looked[0] != 0 || looked[1] != 5 || looked[2] != 10 {
		t.Errorf("frames %v were looked at, want 0, 5 and 10", looked)
	}
}

// TestClips counts the frames of real clips in which something of the class is found.
func TestClips(t *testing.T) {
	onnxtest.Models(t)
	for _, c := range []struct {
		clip, class string
		every, most int
		share       float64 // of the frames looked at that show one
	}{
		{"people/one-by-one-person-detection.mp4", "person", 70, 700, 0.5},
		{"people/worker-zone-detection_480x270_from_gif.mp4", "person", 12, 58, 0.8},
		{"street/MOT17-13_960x540_h264_from_h265.mp4", "person", 75, 300, 0.6},
		{"street/MOT17-13_960x540_h264_from_h265.mp4", "car", 75, 300, 0.5},
	} {
		p := onnxtest.Open(t, capsule, nil)
		clip := cliptest.Open(t, cliptest.Data(t, "videos", c.clip))
		looked, with := 0, 0
		for i := 0; i < c.most && clip.Next(); i++ {
			if i%c.every != 0 {
				continue
			}
			looked++
			for _, n := range onnxtest.Process(t, p, clip.Frame(core.BGR, capsule.Picture.MaxSide)) {
				if n.Class == c.class {
					with++
					break
				}
			}
		}
		t.Logf("%s: a %s in %d of %d frames", c.clip, c.class, with, looked)
		if looked == 0 || float64(with) < c.share*float64(looked) {
			t.Errorf("%s: a %s in %d of %d frames, want at least %.0f %%", c.clip, c.class, with, looked, 100*c.share)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "objects", "coco_bus.jpg")))
}

func BenchmarkFrame(b *testing.B) {
	onnxtest.Models(b)
	for _, network := range []string{"coco", "person"} {
		b.Run(network, func(b *testing.B) {
			p := onnxtest.Open(b, capsule, map[string]any{"network": network})
			f := onnxtest.Frame(b, capsule, cliptest.Picture(b, cliptest.Data(b, "images", "objects", "coco_bus.jpg")))
			for b.Loop() {
				if err := p.Process(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
