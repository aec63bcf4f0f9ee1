package lifecycle

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/capstan-video/capstan/core"
)

// LockFile is the file of a data folder that its server holds.
const LockFile = "server.lock"

// Folder is a data folder that this process has for itself.
type Folder struct {
	Dir  string
	lock *os.File
}

// OpenFolder makes the folder if need be, readable by this user alone, and takes it. It fails with a
// *core.Fault: Invalid when another server has it, or it cannot be written to.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(dir, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, unwritable(dir, err)
		}
		return nil, inUse(dir, lock)
	}
	err = errors.Join(lock.Truncate(0), write(lock))
	if err != nil {
		_ = lock.Close()
		return nil, unwritable(dir, err)
	}
	return &Folder{dir, lock}, nil
}

func write(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// InUse says whether a server has the folder.
func InUse(dir string) bool {
	f, err := os.Open(filepath.Join(dir, LockFile))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func inUse(dir string, lock io.Reader) error {
	by := ""
	if pid, err := io.ReadAll(io.LimitReader(lock, 32)); err == nil && len(pid) > 0 {
		by = " (process " + strings.TrimSpace(string(pid)) + ")"
	}
	f := core.Faultf(core.Invalid, "serve", dir, "another server%s has this data folder", by)
	f.Hint = "stop it, or give this one another folder with --data"
	return f
}

func unwritable(dir string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	f := core.Faultf(core.Invalid, "serve", dir, "the data folder cannot be written to: %w", err)
	f.Hint = "give this user a folder of its own with --data"
	if errors.Is(err, syscall.ENOSPC) {
		f.Hint = "free some space on the disk"
	}
	return f
}

// Close lets another process have the folder. It is safe to call twice.
func (f *Folder) Close() error {
	if err := f.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return core.Faultf(core.Internal, "serve", f.Dir, "%w", err)
	}
	return nil
}
