package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// groups is the control group of this process (version 2), below which those of capsules are
// made. It is used where it was delegated to this process: it may write there, and nobody else
// is in it.
type groups struct {
	dir string
	why string // there is none; "" when there is

	once sync.Once
	err  error
	next atomic.Uint64
}

// control is that of this process.
var control = sync.OnceValue(func() *groups {
	return findGroups(readFile("/proc/self/cgroup"), readFile("/proc/self/mountinfo"), os.Getpid())
})

// controllers are what a capsule's group needs.
var controllers = []string{"cpu", "memory", "pids"}

// engineGroup is where this process goes: a group with controllers for others has no processes
// itself.
const engineGroup = "engine"

// findGroups reads /proc/self/cgroup and /proc/self/mountinfo. It changes nothing.
func findGroups(self, mounts string, pid int) *groups {
	none := func(format string, args ...any) *groups { return &groups{why: fmt.Sprintf(format, args...)} }
	own := ""
	for line := range strings.Lines(self) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = path
		}
	}
	mount := ""
	for line := range strings.Lines(mounts) {
		where, what, _ := strings.Cut(line, " - ")
		if f := strings.Fields(where); strings.HasPrefix(what, "cgroup2 ") && len(f) > 4 {
			mount = f[4]
			own = strings.TrimPrefix(own, strings.TrimSuffix(f[3], "/")) // a mount of a part only
		}
	}
	if own == "" || mount == "" {
		return none("there are no control groups of version 2")
	}
	dir := filepath.Join(mount, own)
	if filepath.Base(dir) == engineGroup { // this process was moved before
		dir = filepath.Dir(dir)
	}
	has := strings.Fields(readFile(filepath.Join(dir, "cgroup.controllers")))
	for _, c := range controllers {
		if !slices.Contains(has, c) {
			return none("the control group of this process has no controller %s", c)
		}
	}
	if unix.Access(dir, unix.W_OK) != nil || unix.Access(filepath.Join(dir, "cgroup.subtree_control"), unix.W_OK) != nil {
		return none("the control group of this process is not delegated to it (systemd: Delegate=yes)")
	}
	for _, p := range strings.Fields(readFile(filepath.Join(dir, "cgroup.procs"))) {
		if p != strconv.Itoa(pid) {
			return none("other processes are in the control group of this one (systemd: Delegate=yes in a unit of its own)")
		}
	}
	return &groups{dir: dir}
}

// enter moves this process out of the way of its capsules, once.
func (g *groups) enter() error {
	g.once.Do(func() {
		g.err = errors.Join(
			makeFolder(filepath.Join(g.dir, engineGroup)),
			write(filepath.Join(g.dir, engineGroup, "cgroup.procs"), "0"),
			write(filepath.Join(g.dir, "cgroup.subtree_control"), "+"+strings.Join(controllers, " +")),
		)
	})
	return g.err
}

// cpuPeriod is the time within which a share of CPUs may be used up, in microseconds.
const cpuPeriod = 100_000

// threadsEach is how many threads a process may have, which count as processes to the kernel.
const threadsEach = 64

// make makes the group of one process.
func (g *groups) make(c *Cage) (dir string, err error) {
	if err := g.enter(); err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	dir = filepath.Join(g.dir, fmt.Sprintf("capsule-%d-%d", os.Getpid(), g.next.Add(1)))
	if err := makeFolder(dir); err != nil {
		return "", fmt.Errorf("control group: %w", err)
	}
	limits := map[string]string{"memory.oom.group": "1"}
	if c.Memory > 0 {
		limits["memory.max"] = strconv.FormatInt(c.Memory, 10)
	}
	if c.Processes >= 0 {
		limits["pids.max"] = strconv.Itoa((c.Processes + 4) * threadsEach)
	}
	if c.CPU > 0 {
		limits["cpu.max"] = fmt.Sprintf("%d %d", max(1000, int64(c.CPU*cpuPeriod)), cpuPeriod)
	}
	for name, value := range limits {
		if err := write(filepath.Join(dir, name), value); err != nil {
			_ = os.Remove(dir)
			return "", fmt.Errorf("control group: %w", err)
		}
	}
	return dir, nil
}

// join puts this process into a group.
func join(dir string) error { return write(filepath.Join(dir, "cgroup.procs"), "0") }

// End says how the process ended where its bounds ended it, and clears away what it had. It has
// to be called when the process is gone; nil: it ended otherwise.
func (h *Held) End(name string) error {
	if h == nil || h.group == "" {
		return nil
	}
	var err error
	for line := range strings.Lines(readFile(filepath.Join(h.group, "memory.events"))) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && n != "0" {
			f := core.Faultf(core.CapsuleLimit, "capsule "+name, "", "it took more than the %d MiB of memory that are allowed and was ended", h.cage.Memory>>20)
			f.Hint = "if it needs that, declare needs: memory in its capsule.yaml"
			err = f
		}
	}
	for range 20 { // what it started was ended with it, and is gone when the kernel gets to it
		if e := os.Remove(h.group); e == nil || errors.Is(e, os.ErrNotExist) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return err
}

func makeFolder(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// write sets one file of a control group.
func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
