package onnxtest

import (
	"math"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/cliptest"
)

// Object is an object that reference_outputs.json has found, its box in pixels of the picture.
type Object struct {
	Label string
	Score float64
	Box   core.Box
}

// ReferenceObjects gives what a detector of reference_outputs.json found, by path of the picture
// in the test data.
func ReferenceObjects(t testing.TB, model string) map[string][]Object {
	t.Helper()
	var part struct {
		Images map[string]map[string][]struct {
			Label string
			Score float64
			Box   [4]float64 `json:"box_xyxy"`
		}
	}
	Reference(t, "object_detectors", &part)
	all := map[string][]Object{}
	for picture, models := range part.Images {
		path := cliptest.Data(t, "images", strings.TrimPrefix(picture, "images/"))
		all[path] = []Object{}
		for _, o := range models[model] {
			all[path] = append(all[path], Object{o.Label, o.Score, core.Box{X1: o.Box[0], Y1: o.Box[1], X2: o.Box[2], Y2: o.Box[3]}})
		}
	}
	return all
}

// HoldObjects wants each object of want, as far as it lies in a picture of w by h, among got: with
// that much overlap, and no more than apart between the scores. One that the reference missed by a
// hair at the threshold may be there too.
func HoldObjects(t testing.TB, got []*core.Node, want []Object, w, h int, overlap, apart float64) {
	t.Helper()
	if n := len(got) - len(want); n < 0 || n > 1 {
		t.Errorf("%d detections, the reference has %d", len(got), len(want))
	}
	for _, o := range want {
		box := core.Box{X1: math.Max(o.Box.X1, 0), Y1: math.Max(o.Box.Y1, 0), X2: math.Min(o.Box.X2, float64(w)), Y2: math.Min(o.Box.Y2, float64(h))}
		n, shared := Nearest(got, o.Label, box)
		if n == nil {
			t.Errorf("no %s at %v", o.Label, o.Box)
			continue
		}
		score, _ := n.Confidence()
		t.Logf("%s %.3f, reference %.3f, IoU %.3f", o.Label, score, o.Score, shared)
		if shared < overlap || math.Abs(score-o.Score) > apart {
			t.Errorf("%s of %.3f overlaps by %.3f; the reference has %.3f", o.Label, score, shared, o.Score)
		}
	}
}
