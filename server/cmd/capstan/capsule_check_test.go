package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/sdk/conform"
)

// capsuleHome gives the folder of an installed capsule.
func capsuleHome(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(filepath.Dir(program(t)), "capsules", name)
}

// TestCapsuleCheck runs the conformance run on built capsules, good ones and one with a wrong manifest.
func TestCapsuleCheck(t *testing.T) {
	t.Parallel()
	c := call(t, "capsule", "check", capsuleHome(t, "classifier_color_hsv"), "--opens", "20", "--json")
	var r conform.Report
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 || r.Failed != 0 || len(r.Cases) != len(conform.Names()) || r.Capsule != "classifier_color_hsv" {
		t.Errorf("status %d, %v, %d cases, %d failed\n%s%s", c.status, err, len(r.Cases), r.Failed, c.stdout, c.stderr)
	}
	passed := 0
	for _, one := range r.Cases {
		if one.Verdict == conform.Passed {
			passed++
		}
	}
	if passed < 20 {
		t.Errorf("only %d cases passed:\n%s", passed, c.stdout)
	}
	c = call(t, "capsule", "check", capsuleHome(t, "tracker_bytetrack"), "--case", "empty,streams,kill")
	if c.status != 0 || strings.Count(c.stdout, "\nok ") != 2 || !strings.HasPrefix(c.stdout, "ok      empty ") || !strings.Contains(c.stdout, "3 of 3 cases passed") {
		t.Errorf("status %d:\n%s%s", c.status, c.stdout, c.stderr)
	}
	wrong := filepath.Join(t.TempDir(), "classifier_color_hsv")
	text, err := os.ReadFile(filepath.Join(capsuleHome(t, "classifier_color_hsv"), "capsule.yaml"))
	if err == nil {
		err = os.MkdirAll(wrong, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(wrong, "capsule.yaml"), []byte(strings.Replace(string(text), "max: 0.45", "max: 0.5", 1)), 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Join(capsuleHome(t, "classifier_color_hsv"), "classifier_color_hsv"), filepath.Join(wrong, "classifier_color_hsv"))
	}
	if err != nil {
		t.Fatal(err)
	}
	c = call(t, "capsule", "check", wrong, "--case", "manifest,refusals")
	if c.status != 1 || !strings.Contains(c.stdout, "FAILED  manifest") || !strings.Contains(c.stdout, `"max: 0.45" by the program, and is "max: 0.5"`) || !strings.Contains(c.stderr, "1 case failed") {
		t.Errorf("status %d:\n%s%s", c.status, c.stdout, c.stderr)
	}
}

