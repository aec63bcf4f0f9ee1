package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// built gives a folder with these capsules, as make build lays them out.
func built(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		to, from := filepath.Join(dir, name), filepath.Join("..", "..", "capsules", name)
		manifest, err := os.ReadFile(filepath.Join(from, "capsule.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, "capsule.yaml"), manifest, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "build", "-o", filepath.Join(to, name), "./"+from).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

const ball = "test://?pattern=ball&size=320x240&frames=60"

func TestWatch(t *testing.T) {
	t.Parallel()
	folder := built(t, "detector_motion_background", "classifier_color_hsv")
	var out bytes.Buffer
	if err := watch(t.Context(), &out, ball, folder, []string{"detector_motion_background", "classifier_color_hsv"}); err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^frame \d+, \d\.\d\d s: motion at \d+,\d+ to \d+,\d+ map\[color:[a-z]+\]$`)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) < 20 {
		t.Errorf("the ball was seen %d times:\n%s", len(lines), out.String())
	}
	for _, l := range lines {
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	}
	err := watch(t.Context(), &out, ball, folder, []string{"detector_nothing"})
	if core.KindOf(err) != core.NotFound {
		t.Errorf("an unknown capsule: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	first := &once{then: cancel}
	go func() {
		stopped <- watch(ctx, first, "test://?pattern=ball&size=320x240", folder, []string{"detector_motion_background"})
	}()
	if err := <-stopped; err != nil {
		t.Errorf("a source without end, stopped: %v", err)
	}
}

// once calls then at the first write.
type once struct{ then func() }

func (o *once) Write(b []byte) (int, error) {
	o.then()
	return len(b), nil
}
