package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPictureOfThePlan holds the README's picture against the capsules: docs/plan.svg is drawn
// from docs/plan.dot by make generate.
func TestPictureOfThePlan(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join(root, "docs", "plan.dot"))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := runPlan(t, "--catalog", filepath.Join(root, "capsules"), "--format", "dot")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/plan.dot is not what capstan plan draws; run make generate\n%s", got)
	}
}
