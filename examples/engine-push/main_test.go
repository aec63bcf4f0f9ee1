package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func built(t *testing.T) string {
	t.Helper()
	from, to := filepath.Join("..", "..", "capsules", detector), t.TempDir()
	manifest, err := os.ReadFile(filepath.Join(from, "capsule.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "capsule.yaml"), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(to, detector), "./"+from).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return to
}

// TestRoll finds the ball where it was drawn.
func TestRoll(t *testing.T) {
	folder := built(t)
	var out bytes.Buffer
	if err := roll(t.Context(), &out, folder, 60); err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(out.String()) {
		var at, x1, y1, x2, y2 float64
		if _, err := fmt.Sscanf(line, "%f s: motion at %f,%f to %f,%f", &at, &x1, &y1, &x2, &y2); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		x := 6*math.Round(at*25) - 100
		if y1 > 90 && y2 < 150 && x1 < x+20 && x2 > x+20 && x2-x1 < 80 {
			found++
		}
	}
	if found < 25 {
		t.Errorf("the ball was found in %d frames of 43:\n%s", found, out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := roll(ctx, &out, folder, 60); err == nil {
		t.Error("a context that is over is not noticed")
	}
}
