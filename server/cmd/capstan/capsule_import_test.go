package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/pipeline/importer"
)

// vcapTests is the folder with the stand-in for the package vcap and capsules that use it.
const vcapTests = root + "/sdk/python/tests/vcap_host"

// vcapEnvironment makes the stand-in the user's package vcap, and skips the test where no
// capsule in Python can run.
func vcapEnvironment(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("/usr/bin/python3", "-c", "import grpc, numpy, google.protobuf").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED, no older capsule runs: %v: %s", err, out)
	}
	var path []string
	for _, p := range []string{"sdk/python", "sdk/python/tests/vcap_host/standin"} {
		full, err := filepath.Abs(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, full)
	}
	t.Setenv("PYTHONPATH", strings.Join(path, ":"))
	t.Setenv("CAPSTAN_PYTHON", "/usr/bin/python3")
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	t.Setenv("CAPSTAN_CACHE", t.TempDir()) // where packages are unpacked
}

// TestImportedCapsules imports four capsules, runs them as packages, and holds what they find
// against direct calls of the same code on the same frames.
func TestImportedCapsules(t *testing.T) {
	vcapEnvironment(t)
	dir, frames := t.TempDir(), t.TempDir()
	for _, name := range []string{"detector_bright_old", "classifier_tone_old", "tracker_nearest_old", "recorder_frames_old"} {
		c := call(t, "capsule", "import", filepath.Join(vcapTests, "capsules", name), "-o", filepath.Join(dir, name+".cap"), "--file", frames+":rw")
		if c.status != 0 || !strings.Contains(c.stdout, name+".cap: made") || !strings.Contains(c.stderr, "running the code in") {
			t.Fatalf("%s: status %d\n%s%s", name, c.status, c.stdout, c.stderr)
		}
	}
	args := []string{"--capsules", dir, "--option", "recorder_frames_old.folder=" + frames, "--json", "-", "--quiet"}
	c := call(t, append([]string{"run", "test://?pattern=smpte&size=320x240&frames=12"}, args...)...)
	if c.status != 0 || strings.Contains(c.stderr, "confined in part: files") {
		t.Fatalf("status %d\n%s%s", c.status, c.stdout, c.stderr)
	}
	got, sum := parseRun(t, c.stdout)
	for _, k := range sum.Summary.Capsules {
		if k.Violations != 0 || len(k.Failures) != 0 || k.Restarts != 0 || k.Calls == 0 {
			t.Errorf("%+v", k)
		}
	}
	if len(sum.Summary.Capsules) != 4 || len(got) != 12 {
		t.Fatalf("%d capsules, %d frames", len(sum.Summary.Capsules), len(got))
	}
	want := direct(t, frames)
	if len(want) != len(got) {
		t.Fatalf("%d frames were recorded of %d", len(want), len(got))
	}
	for i, f := range got {
		sameFrame(t, i, f.Detections, want[i])
	}
}

// direct runs the capsules by their own interface on recorded frames.
func direct(t *testing.T, frames string) (want [][]jsonDetection) {
	t.Helper()
	out, err := exec.Command("/usr/bin/python3", filepath.Join(vcapTests, "direct.py"), frames).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var f []jsonDetection
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		want = append(want, f)
	}
	return want
}

// sameFrame compares the detections of class bright, which come in the order of the detector.
func sameFrame(t *testing.T, i int, got, want []jsonDetection) {
	t.Helper()
	var bright []jsonDetection
	recorded := 0
	for _, d := range got {
		if d.Class == "bright" {
			d.ID = 0
			bright = append(bright, d)
		} else if d.Class == "recorded" {
			recorded++
		}
	}
	a, err1 := json.Marshal(bright)
	b, err2 := json.Marshal(want)
	if err1 != nil || err2 != nil || string(a) != string(b) || len(bright) < 5 || recorded != 1 {
		t.Errorf("frame %d: %d recorded\n%s\nwant\n%s", i, recorded, a, b)
	}
}

