//go:build !linux

package host

import "os/exec"

// tie does nothing: here a capsule notices the end of the engine by the end of its standard input.
func tie(*exec.Cmd) {}

// child is a started process.
type child struct{ cmd *exec.Cmd }

// kill ends the process at once.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// wait returns when the process is gone.
func (c *child) wait() error { return c.cmd.Wait() }
