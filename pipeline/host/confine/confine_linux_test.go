package confine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// start starts a program of the system in a cage and gives what it printed.
func start(t *testing.T, c Cage, change func(*exec.Cmd), args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if change != nil {
		change(cmd)
	}
	run, held, err := c.Command(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	if err := held.Begun(run.Process.Pid); err != nil {
		if run.Wait() == nil {
			t.Error("it failed with status 0")
		}
		return out.String(), err
	}
	return out.String(), finish(run, &out)
}

func finish(run *exec.Cmd, out *strings.Builder) error {
	if err := run.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// The program gets its arguments, environment, folder and files, and nothing of what closed the
// cage; privileges are gone, limits are set.
func TestCommandBecomesTheProgram(t *testing.T) {
	t.Parallel()
	extra, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	out := filepath.Join(t.TempDir(), "out")
	c := Cage{Write: []string{filepath.Dir(out)}, Memory: 1 << 30, FileSize: 1 << 20, Processes: 4}
	script := `{ echo "args $0 $1 $2"; echo "dir $(pwd)"; echo "env $GIVEN"; echo there >&3; for f in 4 5 6 7 8 9; do { true >&$f; } 2>/dev/null && echo "open $f"; done
		grep -E '^(NoNewPrivs|Seccomp|CapEff|CapPrm):' /proc/self/status; echo "core $(ulimit -c)"; echo "data $(ulimit -d)"; echo "file $(ulimit -f)"; } > ` + out
	_, err = start(t, c, func(cmd *exec.Cmd) {
		cmd.Dir, cmd.Env, cmd.ExtraFiles = "/usr", []string{"GIVEN=value of it", "PATH=/usr/bin:/bin"}, []*os.File{extra}
	}, "/bin/sh", "-c", script, "name", "one two", "three")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\t", " ")
	want := []string{"args name one two three\n", "dir /usr\n", "env value of it\n", "NoNewPrivs: 1\n", "core 0\n", fmt.Sprintf("data %d\n", (1<<30+dataSlack)>>10), "file 2048\n"}
	if filters() {
		want = append(want, "Seccomp: 2\n")
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in %s", w, text)
		}
	}
	if strings.Contains(text, "open ") {
		t.Errorf("files were left open: %s", text)
	}
	for line := range strings.Lines(text) {
		var caps uint64
		if n, _ := fmt.Sscanf(line, "CapEff: %x", &caps); n == 1 && caps&^kept != 0 {
			t.Errorf("it has capabilities %x", caps)
		}
	}
	if b, err := os.ReadFile(extra.Name()); err != nil || string(b) != "there\n" {
		t.Errorf("descriptor 3 got %q: %v", b, err)
	}
}

func TestBegunTellsWhyNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"plain": 0o600, "other": 0o700} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("\x7fELF rubbish"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]error{"missing": os.ErrNotExist, "plain": os.ErrPermission, "other": syscall.ENOEXEC} {
		_, err := start(t, Cage{Read: []string{dir}}, nil, filepath.Join(dir, name))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if abi() > 0 {
		if _, err := start(t, Cage{}, nil, filepath.Join(dir, "other")); !errors.Is(err, os.ErrPermission) {
			t.Errorf("a program outside: %v", err)
		}
	}
}

func TestCageThatCannotBeRead(t *testing.T) {
	t.Parallel()
	status, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{shim, "{", "3", "/bin/true", "true"}
	cmd.ExtraFiles = []*os.File{end}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &Held{status: status, end: end}
	if err := h.Begun(cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
	if cmd.Wait() == nil {
		t.Error("it ended with status 0")
	}
}

func TestWhatCountsAsMemory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		m    mapping
		want int64
	}{
		"its own":             {mapping{"", 100, 100, 7}, 107},
		"heap":                {mapping{"[heap]", 100, 100, 0}, 100},
		"shared":              {mapping{"/dev/zero (deleted)", 50, 0, 0}, 50},
		"its memory file":     {mapping{"/memfd:x (deleted)", 50, 0, 0}, 50},
		"an arena":            {mapping{"/memfd:capstan-arena (deleted)", 5000, 0, 0}, 0},
		"a library":           {mapping{"/usr/lib/libx.so", 900, 12, 0}, 12},
		"a file, all changed": {mapping{"/srv/x", 90, 100, 0}, 90},
	} {
		if got := tt.m.used(); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	before := used(os.Getpid())
	b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	if got := used(os.Getpid()) - before; got < 60<<20 || got > 200<<20 {
		t.Errorf("64 MiB more are %d MiB", got>>20)
	}
	if resident(os.Getpid()) < 64<<20 || used(1<<30) != 0 || resident(1<<30) != 0 {
		t.Error("resident memory, or that of nobody")
	}
}

func TestSizeOfAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if n := size(dir); n > 64<<10 {
		t.Errorf("nothing takes %d bytes", n)
	}
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "a/y", "a/b/z"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := size(dir); n < 3<<20 || n > 4<<20 {
		t.Errorf("3 MiB take %d bytes", n)
	}
	if size(filepath.Join(dir, "gone")) != 0 {
		t.Error("a folder that is gone takes room")
	}
}

func TestGuard(t *testing.T) {
	t.Parallel()
	var g Guard
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	told := make(chan error, 2)
	held := &Held{pid: cmd.Process.Pid, cage: Cage{Memory: 4096, Processes: 5}}
	forget := g.Watch("x", held, func(err error) { told <- err })
	if stands(cmd.Process.Pid) || unix.Kill(cmd.Process.Pid, unix.SIGSTOP) != nil {
		t.Error("it stands still by itself")
	}
	err := <-told
	if !stands(cmd.Process.Pid) {
		t.Error("what somebody stopped was sent on")
	}
	if core.KindOf(err) != core.CapsuleLimit || !strings.Contains(err.Error(), "capsule x: it took") {
		t.Errorf("got %v", err)
	}
	forget()
	forget()
	g.Close()
	g.Close()
	g.Watch("late", held, func(error) { t.Error("a guard that is closed looks") })()
	if len(told) != 0 {
		t.Error("it was told twice")
	}
	var unused Guard
	unused.Close()
}
