package pack

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func openedPackage(t *testing.T) *Package {
	t.Helper()
	path, _ := packed(t, fire(), Writing{})
	p, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestCache(t *testing.T) {
	t.Parallel()
	p := openedPackage(t)
	c := Cache{filepath.Join(t.TempDir(), "deep", "capsules")}
	dir, err := c.Unpack(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Dir(dir) != c.Dir || !strings.HasSuffix(dir, p.Digest.String()) {
		t.Errorf("it is %s", dir)
	}
	if info, err := os.Stat(c.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "bin", "fire")); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	before, _ := os.Stat(dir)
	if _, err := c.Unpack(context.Background(), p, nil); err != nil {
		t.Error(err)
	}
	if after, _ := os.Stat(dir); !os.SameFile(before, after) {
		t.Error("a whole folder was made anew")
	}
	onlyFiles(t, c.Dir, filepath.Base(dir))
}

func TestCacheIsMended(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string) error{
		"other bytes": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "bin", "fire"), []byte("#!/bin/sh\nexit 2\n"), 0o755)
		},
		"cut off":          func(dir string) error { return os.Truncate(filepath.Join(dir, "LICENSE"), 3) },
		"gone":             func(dir string) error { return os.Remove(filepath.Join(dir, "LICENSE")) },
		"not executable":   func(dir string) error { return os.Chmod(filepath.Join(dir, "bin", "fire"), 0o444) },
		"a file more":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "bin", "numpy.py"), nil, 0o644) },
		"another manifest": func(dir string) error { return os.WriteFile(filepath.Join(dir, "capsule.yaml"), []byte("x"), 0o644) },
		"a link": func(dir string) error {
			return os.Rename(filepath.Join(dir, "LICENSE"), filepath.Join(dir, "..", "LICENSE")) // and back as a link
		},
		"no folder": os.RemoveAll,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := openedPackage(t)
			c := Cache{t.TempDir()}
			dir, err := c.Unpack(context.Background(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []string{"bin/fire", "LICENSE", "capsule.yaml"} {
				if err := os.Chmod(filepath.Join(dir, f), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(filepath.Join(dir, "LICENSE"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if name == "a link" {
				if err := os.Symlink("../LICENSE", filepath.Join(dir, "LICENSE")); err != nil {
					t.Fatal(err)
				}
			}
			if p.Matches(dir) == nil {
				t.Error("nobody saw it")
			}
			if again, err := c.Unpack(context.Background(), p, nil); err != nil || again != dir {
				t.Errorf("%s, %v", again, err)
			}
			if err := p.Matches(dir); err != nil {
				t.Error(err)
			}
		})
	}
}

// What Python leaves behind is no damage.
func TestCacheOfPython(t *testing.T) {
	t.Parallel()
	p := openedPackage(t)
	c := Cache{t.TempDir()}
	dir, err := c.Unpack(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "bin", "__pycache__"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "__pycache__", "x.pyc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.Matches(dir); err != nil {
		t.Error(err)
	}
}

// Many that want the same package at once get the same whole folder.
func TestCacheSideBySide(t *testing.T) {
	t.Parallel()
	p := openedPackage(t)
	c := Cache{t.TempDir()}
	old := filepath.Join(c.Dir, ".extract-broken")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if dir, err := c.Unpack(context.Background(), p, nil); err != nil || p.Matches(dir) != nil {
				t.Errorf("%s, %v", dir, err)
			}
		})
	}
	all.Wait()
	onlyFiles(t, c.Dir, filepath.Base(c.Folder(p)))
}

func TestCacheOfBrokenPackage(t *testing.T) {
	t.Parallel()
	p, err := readBytes(crafted(t, "capsule.yaml", testManifest+"files:\n"+fileLine("bin/fire", "go"), "bin/fire", "no"))
	if err != nil {
		t.Fatal(err)
	}
	c := Cache{t.TempDir()}
	if _, err := c.Unpack(context.Background(), p, nil); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
	onlyFiles(t, c.Dir)
}
