package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// needing is a capsule that is not launched.
func needing(t *testing.T, spec Spec) *Capsule {
	t.Helper()
	return newCapsule(newTestHost(t, Config{}), spec)
}

func TestCageOfASpec(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "pack", "bin", "run")
	d := core.Declaration{
		Name: "x", Entry: "bin/run",
		Options: []core.Option{{Name: "path", Type: core.StringOption, Default: ""}, {Name: "many", Type: core.ListOption, Default: []string{}}},
		Needs: core.Needs{
			Files:   []core.FileNeed{{Path: "${path}"}, {Path: "${many}", Write: true}, {Path: "/srv/maps"}},
			Network: []string{"10.0.0.1:8080", "*:443"}, Devices: []string{"/dev/nul*", "/dev/nothing*"}, Memory: 1 << 30, CPU: 1.5,
		},
	}
	c := needing(t, Spec{Declaration: d, Path: program, Dir: "/work", Options: map[string]any{"path": "det.txt", "many": []string{"/a", "b"}}})
	cmd := exec.Command(program)
	cmd.Dir, cmd.Env = "/work", []string{"CAPSTAN_MODELS=/m:/n", "CAPSTAN_CACHE=/cache", "LD_LIBRARY_PATH=/ll", "HOME=/home/x"}
	cage := c.cage(cmd, "/scratch")
	for name, c := range map[string]struct{ got, want []string }{
		"read":    {cage.Read, []string{filepath.Dir(program), filepath.Join(dir, "pack") + "/", "/ll", "/work/det.txt", "/srv/maps"}},
		"look":    {cage.Look, []string{"/m", "/n", "/cache/models", "/cache/lib"}},
		"write":   {cage.Write, []string{"/scratch", "/a", "/work/b"}},
		"devices": {cage.Devices, []string{"/dev/null"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	if !cage.Network || !cage.Names || !slices.Equal(cage.Ports, []uint16{8080, 443, 53}) {
		t.Errorf("network %v, names %v, ports %v", cage.Network, cage.Names, cage.Ports)
	}
	if cage.Memory != 1<<30 || cage.CPU != 1.5 || cage.Processes != 0 || cage.FileSize != 0 || cage.ScratchSize != scratchSize {
		t.Errorf("bounds %+v", cage)
	}
}

func TestCageWithoutNeeds(t *testing.T) {
	t.Parallel()
	c := needing(t, Spec{Path: "/srv/x/x"})
	cmd := exec.Command("/srv/x/x")
	cmd.Env = []string{"HOME=/home/x"}
	cage := c.cage(cmd, "/scratch")
	if cage.Network || cage.Names || cage.Memory != core.DefaultMemory || cage.Processes != 0 || cage.FileSize != scratchSize {
		t.Errorf("cage %+v", cage)
	}
	if !slices.Equal(cage.Read, []string{"/srv/x"}) || !slices.Equal(cage.Look, []string{"/home/x/.cache/capstan/models", "/home/x/.cache/capstan/lib"}) || len(cage.Devices) != 0 {
		t.Errorf("cage %+v", cage)
	}
}

// An interpreter outside the system's folders is given with what belongs to it.
func TestCageOfAnInterpreter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	venv, base := filepath.Join(dir, "venv"), filepath.Join(dir, "base")
	for _, d := range []string{filepath.Join(venv, "bin"), filepath.Join(base, "bin"), filepath.Join(dir, ".local", "lib", "python3.11")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "bin", "python3"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(base, "bin", "python3"), filepath.Join(venv, "bin", "python3")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python3"), "/srv/x/main.py")
	cmd.Env = []string{"HOME=" + dir, "PYTHONPATH=/sdk:lib"}
	cmd.Dir = "/w"
	want := []string{"/sdk", "/w/lib", venv, base, filepath.Join(dir, ".local", "lib", "python3.11")}
	if got := libraries(cmd); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// BenchmarkLaunch starts a capsule and ends it, in its cage and without one.
func BenchmarkLaunch(b *testing.B) {
	for name, unsafe := range map[string]bool{"confined": false, "unsafe": true} {
		b.Run(name, func(b *testing.B) {
			h := newTestHost(b, Config{Unsafe: unsafe})
			for b.Loop() {
				c, err := h.Launch(context.Background(), actSpec("nothing"))
				if err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}