// TestCapsuleCheckPython is the same run on a capsule in Python.
func TestCapsuleCheckPython(t *testing.T) {
	t.Parallel()
	sdk, err := filepath.Abs(filepath.Join(root, "sdk", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/bin/python3", "-c", "import grpc, numpy, google.protobuf").CombinedOutput(); err != nil {
		t.Skipf("python3 with grpcio and numpy is absent: %v: %s", err, out)
	}
	c := callIn(t, []string{"PYTHONPATH=" + sdk}, nil, "capsule", "check", filepath.Join(root, "examples", "python-hello"), "--opens", "20", "--json")
	var r conform.Report
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 || r.Failed != 0 {
		t.Fatalf("status %d, %v\n%s%s", c.status, err, c.stdout, c.stderr)
	}
	for _, name := range []string{"manifest", "refusals", "streams", "deadline", "kill", "reopen", "close", "classes"} {
		if one, ok := r.Case(name); !ok || one.Verdict != conform.Passed && one.Verdict != conform.Noted {
			t.Errorf("case %s: %+v", name, one)
		}
	}
}

// TestCapsuleRun brings in what feeds a capsule, and no more.
func TestCapsuleRun(t *testing.T) {
	t.Parallel()
	c := call(t, "capsule", "run", capsuleHome(t, "tracker_bytetrack"), "test://?pattern=ball&frames=40&size=320x240", "--with", "detector_motion_background", "--json", "-")
	if c.status != 0 || !strings.Contains(c.stderr, "tracker_bytetrack is fed by detector_motion_background\n") {
		t.Fatalf("status %d: %s", c.status, c.stderr)
	}
	frames, sum := parseRun(t, c.stdout)
	tracked := 0
	for _, f := range frames {
		for _, d := range f.Detections {
			if d.Class == "motion" && d.TrackID != "" {
				tracked++
			}
		}
	}
	if len(frames) != 40 || tracked == 0 || len(sum.Summary.Capsules) != 2 {
		t.Errorf("%d frames, %d tracked, %d capsules", len(frames), tracked, len(sum.Summary.Capsules))
	}
	c = call(t, "capsule", "run", capsuleHome(t, "detector_motion_background"), "test://?frames=3&size=64x48", "--json", "-", "--quiet")
	if _, sum := parseRun(t, c.stdout); c.status != 0 || len(sum.Summary.Capsules) != 1 {
		t.Errorf("a detector by itself: status %d, %+v, %s", c.status, sum.Summary.Capsules, c.stderr)
	}
}

// TestCapsuleBench measures a capsule that takes nodes.
func TestCapsuleBench(t *testing.T) {
	t.Parallel()
	c := call(t, "capsule", "bench", capsuleHome(t, "classifier_color_hsv"), "--source", "test://?frames=10&size=320x240", "--time", "300ms", "--nodes", "2", "--json")
	var r capsuleBenchReport
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 {
		t.Fatalf("status %d, %v: %s", c.status, err, c.stderr)
	}
	if r.Failed != 0 || r.Calls < 10 || r.Found != 2*r.Calls || r.Rate <= 0 || len(r.Latency) != 5 || r.Memory.Start < 1<<20 || r.Memory.Peak == 0 || r.Latency[3].Part != "compute" || r.Latency[3].P99 <= 0 {
		t.Errorf("%+v", r)
	}
	c = call(t, "capsule", "bench", capsuleHome(t, "tracker_bytetrack"), "--source", "test://?frames=10&size=320x240", "--time", "200ms")
	if c.status != 0 || !strings.Contains(c.stdout, "calls a second with 1 under way") || !strings.Contains(c.stdout, "memory: ") || !strings.Contains(c.stdout, "hand-off") {
		t.Errorf("status %d:\n%s%s", c.status, c.stdout, c.stderr)
	}
}

func TestCapsuleKitUsage(t *testing.T) {
	t.Parallel()
	home, empty := capsuleHome(t, "tracker_bytetrack"), t.TempDir()
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no folder", []string{"check"}, 2, "one DIR"},
		{"empty folder", []string{"check", empty}, 1, "no capsule.yaml"},
		{"several", []string{"check", filepath.Dir(home)}, 1, "capsules:"},
		{"unknown case", []string{"check", home, "--case", "stream"}, 2, "streams"},
		{"unknown option", []string{"check", home, "--option", "nothing=1"}, 2, "nothing"},
		{"no picture", []string{"check", home, "--picture", filepath.Join(empty, "x.png")}, 2, "x.png"},
		{"opens", []string{"check", home, "--opens", "1"}, 2, "--opens 1"},
		{"run without source", []string{"run", home}, 2, "SOURCE"},
		{"run with only", []string{"run", home, "test://?frames=1", "--only", "a"}, 2, "--with"},
		{"run with a stranger", []string{"run", home, "test://?frames=1", "--with", "detector_face_pygo"}, 2, "detector_face_pigo"},
		{"bench of nothing", []string{"bench", empty}, 1, "no capsule.yaml"},
		{"bench window", []string{"bench", home, "--window", "0"}, 2, "--window 0"},
		{"bench source", []string{"bench", home, "--source", filepath.Join(empty, "x.mp4")}, 1, "x.mp4"},
	}
	for _, tt := range tests {
		c := call(t, append([]string{"capsule"}, tt.args...)...)
		if c.status != tt.status || !strings.Contains(c.stderr, tt.says) {
			t.Errorf("%s: status %d, want %d with %q:\n%s", tt.name, c.status, tt.status, tt.says, c.stderr)
		}
	}
}
