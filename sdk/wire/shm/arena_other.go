//go:build !linux

package shm

import (
	"runtime"

	"github.com/capstan-video/capstan/core"
)

func unsupported(op string) error {
	f := core.Faultf(core.Unsupported, op, "", "there are no shared frames on %s", runtime.GOOS)
	f.Hint = "run with --copy"
	return f
}

// Create fails: arenas need memfd, which Linux alone has.
func Create(int64) (*Arena, error) { return nil, unsupported("create arena") }

// Prefault fails as Create does.
func (a *Arena) Prefault(_, _ int64) error { return unsupported("prefault arena") }

func (a *Arena) release() error { return nil }
