package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-video/capstan/pipeline/replay"
	"github.com/capstan-video/capstan/sdk/bundle"
	"github.com/capstan-video/capstan/sdk/bundle/diff"
	"github.com/capstan-video/capstan/sdk/conform"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// recordTo runs capstan record and wants a bundle.
func recordTo(t *testing.T, path string, args ...string) *bundle.Reader {
	t.Helper()
	c := call(t, append([]string{"record", "-o", path}, args...)...)
	if c.status != 0 {
		t.Fatalf("record %v: status %d\n%s", args, c.status, c.stderr)
	}
	b, err := bundle.Open(path, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	return b
}

// replayed runs capstan replay --json and wants a status.
func replayed(t *testing.T, status int, args ...string) replay.Report {
	t.Helper()
	c := call(t, append([]string{"replay", "--json"}, args...)...)
	var r replay.Report
	if err := json.Unmarshal([]byte(c.stdout), &r); err != nil || c.status != status {
		t.Fatalf("replay %v: status %d, want %d; %v\n%s%s", args, c.status, status, err, c.stdout, c.stderr)
	}
	return r
}

// TestReplayOfAClip records faces on a real clip, and finds no difference, or exactly the one that an option makes.
func TestReplayOfAClip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "faces.bundle")
	b := recordTo(t, path, data(t, "videos", "faces", "asl", "again.mkv"), "--only", "detector_face_pigo,tracker_bytetrack", "--quiet")
	if b.Header.Media != bundle.MediaClip || len(b.Header.Capsules) != 2 || b.Index.Status != bundle.Done || b.Index.Frames < 60 {
		t.Fatalf("%+v, %d frames %s", b.Header, b.Index.Frames, b.Index.Status)
	}
	scores := map[uint64]float64{}
	for {
		f, err := b.Next()
		if err != nil {
			break
		}
		for _, n := range f.Nodes {
			scores[f.Seq], _ = n.Core().Confidence()
		}
		if len(f.Calls) != 2 || f.Calls[1].Capsule != "tracker_bytetrack" || len(f.Calls[1].Nodes) != len(f.Nodes) {
			t.Fatalf("frame %d: %+v", f.Seq, f.Calls)
		}
	}
	threshold, below := between(slices.Sorted(maps.Values(scores)))
	if len(scores) < 60 || below < 10 {
		t.Fatalf("%d faces, %d of them below %g: the clip does not serve this test", len(scores), below, threshold)
	}
	option := fmt.Sprintf("detector_face_pigo.threshold=%g", threshold)
	if r := replayed(t, 0, path); !r.Equal || r.Frames != b.Index.Frames || len(r.Capsules) != 2 {
		t.Errorf("%+v", r)
	}
	home := filepath.Join(filepath.Dir(program(t)), "capsules")
	for _, name := range []string{"detector_face_pigo", "tracker_bytetrack"} {
		if r := replayed(t, 0, path, "--capsule", filepath.Join(home, name), "--repeat", "2"); !r.Equal || r.Unstable != 0 || r.Mode != replay.Single || r.Frames != b.Index.Frames {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// faces below the threshold vanish, and nothing else changes
	r := replayed(t, 1, path, "--capsule", filepath.Join(home, "detector_face_pigo"), "--option", option)
	if r.Changed != below || r.Kinds[diff.Vanished] != len(r.Changes) || len(r.Changes) == 0 {
		t.Errorf("%d frames changed, want %d: %v", r.Changed, below, r.Kinds)
	}
	for _, c := range r.Changes {
		if scores[c.Seq] >= threshold || c.Class != "face" {
			t.Errorf("frame %d: %s", c.Seq, c)
		}
	}
	c := call(t, "replay", path, "--option", option, "--diff")
	if c.status != 1 || !strings.Contains(c.stdout, "face at (") || !strings.Contains(c.stdout, " vanished") || !strings.Contains(c.stdout, "frames compared, ") {
		t.Errorf("status %d: %s%s", c.status, c.stdout, c.stderr)
	}
}

// between gives a value between two scores near the middle, and how many are below it.
func between(sorted []float64) (value float64, below int) {
	for i := len(sorted) / 2; i > 0; i-- {
		if sorted[i]-sorted[i-1] > 1e-4 {
			return (sorted[i] + sorted[i-1]) / 2, i
		}
	}
	return 0, 0
}

// TestReplayOfATestPicture records frames without loss, in odd sizes too, and one capsule alone.
func TestReplayOfATestPicture(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, size := range []string{"320x240", "161x91"} {
		path := filepath.Join(dir, size+".bundle")
		b := recordTo(t, path, "test://?pattern=ball&frames=40&size="+size, "--only", "detector_motion_background,tracker_bytetrack,classifier_color_hsv", "--quiet")
		if b.Header.Media != bundle.MediaFrames || b.Index.Frames != 40 || !b.Has(bundle.FrameName(40)) {
			t.Errorf("%+v, %d frames", b.Header, b.Index.Frames)
		}
		nodes := 0
		for f, err := b.Next(); err == nil; f, err = b.Next() {
			nodes += len(f.Nodes)
		}
		if r := replayed(t, 0, path); !r.Equal || r.Frames != 40 || nodes == 0 {
			t.Errorf("%d nodes: %+v", nodes, r)
		}
		home := filepath.Join(filepath.Dir(program(t)), "capsules", "classifier_color_hsv") // its pictures are made anew
		if r := replayed(t, 0, path, "--capsule", home); !r.Equal || r.Frames == 0 {
			t.Errorf("%+v", r)
		}
	}
	path := filepath.Join(dir, "one.bundle")
	b := recordTo(t, path, "test://?pattern=ball&frames=40&size=320x240", "--for", "detector_motion_background", "--every-n", "detector_motion_background=2", "--quiet")
	if b.Header.Media != bundle.MediaNone || len(b.Header.Capsules) != 1 || b.Header.Capsules[0].EveryN != 2 || b.Index.Frames != 20 {
		t.Errorf("%+v, %d frames", b.Header, b.Index.Frames)
	}
	home := filepath.Join(filepath.Dir(program(t)), "capsules", "detector_motion_background")
	if r := replayed(t, 0, path, "--capsule", home); !r.Equal || r.Frames != 20 {
		t.Errorf("%+v", r)
	}
	if c := call(t, "replay", path); c.status != 1 || !strings.Contains(c.stderr, "--capsule") {
		t.Errorf("its plan: status %d, %s", c.status, c.stderr)
	}
}

// TestInterruptedRecording ends a recording of a live source by a signal, and another by a kill.
func TestInterruptedRecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop := func(name string, signal syscall.Signal) (called, string) {
		path := filepath.Join(dir, name+".bundle")
		c := callWith(t, func(cmd *exec.Cmd) {
			for range 1500 { // until a few records are on the disk
				if info, err := os.Stat(path + bundle.PartExtension); err == nil && info.Size() > 100_000 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(1500 * time.Millisecond)
			_ = cmd.Process.Signal(signal)
		}, "record", "-o", path, "test://?pattern=ball&live=true&size=320x240&fps=25", "--only", "detector_motion_background,tracker_bytetrack", "--quiet")
		return c, path
	}
	c, path := stop("signal", syscall.SIGINT)
	r := replayed(t, 0, path)
	if c.status != exitInterrupted || r.Status != bundle.Interrupted || r.Frames < 10 {
		t.Errorf("status %d; %+v\n%s", c.status, r, c.stderr)
	}
	if _, err := os.Stat(path + bundle.PartExtension); err == nil {
		t.Error("the unfinished file is still there")
	}
	_, path = stop("kill", syscall.SIGKILL)
	if _, err := os.Stat(path); err == nil {
		t.Error("a killed recording has its final name")
	}
	if r := replayed(t, 0, path+bundle.PartExtension); r.Status != bundle.Incomplete || r.Frames < 10 {
		t.Errorf("%+v", r)
	}
	c = call(t, "replay", path+bundle.PartExtension)
	if !strings.Contains(c.stdout, "the recording is not whole: incomplete") {
		t.Errorf("it says %q", c.stdout)
	}
}

// TestDamagedBundle is told from a good one.
func TestDamagedBundle(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.bundle")
	recordTo(t, path, "test://?frames=5&size=64x48", "--only", "detector_motion_background", "--quiet")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		data []byte
		says string
	}{
		"cut":     {whole[:len(whole)-100], "its end is missing"},
		"altered": {append(append(append([]byte{}, whole[:200]...), 'X'), whole[201:]...), "x.bundle"},
		"text":    {[]byte("this is not a bundle\n"), "not a bundle"},
	} {
		if err := os.WriteFile(path, change.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if c := call(t, "replay", path); c.status != 1 || !strings.Contains(c.stderr, change.says) || strings.Contains(c.stderr, "goroutine") {
			t.Errorf("%s: status %d, %s", name, c.status, c.stderr)
		}
	}
}

func TestRecordUsage(t *testing.T) {
	t.Parallel()
	test := "test://?frames=3&size=64x48"
	out := filepath.Join(t.TempDir(), "x.bundle")
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no output", []string{"record", test}, 2, "-o"},
		{"no source", []string{"record", "-o", out}, 2, "one SOURCE"},
		{"unknown capsule", []string{"record", test, "-o", out, "--for", "detector_motion_backgruond"}, 2, "detector_motion_background"},
		{"for and pictures", []string{"record", test, "-o", out, "--for", "a", "--pictures", "b"}, 2, "--pictures"},
		{"no such folder", []string{"record", test, "-o", filepath.Join(out, "no", "x.bundle"), "--only", "detector_motion_background"}, 1, "no such file"},
		{"no such source", []string{"record", "nothing.mp4", "-o", out, "--only", "detector_motion_background"}, 1, "nothing.mp4"},
		{"no bundle", []string{"replay", out}, 1, "x.bundle"},
		{"two bundles", []string{"replay", "a", "b"}, 2, "one BUNDLE"},
		{"tolerance", []string{"replay", out, "--tolerance", "px=-1"}, 2, "px=-1"},
		{"repeat", []string{"replay", out, "--repeat", "0"}, 2, "--repeat 0"},
	}
	for _, tt := range tests {
		c := call(t, tt.args...)
		if c.status != tt.status || !strings.Contains(c.stderr, tt.says) {
			t.Errorf("%s: status %d, want %d with %q:\n%s", tt.name, c.status, tt.status, tt.says, c.stderr)
		}
	}
	if left, _ := filepath.Glob(out + "*"); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

// TestKitFlagsAreDocumented wants every flag of these commands in its document, or in that of run.
func TestKitFlagsAreDocumented(t *testing.T) {
	t.Parallel()
	run, err := os.ReadFile(filepath.Join(root, "docs", "1-start.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file    string
		command *cobra.Command
	}{
		{"bundle.md", recordCommand()}, {"bundle.md", replayCommand()}, {"check.md", capsuleCheckCommand()}, {"check.md", capsuleRunCommand()}, {"check.md", capsuleBenchCommand()},
	} {
		own, err := os.ReadFile(filepath.Join(root, "docs", "reference", c.file))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		c.command.Flags().VisitAll(func(f *pflag.Flag) {
			n++
			if !strings.Contains(string(own), "`--"+f.Name) && !strings.Contains(string(run), "`--"+f.Name) {
				t.Errorf("docs/reference/%s does not tell of --%s of %s", c.file, f.Name, c.command.Name())
			}
		})
		if n < 6 {
			t.Errorf("%s has %d flags", c.command.Name(), n)
		}
	}
}

// TestEveryCaseIsDocumented wants every case of the conformance run in its document.
func TestEveryCaseIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "reference", "check.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range conform.Names() {
		if !strings.Contains(string(text), "| `"+name+"` |") {
			t.Errorf("docs/reference/check.md does not tell of case %s", name)
		}
	}
}
