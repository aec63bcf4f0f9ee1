//go:build !linux

package confine

import (
	"os/exec"
	"runtime"
)

// Command gives cmd: this system has nothing that a cage is made of.
func (c *Cage) Command(cmd *exec.Cmd) (*exec.Cmd, *Held, error) { return cmd, &Held{cage: *c}, nil }

// Begun notes the process.
func (h *Held) Begun(pid int) error {
	h.pid = pid
	return nil
}

// End does nothing.
func (h *Held) End(string) error { return nil }

// Guard does nothing on this system.
type Guard struct{}

// Watch does nothing.
func (g *Guard) Watch(string, *Held, func(error)) (forget func()) { return func() {} }

// Close does nothing.
func (g *Guard) Close() {}

// Check says that nothing is enforced.
func Check() []Part {
	return []Part{{Name: "isolation", How: "not enforced on " + runtime.GOOS}}
}
