//go:build unix

package hotload

import (
	"io/fs"
	"strconv"
	"syscall"
)

// inode tells a file from another one of the same name, size and time.
func inode(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(uint64(st.Ino), 10)
	}
	return ""
}
