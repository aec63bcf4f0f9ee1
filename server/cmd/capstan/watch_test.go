package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// marker puts versions of pipeline/hotload/testdata/marker into folders: what one is stands as
// JSON behind the end of its program.
type marker struct{ program []byte }

func newMarker(t *testing.T) marker {
	t.Helper()
	path := filepath.Join(t.TempDir(), "marker")
	if err := build(path, "./pipeline/hotload/testdata/marker"); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return marker{program}
}

// install writes a version, in place of what is there.
func (m marker) install(t *testing.T, dir string, version int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "marker")
	whole := slices.Concat(m.program, fmt.Appendf(nil, "\n{\"Version\": \"%d\"}", version))
	if err := os.WriteFile(program, whole, 0o755); err != nil {
		t.Fatal(err)
	}
	manifest, err := exec.Command(program, "manifest").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "capsule.yaml"), manifest, 0o644); err != nil {
		t.Fatal(err)
	}
}

// markLines are the JSON lines of a run so far.
type markLines struct {
	path string
}

type markLine struct {
	Seq        int
	Detections []struct {
		Class     string `json:"class_name"`
		ExtraData struct {
			Version, Word string
			PID           int
		} `json:"extra_data"`
	}
}

func (m markLines) read(t *testing.T) (lines []markLine) {
	t.Helper()
	text, err := os.ReadFile(m.path)
	if err != nil {
		return nil
	}
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		if !bytes.HasPrefix(line, []byte(`{"seq"`)) || !bytes.HasSuffix(line, []byte("\n")) {
			continue
		}
		var l markLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, l)
	}
	return lines
}

// wait waits until want is true of the last frame.
func (m markLines) wait(t *testing.T, what string, want func(l markLine) bool) {
	t.Helper()
	for range 1200 {
		if lines := m.read(t); len(lines) > 0 && want(lines[len(lines)-1]) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestWatch replaces a capsule five times while 300 frames run, the last time by a package, and
// has its options changed by the file. Every frame is answered once, in order, by versions that
// go up.
func TestWatch(t *testing.T) {
	program(t)
	built := newMarker(t)
	dir, scratch := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", scratch)
	t.Setenv("CAPSTAN_CACHE", filepath.Join(dir, "cache"))
	capsules, options := filepath.Join(dir, "capsules"), filepath.Join(dir, "options.yaml")
	setOptions := func(text string) {
		t.Helper()
		if err := os.WriteFile(options, []byte("detector_marker: {"+text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	setOptions("pause: 100ms, word: slow")
	folder := filepath.Join(capsules, "marker")
	built.install(t, folder, 1)
	out := markLines{filepath.Join(dir, "out.jsonl")}
	shows := func(version int) {
		t.Helper()
		out.wait(t, fmt.Sprint("version ", version), func(l markLine) bool {
			return len(l.Detections) == 1 && l.Detections[0].ExtraData.Version == fmt.Sprint(version)
		})
	}
	c := callWith(t, func(*exec.Cmd) {
		for v := 2; v <= 5; v++ {
			shows(v - 1)
			built.install(t, folder, v)
		}
		shows(5)
		next := filepath.Join(dir, "next")
		built.install(t, next, 6)
		pack := exec.Command(filepath.Join(installed.dir, "capstan"), "capsule", "pack", next, "-o", filepath.Join(dir, "next.cap"))
		if text, err := pack.CombinedOutput(); err != nil {
			t.Fatalf("pack: %v\n%s", err, text)
		}
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next.cap"), filepath.Join(capsules, "marker.cap")); err != nil {
			t.Fatal(err)
		}
		shows(6)
		setOptions("word: quick")
	}, "run", "test://?pattern=ball&size=160x120&frames=300", "--capsules", capsules, "--watch", "--options-file", options, "--json", out.path)
	if c.status != 0 {
		t.Fatalf("status %d\n%s", c.status, c.stderr)
	}
	if n := strings.Count(c.stderr, "watch: replaced detector_marker"); n != 5 {
		t.Errorf("%d replacements are told, want 5\n%s", n, c.stderr)
	}
	if !strings.Contains(c.stderr, "watch: other options: detector_marker") {
		t.Errorf("the options are not told\n%s", c.stderr)
	}
	lines := out.read(t)
	if len(lines) != 300 {
		t.Fatalf("%d frames", len(lines))
	}
	last, pids := "1", map[int]bool{}
	for i, l := range lines {
		if l.Seq != i+1 || len(l.Detections) != 1 {
			t.Fatalf("place %d: frame %d with %d marks", i, l.Seq, len(l.Detections))
		}
		m := l.Detections[0].ExtraData
		if m.Version < last {
			t.Fatalf("frame %d is of version %s after %s", l.Seq, m.Version, last)
		}
		last, pids[m.PID] = m.Version, true
	}
	if end := lines[299].Detections[0].ExtraData; end.Version != "6" || end.Word != "quick" || len(pids) != 6 {
		t.Errorf("%d processes; the last frame is of %+v", len(pids), end)
	}
	for pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(scratch, "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWatchRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := filepath.Join(dir, "options.yaml")
	for text, says := range map[string]string{
		"detector_nobody: {x: 1}\n":            "detector_nobody",
		"detector_face_pigo: {min_size: no}\n": "min_size",
		"- a\n":                                "options.yaml",
	} {
		if err := os.WriteFile(options, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, more := range [][]string{nil, {"--watch"}} {
			c := call(t, append([]string{"run", "test://?frames=1", "--options-file", options}, more...)...)
			if c.status != 2 || !strings.Contains(c.stderr, says) {
				t.Errorf("%q %v: status %d, %s", text, more, c.status, c.stderr)
			}
		}
	}
}
