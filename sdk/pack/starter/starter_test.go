package starter

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
)

const checkout = "../../.."

// run runs a command in dir without the network.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Each Go project builds, passes its tests, and writes the manifest that it came with.
func TestGoProjects(t *testing.T) {
	if testing.Short() {
		t.Skip("four projects are built")
	}
	for _, role := range Roles {
		t.Run(role, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), role+"_of_mine")
			files, err := Make(Project{Dir: dir, Language: "go", SDK: checkout})
			want := []string{".capignore", ".gitignore", "Makefile", "README.md", "capsule.yaml", "go.mod", "go.sum", "main.go", "main_test.go"}
			if err != nil || !slices.Equal(files, want) {
				t.Fatalf("%v, %v", files, err)
			}
			if out := run(t, dir, "gofmt", "-l", "."); out != "" {
				t.Errorf("not formatted: %s", out)
			}
			run(t, dir, "go", "vet", ".")
			if out := run(t, dir, "go", "test", "-count=1", "."); !strings.HasPrefix(out, "ok") {
				t.Errorf("its tests: %s", out)
			}
			run(t, dir, "go", "build", "-o", role+"_of_mine", ".")
			declared, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
			if got := run(t, dir, "./"+role+"_of_mine", "manifest"); err != nil || got != string(declared) {
				t.Errorf("it declares\n%s", got)
			}
			readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
			if err != nil || !strings.Contains(string(readme), "| `") || strings.Contains(string(readme), "<no value>") {
				t.Errorf("%v: %s", err, readme)
			}
		})
	}
}

// Each Python project passes its tests and writes the manifest that it came with.
func TestPythonProjects(t *testing.T) {
	const python = "/usr/bin/python3"
	if out, err := exec.Command(python, "-c", "import pytest, numpy, grpc").CombinedOutput(); err != nil {
		t.Skipf("Python with pytest, numpy and grpcio is absent: %s", out)
	}
	sdk, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", filepath.Join(sdk, "sdk", "python"))
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	for _, role := range Roles {
		t.Run(role, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), role+"_of_mine")
			files, err := Make(Project{Dir: dir, Language: "python", SDK: checkout})
			want := []string{".capignore", ".gitignore", "Makefile", "README.md", "capsule.yaml", "main.py", "test_main.py"}
			if err != nil || !slices.Equal(files, want) {
				t.Fatalf("%v, %v", files, err)
			}
			if out := run(t, dir, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."); !strings.Contains(out, " passed") {
				t.Errorf("its tests: %s", out)
			}
			declared, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
			if got := run(t, dir, python, "main.py", "manifest"); err != nil || got != string(declared) {
				t.Errorf("it declares\n%s", got)
			}
			if out := run(t, dir, "make", "-n", "test", "run", "pack"); !strings.Contains(out, "pytest") {
				t.Errorf("make: %s", out)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    Project
		kind core.Kind
		want string
	}{
		"a bad name":       {Project{Dir: "detector-fire", Language: "go"}, core.Invalid, "it is no name of a capsule"},
		"a bad role":       {Project{Dir: "x", Language: "go", Role: "painter"}, core.Invalid, `role "painter" is not one of detector, classifier, encoder, tracker`},
		"a bad language":   {Project{Dir: "x", Language: "perl"}, core.Invalid, `language "perl" is not one of go, python`},
		"no language":      {Project{Dir: "x"}, core.Invalid, `language "" is not`},
		"there already":    {Project{Dir: full, Language: "go"}, core.Exists, "it is there and not empty"},
		"no checkout":      {Project{Dir: "x", Language: "go", SDK: full}, core.NotFound, "it is no checkout of Capstan"},
		"another checkout": {Project{Dir: "x", Language: "go", SDK: otherModule(t)}, core.Invalid, "is of another module"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.p.Dir != full {
				c.p.Dir = filepath.Join(t.TempDir(), "deep", c.p.Dir)
			} else if err := os.Rename(full, filepath.Join(filepath.Dir(full), "full")); err == nil {
				c.p.Dir = filepath.Join(filepath.Dir(full), "full")
			}
			_, err := Make(c.p)
			if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(filepath.Dir(c.p.Dir)); c.kind != core.Exists && !os.IsNotExist(err) {
				t.Error("something was made")
			}
		})
	}
}

func otherModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestGoMod(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    Project
		want []string
		not  string
	}{
		"released":   {Project{Version: "v1.2.3"}, []string{"module detector_x\n", "require github.com/capstan-video/capstan v1.2.3"}, "replace"},
		"no version": {Project{}, []string{"require github.com/capstan-video/capstan v0.0.0"}, "replace"},
		"checkout":   {Project{SDK: checkout}, []string{"github.com/capstan-video/capstan v0.0.0", "replace github.com/capstan-video/capstan => " + here, "// indirect"}, "\ntool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.p.Dir, c.p.Language = filepath.Join(t.TempDir(), "detector_x"), "go"
			if _, err := Make(c.p); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(c.p.Dir, "go.mod"))
			if err != nil || strings.Contains(string(text), c.not) {
				t.Errorf("%v:\n%s", err, text)
			}
			for _, want := range c.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("no %q in\n%s", want, text)
				}
			}
		})
	}
	if p := (Project{SDK: here, Dir: filepath.Join(here, "examples", "x")}); p.replacement() != "../.." {
		t.Errorf("inside: %s", p.replacement())
	}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	here, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	if got := Checkout("."); got != here {
		t.Errorf("got %s", got)
	}
	if got := Checkout(t.TempDir()); got != "" {
		t.Errorf("got %s", got)
	}
}

func TestRoleOfName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"detector_x": "detector", "encoder_face": "encoder", "tracker_x": "tracker", "classifier_x": "classifier", "hello": "detector", "tracker": "detector"} {
		if got := roleOf(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
