package hotload

import (
	"errors"
	"os"
	"path/filepath"
)

const (
	scratchName = "capstan-watch-"
	lockName    = ".lock"
)

// newScratch makes a folder for copies in parent, and removes those of keepers that ended
// without closing. A keeper holds the lock of its folder; the folder gets its name when that is
// so.
func newScratch(parent string) (dir string, lock *os.File, err error) {
	sweep(parent)
	fresh, err := os.MkdirTemp(parent, "capstan-new-")
	if err != nil {
		return "", nil, err
	}
	dir = filepath.Join(parent, scratchName+filepath.Base(fresh)[len("capstan-new-"):])
	if lock, err = os.OpenFile(filepath.Join(fresh, lockName), os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		if locks && !tryLock(lock) {
			err = errors.New("its lock is taken")
		}
	}
	if err == nil {
		err = os.Rename(fresh, dir)
	}
	if err != nil {
		if lock != nil {
			lock.Close()
		}
		_ = os.RemoveAll(fresh)
		return "", nil, err
	}
	return dir, lock, nil
}

// sweep removes folders whose keepers are gone.
func sweep(parent string) {
	if !locks {
		return
	}
	list, _ := filepath.Glob(filepath.Join(parent, scratchName+"*"))
	for _, dir := range list {
		lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue // another user's, or none of ours
		}
		if tryLock(lock) {
			_ = os.RemoveAll(dir)
		}
		lock.Close()
	}
}
