package host

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// tie has the child die with the engine, and puts it into a process group of its own, which
// dies with it.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// child is a started process and its group.
type child struct {
	cmd *exec.Cmd

	mu     sync.Mutex
	reaped bool // its number may be somebody else's
}

// kill ends the whole group at once. It does nothing for a process that is gone.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// wait returns when the process is gone and what it left of its group has been killed.
func (c *child) wait() error {
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // the number is still its own until Wait
	c.reaped = true
	c.mu.Unlock()
	return c.cmd.Wait()
}
