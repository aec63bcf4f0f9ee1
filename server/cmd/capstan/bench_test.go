package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

func TestOverlap(t *testing.T) {
	t.Parallel()
	a := core.Box{X1: 0, Y1: 0, X2: 10, Y2: 10}
	for name, tt := range map[string]struct {
		b    core.Box
		want float64
	}{
		"the same": {a, 1},
		"half":     {core.Box{X1: 0, Y1: 0, X2: 10, Y2: 5}, 0.5},
		"quarter":  {core.Box{X1: 5, Y1: 5, X2: 15, Y2: 15}, 25.0 / 175},
		"beside":   {core.Box{X1: 10, Y1: 0, X2: 20, Y2: 10}, 0},
		"empty":    {core.Box{X1: 5, Y1: 5, X2: 5, Y2: 5}, 0},
	} {
		if got := overlap(a, tt.b); got != tt.want || overlap(tt.b, a) != got {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func boxAt(class string, x float64) seenBox {
	return seenBox{class: class, box: core.Box{X1: x, Y1: 0, X2: x + 100, Y2: 100}}
}

func TestMatched(t *testing.T) {
	t.Parallel()
	want := []seenBox{boxAt("a", 0), boxAt("a", 1), boxAt("b", 0), boxAt("a", 300)}
	got := []seenBox{boxAt("a", 2), boxAt("b", 6), boxAt("c", 300)}
	m := matched(want, got)
	if m["a"] != 1 || m["b"] != 0 || m["c"] != 0 {
		t.Errorf("%v: one box of a is there, each of ours counts once, and 6 pixels are too far", m)
	}
}

func TestCompareFound(t *testing.T) {
	t.Parallel()
	second := core.PTS(time.Second)
	var full, some []seenFrame
	for i := range 8 {
		f := seenFrame{pts: core.PTS(i) * second, boxes: []seenBox{boxAt("a", 0)}}
		if i == 7 {
			f.boxes = append(f.boxes, boxAt("b", 0))
		}
		full = append(full, f)
	}
	some = append(some, full[0], seenFrame{pts: 4*second + 1000, boxes: []seenBox{boxAt("a", 0), boxAt("a", 500)}})
	list := compareFound(full, some)
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	// Frames 0 and 4 are there; 1, 3 and 5 are within a second of them.
	if want := (classFound{"a", 8, 0.25, 0.3333, 0.625}); list[0] != want {
		t.Errorf("%+v, want %+v", list[0], want)
	}
	if want := (classFound{"b", 1, 0, 0, 0}); list[1] != want {
		t.Errorf("%+v, want %+v", list[1], want)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if median(nil) != 0 || median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1, 2, 3}) != 2.5 {
		t.Error("a median is wrong")
	}
}

func TestAxisStep(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{0: 1, 0.07: 0.01, 1: 0.2, 7: 1, 8: 1, 9: 2, 39: 5, 41: 10, 262: 50} {
		if got := axisStep(most); got != want {
			t.Errorf("%v: %v, want %v", most, got, want)
		}
	}
}

func sampleReport() *benchReport {
	m := &measured{rounds: []float64{50, 40}, cpu: map[string]time.Duration{self: 200 * time.Millisecond, "a<b": time.Second}, stages: map[string]int{"a<b": 1}}
	m.stats = pipeline.SessionStats{Frames: 100, Elapsed: 2 * time.Second, SourceWait: time.Second, WindowWait: 2 * time.Second}
	m.stats.Latency.Add(30 * time.Millisecond)
	c := pipeline.CapsuleReport{Name: "a<b", Calls: 90, Skipped: map[string]uint64{pipeline.SkipGate: 10}, Failures: map[string]uint64{}}
	for h, d := range map[*pipeline.Histogram]time.Duration{
		&c.Times.Whole: 28, &c.Times.Total: 18, &c.Times.Queue: 10, &c.Times.Convert: 1, &c.Times.Handoff: 2, &c.Times.Compute: 15,
	} {
		h.Add(d * time.Millisecond)
	}
	m.stats.Capsules = []pipeline.CapsuleReport{c}
	return newBenchReport("clips/x&y.mp4", m)
}

func TestBenchReport(t *testing.T) {
	t.Parallel()
	r := sampleReport()
	if r.FPS != 45 || r.Waits != (waits{10, 20}) || r.CPU["a<b"] != 10 || r.CPU[self] != 2 || r.allCPU() != 12 || r.Capsules[0].Compute.Mean != 15 {
		t.Errorf("%+v", r)
	}
	var text strings.Builder
	r.table(&text)
	for _, want := range []string{"45.0 fps", "hand-off    2.000", "what the capsules do bounds the rate", "CPU for a frame: 12.00 ms; capstan 2.00; a<b 10.00"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
}

// TestBenchPicture holds the picture against XML and the order of the parts.
func TestBenchPicture(t *testing.T) {
	t.Parallel()
	svg := sampleReport().picture()
	d := xml.NewDecoder(strings.NewReader(svg))
	rects := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "rect" {
			rects++
		}
	}
	// Ground, four of the legend, four parts of one capsule, the frame, two processes, both together.
	if rects != 1+4+4+1+2+2 {
		t.Errorf("%d rectangles", rects)
	}
	for _, want := range []string{"45.0 frames a second", "x&amp;y.mp4", "a&lt;b", "compute: 15.000 ms", "28.00 · p99 "} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestCPUOfThisProcess(t *testing.T) {
	t.Parallel()
	if d, err := cpuOf(os.Getpid()); err != nil || d < 0 || d > 24*time.Hour {
		t.Errorf("%s %v", d, err)
	}
	if _, err := cpuOf(0); err == nil {
		t.Error("process 0 has a CPU time")
	}
}

// TestBenchCommand measures a short clip and compares with the full run.
func TestBenchCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report, svg := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.svg")
	c := call(t, "bench", demoClip(t), "--duration", "1s", "--rounds", "2", "--only", "detector_face_pigo,detector_motion_background",
		"--every-n", "detector_face_pigo=3", "--against-full", "--json", report, "--svg", svg)
	if c.status != 0 {
		t.Fatal(c.stderr)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r benchReport
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Frames != 60 || len(r.Rounds) != 2 || r.FPS <= 0 || len(r.Capsules) != 2 || r.Full == nil || r.Python != nil {
		t.Fatalf("%s", text)
	}
	if p := r.Capsules[0]; p.Name != "detector_face_pigo" || p.Calls != 20 || p.Skipped[pipeline.SkipEveryN] != 40 || p.Compute.Mean <= 0 {
		t.Errorf("%+v", p)
	}
	for _, f := range r.Full.Classes {
		if f.Class == "face" && (f.Same < 0.3 || f.Same > 0.4 || f.Noticed != 1) || f.Class == "motion" && f.Same != 1 {
			t.Errorf("%+v", f)
		}
	}
	if b, err := os.ReadFile(svg); err != nil || !strings.Contains(string(b), "detector_face_pigo") {
		t.Errorf("%v: %.100s", err, b)
	}
	if !strings.Contains(c.stdout, "noticed within 1 s") || !strings.Contains(c.stdout, "hand-off") {
		t.Errorf("%s", c.stdout)
	}
}

// TestBenchPictures gives a capsule another picture than it asks for. Its own luma is made; that
// of the whole picture costs nothing.
func TestBenchPictures(t *testing.T) {
	t.Parallel()
	clip := demoClip(t)
	for picture, want := range map[string]float64{"native": 0, "64,linear": 1, "100x80": 1} {
		c := call(t, "bench", clip, "--duration", "400ms", "--rounds", "1", "--only", "detector_motion_background",
			"--picture", "detector_motion_background="+picture, "--against-full", "--json", "-")
		var r benchReport
		if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 {
			t.Fatalf("%s: %v %d %s", picture, err, c.status, c.stderr)
		}
		if r.Pictures != want || r.Full == nil || r.Capsules[0].Calls == 0 || r.Capsules[0].Failed != 0 {
			t.Errorf("%s: %v pictures a frame, want %v: %s", picture, r.Pictures, want, c.stdout)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	const still = "test://?frames=3"
	tests := map[string]struct {
		status int
		args   []string
	}{
		"want 1..1000":          {2, []string{still, "--rounds", "0"}},
		"want 1..64":            {2, []string{still, "--window", "-1"}},
		"give one of them":      {2, []string{still, "--against-full"}},
		"leave out --every":     {2, []string{still, "--against-python", "--every", "2"}},
		"leave out --start":     {2, []string{still, "--against-python", "--start", "2s"}},
		"give it alone":         {2, []string{still, "--against-python", "--only", "detector_face_pigo"}},
		"plays a video file":    {2, []string{still, "--against-python", "--only", "detector_objects_yolox", "--option", "detector_objects_yolox.model=" + os.Args[0]}},
		"one SOURCE":            {2, nil},
		"nothing was processed": {1, []string{still, "--only", "tracker_bytetrack"}}, // nobody feeds it
	}
	for says, tt := range tests {
		c := call(t, append([]string{"bench"}, tt.args...)...)
		if c.status != tt.status || !strings.Contains(c.stderr, says) || c.stdout != "" {
			t.Errorf("%v: status %d, want %d saying %q\n%s%s", tt.args, c.status, tt.status, says, c.stderr, c.stdout)
		}
	}
}

// TestAgainstPython runs the Python program where there is one with cv2.
func TestAgainstPython(t *testing.T) {
	t.Parallel()
	clip := data(t, "videos", "vehicles", "car-detection.mp4")
	models := data(t, "models")
	if _, err := pythonWithCV(t.Context(), ""); err != nil {
		t.Skip(err)
	}
	short := filepath.Join(t.TempDir(), "short.mp4")
	if out, err := exec.Command("gst-launch-1.0", "-q", "-e", "filesrc", "location="+clip, "!", "qtdemux", "!", "h264parse", "!",
		"identity", "eos-after=90", "!", "mp4mux", "!", "filesink", "location="+short).CombinedOutput(); err != nil {
		t.Skipf("no short clip: %v %s", err, out)
	}
	model := filepath.Join(models, "object_detection", "yolox_nano_416x416.onnx")
	c := call(t, "bench", short, "--rounds", "1", "--only", "detector_objects_yolox", "--option", "detector_objects_yolox.model="+model, "--against-python", "--json", "-")
	if c.status != 0 && strings.Contains(c.stderr, "onnxruntime") {
		t.Skip(c.stderr)
	}
	var r benchReport
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != 0 {
		t.Fatalf("%v %d\n%s", err, c.status, c.stderr)
	}
	if p := r.Python; p == nil || p.Frames != int(r.Frames) || p.Boxes == 0 || p.Same < 0.98 || p.ClearSame < 0.98 || p.Filter != "opencv" || p.Faster <= 0 {
		t.Errorf("%s", c.stdout)
	}
}
