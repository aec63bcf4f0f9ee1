package main

import (
	"os"
	"path/filepath"
	"testing"
)

// pictured are the capsules of the README's picture; make generate draws them.
const pictured = "detector_motion_background,detector_face_yunet,detector_code_zxing,tracker_bytetrack,encoder_face_mobilefacenet,classifier_face_age,classifier_face_headpose,classifier_color_hsv"

// TestPictureOfThePlan holds the README's picture against the capsules: docs/plan.svg is drawn
// from docs/plan.dot by make generate.
func TestPictureOfThePlan(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join(root, "docs", "plan.dot"))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := runPlan(t, "--catalog", filepath.Join(root, "capsules"), "--active", pictured, "--format", "dot")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/plan.dot is not what capstan plan draws; run make generate\n%s", got)
	}
}
