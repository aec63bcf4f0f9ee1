package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDetectSmallCropLarge has faces found on a picture of at most 640 pixels and their pose read
// from crops of the same frame at 1280 by 720: one small picture a frame is made, the large one
// is the decoder's own, and places are in the pixels of the frame for both.
func TestDetectSmallCropLarge(t *testing.T) {
	t.Setenv("CAPSTAN_MODELS", data(t, "models"))
	args := []string{
		demoClip(t), "--duration", "1s", "--only", "detector_face_yunet,classifier_face_headpose",
		"--json", "-",
	}
	c := call(t, append([]string{"bench", "--rounds", "1", "--window", "1"}, args...)...)
	if c.status != 0 && strings.Contains(c.stderr, "onnxruntime") {
		t.Skip(c.stderr)
	}
	var r benchReport
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 {
		t.Fatalf("%v %d\n%s", err, c.status, c.stderr)
	}
	small, large := r.Capsules[0], r.Capsules[1]
	if r.Pictures != 1 || small.Name != "detector_face_yunet" || small.Nodes == 0 || large.Nodes != small.Nodes || large.Failed+small.Failed != 0 {
		t.Errorf("%v pictures made for a frame; %+v", r.Pictures, r.Capsules)
	}
	frames, _ := parseRun(t, call(t, append([]string{"run", "--quiet"}, args...)...).stdout)
	posed, beyond := 0, false
	for _, f := range frames {
		for _, d := range f.Detections {
			if _, ok := d.ExtraData["head_pose"]; ok {
				posed++
			}
			beyond = beyond || d.Coords[2][1] > 360 // the last row of the small picture
		}
	}
	if posed != int(large.Nodes) || !beyond {
		t.Errorf("%d faces with a pose, want %d; one beyond the small picture: %v", posed, large.Nodes, beyond)
	}
}
