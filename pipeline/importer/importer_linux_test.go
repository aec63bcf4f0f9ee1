package importer

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/aes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/eax"
	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
)

const (
	sdkPython = "../../sdk/python"
	standin   = sdkPython + "/tests/vcap_host/standin"
	capsules  = sdkPython + "/tests/vcap_host/capsules"
)

var python = sync.OnceValue(func() error {
	return exec.Command("/usr/bin/python3", "-c", "import grpc, numpy, google.protobuf").Run()
})

// environment is that of this process with the checkout's Python SDK and, unless bare, the
// stand-in for the user's package vcap.
func environment(t testing.TB, bare bool) []string {
	t.Helper()
	if err := python(); err != nil {
		t.Skipf("SKIPPED, no older capsule is read: /usr/bin/python3 lacks grpc, numpy or protobuf: %v", err)
	}
	sdk, err1 := filepath.Abs(sdkPython)
	vcap, err2 := filepath.Abs(standin)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	path := sdk
	if !bare {
		path += ":" + vcap
	}
	return append(os.Environ(), "CAPSTAN_PYTHON=/usr/bin/python3", "PYTHONPATH="+path, "PYTHONDONTWRITEBYTECODE=1")
}

func read(t testing.TB, r Request) (*Imported, error) {
	t.Helper()
	if r.Env == nil {
		r.Env = environment(t, false)
	}
	m, err := Read(t.Context(), r)
	if m != nil {
		t.Cleanup(func() {
			if err := errors.Join(m.Close(), m.Close()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(m.dir); !os.IsNotExist(err) {
				t.Errorf("%s is left", m.dir)
			}
		})
	}
	return m, err
}

// contents gives every file below a folder.
func contents(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			if e != nil && e.Name() == "__pycache__" {
				return fs.SkipDir
			}
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, p))
		all[p] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// zipOf gives a folder as a package of the older format.
