package confine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// tree makes what looks like a mount of control groups with the group unit in it.
func tree(t *testing.T, has, procs string) (mount string, mounts string) {
	t.Helper()
	mount = t.TempDir()
	unit := filepath.Join(mount, "unit")
	if err := os.Mkdir(unit, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cgroup.controllers": has, "cgroup.procs": procs, "cgroup.subtree_control": ""} {
		if err := os.WriteFile(filepath.Join(unit, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return mount, fmt.Sprintf("25 1 0:5 / /proc rw - proc proc rw\n36 25 0:30 / %s rw,relatime shared:9 - cgroup2 cgroup2 rw\n", mount)
}

func TestFindGroups(t *testing.T) {
	t.Parallel()
	const all = "cpuset cpu io memory hugetlb pids\n"
	for name, tt := range map[string]struct{ has, procs, self, why string }{
		"delegated":        {all, "7\n", "0::/unit\n", ""},
		"empty":            {all, "", "0::/unit/engine\n", ""},
		"beside version 1": {all, "7\n", "4:memory:/x\n0::/unit\n", ""},
		"others in it":     {all, "7\n8\n", "0::/unit\n", "other processes"},
		"no controllers":   {"hugetlb\n", "7\n", "0::/unit\n", "no controller cpu"},
		"not version 2":    {all, "7\n", "4:memory:/x\n", "no control groups of version 2"},
		"not there":        {all, "7\n", "0::/elsewhere\n", "no controller"},
	} {
		mount, mounts := tree(t, tt.has, tt.procs)
		g := findGroups(tt.self, mounts, 7)
		if tt.why == "" && (g.why != "" || g.dir != filepath.Join(mount, "unit")) || !strings.Contains(g.why, tt.why) {
			t.Errorf("%s: %q, %q", name, g.dir, g.why)
		}
	}
	if g := findGroups("0::/unit\n", "25 1 0:5 / /proc rw - proc proc rw\n", 7); g.why == "" {
		t.Error("without a mount it is found")
	}
}

func TestGroupOfACage(t *testing.T) {
	t.Parallel()
	_, mounts := tree(t, "cpu memory pids", "")
	g := findGroups("0::/unit\n", mounts, 7)
	for range 2 { // the second goes where the first did not
		dir, err := g.make(&Cage{Memory: 1 << 30, Processes: 4, CPU: 1.5})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"memory.max": "1073741824", "memory.oom.group": "1", "pids.max": "512", "cpu.max": "150000 100000"} {
			if got := readFile(filepath.Join(dir, name)); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), []byte("low 0\noom 1\noom_kill 1\noom_group_kill 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		h := &Held{cage: Cage{Memory: 1 << 30}, group: dir}
		if err := h.End("x"); core.KindOf(err) != core.CapsuleLimit || !strings.Contains(err.Error(), "capsule x: it took more than the 1024 MiB") {
			t.Errorf("got %v", err)
		}
	}
	if got := readFile(filepath.Join(g.dir, "cgroup.subtree_control")); got != "+cpu +memory +pids" {
		t.Errorf("controllers: %q", got)
	}
	if got := readFile(filepath.Join(g.dir, engineGroup, "cgroup.procs")); got != "0" {
		t.Errorf("this process was not moved: %q", got)
	}
	dir, err := g.make(&Cage{Processes: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"memory.max", "pids.max", "cpu.max"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s without a bound", name)
		}
	}
	if err := (&Held{group: dir}).End("x"); err != nil {
		t.Errorf("it ended well: %v", err)
	}
	if err := (*Held)(nil).End("x"); err != nil {
		t.Error(err)
	}
}

// A process that joins a group of the kernel's is in it, and the group goes with it.
func TestJoinsAGroup(t *testing.T) {
	t.Parallel()
	mount := ""
	for line := range strings.Lines(readFile("/proc/self/mountinfo")) {
		if where, what, _ := strings.Cut(line, " - "); strings.HasPrefix(what, "cgroup2 ") {
			mount = strings.Fields(where)[4]
		}
	}
	dir := filepath.Join(mount, fmt.Sprint("capstan-test-", os.Getpid()))
	if mount == "" || os.Mkdir(dir, 0o755) != nil {
		t.Skip("SKIPPED, control groups are not tested: this user cannot make one here")
	}
	t.Cleanup(func() { os.Remove(dir) })
	out := t.TempDir()
	c := Cage{Group: dir, Write: []string{out}, Processes: -1}
	run, held, err := c.Command(exec.Command("/bin/sh", "-c", "cat /proc/self/cgroup > "+out+"/own"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	if err := held.Begun(run.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(filepath.Join(out, "own")); !strings.Contains(got, "0::/") || !strings.Contains(got, filepath.Base(dir)+"\n") {
		t.Errorf("it is in %q", got)
	}
	if err := held.End("x"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the group is still there")
	}
}
