package onnxtest

import (
	"encoding/json"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/cliptest"
	"github.com/capstan-video/capstan/sdk/detect"
)

// ReferenceFaces gives the faces that reference_outputs.json has for the photos of the test
// data, with their landmarks, surest first, in pixels of the photo.
func ReferenceFaces(t testing.TB) map[string][]*core.Node {
	t.Helper()
	var part struct {
		Photos map[string][]struct {
			Box       [4]float64 `json:"box_xywh"`
			Score     float64
			Landmarks [5]core.Point
		} `json:"images/faces"`
	}
	Reference(t, "yunet_n_640_640", &part)
	faces := map[string][]*core.Node{}
	for name, list := range part.Photos {
		for _, f := range list {
			n := &core.Node{Class: "face", Coords: core.Rect(f.Box[0], f.Box[1], f.Box[0]+f.Box[2], f.Box[1]+f.Box[3]), ExtraData: core.ExtraData{}}
			marks := map[string]core.Point{}
			for i, p := range f.Landmarks {
				marks[detect.Marks[i]] = p
			}
			if err := n.ExtraData.Set("landmarks", marks); err != nil {
				t.Fatal(err)
			}
			if err := n.ExtraData.Set("confidence", f.Score); err != nil {
				t.Fatal(err)
			}
			faces[name] = append(faces[name], n)
		}
	}
	return faces
}

// ReferenceAttributes has the capsule look at the surest face of each photo that
// reference_outputs.json has attributes of, and calls check with the node and those attributes.
func ReferenceAttributes(t *testing.T, c sdk.Capsule, check func(t *testing.T, n *sdk.Node, reference json.RawMessage)) {
	t.Helper()
	Models(t)
	var photos map[string]json.RawMessage
	Reference(t, "face_attributes", &photos)
	p := Open(t, c, nil)
	for name, reference := range photos {
		t.Run(name, func(t *testing.T) {
			f := photoOf(t, c, name)
			if err := p.Process(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			check(t, f.Node(), reference)
		})
	}
}

// photoOf gives a photo of the test data with its surest face.
func photoOf(t testing.TB, c sdk.Capsule, name string) *sdk.Frame {
	t.Helper()
	return Frame(t, c, cliptest.Picture(t, cliptest.Data(t, "images", "faces", name)), ReferenceFaces(t)[name][0])
}

// BenchmarkFace measures a capsule on one face.
func BenchmarkFace(b *testing.B, c sdk.Capsule) {
	b.Helper()
	Models(b)
	p, f := Open(b, c, nil), photoOf(b, c, "astronaut.png")
	for b.Loop() {
		if err := p.Process(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
