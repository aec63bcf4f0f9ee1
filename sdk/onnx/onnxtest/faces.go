package onnxtest

import (
	"testing"

	"github.com/capstan-video/capstan/core"
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
