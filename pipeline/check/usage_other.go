//go:build !linux

package check

import (
	"os"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/conform"
)

type signal int

const (
	halt signal = iota
	kill
)

// signalProcess can kill; elsewhere than on Linux a process cannot be halted.
func signalProcess(pid int, s signal) error {
	if s == halt {
		return core.Faultf(core.Unsupported, "halt", "", "processes cannot be halted here")
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

// usageOf is not known elsewhere than on Linux.
func usageOf(int) conform.Usage { return conform.Usage{} }

// Status is not known elsewhere than on Linux.
func Status(string) map[string]int64 { return map[string]int64{} }
