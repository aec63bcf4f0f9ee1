package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/pack"
)

// kit runs capstan capsule inside the test and gives its output, and its status.
func kit(args ...string) (out string, status int, err error) {
	root := rootCommand()
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetArgs(append([]string{"capsule"}, args...))
	err = root.Execute()
	var usage usageError
	switch {
	case err == nil:
	case errors.As(err, &usage):
		status = exitUsage
	default:
		status = exitFailed
	}
	return b.String(), status, err
}

// must is kit where nothing may fail.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, _, err := kit(args...)
	if err != nil {
		t.Fatalf("capstan capsule %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// smokeFolder is a capsule's folder whose program is a script that does nothing.
func smokeFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"capsule.yaml": "name: detector_smoke\nversion: 2\noutput: {size: all, detections: [smoke]}\nentry: bin/smoke\n",
		"bin/smoke":    "#!/bin/sh\nexit 1\n", "LICENSE": "You may.\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackageCommands goes the way of a package from its author to its user.
func TestPackageCommands(t *testing.T) {
	t.Setenv(pack.KeyEnv, "")
	t.Setenv(pack.TrustEnv, "")
	t.Chdir(t.TempDir())
	dir := smokeFolder(t)
	out := must(t, "pack", dir, "--quiet")
	if !strings.HasPrefix(out, "detector_smoke.cap: detector_smoke 2 for any, 2 files, ") || !strings.Contains(out, "\ndigest ") {
		t.Errorf("pack: %s", out)
	}
	if out := must(t, "keys", "anna"); !strings.Contains(out, "anna.key signs: keep it to yourself\nanna.pub is for others: SHA256:") {
		t.Errorf("keys: %s", out)
	}
	print := strings.TrimSpace(must(t, "keys", "--show", "anna.pub"))
	if out := must(t, "verify", "detector_smoke.cap", "--quiet"); !strings.Contains(out, "is whole: 2 files\n") || !strings.Contains(out, "nobody has signed it\n") {
		t.Errorf("verify: %s", out)
	}
	if _, status, err := kit("verify", "detector_smoke.cap", "--trust", "anna.pub", "--quiet"); status != exitFailed || core.KindOf(err) != core.Denied {
		t.Errorf("verify unsigned: status %d, %v", status, err)
	}
	if out := must(t, "sign", "detector_smoke.cap", "--with", "anna.key", "--quiet"); !strings.HasPrefix(out, "detector_smoke.cap: signed by "+print+"\n") {
		t.Errorf("sign: %s", out)
	}
	if out := must(t, "verify", "detector_smoke.cap", "--trust", "anna.pub", "--quiet"); !strings.Contains(out, "signed by "+print+" (trusted: anna)\n") {
		t.Errorf("verify signed: %s", out)
	}
	out = must(t, "inspect", "detector_smoke.cap")
	for _, want := range []string{"detector_smoke 2 (capsule contract 1.0)\n", "signed     by " + print + "\n", "runs on    any  bin/smoke\n", "licences   LICENSE\n", "bin/smoke  17 bytes  "} {
		if !strings.Contains(out, want) {
			t.Errorf("inspect: no %q in\n%s", want, out)
		}
	}
	var report pack.Report
	if err := json.Unmarshal([]byte(must(t, "inspect", "detector_smoke.cap", "--json")), &report); err != nil || report.Name != "detector_smoke" || len(report.Files) != 2 || len(report.Signatures) != 1 {
		t.Errorf("inspect --json: %+v, %v", report, err)
	}
	if out := must(t, "unpack", "detector_smoke.cap", "un/packed", "--quiet"); out != "un/packed: 3 files of detector_smoke 2\n" {
		t.Errorf("unpack: %s", out)
	}
	if text, err := os.ReadFile("un/packed/bin/smoke"); err != nil || string(text) != "#!/bin/sh\nexit 1\n" {
		t.Errorf("unpacked: %q, %v", text, err)
	}
	if _, status, err := kit("unpack", "detector_smoke.cap", "un/packed"); status != exitFailed || core.KindOf(err) != core.Exists {
		t.Errorf("unpack over another: status %d, %v", status, err)
	}
}

// TestEncryptedPackageCommands calls the built program: the race detector makes scrypt slow.
func TestEncryptedPackageCommands(t *testing.T) {
	capsule := func(args ...string) called { return call(t, append([]string{"capsule"}, args...)...) }
	program(t)
	t.Chdir(t.TempDir())
	t.Setenv(pack.KeyFileEnv, "")
	t.Setenv(pack.KeyEnv, "")
	dir := smokeFolder(t)
	if c := capsule("pack", dir, "--encrypt", "--quiet"); c.status != exitUsage || !strings.Contains(c.stderr, "there is no passphrase") {
		t.Errorf("no passphrase: %+v", c)
	}
	if err := os.WriteFile("secret.txt", []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := capsule("pack", dir, "--encrypt", "--key-file", "secret.txt", "--quiet"); c.status != 0 {
		t.Fatalf("pack: %+v", c)
	}
	if c := capsule("inspect", "detector_smoke.cap"); !strings.Contains(c.stdout, "an encrypted package (age, passphrase, scrypt work factor 18)") || strings.Contains(c.stdout, "smoke 2") {
		t.Errorf("locked: %+v", c)
	}
	if c := capsule("verify", "detector_smoke.cap"); c.status != exitFailed || !strings.Contains(c.stderr, "encrypted") {
		t.Errorf("verify: %+v", c)
	}
	t.Setenv(pack.KeyEnv, "correct horse")
	if c := capsule("inspect", "detector_smoke.cap"); !strings.Contains(c.stdout, "encrypted  age, passphrase, scrypt work factor 18\n") || !strings.Contains(c.stdout, "detector_smoke 2 ") {
		t.Errorf("unlocked: %+v", c)
	}
	c := capsule("list", "--capsules", ".", "--json")
	var l struct {
		Capsules []listed
		Broken   []unreadable
	}
	if err := json.Unmarshal([]byte(c.stdout), &l); err != nil || c.status != 0 || len(l.Capsules) != 1 || !l.Capsules[0].Encrypted || l.Capsules[0].Role != "detector" {
		t.Errorf("list: %+v, %v", c, err)
	}
	t.Setenv(pack.KeyEnv, "incorrect horse")
	if c := capsule("list", "--capsules", "."); c.status != exitFailed || !strings.Contains(c.stdout, "cannot be read: package: detector_smoke.cap: the key does not fit") {
		t.Errorf("list: %+v", c)
	}
}

func TestPackageCommandsRefuse(t *testing.T) {
	t.Parallel()
	dir := smokeFolder(t)
	out := filepath.Join(t.TempDir(), "x.cap")
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"pack nothing":        {[]string{"pack"}, exitUsage, "takes one DIR, got 0"},
		"pack no folder":      {[]string{"pack", filepath.Join(dir, "none")}, exitFailed, "capsule.yaml: no such file"},
		"pack to a zip":       {[]string{"pack", dir, "-o", "x.zip"}, exitFailed, "the name of a package ends with .cap"},
		"pack a bad entry":    {[]string{"pack", dir, "-o", out, "--entry", "linux/amd64"}, exitUsage, "want platform=path"},
		"pack a missing one":  {[]string{"pack", dir, "-o", out, "--entry", "linux/amd64=bin/x"}, exitFailed, `the program "bin/x" is not there`},
		"pack no key":         {[]string{"pack", dir, "-o", out, "--sign", "none.key"}, exitFailed, "none.key: no such file"},
		"sign with nothing":   {[]string{"sign", out}, exitUsage, "sign needs --with"},
		"verify nothing":      {[]string{"verify", filepath.Join(dir, "x.cap")}, exitFailed, "no such file"},
		"verify a folder":     {[]string{"verify", dir}, exitFailed, "it is not a file"},
		"inspect text":        {[]string{"inspect", filepath.Join(dir, "LICENSE")}, exitFailed, "it is neither a zip nor an encrypted package"},
		"unpack to nowhere":   {[]string{"unpack", out}, exitUsage, "unpack takes FILE.cap and DIR"},
		"a word too many":     {[]string{"list", "x"}, exitUsage, "takes no arguments"},
		"new with a bad name": {[]string{"new", filepath.Join(dir, "a-b")}, exitFailed, "it is no name of a capsule"},
		"keys of no key":      {[]string{"keys", "--show", filepath.Join(dir, "LICENSE")}, exitFailed, "it has no public key in PEM form"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, status, err := kit(c.args...)
			if status != c.status || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
}

// TestWithModels takes a model in that lies elsewhere on this machine, and only the right one.
func TestWithModels(t *testing.T) {
	dir, store := smokeFolder(t), t.TempDir()
	path := filepath.Join(dir, "capsule.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "models: [{file: smoke.onnx, sha256: 9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0, licence: MIT}]\n"...)
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CAPSTAN_MODELS", store)
	t.Setenv("CAPSTAN_CACHE", t.TempDir())
	out := filepath.Join(t.TempDir(), "x.cap")
	if _, status, err := kit("pack", dir, "-o", out, "--with-models", "--quiet"); status != exitFailed || !strings.Contains(err.Error(), "missing: smoke.onnx") {
		t.Errorf("status %d, %v", status, err)
	}
	model := filepath.Join(store, "smoke.onnx")
	if err := os.WriteFile(model, []byte("bbb"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, status, err := kit("pack", dir, "-o", out, "--with-models", "--quiet"); status != exitFailed || !strings.Contains(err.Error(), "other content") {
		t.Errorf("status %d, %v", status, err)
	}
	if err := os.WriteFile(model, []byte("aaa"), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t, "pack", dir, "-o", out, "--quiet")
	if got := must(t, "inspect", out); !strings.Contains(got, "model      smoke.onnx  by reference: ") {
		t.Errorf("by reference:\n%s", got)
	}
	must(t, "pack", dir, "-o", out, "--with-models", "--quiet")
	if got := must(t, "inspect", out); !strings.Contains(got, "model      smoke.onnx  included    MIT\n") && !strings.Contains(got, "model      smoke.onnx  included  MIT\n") || !strings.Contains(got, "models/smoke.onnx") {
		t.Errorf("included:\n%s", got)
	}
}

// TestSpecOfPackage: the program of a package is checked before it starts, and looks for models
// in its own package first.
func TestSpecOfPackage(t *testing.T) {
	dir, path := smokeFolder(t), filepath.Join(t.TempDir(), "x.cap")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "models"), 0o755), os.WriteFile(filepath.Join(dir, "models", "x.onnx"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CAPSTAN_CACHE", t.TempDir())
	t.Setenv("CAPSTAN_MODELS", "/elsewhere")
	must(t, "pack", dir, "-o", path, "--quiet")
	for name, c := range map[string]struct {
		path string
		sum  int
		env  bool
	}{"package": {path, 64, true}, "folder": {dir, 0, false}} {
		entries, err := loadCapsules(t.Context(), []string{c.path})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s: %v, %v", name, entries, err)
		}
		spec, err := specOf(entries[0], nil)
		if err != nil || len(spec.SHA256) != c.sum || (spec.Renew != nil) != c.env || spec.Path != entries[0].Program() {
			t.Errorf("%s: %+v, %v", name, spec, err)
		}
		want := "CAPSTAN_MODELS=" + filepath.Join(entries[0].Dir, "models") + ":/elsewhere"
		if c.env != (len(spec.Env) == 1 && spec.Env[0] == want) {
			t.Errorf("%s: environment %q, want %s", name, spec.Env, want)
		}
	}
}

// TestInspectOlder shows packages of the older format.
func TestInspectOlder(t *testing.T) {
	t.Setenv(pack.KeyEnv, "")
	t.Setenv(pack.KeyFileEnv, "")
	dir := t.TempDir()
	script := "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w')\nz.writestr('capsule.py', 'class Capsule(BaseCapsule):\\n    name = \"detector_old\"\\n    version = 4\\n')\n" +
		"z.writestr('meta.conf', '[about]\\napi_compatibility_version = 0.' + sys.argv[2])\nz.writestr('net.pb', 'x')\nz.close()\n"
	for version, want := range map[string]string{"3": "capstan capsule import ", "2": "It cannot be run: older package: it is made for interface 0.2"} {
		path := filepath.Join(dir, "old"+version+".cap")
		if out, err := exec.Command("/usr/bin/python3", "-c", script, path, version).CombinedOutput(); err != nil {
			t.Skipf("python: %v %s", err, out)
		}
		out := must(t, "inspect", path)
		for _, w := range []string{"a package of the older Python format, OpenVisionCapsules\n", "name       detector_old 4\n", "interface  0." + version + "\n", "model      net.pb\n", "capsule.py  ", want} {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in\n%s", w, out)
			}
		}
		var r olderReport
		if err := json.Unmarshal([]byte(must(t, "inspect", path, "--json")), &r); err != nil || r.Format != "OpenVisionCapsules" || len(r.Files) != 3 || (r.Obstacle == "") != (version == "3") {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// TestNewCommand says what it made and what is next.
func TestNewCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	out := must(t, "new", "tracker_ball", "--lang", "python")
	if !strings.HasPrefix(out, "tracker_ball: .capignore, ") || !strings.Contains(out, "\nnext: cd tracker_ball && make test && make run\n") {
		t.Errorf("got %s", out)
	}
	if text, err := os.ReadFile("tracker_ball/capsule.yaml"); err != nil || !strings.Contains(string(text), "tracked: true") {
		t.Errorf("%v: %s", err, text)
	}
}
