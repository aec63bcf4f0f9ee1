package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// data gives a file of the test data, or skips, saying so.
func data(t *testing.T, parts ...string) string {
	t.Helper()
	base := os.Getenv("CAPSTAN_TESTDATA")
	if base == "" {
		base = filepath.Join(root, "..", "shared", "data")
	}
	path := filepath.Join(append([]string{base}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the test data is absent: %v (set CAPSTAN_TESTDATA)", err)
	}
	return path
}

// TestFaceClips runs the default faces chain on real clips: a face in 95 % of all frames, and
// one track in each clip of one person.
func TestFaceClips(t *testing.T) {
	t.Parallel()
	clips, err := filepath.Glob(filepath.Join(data(t, "videos", "faces", "asl"), "*.mkv"))
	if err != nil || len(clips) < 9 {
		t.Fatalf("%d clips (%v)", len(clips), err)
	}
	var all []jsonFrame
	for _, clip := range clips {
		c := call(t, "run", clip, "--only", "detector_face_pigo,tracker_bytetrack", "--quiet", "--json", "-")
		if c.status != 0 {
			t.Fatal(c.stderr)
		}
		frames, _ := parseRun(t, c.stdout)
		if tracks, _ := tracksOf(frames, "face"); len(tracks) != 1 || tracks[""] != 0 {
			t.Errorf("%s: tracks %v, want one", filepath.Base(clip), tracks)
		}
		all = append(all, frames...)
	}
	if _, share := tracksOf(all, "face"); len(all) != 629 || share < 0.95 {
		t.Errorf("a face in %.1f %% of %d frames, want 95 %% of 629", 100*share, len(all))
	}
}

// TestCodePictures reads every QR code of the pictures, given as files.
func TestCodePictures(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(data(t, "images", "qr", "labels.json"))
	if err != nil {
		t.Fatal(err)
	}
	var labels map[string]any
	if err := json.Unmarshal(text, &labels); err != nil {
		t.Fatal(err)
	}
	read := 0
	for name, want := range labels {
		path := data(t, "images", "qr", name)
		c := call(t, "run", path, "--only", "detector_code_zxing", "--quiet", "--json", "-")
		if c.status != 0 {
			t.Fatal(c.stderr)
		}
		frames, _ := parseRun(t, c.stdout)
		if len(frames) != 1 {
			t.Fatalf("%s: %d frames of one picture", name, len(frames))
		}
		var got []string
		for _, d := range frames[0].Detections {
			payload, _ := d.ExtraData["payload"].(string)
			got = append(got, payload)
		}
		for _, w := range payloads(want) {
			if read++; !slices.Contains(got, w) {
				t.Errorf("%s: read %q, want %q among them", name, got, w)
			}
		}
	}
	if read == 0 {
		t.Error("no payload was looked for")
	}
}

// payloads gives the texts of a label: one, or a list.
func payloads(label any) []string {
	switch l := label.(type) {
	case string:
		return []string{l}
	case []any:
		var list []string
		for _, e := range l {
			list = append(list, payloads(e)...)
		}
		return list
	default:
		return nil
	}
}

// TestPictureFolder plays a folder as frames in natural order.
func TestPictureFolder(t *testing.T) {
	t.Parallel()
	c := call(t, "run", data(t, "mot", "MOT17-05", "img1"), "--only", "detector_motion_background", "--quiet", "--json", "-")
	if c.status != 0 {
		t.Fatal(c.stderr)
	}
	if frames, _ := parseRun(t, c.stdout); len(frames) != 6 {
		t.Errorf("%d frames of 6 pictures", len(frames))
	}
}

// TestReplayIsTracked feeds a tracker with public detections over a test picture and writes MOT lines.
func TestReplayIsTracked(t *testing.T) {
	t.Parallel()
	det := data(t, "mot", "TUD-Campus", "det.txt")
	out := filepath.Join(t.TempDir(), "mot.txt")
	c := call(t, "run", "test://?size=640x480&fps=25&frames=71", "--only", "detector_replay,tracker_bytetrack",
		"--option", "detector_replay.path="+det, "--json", out, "--format", "mot", "--quiet")
	if c.status != 0 {
		t.Fatal(c.stderr)
	}
	lines := motLines(t, out)
	ids, last := map[int]bool{}, 0
	for _, l := range lines {
		ids[int(l[1])] = true
		if int(l[0]) < last || l[0] < 1 || l[0] > 71 || l[4] <= 0 || l[5] <= 0 {
			t.Fatalf("line %v after frame %d", l, last)
		}
		last = int(l[0])
	}
	if len(lines) < 200 || len(ids) < 5 || len(ids) > 30 {
		t.Errorf("%d lines of %d tracks; the sequence has 8 persons in 359 boxes", len(lines), len(ids))
	}
}

func motLines(t *testing.T, path string) [][]float64 {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]float64
	for line := range strings.Lines(string(text)) {
		var fields []float64
		for f := range strings.SplitSeq(strings.TrimSpace(line), ",") {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			fields = append(fields, v)
		}
		if len(fields) != 10 {
			t.Fatalf("%q has %d fields, want 10", line, len(fields))
		}
		lines = append(lines, fields)
	}
	return lines
}
