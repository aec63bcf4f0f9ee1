package onnx_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestFetchRefusesAnotherArchive runs the script with an archive that is none: it says so and
// leaves nothing behind.
func TestFetchRefusesAnotherArchive(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("the script needs bash on Linux")
	}
	archive := filepath.Join(t.TempDir(), "x.tgz")
	if err := os.WriteFile(archive, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"nothing there": "", "half a library there": "half"} {
		cache := t.TempDir()
		library := filepath.Join(cache, "lib", "libonnxruntime.so.1")
		if content != "" {
			if err := os.MkdirAll(filepath.Dir(library), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(library, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(bash, "fetch", archive)
		cmd.Env = append(os.Environ(), "CAPSTAN_CACHE="+cache)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), archive) || !strings.Contains(string(out), "SHA-256") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		if got, _ := os.ReadFile(library); string(got) != content {
			t.Errorf("%s: the library has %d bytes", name, len(got))
		}
		if left, _ := filepath.Glob(filepath.Join(cache, ".onnxruntime.*")); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}
