package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// installed is a folder with the program and its capsules, as make build lays them out.
var installed struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if installed.dir != "" {
		_ = os.RemoveAll(installed.dir)
	}
	os.Exit(code)
}

// program builds what a user has, once, and gives the program's path.
func program(t *testing.T) string {
	t.Helper()
	installed.once.Do(func() { installed.dir, installed.err = install() })
	if installed.err != nil {
		t.Fatal(installed.err)
	}
	return filepath.Join(installed.dir, "capstan")
}

const root = "../../.."

func install() (string, error) {
	dir, err := os.MkdirTemp("", "capstan-e2e-")
	if err != nil {
		return "", err
	}
	manifests, err := filepath.Glob(filepath.Join(root, "capsules", "*", "capsule.yaml"))
	if err != nil || len(manifests) == 0 {
		return dir, fmt.Errorf("no capsules found (%v)", err)
	}
	if err := build(dir, "./server/cmd/capstan", "./capsules/..."); err != nil {
		return dir, err
	}
	for _, m := range manifests {
		name := filepath.Base(filepath.Dir(m))
		to := filepath.Join(dir, "capsules", name)
		text, err := os.ReadFile(m)
		if err == nil {
			err = errors.Join(os.MkdirAll(to, 0o755), os.WriteFile(filepath.Join(to, "capsule.yaml"), text, 0o644),
				os.Rename(filepath.Join(dir, name), filepath.Join(to, name)))
		}
		if err != nil {
			return dir, err
		}
	}
	return dir, nil
}

// build builds a program, or with a folder several ones, which then uses every core.
func build(to string, packages ...string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", to}, packages...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %v: %w\n%s", packages, err, out)
	}
	return nil
}

// called is what one call of the program gave.
type called struct {
	status         int
	stdout, stderr string
}

func call(t *testing.T, args ...string) called {
	t.Helper()
	return callWith(t, nil, args...)
}

// callWith runs the program and has meanwhile, if set, do something to it.
func callWith(t *testing.T, meanwhile func(cmd *exec.Cmd), args ...string) called {
	t.Helper()
	return callIn(t, nil, meanwhile, args...)
}

