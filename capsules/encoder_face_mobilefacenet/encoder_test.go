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

func cosine(a, b sdk.Encoding) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func encode(t testing.TB, p sdk.Processor, f *sdk.Frame) sdk.Encoding {
	t.Helper()
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	e := f.Node().Encoding()
	if len(e) != 128 || math.Abs(cosine(e, e)-1) > 1e-5 {
		t.Fatalf("an encoding of %d numbers, length² %v", len(e), cosine(e, e))
	}
	return e
}

func TestEncodingsAreThoseOfTheReference(t *testing.T) {
	onnxtest.Models(t)
	var ref struct {
		Names  []string
		Cosine [][]float64
		First8 map[string][]float64
	}
	onnxtest.Reference(t, "mobilefacenet", &ref)
	faces := onnxtest.ReferenceFaces(t)
	p := onnxtest.Open(t, capsule, nil)
	var all []sdk.Encoding
	for _, name := range ref.Names {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "faces", name))
		e := encode(t, p, onnxtest.Frame(t, capsule, m, faces[name][0]))
		far := 0.0
		for i, v := range ref.First8[name] {
			far = math.Max(far, math.Abs(v-float64(e[i])))
		}
		t.Logf("%s: %.3f apart in the first 8", name, far)
		if far > 0.07 { // the reference fits by the least median of squares, not by all five points
			t.Errorf("%s: the first numbers are %v, the reference has %v", name, e[:8], ref.First8[name])
		}
		all = append(all, e)
	}
	for i := range all {
		for j := range i {
			got, want := cosine(all[i], all[j]), ref.Cosine[i][j]
			t.Logf("%s, %s: %.3f, reference %.3f", ref.Names[i], ref.Names[j], got, want)
			if math.Abs(got-want) > 0.065 {
				t.Errorf("%s, %s: cosine %.3f, the reference has %.3f", ref.Names[i], ref.Names[j], got, want)
			}
		}
	}
}

func TestFormatsAgree(t *testing.T) {
	onnxtest.Models(t)
	face := onnxtest.ReferenceFaces(t)["astronaut.png"][0]
	m := cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png"))
	b := sdktest.Open(t, capsule, nil)
	var first core.Encoding
	for _, format := range capsule.Formats {
		out := b.Process(sdktest.FrameOf(m, format, sdktest.Padded(13), sdktest.With(face)))
		e := out.Nodes[0].Encoding
		if first == nil {
			first = e
		}
		if c := cosine(first, e); c < 0.98 {
			t.Errorf("%s: cosine %.4f with %s", format, c, capsule.Formats[0])
		}
	}
}

func TestLandmarksThatAreNone(t *testing.T) {
	onnxtest.Models(t)
	m := cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png"))
	p := onnxtest.Open(t, capsule, nil)
	whole := onnxtest.ReferenceFaces(t)["astronaut.png"][0]
	want := encode(t, p, onnxtest.Frame(t, capsule, m, whole))
	for name, c := range map[string]struct {
		marks any
		least float64 // cosine with the encoding by landmarks
	}{
		"a number":     {3, 0.5},
		"two of five":  {map[string]core.Point{"left_eye": {X: 1, Y: 1}, "nose": {X: 2, Y: 2}}, 0.5},
		"all in one":   {map[string]core.Point{"left_eye": {}, "right_eye": {}, "nose": {}, "mouth_left": {}, "mouth_right": {}}, 0.5},
		"far outside":  {map[string]core.Point{"left_eye": {X: -9e5, Y: -9e5}, "right_eye": {X: -8e5, Y: -9e5}, "nose": {X: -8e5, Y: -8e5}, "mouth_left": {X: -9e5, Y: -7e5}, "mouth_right": {X: -8e5, Y: -7e5}}, -1},
		"wrong shapes": {map[string]any{"left_eye": "x"}, 0.5},
	} {
		n := whole.Clone()
		if err := n.ExtraData.Set("landmarks", c.marks); err != nil {
			t.Fatal(err)
		}
		if got := cosine(want, encode(t, p, onnxtest.Frame(t, capsule, m, n))); got < c.least {
			t.Errorf("%s: cosine %.3f with the encoding by landmarks, want at least %.1f", name, got, c.least)
		}
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "faces", "astronaut.png")))
}
