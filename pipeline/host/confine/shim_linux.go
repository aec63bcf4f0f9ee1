package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// shim is the name under which this program starts itself to close a cage and then become the
// program that belongs into it.
const shim = "capstan-confine"

// init is the program's main where it was started as the shim. It runs on the main thread, before
// main and before any other thread does anything.
func init() {
	if len(os.Args) > 3 && os.Args[0] == shim {
		become(os.Args[1], os.Args[2], os.Args[3:])
	}
}

// Command gives a command that closes the cage and then becomes cmd, with its files, environment
// and folder. It is to be started in place of cmd, and Begun to be called after that.
func (c *Cage) Command(cmd *exec.Cmd) (*exec.Cmd, *Held, error) {
	inside := *c
	if g := control(); g.why == "" {
		var err error
		if inside.Group, err = g.make(c); err != nil {
			return nil, nil, err
		}
	}
	text, err := json.Marshal(inside)
	if err != nil {
		return nil, nil, err
	}
	status, end, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	run := exec.Command("/proc/self/exe")
	run.Args = append([]string{shim, string(text), strconv.Itoa(3 + len(cmd.ExtraFiles)), cmd.Path}, cmd.Args...)
	run.Dir, run.Env, run.SysProcAttr = cmd.Dir, cmd.Env, cmd.SysProcAttr
	run.Stdin, run.Stdout, run.Stderr = cmd.Stdin, cmd.Stdout, cmd.Stderr
	run.ExtraFiles = append(cmd.ExtraFiles[:len(cmd.ExtraFiles):len(cmd.ExtraFiles)], end)
	return run, &Held{cage: inside, group: inside.Group, status: status, end: end}, nil
}

// Begun waits until the program runs in its cage. pid is that of the started command, 0 when it
// could not be started. An error is one of the cage, or that of starting the program.
func (h *Held) Begun(pid int) error {
	h.pid = pid
	h.end.Close()
	defer h.status.Close()
	if pid == 0 {
		return nil
	}
	text, err := io.ReadAll(h.status)
	if err != nil || len(text) == 0 {
		return err
	}
	number, words, _ := strings.Cut(string(text), " ")
	if n, err := strconv.Atoi(number); err == nil && n != 0 {
		return fmt.Errorf("%s: %w", words, syscall.Errno(n))
	}
	return errors.New(words)
}

// become never returns: the process is the program then, or gone. args begins with the path,
// then come the program's arguments from its name on.
func become(cage, status string, args []string) {
	fd, _ := strconv.Atoi(status)
	// What lies above was left open by the engine's libraries and by who started it.
	if err := unix.CloseRange(uint(fd), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		unix.CloseOnExec(fd) // Linux before 5.11
	}
	fail := func(what string, err error) {
		var n syscall.Errno
		_ = errors.As(err, &n)
		_, _ = unix.Write(fd, []byte(strconv.Itoa(int(n))+" "+what))
		os.Exit(1)
	}
	var c Cage
	if err := json.Unmarshal([]byte(cage), &c); err != nil {
		fail("the cage cannot be read: "+err.Error(), nil)
	}
	if what, err := c.close(); err != nil {
		fail("the process cannot be confined: "+what+": "+err.Error(), nil)
	}
	fail("exec", syscall.Exec(args[0], args[1:], os.Environ()))
}

// close closes the cage around this thread.
func (c *Cage) close() (what string, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return "no-new-privileges", err
	}
	if what, err := c.limit(); err != nil {
		return what, err
	}
	if c.Group != "" {
		if err := join(c.Group); err != nil {
			return "control group", err
		}
	}
	if v := abi(); v > 0 {
		rules, err := c.ruleset(v)
		if err != nil {
			return "landlock", err
		}
		if err := ll.LandlockRestrictSelf(rules, 0); err != nil {
			return "landlock", err
		}
		unix.Close(rules)
	}
	if err := dropPrivileges(); err != nil {
		return "capabilities", err
	}
	if !filters() {
		return "", nil
	}
	return "seccomp", c.filter()
}

// kept are the privileges that a process of root keeps: without them it could not read files
// of other users, which are named for it file by file.
const kept = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH

// dropPrivileges takes this thread's privileges, and by no-new-privileges those of the program
// that it becomes.
func dropPrivileges() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data[0].Permitted|data[1].Permitted == 0 {
		return nil
	}
	keep := data[0].Permitted & kept
	data = [2]unix.CapUserData{{Effective: data[0].Effective & keep, Permitted: keep}}
	return unix.Capset(&header, &data[0])
}

// The limits of a process that are not what a capsule declares.
const (
	maxOpenFiles = 8192

	// dataSlack is what a process may reserve above its memory: Go, thread stacks and malloc
	// take address space that they never touch. What is touched is watched.
	dataSlack = 2 << 30

	// threadSlack is how many threads the user's processes may have above those of the whole
	// machine now. It stops what is faster than the watch; root has no such limit.
	threadSlack = 4096
)

// limit sets the limits of this process.
func (c *Cage) limit() (what string, err error) {
	most := map[int]int64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxOpenFiles, unix.RLIMIT_NPROC: int64(threads() + threadSlack)}
	if c.FileSize > 0 {
		most[unix.RLIMIT_FSIZE] = c.FileSize
	}
	if c.Memory > 0 {
		most[unix.RLIMIT_DATA] = c.Memory + dataSlack
	}
	for resource, n := range most {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(resource, &now); err != nil {
			return fmt.Sprintf("limit %d", resource), err
		}
		now.Max = min(now.Max, uint64(n))
		now.Cur = min(now.Cur, now.Max)
		if err := syscall.Setrlimit(resource, &now); err != nil { // not by prlimit: Exec would set that of files back
			return fmt.Sprintf("limit %d", resource), err
		}
	}
	return "", nil
}
