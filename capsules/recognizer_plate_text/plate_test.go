package main

import (
	"encoding/csv"
	"os"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/onnx/onnxtest"
	"github.com/capstan-video/capstan/sdk/sdktest"
)

func plate(outline core.Polygon) *core.Node {
	return &core.Node{Class: "license_plate", Coords: outline}
}

func read(t testing.TB, p sdk.Processor, f *sdk.Frame) (text, colour string, confidence float64) {
	t.Helper()
	if err := p.Process(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	text, _ = f.Node().ExtraText("text")
	confidence, _ = f.Node().ExtraFloat("text_confidence")
	colour, _ = f.Node().Attribute("plate_colour")
	return text, colour, confidence
}

// crops are the rows of the Chinese crops: file, upstream's label, reference text and colour.
func crops(t testing.TB) [][]string {
	t.Helper()
	file, err := os.Open(cliptest.Data(t, "images", "plate_crops_cn", "labels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func TestChinesePlates(t *testing.T) {
	onnxtest.Models(t)
	p := onnxtest.Open(t, capsule, nil)
	right, asReference, colourRight, rows := 0, 0, 0, crops(t)
	for _, row := range rows {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "plate_crops_cn", row[0]))
		b := m.Bounds()
		whole := plate(core.Rect(0, 0, float64(b.Dx()), float64(b.Dy())))
		text, colour, confidence := read(t, p, onnxtest.Frame(t, capsule, m, whole))
		if text == row[1] {
			right++
		}
		if text == row[2] {
			asReference++
		} else {
			t.Logf("%s: %s (%.2f), reference %s", row[0], text, confidence, row[2])
		}
		if colour == row[3] {
			colourRight++
		}
	}
	t.Logf("%d plates: %d right, %d as the reference reads them, %d colours as the reference", len(rows), right, asReference, colourRight)
	if n := len(rows); n == 0 || right < n*85/100 || asReference < n*95/100 || colourRight < n*95/100 {
		t.Errorf("of %d plates %d are right, %d as the reference, %d colours", n, right, asReference, colourRight)
	}
}

// distance is the number of characters to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func TestPlatesOfOtherCountries(t *testing.T) {
	onnxtest.Models(t)
	var ref struct {
		Images map[string]struct {
			Truth string `json:"truth_plate"`
			Text  string `json:"plate_rec_color_on_first_box"`
			Boxes []struct {
				Box [4]float64 `json:"box_xywh"`
			} `json:"mnet_plate"`
		}
	}
	onnxtest.Reference(t, "license_plate", &ref)
	plain, latin := onnxtest.Open(t, capsule, nil), onnxtest.Open(t, capsule, map[string]any{"latin": true})
	wrong, characters := 0, 0
	for name, want := range ref.Images {
		m := cliptest.Picture(t, cliptest.Data(t, "images", "plates", name))
		b := want.Boxes[0].Box
		n := plate(core.Rect(b[0], b[1], b[0]+b[2], b[1]+b[3]))
		text, _, confidence := read(t, plain, onnxtest.Frame(t, capsule, m, n))
		letters, _, _ := read(t, latin, onnxtest.Frame(t, capsule, m, n))
		t.Logf("%s: %s (%.2f), latin %s, reference %s, truth %s", name, text, confidence, letters, want.Text, want.Truth)
		wrong, characters = wrong+distance(letters, want.Truth), characters+len(want.Truth)
		if strings.ContainsFunc(letters, func(r rune) bool { return r > 'Z' }) {
			t.Errorf("%s: with latin %s was read", name, letters)
		}
	}
	if characters == 0 || wrong > characters/4 {
		t.Errorf("%d of %d characters are wrong", wrong, characters)
	}
}

func TestThresholdEmptiesTheText(t *testing.T) {
	onnxtest.Models(t)
	row := crops(t)[0]
	m := cliptest.Picture(t, cliptest.Data(t, "images", "plate_crops_cn", row[0]))
	f := onnxtest.Frame(t, capsule, m, plate(core.Rect(0, 0, 94, 24)))
	if text, _, confidence := read(t, onnxtest.Open(t, capsule, map[string]any{"threshold": 1.0}), f); text != "" || confidence == 0 {
		t.Errorf("text %q of confidence %v", text, confidence)
	}
}

func TestManifest(t *testing.T) { sdktest.Manifest(t, capsule, "capsule.yaml") }

func TestConformance(t *testing.T) {
	onnxtest.Models(t)
	sdktest.Run(t, capsule, cliptest.Picture(t, cliptest.Data(t, "images", "plates", "us_us1.jpg")))
}

func BenchmarkPlate(b *testing.B) {
	onnxtest.Models(b)
	p := onnxtest.Open(b, capsule, nil)
	m := cliptest.Picture(b, cliptest.Data(b, "images", "plates", "us_us1.jpg"))
	f := onnxtest.Frame(b, capsule, m, plate(core.Rect(501, 345, 662, 409)))
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
