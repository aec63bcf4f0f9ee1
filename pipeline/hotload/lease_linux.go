package hotload

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// beingWritten says whether somebody has the file open for writing. The system gives a read
// lease only on a file that nobody writes; it is given back at once. Where it gives none at
// all (a file of another user), the file counts as whole.
func beingWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}
