//go:build !linux

package host

import (
	"errors"
	"os"
)

const canLock = false

func lockIn(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func takeLock(string) (*os.File, error) { return nil, errors.ErrUnsupported }
