package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func manifestOf(name string) string {
	return fmt.Sprintf("name: %s\nversion: 1\noutput: {size: all, detections: [x]}\nentry: bin/run\n", name)
}

func listOf(names ...string) string {
	var b strings.Builder
	for _, n := range names {
		b.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(manifestOf(n)), "\n", "\n  ") + "\n")
	}
	return b.String()
}

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoad(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"b/capsule.yaml": manifestOf("b"), "deep/er/a/capsule.yaml": manifestOf("a"), "b/inner/capsule.yaml": manifestOf("inner"), "list.yaml": listOf("z", "y"), "single.yaml": manifestOf("s"),
		".hidden/capsule.yaml": "not: read", "b/readme.yaml": "not: read", "other/CAPSULE.yaml": "not: read", "empty/x": "",
	}
	for name, c := range map[string]struct {
		paths []string
		want  string
	}{
		"a folder":               {[]string{""}, "a b inner"},
		"a capsule's own folder": {[]string{"deep/er/a"}, "a"},
		"a manifest":             {[]string{"b/capsule.yaml"}, "b"},
		"a list":                 {[]string{"list.yaml"}, "y z"},
		"a list of one":          {[]string{"single.yaml"}, "s"},
		"all together":           {[]string{"list.yaml", "deep", "single.yaml"}, "a s y z"},
		"twice the same":         {[]string{"b", "", "b/capsule.yaml", "./b/../b"}, "a b inner"},
		"nothing in it":          {[]string{"empty"}, ""},
		"no path":                {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, files)
			var paths []string
			for _, p := range c.paths {
				paths = append(paths, dir+"/"+p)
			}
			got, err := Load(paths...)
			if err != nil || strings.Join(Names(got), " ") != c.want {
				t.Errorf("got %v, %v", Names(got), err)
			}
		})
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"b/capsule.yaml": manifestOf("b"), "list.yaml": listOf("z")})
	got, err := Load(dir, filepath.Join(dir, "list.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b, ok := Find(got, "b")
	if !ok || b.Dir != filepath.Join(dir, "b") || b.File != filepath.Join(dir, "b", "capsule.yaml") || b.Program() != filepath.Join(dir, "b", "bin", "run") {
		t.Errorf("got %+v", b)
	}
	z, ok := Find(got, "z")
	if !ok || z.Dir != dir || z.File != filepath.Join(dir, "list.yaml") {
		t.Errorf("got %+v", z)
	}
	if _, ok := Find(got, "c"); ok {
		t.Error("found what is not there")
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		paths []string
		want  string // DIR stands for the folder
		kind  core.Kind
	}{
		"not there":              {nil, []string{"none"}, "catalog: DIR/none: no such file or directory (name a folder with capsules, a package, or a YAML file with manifests)", core.NotFound},
		"broken":                 {map[string]string{"a/capsule.yaml": "name: a\nverion: 1\n"}, []string{""}, `DIR/a/capsule.yaml:2:1: unknown key "verion" (did you mean "version"? known keys: `, core.Invalid},
		"a list as capsule.yaml": {map[string]string{"a/capsule.yaml": listOf("x")}, []string{""}, "DIR/a/capsule.yaml:1:1: a list is not a mapping", core.Invalid},
		"too new":                {map[string]string{"a/capsule.yaml": manifestOf("a") + "api: 7.0\n"}, []string{""}, "DIR/a/capsule.yaml:5:6: api: version 7.0 is not spoken here", core.CapsuleVersion},
		"two folders":            {map[string]string{"a/capsule.yaml": manifestOf("x"), "b/capsule.yaml": manifestOf("x")}, []string{""}, "catalog: x: two capsules have this name: DIR/a/capsule.yaml and DIR/b/capsule.yaml", core.Exists},
		"folder and list":        {map[string]string{"a/capsule.yaml": manifestOf("x"), "l.yaml": listOf("x")}, []string{"", "l.yaml"}, "catalog: x: two capsules have this name: DIR/a/capsule.yaml and DIR/l.yaml", core.Exists},
		"within a list":          {map[string]string{"l.yaml": listOf("x", "y", "x")}, []string{"l.yaml"}, "catalog: x: DIR/l.yaml has two capsules of this name", core.Exists},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, c.files)
			var paths []string
			for _, p := range c.paths {
				paths = append(paths, filepath.Join(dir, p))
			}
			got, err := Load(paths...)
			if err == nil || got != nil || !strings.HasPrefix(err.Error(), strings.ReplaceAll(c.want, "DIR", dir)) || core.KindOf(err) != c.kind || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, %v", Names(got), err)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"real/a/capsule.yaml": manifestOf("a"), "farm/x": ""})
	for link, target := range map[string]string{"farm/a": "../real/a", "farm/loop": "..", "farm/gone": "nowhere", "door": "farm"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for _, path := range []string{"farm", "door", ""} {
		got, err := Load(filepath.Join(dir, path))
		if err != nil || !slices.Equal(Names(got), []string{"a"}) {
			t.Errorf("%q: %v, %v", path, Names(got), err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "farm", "capsule.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(filepath.Join(dir, "farm")); core.KindOf(err) != core.NotFound || !strings.Contains(err.Error(), "capsule.yaml") {
		t.Errorf("a manifest that points nowhere: %v", err)
	}
}

func TestTooDeep(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{strings.Repeat("d/", maxDepth+2) + "capsule.yaml": manifestOf("a")})
	if _, err := Load(dir); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "levels") {
		t.Errorf("got %v", err)
	}
}

func TestPlanned(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"capsule.yaml": "name: replay\nversion: 1\noutput: {size: all, detections: [\"${class}\"]}\noptions: {class: {type: str, default: person}}\n"})
	entries, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		settings map[string]any
		want     string // class, or part of the error
		ok       bool
	}{
		"default": {nil, "person", true},
		"set":     {map[string]any{"class": "car"}, "car", true},
		"empty":   {map[string]any{"class": ""}, "entry 1 is empty", false},
		"unknown": {map[string]any{"clas": "car"}, `there is no option "clas"`, false},
	} {
		p, err := Planned(entries[0], c.settings)
		if c.ok && (err != nil || p.Name != "replay" || !slices.Equal(p.Output.Detections, []string{c.want})) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if !c.ok && (core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The capsules of this repository load, and each stands in the folder of its name.
func TestOwnCapsules(t *testing.T) {
	t.Parallel()
	entries, err := Load("../../capsules")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) == 0 {
		t.Skip("no manifests below capsules")
	}
	for _, e := range entries {
		if filepath.Base(e.Dir) != e.Declaration.Name {
			t.Errorf("%s declares %s", e.File, e.Declaration.Name)
		}
		if _, err := Planned(e, nil); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkLoad reads a list of 1,000 manifests.
func BenchmarkLoad(b *testing.B) {
	names := make([]string, 0, 1000)
	for i := range 1000 {
		names = append(names, fmt.Sprintf("c%03d", i))
	}
	path := filepath.Join(b.TempDir(), "list.yaml")
	if err := os.WriteFile(path, []byte(listOf(names...)), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got, err := Load(path); err != nil || len(got) != 1000 {
			b.Fatal(len(got), err)
		}
	}
}
