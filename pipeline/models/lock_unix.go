//go:build unix

package models

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
)

// lock waits until no other process has the file locked. The lock ends with the file.
func lock(ctx context.Context, file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return core.Faultf(core.Denied, "models", file.Name(), "lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return core.Faultf(core.Cancelled, "models", file.Name(), "another process is fetching it: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