func zipOf(t testing.TB, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, text := range contents(t, dir) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func encrypted(t testing.TB, key string, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	a, err := eax.NewEAXWithNonceAndTagSize(block, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	nonce := []byte("sixteen bytes ok")
	sealed := a.Seal(nil, nonce, plain, nil)
	text, tag := sealed[:len(plain)], sealed[len(plain):]
	return slices.Concat(nonce, tag, text)
}

func save(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// older writes a folder of an older capsule with this code.
func older(t testing.TB, code string, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"capsule.py": code, "meta.conf": "[about]\napi_compatibility_version = 0.3\n"}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const key = "0123456789abcdef"

// TestImport takes a folder, a package and an encrypted one over: the same comes of each.
func TestImport(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(capsules, "detector_bright_old")
	zipped := zipOf(t, dir)
	withKey := func() (string, error) { return key, nil }
	for name, r := range map[string]Request{
		"folder":    {Path: dir},
		"package":   {Path: save(t, "old.cap", zipped)},
		"encrypted": {Path: save(t, "old.cap", encrypted(t, key, zipped)), Key: withKey},
		"declared":  {Path: dir, Mode: Declare},
		"unsafe":    {Path: dir, Unsafe: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := read(t, r)
			if err != nil {
				t.Fatal(err)
			}
			d := m.Declaration
			if d.Name != "detector_bright_old" || d.Version != "3" || d.Entry != "main.py" || d.Stateful || len(d.Options) != 2 || !slices.Equal(d.Formats, []core.PixelFormat{core.BGR}) {
				t.Errorf("declared: %+v", d)
			}
			if m.API != "0.3" || m.Python != "/usr/bin/python3" || m.VCAP != "0.3.0+standin" || m.Files != 5 || m.Cannot() {
				t.Errorf("%+v", m)
			}
			loaded := slices.ContainsFunc(m.Findings, func(f Finding) bool { return f.Level == Works && f.About == "backends" })
			if loaded != (r.Mode != Declare) {
				t.Errorf("findings: %+v", m.Findings)
			}
			out := filepath.Join(t.TempDir(), "made")
			if err := m.Write(out); err != nil {
				t.Fatal(err)
			}
			got, want := contents(t, out), contents(t, dir)
			for path, text := range want {
				if got[Original+"/"+path] != text {
					t.Errorf("%s is changed", path)
				}
			}
			if len(got) != len(want)+3 {
				t.Errorf("%d files of %d", len(got), len(want))
			}
			if again, err := manifest.Load(filepath.Join(out, manifest.FileName)); err != nil || again.Name != d.Name {
				t.Errorf("%v, %v", again, err)
			}
			if err := m.Write(out); core.KindOf(err) != core.Exists {
				t.Errorf("written twice: %v", err)
			}
			checkPack(t, m)
		})
	}
}

// checkPack packs twice: the same bytes, and a package that is whole.
func checkPack(t *testing.T, m *Imported) {
	t.Helper()
	var digests []pack.Digest
	for range 2 {
		out := filepath.Join(t.TempDir(), "x.cap")
		w, err := m.Pack(t.Context(), out, pack.Writing{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := pack.Open(out, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.Verify(t.Context(), nil), p.Close()); err != nil {
			t.Error(err)
		}
		digests = append(digests, w.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("two packages of one capsule differ: %v", digests)
	}
}

// TestRefused holds what is no older capsule against the sentences that say so; nothing of it
// is run.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := zipOf(t, filepath.Join(capsules, "detector_bright_old"))
	linked := older(t, "x = 1")
	if err := os.Symlink("/etc/passwd", filepath.Join(linked, "model.bin")); err != nil {
		t.Fatal(err)
	}
	other := func() (string, error) { return "another key here", nil }
	for name, c := range map[string]struct {
		request Request
		kind    core.Kind
		words   []string
	}{
		"nothing":       {Request{Path: filepath.Join(t.TempDir(), "no.cap")}, core.NotFound, []string{"no.cap"}},
		"no code":       {Request{Path: t.TempDir()}, core.NotFound, []string{"it has no capsule.py", "meta.conf"}},
		"older":         {Request{Path: older(t, "x = 1", "meta.conf", "[about]\napi_compatibility_version = 0.2\n")}, core.CapsuleVersion, []string{"interface 0.2", "0.3"}},
		"no version":    {Request{Path: older(t, "x = 1", "meta.conf", "[about]\napi_compatibility_version = new\n")}, core.Invalid, []string{`"new"`}},
		"link":          {Request{Path: linked}, core.Invalid, []string{"model.bin", "neither a file nor a folder"}},
		"name":          {Request{Path: older(t, "x = 1", "a:b.txt", "")}, core.Invalid, []string{"a:b.txt"}},
		"no key":        {Request{Path: save(t, "x.cap", encrypted(t, key, good))}, core.Denied, []string{"encrypted", "key"}},
		"another key":   {Request{Path: save(t, "x.cap", encrypted(t, key, good)), Key: other}, core.Denied, []string{"does not fit"}},
		"no package":    {Request{Path: save(t, "x.cap", []byte("PK\x03\x04 and nothing more of it"))}, core.Invalid, []string{"zip"}},
		"a package cut": {Request{Path: save(t, "x.cap", good[:len(good)-10])}, core.Invalid, []string{"zip"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := read(t, c.request)
			if m != nil || core.KindOf(err) != c.kind {
				t.Fatalf("%v, kind %v: %v", m, core.KindOf(err), err)
			}
			for _, w := range c.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

const declares = `
from vcap import BaseBackend, BaseCapsule, NodeDescription
class Backend(BaseBackend):
    def process_frame(self, frame, detection_node, options, state):
        return []
class Capsule(BaseCapsule):
    name = "x"
    version = 1
    input_type = NodeDescription(size=NodeDescription.Size.NONE)
    output_type = NodeDescription(size=NodeDescription.Size.ALL, detections=["x"])
    backend_loader = lambda capsule_files, device: Backend()
`

// TestCodeThatMisbehaves runs what must not hurt the importer: every one ends with words.
func TestCodeThatMisbehaves(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for name, c := range map[string]struct {
		code    string
		timeout time.Duration
		kind    core.Kind
		words   string
	}{
		"hangs":    {"import time\ntime.sleep(1000)", time.Second, core.CapsuleDeadline, "did not end within 1s"},
		"leaves":   {"import os\nprint('so long', flush=True)\nos._exit(3)", 0, core.CapsuleFailed, "so long"},
		"is ended": {"import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", 0, core.CapsuleFailed, "segmentation"},
		"quits":    {"raise SystemExit(4)", 0, core.CapsuleFailed, "SystemExit: 4"},
		"raises":   {"1 / 0", 0, core.CapsuleFailed, "division by zero"},
		"no class": {"x = 1", 0, core.CapsuleFailed, "Capsule"},
		"writes":   {"open('" + outside + "/x', 'w')", 0, core.CapsuleFailed, "Permission denied"},
		"connects": {"import socket\nsocket.create_connection(('127.0.0.1', 9))", 0, core.CapsuleFailed, "not permitted"},
		"no size":  {declares + "    output_type = NodeDescription(size=5)\n", 0, core.CapsuleFailed, "is not one of NONE, SINGLE, ALL"},
		"no name":  {declares + "    name = 'a b'\n", 0, core.CapsuleFailed, "name"},
		"silent":   {declares + "    output_type = NodeDescription(size=NodeDescription.Size.NONE)\n", 0, core.CapsuleFailed, "gives nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := read(t, Request{Path: older(t, c.code), Timeout: c.timeout})
			if m == nil || core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Fatalf("%v, kind %v: %v", m, core.KindOf(err), err)
			}
			if err := m.Write(filepath.Join(t.TempDir(), "x")); core.KindOf(err) != core.Invalid {
				t.Errorf("it was written: %v", err)
			}
		})
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// TestCancelled ends an import from outside.
func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	m, err := Read(ctx, Request{Path: older(t, "import time\ntime.sleep(1000)"), Env: environment(t, false)})
	if m == nil || core.KindOf(err) != core.Cancelled {
		t.Fatalf("%v, %v", m, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestFindings holds what is said of capsules that work in part, or not.
func TestFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request Request
		cannot  bool
		fails   string
		found   []Finding // words are a part
	}{
		"nothing to say": {Request{Path: older(t, declares), Mode: Declare}, false, "", nil},
		"no vcap":        {Request{Path: older(t, declares), Env: environment(t, true)}, false, "-m pip install vcap vcap_utils", nil},
		"packages":       {Request{Path: filepath.Join(capsules, "import_fails_old")}, true, "no_such_package_of_anyone", []Finding{{Cannot, "packages", "capsule.py:2"}}},
		"scanned":        {Request{Path: filepath.Join(capsules, "import_fails_old"), Mode: Scan, Env: environment(t, true)}, true, "", []Finding{{Cannot, "packages", "capsule.py:2"}}},
		"left out": {Request{Path: older(t, declares, ".hidden", "", "models/.keep", "", "a.key", "", "__pycache__/x.pyc", ""), Mode: Declare}, false, "", []Finding{
			{Limits, "files", ".hidden is left out"}, {Limits, "files", "models/.keep is left out"}, {Limits, "files", "a.key is left out"},
		}},
		"backends": {Request{Path: older(t, declares+"    backend_loader = lambda capsule_files, device: Backend(1, 2)\n")}, true, "", []Finding{{Cannot, "backends", "TypeError"}}},
		"metric":   {Request{Path: filepath.Join(capsules, "encoder_mean_old"), Metric: "cosine"}, false, "", []Finding{{Limits, "distances", "by cosine distance, as given"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := read(t, c.request)
			if m == nil || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Fatalf("%v: %v", m, err)
			}
			if m.Cannot() != c.cannot {
				t.Errorf("cannot %v: %+v", m.Cannot(), m.Findings)
			}
			for _, want := range c.found {
				if !slices.ContainsFunc(m.Findings, func(f Finding) bool {
					return f.Level == want.Level && f.About == want.About && strings.Contains(f.Words, want.Words)
				}) {
					t.Errorf("%+v is not among %+v", want, m.Findings)
				}
			}
			if c.request.Mode == Scan && m.Declaration.Name != "" {
				t.Errorf("declared: %v", m.Declaration)
			}
		})
	}
}

// TestNeeds are those of the request, in the manifest too.
func TestNeeds(t *testing.T) {
	t.Parallel()
	to := t.TempDir()
	needs := core.Needs{Network: []string{"api.example.com:443"}, Files: []core.FileNeed{{Path: "/srv/maps"}, {Path: to, Write: true}}, Memory: 1 << 30, CPU: 1.5, Processes: 3}
	code := "open('" + to + "/was', 'w').close()\n" + declares
	m, err := read(t, Request{Path: older(t, code), Needs: needs, Mode: Declare})
	if err != nil {
		t.Fatal(err)
	}
	got := m.Declaration.Needs
	if !slices.Equal(got.Devices, []string{"/dev/dri/*", "/dev/nvidia*"}) { // it prefers GPUs
		t.Errorf("devices %v", got.Devices)
	}
	if got.Devices = nil; !got.Equal(needs) {
		t.Errorf("%+v, want %+v", got, needs)
	}
	if _, err := os.Stat(filepath.Join(to, "was")); err != nil {
		t.Error(err)
	}
}

// FuzzTake reads answers, which foreign code may have written.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"python": "x", "findings": [{"level": "cannot", "about": "a", "words": "b"}], "declaration": {}, "manifest": "name: x\nversion: 1\noutput: {size: all, detections: [x]}\nentry: main.py"}`))
	f.Add([]byte(`{"manifest": "entry: /bin/sh"}`))
	f.Add([]byte(`{"error": "x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := &Imported{Source: "x", dir: t.TempDir()}
		err := m.take(save(t, "answer.json", text), &tail{}, Load)
		if (err == nil) != (m.manifest != nil) {
			t.Fatalf("%v with manifest %q", err, m.manifest)
		}
		if err == nil && (m.Declaration.Entry != program || m.Declaration.Validate() != nil) {
			t.Fatalf("taken: %+v", m.Declaration)
		}
	})
}
