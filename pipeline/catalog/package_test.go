package catalog

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/pack"
)

// packageOf packs a capsule of this name to path.
func packageOf(t *testing.T, name, path string, w pack.Writing) pack.Written {
	t.Helper()
	dir := tree(t, map[string]string{"capsule.yaml": manifestOf(name), "bin/run": "#!/bin/sh\nexit 1\n"})
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	w.Out = path
	got, err := pack.Write(context.Background(), dir, w)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPackages(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"folder/capsule.yaml": manifestOf("folder")})
	w := packageOf(t, "packed", filepath.Join(dir, "deep", "packed.cap"), pack.Writing{})
	packageOf(t, "folder", filepath.Join(dir, "folder", "dist", "folder.cap"), pack.Writing{}) // made of it: not searched
	packageOf(t, "hidden", filepath.Join(dir, ".hidden.cap"), pack.Writing{})
	load := Loader{Cache: &pack.Cache{Dir: t.TempDir()}}
	got, err := load.Load(context.Background(), dir, filepath.Join(dir, "deep", "packed.cap"))
	if err != nil || !slices.Equal(Names(got), []string{"folder", "packed"}) {
		t.Fatalf("%v, %v", Names(got), err)
	}
	e, _ := Find(got, "packed")
	if e.Package == nil || e.Package.Digest != w.Digest || e.Package.SHA256 != w.Manifest.Files[0].SHA256 || e.File != filepath.Join(dir, "deep", "packed.cap") {
		t.Errorf("%+v", e)
	}
	if filepath.Dir(e.Dir) != load.Cache.Dir || e.Program() != filepath.Join(e.Dir, "bin", "run") || e.Runnable() != nil {
		t.Errorf("it is in %s", e.Dir)
	}
	if text, err := os.ReadFile(e.Program()); err != nil || string(text) != "#!/bin/sh\nexit 1\n" {
		t.Errorf("%q, %v", text, err)
	}
	if e, _ := Find(got, "folder"); e.Package != nil || e.Renew(context.Background()) != nil {
		t.Errorf("%+v", e)
	}
	if got, err := load.Load(context.Background(), filepath.Join(dir, "folder", "dist", "folder.cap")); err != nil || len(got) != 1 || got[0].Package == nil {
		t.Errorf("by its name: %v, %v", Names(got), err)
	}
}

func TestPeek(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	packageOf(t, "packed", filepath.Join(dir, "packed.cap"), pack.Writing{})
	cache := pack.Cache{Dir: filepath.Join(t.TempDir(), "none")}
	got, err := Loader{Cache: &cache, Peek: true}.Load(context.Background(), dir)
	if err != nil || len(got) != 1 || got[0].Dir != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := os.Stat(cache.Dir); !os.IsNotExist(err) {
		t.Error("it was unpacked")
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "packed.cap")
	packageOf(t, "packed", path, pack.Writing{})
	load := Loader{Cache: &pack.Cache{Dir: t.TempDir()}}
	got, err := load.Load(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	e := got[0]
	if err := os.Remove(e.Program()); err != nil {
		t.Fatal(err)
	}
	if err := e.Renew(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(e.Program()); err != nil {
		t.Error(err)
	}
	packageOf(t, "other", path, pack.Writing{})
	if err := e.Renew(context.Background()); err == nil || !strings.Contains(err.Error(), "it is another one than was loaded") {
		t.Errorf("another package: %v", err)
	}
}

func TestBrokenPackages(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"b.cap": strings.Repeat("junk ", 20), "a/capsule.yaml": manifestOf("a"), "c/capsule.yaml": "name: c\n", "d/capsule.yaml": manifestOf("a")})
	load := Loader{Cache: &pack.Cache{Dir: t.TempDir()}}
	if _, err := load.Load(context.Background(), dir); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "b.cap") {
		t.Errorf("got %v", err)
	}
	var bad []string
	load.Broken = func(path string, err error) { bad = append(bad, filepath.Base(path)+" "+err.Error()) }
	got, err := load.Load(context.Background(), dir, filepath.Join(dir, "gone"))
	if err != nil || !slices.Equal(Names(got), []string{"a"}) || len(bad) != 4 || !strings.HasPrefix(bad[0], "b.cap package: ") {
		t.Errorf("%v, %v, %q", Names(got), err, bad)
	}
}

func TestLockedPackage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "packed.cap")
	packageOf(t, "packed", path, pack.Writing{Passphrase: "correct horse", WorkFactor: 10})
	asked := 0
	load := Loader{Cache: &pack.Cache{Dir: t.TempDir()}, Key: func() (string, error) { asked++; return "", nil }}
	if _, err := load.Load(context.Background(), path); core.KindOf(err) != core.Denied || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	load.Key = func() (string, error) { return "correct horse", nil }
	if got, err := load.Load(context.Background(), path); err != nil || !got[0].Package.Encrypted {
		t.Errorf("%v", err)
	}
}

func TestOtherPlatform(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "packed.cap")
	packageOf(t, "packed", path, pack.Writing{Programs: []manifest.Program{{Platform: "plan9/mips", Path: "bin/run"}}})
	got, err := Loader{Cache: &pack.Cache{Dir: t.TempDir()}}.Load(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	want := "capsule packed: it has no program for " + runtime.GOOS + "/" + runtime.GOARCH + " (it has programs for plan9/mips)"
	if err := got[0].Runnable(); core.KindOf(err) != core.Unsupported || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
