package shm

import (
	"errors"
	"fmt"
	"os"

	"github.com/capstan-video/capstan/core"
	"golang.org/x/sys/unix"
)

// arenaSeals is what every arena has: its size is fixed, nobody can map it for writing any
// more (the creator's own mapping, made before, stays), and no seal can be added.
const arenaSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL

// Create makes an arena of size bytes, rounded up to whole pages. Memory is taken from the
// system page by page as it is first written; see Prefault. The caller closes it.
func Create(size int64) (*Arena, error) {
	page := int64(os.Getpagesize())
	if size <= 0 || size > MaxArena {
		return nil, core.Faultf(core.Invalid, "create arena", "", "%d bytes are not within 1..%d", size, int64(MaxArena))
	}
	size = (size + page - 1) / page * page
	fd, err := unix.MemfdCreate("capstan-arena", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return nil, createFault(err)
	}
	file := os.NewFile(uintptr(fd), "capstan-arena")
	bytes, err := mapSealed(fd, size)
	if err != nil {
		file.Close()
		return nil, createFault(err)
	}
	return &Arena{id: lastID.Add(1), bytes: bytes, file: file}, nil
}

func mapSealed(fd int, size int64) ([]byte, error) {
	if err := unix.Ftruncate(fd, size); err != nil {
		return nil, fmt.Errorf("set size to %d bytes: %w", size, err)
	}
	bytes, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, arenaSeals); err != nil {
		return nil, errors.Join(fmt.Errorf("seal: %w", err), unix.Munmap(bytes))
	}
	return bytes, nil
}

func createFault(err error) error {
	f := core.Faultf(core.Exhausted, "create arena", "", "%w", err)
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		f.Kind, f.Hint = core.Unsupported, "shared frames need Linux 5.1 or later; --copy works without them"
	case errors.Is(err, unix.EMFILE):
		f.Hint = "raise the limit of open files: ulimit -n"
	case errors.Is(err, unix.ENOMEM):
		f.Hint = "not enough memory: fewer streams, or smaller pictures"
	}
	return f
}

// Prefault takes the memory of a range now, so that the first write does not pay for it
// (4 ms for a 1080p RGB picture). An older kernel than 5.14 leaves it to the first write.
func (a *Arena) Prefault(offset, length int64) error {
	if offset < 0 || length < 0 || offset > int64(len(a.bytes))-length {
		return core.Faultf(core.Invalid, "prefault arena", "", "bytes %d..%d of %d", offset, offset+length, len(a.bytes))
	}
	if length == 0 {
		return nil
	}
	page := int64(os.Getpagesize())
	from := offset / page * page
	to := min((offset+length+page-1)/page*page, int64(len(a.bytes)))
	err := unix.Madvise(a.bytes[from:to], unix.MADV_POPULATE_WRITE)
	if err == nil || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return core.Faultf(core.Exhausted, "prefault arena", "", "%d bytes: %w", length, err)
}

func (a *Arena) release() error {
	err := unix.Munmap(a.bytes)
	a.bytes = nil
	return errors.Join(err, a.file.Close())
}
