package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/detect"
	"github.com/capstan-video/capstan/sdk/onnx"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func photo(t testing.TB, parts ...string) *sdk.Frame {
	t.Helper()
	m := cliptest.Picture(t, cliptest.Data(t, append([]string{"images"}, parts...)...))
	return onnxtest.Frame(t, capsule, m)
}

// TestDecodingIsThatOfTheReference squeezes photos into 640x640, as the reference did.
func TestDecodingIsThatOfTheReference(t *testing.T) {
	m, err := onnx.Open(onnxtest.Model(t, "face_detection", "yunet_n_640_640.onnx"), onnx.Config{Outputs: outputs()})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in := detect.NewInput(640, 640, detect.Norm{BGR: true})
	for name, wants := range onnxtest.ReferenceFaces(t) {
		f := cliptest.Still(t, cliptest.Picture(t, cliptest.Data(t, "images", "faces", name)), core.BGR)
		w, h := float64(f.Width()), float64(f.Height())
		out, err := m.Run(t.Context(), in.Fill(f, detect.Cut(sdk.Box{X2: w, Y2: h}, 640, 640)))
		if err != nil {
			t.Fatal(err)
		}
		found, err := detect.YuNet(heads(out), 640, 640, 0.7)
		if err != nil {
			t.Fatal(err)
		}
		found = detect.Suppress(found, 0.3)
		if len(found) != len(wants) {
			t.Errorf("%s: %d faces, the reference has %d", name, len(found), len(wants))
		}
		for _, want := range wants {
			matches(t, name, found, want, w/640, h/640)
		}
	}
}

// matches wants a face among found at want's place, with its landmarks.
func matches(t *testing.T, name string, found []detect.Found, want *core.Node, sx, sy float64) {
	t.Helper()
	box, score := want.Coords.Box(), 0.0
	var marks map[string]core.Point
	if err := json.Unmarshal(want.ExtraData["landmarks"], &marks); err != nil {
		t.Fatal(err)
	}
	best, far := 0.0, math.Inf(1)
	for _, o := range found {
		at := core.Box{X1: o.Box.X1 * sx, Y1: o.Box.Y1 * sy, X2: o.Box.X2 * sx, Y2: o.Box.Y2 * sy}
		overlap := iou(at, box)
		if overlap <= best {
			continue
		}
		best, score, far = overlap, o.Score, 0
		for i, p := range o.Points {
			m := marks[detect.Marks[i]]
			far = math.Max(far, math.Hypot(p.X*sx-m.X, p.Y*sy-m.Y)/box.Width())
		}
	}
	reference, _ := want.Confidence()
	t.Logf("%s: %.4f, reference %.4f, IoU %.3f, farthest landmark %.1f %% of the width", name, score, reference, best, 100*far)
	if best < 0.9 || far > 0.1 || math.Abs(score-reference) > 0.02 {
		t.Errorf("%s: a face of %.3f overlaps by %.3f, landmarks %.3f of the width away; the reference has %.3f", name, score, best, far, reference)
	}
}

func iou(a, b core.Box) float64 {
	_, o := onnxtest.Nearest([]*core.Node{{Class: "face", Coords: a.Polygon()}}, "face", b)
	return o
}

func TestPhotos(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, nil)
	for name, wants := range onnxtest.ReferenceFaces(t) {
		f := photo(t, "faces", name)
		got := onnxtest.Process(t, p, f)
		hit := 0
		for _, want := range wants {
			n, overlap := onnxtest.Nearest(got, "face", want.Coords.Box())
			if n != nil && overlap > 0.6 {
				hit++
				inside(t, name, n)
			}
		}
		t.Logf("%s: %d of %d faces, %d found", name, hit, len(wants), len(got))
		if hit < len(wants)*7/8 || len(got) > len(wants)+1 {
			t.Errorf("%s: %d of %d faces, %d found", name, hit, len(wants), len(got))
		}
	}
	for _, name := range []string{"chelsea.png", "coffee.png", "rocket.jpg"} {
		if got := onnxtest.Process(t, p, photo(t, "noface", name)); len(got) != 0 {
			t.Errorf("%s, without a face: %d found", name, len(got))
		}
	}
}

// inside wants the landmarks, in pixels of the stream, within the face's box.
func inside(t *testing.T, name string, n *core.Node) {
	t.Helper()
	var marks map[string]core.Point
	if err := json.Unmarshal(n.ExtraData["landmarks"], &marks); err != nil || len(marks) != 5 {
		t.Fatalf("%s: landmarks %s: %v", name, n.ExtraData["landmarks"], err)
	}
	b := detect.Grow(n.Coords.Box(), 1.1)
	for k, p := range marks {
		if p.X < b.X1 || p.X > b.X2 || p.Y < b.Y1 || p.Y > b.Y2 {
			t.Errorf("%s: %s at %v is outside the face %v", name, k, p, n.Coords.Box())
		}
	}
	if marks["left_eye"].X >= marks["right_eye"].X+2 && marks["nose"].Y <= marks["mouth_left"].Y {
		t.Errorf("%s: eyes at %v and %v", name, marks["left_eye"], marks["right_eye"])
	}
}

func TestSizes(t *testing.T) {
	onnxtest.Models(t)
	for name, given := range map[string]map[string]any{
		"640":       nil,
		"320":       {"input_size": 320},
		"fixed 320": {"model": onnxtest.Model(t, "face_detection", "yunet_n_320_320.onnx")},
		"fixed 640": {"model": onnxtest.Model(t, "face_detection", "yunet_n_640_640.onnx")},
	} {
		p := onnxtest.Open(t, capsule, given)
		got := onnxtest.Process(t, p, photo(t, "faces", "two_people.jpg"))
		if len(got) != 2 {
			t.Errorf("%s: %d faces, want 2", name, len(got))
		}
	}
	p := onnxtest.Open(t, capsule, map[string]any{"min_size": 40})
	for _, n := range onnxtest.Process(t, p, photo(t, "faces", "2007_007763.jpg")) {
		if w := n.Coords.Box().Width(); w < 40 {
			t.Errorf("min_size 40: a face of %.1f pixels", w)
		}
	}
	_, err := capsule.Open(t.Context(), sdk.Stream{Options: cliptest.Values(t, capsule, map[string]any{"model": onnxtest.Model(t, "face_detection", "ultraface-rfb-320.onnx")})})
	if err == nil || !strings.Contains(err.Error(), "cls_8") {
		t.Errorf("another model: %v", err)
	}
}

func TestClips(t *testing.T) {
	onnxtest.Models(t)
	for _, name := range []string{"again", "bird", "book"} {
		p := onnxtest.Open(t, capsule, nil)
		clip := cliptest.Open(t, cliptest.Data(t, "videos", "faces", "asl", name+".mkv"))
		looked, with := 0, 0
		for i := 0; clip.Next(); i++ {
			if i%24 != 0 {
				continue
			}
			looked++
			if got := onnxtest.Process(t, p, clip.Frame(core.BGR, capsule.Picture.MaxSide)); len(got) == 1 {
				with++
			}
		}
		if t.Logf("%s: one face in %d of %d frames", name, with, looked); looked == 0 || with < looked {
			t.Errorf("%s: one face in %d of %d frames", name, with, looked)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png")))
}

func BenchmarkFrame(b *testing.B) {
	onnxtest.Models(b)
	for name, size := range map[string]int{"640": 640, "320": 320} {
		b.Run(name, func(b *testing.B) {
			p := onnxtest.Open(b, capsule, map[string]any{"input_size": size})
			f := photo(b, "faces", "two_people.jpg")
			for b.Loop() {
				if err := p.Process(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
