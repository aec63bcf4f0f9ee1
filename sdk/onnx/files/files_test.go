package files

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func write(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestModelIsFound(t *testing.T) {
	first, second, cache := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv(CacheEnv, cache)
	t.Setenv(ModelsEnv, first+string(os.PathListSeparator)+second)
	deep := write(t, filepath.Join(second, "a", "b", "deep.onnx"))
	both := write(t, filepath.Join(first, "x", "both.onnx"))
	write(t, filepath.Join(second, "both.onnx"))
	cached := write(t, filepath.Join(cache, "models", "cached.onnx"))
	write(t, filepath.Join(first, ".hidden", "hidden.onnx"))
	if err := os.MkdirAll(filepath.Join(first, "folder.onnx"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"deep.onnx": deep, "both.onnx": both, "cached.onnx": cached} {
		if got, err := Model(name, ""); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"hidden.onnx", "folder.onnx", "none.onnx"} {
		_, err := Model(name, "")
		if !errors.Is(err, &core.Fault{Kind: core.NotFound}) || !strings.Contains(err.Error(), "capstan models pull") || !strings.Contains(err.Error(), first) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamedModel(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "m.onnx"))
	t.Setenv("PWD", dir)
	for given, want := range map[string]string{file: file, "m.onnx": file, "./m.onnx": file} {
		if got, err := Model("other", given); err != nil || got != want {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
	for given, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "not a file"} {
		if _, err := Model("other", given); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), given) {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestRuntimeIsFound(t *testing.T) {
	cache, other := t.TempDir(), t.TempDir()
	t.Setenv(CacheEnv, cache)
	t.Setenv(LibraryEnv, "")
	systemFolders = []string{filepath.Join(other, "system")}
	if _, err := Runtime(""); !errors.Is(err, &core.Fault{Kind: core.NotFound}) || !strings.Contains(err.Error(), "make onnxruntime") {
		t.Errorf("nowhere: %v", err)
	}
	system := write(t, filepath.Join(other, "system", "libonnxruntime.so.1.30.0"))
	if got, err := Runtime(""); err != nil || got != system {
		t.Errorf("system: %q, %v", got, err)
	}
	cached := write(t, filepath.Join(cache, "lib", Library))
	if got, err := Runtime(""); err != nil || got != cached {
		t.Errorf("cache: %q, %v", got, err)
	}
	named := write(t, filepath.Join(other, "mine", "libonnxruntime.so"))
	t.Setenv(LibraryEnv, filepath.Dir(named))
	if got, err := Runtime(""); err != nil || got != named {
		t.Errorf("folder in the environment: %q, %v", got, err)
	}
	if got, err := Runtime(cached); err != nil || got != cached {
		t.Errorf("option: %q, %v", got, err)
	}
	t.Setenv(LibraryEnv, filepath.Join(other, "gone.so"))
	if _, err := Runtime(""); err == nil || !strings.Contains(err.Error(), LibraryEnv) || !strings.Contains(err.Error(), "gone.so") {
		t.Errorf("named and gone: %v", err)
	}
}

func TestCacheFollowsTheEnvironment(t *testing.T) {
	t.Setenv(CacheEnv, "")
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	if got := Cache(); got != "/xdg/capstan" {
		t.Errorf("XDG_CACHE_HOME: %q", got)
	}
	t.Setenv(CacheEnv, "/mine")
	if got := Cache(); got != "/mine" {
		t.Errorf("%s: %q", CacheEnv, got)
	}
}