// TestImportCommand holds what import says, and what it leaves undone, against its rules.
func TestImportCommand(t *testing.T) {
	vcapEnvironment(t)
	dir := t.TempDir()
	old := func(name string) string { return filepath.Join(vcapTests, "capsules", name) }
	bare := func(t *testing.T) { t.Setenv("PYTHONPATH", strings.Split(os.Getenv("PYTHONPATH"), ":")[0]) }
	for name, c := range map[string]struct {
		args   []string
		before func(*testing.T)
		status int
		stdout []string
		stderr []string
	}{
		"not run":     {[]string{old("cannot_old"), "--no-run"}, bare, 1, []string{"cannot  packages: capsule.py:7 imports kafka", "limits  network"}, []string{"--no-run does not run"}},
		"cannot work": {[]string{old("import_fails_old")}, nil, 1, []string{"cannot  packages"}, []string{"running the code", "no_such_package_of_anyone"}},
		"no vcap":     {[]string{old("detector_bright_old")}, bare, 1, nil, []string{"/usr/bin/python3 -m pip install vcap vcap_utils"}},
		"folder":      {[]string{old("encoder_mean_old"), "--unpacked", filepath.Join(dir, "encoder"), "--metric", "cosine", "--no-load", "--quiet"}, nil, 0, []string{"encoder_mean_old 2: keeps no state", "by cosine distance, as given", "encoder: made"}, nil},
		"two outputs": {[]string{old("encoder_mean_old"), "--unpacked", dir, "-o", "x.cap"}, nil, 2, nil, []string{"give one of them"}},
		"metric":      {[]string{old("encoder_mean_old"), "--metric", "manhattan"}, nil, 2, nil, []string{"want cosine or euclidean"}},
		"network":     {[]string{old("encoder_mean_old"), "--network", "example.com"}, nil, 2, nil, []string{"--network"}},
		"no argument": {nil, nil, 2, nil, []string{"OLD.cap|DIR"}},
		"no name":     {[]string{old("encoder_mean_old"), "-o", filepath.Join(dir, "x.zip")}, nil, 1, nil, []string{".cap"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.before != nil {
				c.before(t)
			}
			got := call(t, append([]string{"capsule", "import"}, c.args...)...)
			if got.status != c.status {
				t.Errorf("status %d\n%s%s", got.status, got.stdout, got.stderr)
			}
			for _, w := range c.stdout {
				if !strings.Contains(got.stdout, w) {
					t.Errorf("standard output lacks %q:\n%s", w, got.stdout)
				}
			}
			for _, w := range c.stderr {
				if !strings.Contains(got.stderr, w) {
					t.Errorf("standard error lacks %q:\n%s", w, got.stderr)
				}
			}
		})
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) != 1 {
		t.Errorf("%v, %v: want the folder alone", made, err)
	}
}

// TestImportJSON reads what programs are told; with --force a capsule is made that cannot work.
func TestImportJSON(t *testing.T) {
	vcapEnvironment(t)
	broken := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(broken, os.DirFS(filepath.Join(vcapTests, "capsules", "detector_bright_old"))); err != nil {
		t.Fatal(err)
	}
	code := filepath.Join(broken, "capsule.py")
	text, err := os.ReadFile(code)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(code, []byte(strings.Replace(string(text), `Backend(capsule_files["labels/names.txt"])`, "Backend()", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "x.cap")
	for _, force := range []bool{false, true} {
		args := []string{"capsule", "import", broken, "-o", out, "--json", "--quiet"}
		if force {
			args = append(args, "--force")
		}
		c := call(t, args...)
		var r importReport
		if err := json.Unmarshal([]byte(c.stdout), &r); err != nil {
			t.Fatalf("%v\n%s%s", err, c.stdout, c.stderr)
		}
		if r.Name != "detector_bright_old" || r.Stateful || r.VCAP != "0.3.0+standin" || r.Findings[0].Level != importer.Cannot || r.Findings[0].About != "backends" {
			t.Errorf("%+v", r)
		}
		_, missing := os.Stat(out)
		if force != (c.status == 0) || force != (missing == nil) || force != (r.Made == out) || force == (r.Error != "") {
			t.Errorf("force %v: status %d, %v, %+v", force, c.status, missing, r)
		}
	}
	// It was made, and what stands in the way is said when it is to run.
	c := call(t, "run", "test://?size=64x64&frames=2", "--capsules", out, "--json", "-", "--quiet")
	if c.status == 0 || !strings.Contains(c.stderr, "missing 1 required positional argument") {
		t.Errorf("status %d\n%s%s", c.status, c.stdout, c.stderr)
	}
}
