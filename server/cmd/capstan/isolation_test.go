package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestIsolation runs a capsule that reads a file which its manifest names, the same one with a
// manifest that does not, and that one without isolation.
func TestIsolation(t *testing.T) {
	t.Parallel()
	exe := program(t)
	dir := t.TempDir()
	boxes := filepath.Join(t.TempDir(), "det.txt")
	own := filepath.Join(filepath.Dir(exe), "capsules", "detector_replay")
	text, err := os.ReadFile(filepath.Join(own, "capsule.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	less := regexp.MustCompile(`(?m)^needs:.*\n(  .*\n)*`).ReplaceAll(text, nil)
	if len(less) == len(text) {
		t.Fatalf("the manifest has no needs: %s", text)
	}
	binary, err := os.ReadFile(filepath.Join(own, "detector_replay"))
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{
		filepath.Join(dir, "capsule.yaml"): less, filepath.Join(dir, "detector_replay"): binary, boxes: []byte("1,-1,10,20,30,40,0.9\n"),
	} {
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(capsules string, more ...string) called {
		args := []string{"run", "test://?pattern=ball&size=64x36&frames=3", "--capsules", capsules, "--option", "detector_replay.path=" + boxes, "--json", "-", "--quiet"}
		return call(t, append(args, more...)...)
	}
	if c := run(own); c.status != 0 || !strings.Contains(c.stdout, `"person"`) || c.stderr != "" {
		t.Errorf("with its needs: status %d\n%s%s", c.status, c.stdout, c.stderr)
	}
	if c := run(dir, "--unsafe"); c.status != 0 || !strings.Contains(c.stdout, `"person"`) || strings.Count(c.stderr, "isolation is off") != 1 {
		t.Errorf("--unsafe: status %d\n%s%s", c.status, c.stdout, c.stderr)
	}
	doctor := call(t, "doctor")
	if !strings.Contains(doctor.stdout, "isolation: files") || !strings.Contains(doctor.stdout, "isolation: cpu") {
		if runtime.GOOS == "linux" || !strings.Contains(doctor.stdout, "isolation") {
			t.Errorf("doctor says nothing of isolation: %s", doctor.stdout)
		}
	}
	if !regexp.MustCompile(`(?m)^ok +isolation: files`).MatchString(doctor.stdout) {
		t.Skipf("SKIPPED, this machine does not keep capsules from files: %s", doctor.stdout)
	}
	c := run(dir)
	for _, want := range []string{"capsule detector_replay", boxes + ": permission denied", "declare the file in needs: files", "--unsafe"} {
		if c.status == 0 || !strings.Contains(c.stderr, want) {
			t.Errorf("without its needs: status %d, %q does not say %q", c.status, c.stderr, want)
		}
	}
}