// callIn is callWith, with env beside the environment of the test.
func callIn(t *testing.T, env []string, meanwhile func(cmd *exec.Cmd), args ...string) called {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if meanwhile != nil {
		meanwhile(cmd)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("capstan %v hangs\n%s", args, stderr.String())
	}
	return called{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// demo makes the clip of make run, once.
var demo struct {
	once sync.Once
	path string
	err  error
}

func demoClip(t *testing.T) string {
	t.Helper()
	exe := program(t)
	demo.once.Do(func() {
		demo.path = filepath.Join(installed.dir, "demo.mp4")
		args := []string{"scene", demo.path}
		for _, p := range [][2]string{
			{"github.com/esimov/pigo", "testdata/sample.jpg"},
			{"github.com/makiuchi-d/gozxing", "qrcode/testdata/qrcode-1/1.png"},
			{"github.com/makiuchi-d/gozxing", "qrcode/testdata/qrcode-2.jpg"},
		} {
			dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", p[0]).Output()
			if err != nil {
				demo.err = fmt.Errorf("go list -m %s: %w", p[0], err)
				return
			}
			args = append(args, filepath.Join(strings.TrimSpace(string(dir)), p[1]))
		}
		if out, err := exec.Command(exe, args...).CombinedOutput(); err != nil {
			demo.err = fmt.Errorf("capstan %v: %w\n%s", args, err, out)
		}
	})
	if demo.err != nil {
		t.Fatal(demo.err)
	}
	return demo.path
}

type jsonDetection struct {
	ID         uint64            `json:"id"`
	Class      string            `json:"class_name"`
	Coords     [][2]float64      `json:"coords"`
	Attributes map[string]string `json:"attributes"`
	ExtraData  map[string]any    `json:"extra_data"`
	TrackID    string            `json:"track_id"`
	Encoding   []float64         `json:"encoding"`
}

type jsonFrame struct {
	Seq        uint64          `json:"seq"`
	PTS        float64         `json:"pts"`
	Detections []jsonDetection `json:"detections"`
}

type jsonSummary struct {
	Summary struct {
		Status string
		Frames int
		Media  struct {
			InArena int `json:"in_arena"`
			Copied  int
		}
		Capsules []struct {
			Name                     string
			Calls, Restarts, Retries int
			Violations               int
			Failures, Starved        map[string]int
			Skipped                  map[string]uint64
		}
	}
}

// parseRun holds the lines against the documented form and gives frames and summary.
func parseRun(t *testing.T, text string) (frames []jsonFrame, sum jsonSummary) {
	t.Helper()
	checkLines(t, []byte(text))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines[1 : len(lines)-1] {
		var f jsonFrame
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatal(err)
	}
	return frames, sum
}

// tracksOf counts the tracks of a class and the share of frames in which it was found.
func tracksOf(frames []jsonFrame, class string) (tracks map[string]int, share float64) {
	tracks = map[string]int{}
	found := 0
	for _, f := range frames {
		here := false
		for _, d := range f.Detections {
			if d.Class == class {
				tracks[d.TrackID]++
				here = true
			}
		}
		if here {
			found++
		}
	}
	return tracks, float64(found) / float64(max(1, len(frames)))
}

// TestDemo is make run: every capsule on the demo clip, with results and overlay.
func TestDemo(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	film := filepath.Join(t.TempDir(), "overlay.mp4")
	c := call(t, "run", clip, "--json", "-", "--overlay", film)
	if c.status != 0 {
		t.Fatalf("status %d\n%s", c.status, c.stderr)
	}
	frames, sum := parseRun(t, c.stdout)
	if len(frames) != 300 || sum.Summary.Frames != 300 || sum.Summary.Status != "done" {
		t.Fatalf("%d frames, summary %+v; want 300", len(frames), sum)
	}
	if m := sum.Summary.Media; m.InArena != 300 || m.Copied != 0 {
		t.Errorf("%d frames in the arena, %d copied; want all in the arena", m.InArena, m.Copied)
	}
	tracks, share := tracksOf(frames, "face")
	if share < 0.95 || len(tracks) != 2 || tracks[""] != 0 {
		t.Errorf("faces in %.0f %% of the frames, tracks %v; want 95 %% and the two of the portrait and its mirror image", 100*share, tracks)
	}
	if _, share := tracksOf(frames, "code"); share < 0.9 {
		t.Errorf("a QR code in %.0f %% of the frames", 100*share)
	}
	for _, c := range sum.Summary.Capsules {
		if len(c.Failures) > 0 || c.Violations > 0 || c.Restarts > 0 {
			t.Errorf("capsule %+v", c)
		}
	}
	if !strings.Contains(c.stderr, "detector_face_pigo") || !strings.Contains(c.stderr, "times real time") {
		t.Errorf("no table on standard error:\n%s", c.stderr)
	}
	if n := countFrames(t, film); n != 300 {
		t.Errorf("the overlay has %d frames, want 300", n)
	}
}

// countFrames plays a file without capsules.
func countFrames(t *testing.T, path string) int {
	t.Helper()
	empty := t.TempDir()
	c := call(t, "run", path, "--capsules", empty, "--json", "-", "--quiet")
	if c.status != 0 {
		t.Fatalf("%s cannot be played: %s", path, c.stderr)
	}
	frames, _ := parseRun(t, c.stdout)
	return len(frames)
}

// TestCopyGivesTheSame holds the copying mode against shared memory.
func TestCopyGivesTheSame(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	run := func(extra ...string) string {
		args := append([]string{"run", clip, "--only", "detector_face_pigo,detector_code_zxing,classifier_color_hsv", "--duration", "2s", "--quiet", "--json", "-"}, extra...)
		c := call(t, args...)
		if c.status != 0 {
			t.Fatal(c.stderr)
		}
		frames, _ := parseRun(t, c.stdout)
		if len(frames) != 60 || c.stderr != "" {
			t.Fatalf("%d frames, want the 60 of two seconds; standard error %q", len(frames), c.stderr)
		}
		text, err := json.Marshal(frames)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if a, b := run(), run("--copy"); a != b {
		t.Error("results with --copy differ")
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	dir := t.TempDir()
	film, results := filepath.Join(dir, "overlay.mp4"), filepath.Join(dir, "out.jsonl")
	c := callWith(t, func(cmd *exec.Cmd) {
		waitForLines(t, results, 20)
		_ = cmd.Process.Signal(syscall.SIGINT)
	}, "run", clip, "--realtime", "--json", results, "--overlay", film)
	if c.status != 130 {
		t.Fatalf("status %d, want 130\n%s", c.status, c.stderr)
	}
	text, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	frames, sum := parseRun(t, string(text))
	if sum.Summary.Status != "interrupted" || len(frames) == 0 || len(frames) >= 300 {
		t.Errorf("%d frames, status %q", len(frames), sum.Summary.Status)
	}
	if n := countFrames(t, film); n != len(frames) {
		t.Errorf("the overlay has %d frames, the results %d", n, len(frames))
	}
}

func waitForLines(t *testing.T, path string, n int) {
	t.Helper()
	for range 3000 {
		text, _ := os.ReadFile(path)
		if bytes.Count(text, []byte("\n")) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s does not get %d lines", path, n)
}

// TestCapsuleIsKilled kills a capsule in the middle of a file, twice: nothing may be missing.
func TestCapsuleIsKilled(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	results := filepath.Join(t.TempDir(), "out.jsonl")
	c := callWith(t, func(cmd *exec.Cmd) {
		for i := range 2 {
			waitForLines(t, results, 60*(i+1))
			out, err := exec.Command("pgrep", "-P", fmt.Sprint(cmd.Process.Pid), "-f", "detector_face_pigo").Output()
			if err != nil {
				t.Errorf("no capsule process found: %v", err)
				return
			}
			var pid int
			if _, err := fmt.Sscan(string(out), &pid); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}, "run", clip, "--only", "detector_face_pigo,tracker_bytetrack", "--json", results)
	text, err := os.ReadFile(results)
	if err != nil || c.status != 0 {
		t.Fatalf("status %d, %v\n%s", c.status, err, c.stderr)
	}
	frames, sum := parseRun(t, string(text))
	_, share := tracksOf(frames, "face")
	if len(frames) != 300 || share < 0.95 {
		t.Errorf("%d frames, faces in %.0f %%", len(frames), 100*share)
	}
	for _, c := range sum.Summary.Capsules {
		if c.Name == "detector_face_pigo" && (c.Restarts == 0 || len(c.Failures) > 0) {
			t.Errorf("%+v, want restarts and no failure", c)
		}
	}
}

// TestReaderGoesAway closes the pipe of the results after a few lines: the run fails, and the
// overlay is complete.
func TestReaderGoesAway(t *testing.T) {
	t.Parallel()
	film := filepath.Join(t.TempDir(), "overlay.mp4")
	script := fmt.Sprintf("set -o pipefail; %q run %q --json - --quiet --overlay %q | head -n 20 >/dev/null", program(t), demoClip(t), film)
	out, err := exec.Command("bash", "-c", script).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "cannot write results") {
		t.Errorf("it ends with %v, saying %q", err, out)
	}
	if n := countFrames(t, film); n < 19 || n >= 300 {
		t.Errorf("the overlay has %d frames", n)
	}
}

// TestUsage calls the program wrongly: a status, a sentence that names the value, no output.
func TestUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.mp4")
	if err := os.WriteFile(text, []byte("this is not a film\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "capsules", "x")
	if err := errors.Join(os.MkdirAll(broken, 0o755), os.WriteFile(filepath.Join(broken, "capsule.yaml"), []byte("name: x\nversoin: 1\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	test := "test://?frames=3&size=64x48"
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no source", []string{"run"}, 2, "one SOURCE"},
		{"two sources", []string{"run", "a", "b"}, 2, "got 2"},
		{"unknown flag", []string{"run", test, "--jsno", "-"}, 2, "--jsno"},
		{"unknown command", []string{"walk"}, 2, "walk"},
		{"unknown capsule", []string{"run", test, "--only", "detector_face_pygo"}, 2, "detector_face_pigo"},
		{"unknown option", []string{"run", test, "--option", "detector_face_pigo.size=3"}, 2, "size"},
		{"bad option value", []string{"run", test, "--option", "detector_face_pigo.threshold=high"}, 2, "high"},
		{"option without value", []string{"run", test, "--option", "detector_face_pigo.threshold"}, 2, "capsule.name=value"},
		{"bad format", []string{"run", test, "--format", "xml"}, 2, "xml"},
		{"bad every", []string{"run", test, "--every", "0"}, 2, "--every 0"},
		{"only and without", []string{"run", test, "--only", "a", "--without", "b"}, 2, "exclude"},
		{"overlay that is no mp4", []string{"run", test, "--overlay", "x.avi"}, 2, "x.avi"},
		{"bad log level", []string{"run", test, "--log-level", "loud"}, 2, "loud"},
		{"missing file", []string{"run", filepath.Join(dir, "nothing.mp4")}, 1, "nothing.mp4"},
		{"not a film", []string{"run", text}, 1, "text.mp4"},
		{"bad test picture", []string{"run", "test://?size=big"}, 1, "big"},
		{"broken manifest", []string{"run", test, "--capsules", filepath.Dir(broken)}, 1, "versoin"},
		{"no such capsule folder", []string{"run", test, "--capsules", filepath.Join(dir, "none")}, 1, "none"},
		{"results that cannot be written", []string{"run", test, "--json", filepath.Join(dir, "no", "such", "folder.jsonl")}, 1, "folder.jsonl"},
		{"overlay that cannot be written", []string{"run", test, "--overlay", filepath.Join(dir, "no", "such", "o.mp4")}, 1, "o.mp4"},
		{"replay without a file", []string{"run", test, "--only", "detector_replay", "--option", "detector_replay.path=nowhere.txt"}, 1, "path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := call(t, tt.args...)
			if c.status != tt.status || !strings.Contains(c.stderr, tt.says) {
				t.Errorf("status %d, want %d; standard error, want %q in it:\n%s", c.status, tt.status, tt.says, c.stderr)
			}
			if strings.Contains(c.stderr, "goroutine ") || strings.Contains(c.stderr, "panic") {
				t.Errorf("it panics:\n%s", c.stderr)
			}
			if tt.status == 2 && c.stdout != "" {
				t.Errorf("standard output %q", c.stdout)
			}
		})
	}
}

func TestOtherCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args []string
		says []string
	}{
		{[]string{"version"}, []string{"capstan ", "capsule contract 1.0"}},
		{[]string{"doctor"}, []string{"GStreamer", "shared memory", "capsule detector_face_pigo", "open files"}},
		{[]string{"plan"}, []string{"detector_face_pigo", "tracker_bytetrack", "classifier_color_hsv"}},
		{[]string{"completion", "bash"}, []string{"bash completion"}},
		{[]string{"--help"}, []string{"capstan run video.mp4", "doctor"}},
		{[]string{"run", "--help"}, []string{"SOURCE is", "--overlay", "capstan run rtsp://"}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			c := call(t, tt.args...)
			if c.status != 0 {
				t.Fatalf("status %d: %s", c.status, c.stderr)
			}
			for _, s := range tt.says {
				if !strings.Contains(c.stdout, s) {
					t.Errorf("it does not say %q:\n%s", s, c.stdout)
				}
			}
		})
	}
}
