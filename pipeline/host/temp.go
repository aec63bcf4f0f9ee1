package host

import (
	"os"
	"path/filepath"
	"sync"
)

// tempPrefix begins the name of a host's temporary folder. It is short: paths of sockets are, too.
const tempPrefix = "capstan-"

// temp is a folder for the sockets and temporary files of a host's capsules. A lock in it says that
// the host lives: what a host that was killed has left is removed by the next one.
type temp struct {
	mu   sync.Mutex
	dir  string // empty: there is none
	lock *os.File
}

// path makes the folder if need be; empty where the capsules use the system's.
func (t *temp) path() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir != "" || !canLock {
		return t.dir, nil
	}
	sweepTemp()
	dir, err := os.MkdirTemp("", tempPrefix)
	if err != nil {
		return "", err
	}
	lock, err := lockIn(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	t.dir, t.lock = dir, lock
	return dir, nil
}

// close removes the folder. It is safe to call twice.
func (t *temp) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dir == "" {
		return
	}
	_ = os.RemoveAll(t.dir)
	_ = t.lock.Close()
	t.dir = ""
}

// sweepTemp removes the folders of hosts that are gone. Those of others, and those that are being
// made and have no lock yet, stay.
func sweepTemp() {
	found, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"[0-9]*"))
	for _, dir := range found {
		if lock, err := takeLock(dir); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}
