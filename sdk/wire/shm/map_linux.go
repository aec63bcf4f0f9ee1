package shm

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// Mapping is somebody else's arena, mapped for reading.
type Mapping struct {
	mu    sync.Mutex
	bytes []byte
}

// Map maps an arena that is said to have size bytes. It believes neither the size nor the
// sender: a file that could be changed in size later, and so break its readers, is refused with
// a fault of kind Invalid. file may be closed afterwards.
func Map(file *os.File, size int64) (*Mapping, error) {
	const op = "map arena"
	if size <= 0 || size > MaxArena || size > math.MaxInt {
		return nil, core.Faultf(core.Invalid, op, "", "%d bytes are not within 1..%d", size, int64(MaxArena))
	}
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, core.Faultf(core.Invalid, op, "", "%w", err)
	}
	defer unix.Close(fd)
	resident, err := checkArena(fd, size)
	if err != nil {
		return nil, core.Faultf(core.Invalid, op, "", "%w", err)
	}
	flags := unix.MAP_SHARED
	if resident >= size/4*3 {
		// Looking the pages up now saves 1 ms at the first touch of each picture. In an arena
		// with many pages that were never written it would take memory for all of them.
		flags |= unix.MAP_POPULATE
	}
	bytes, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ, flags)
	if err != nil {
		return nil, core.Faultf(core.Exhausted, op, "", "%d bytes: %w", size, err)
	}
	return &Mapping{bytes: bytes}, nil
}

// checkArena gives the bytes that have memory already.
func checkArena(fd int, size int64) (resident int64, err error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return 0, errors.New("it is no memfd")
	}
	const fixed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if seals&fixed != fixed {
		return 0, errors.New("it is not sealed: its size could change")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if st.Size < size {
		return 0, fmt.Errorf("it has %d bytes, %d were announced", st.Size, size)
	}
	return st.Blocks * 512, nil
}

// Bytes gives the whole block, nil after Close. Writing to it ends the process.
func (m *Mapping) Bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// Close unmaps it; nobody may read Bytes any more. It is safe to call twice.
func (m *Mapping) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bytes == nil {
		return nil
	}
	err := unix.Munmap(m.bytes)
	m.bytes = nil
	return err
}
