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

// peakOf is not known elsewhere than on Linux.
func peakOf(int) int64 { return 0 }
