//go:build !unix

package hotload

import (
	"io/fs"
	"os"
)

func inode(fs.FileInfo) string { return "" }

// locks says that files can be locked; without locks nobody's folder is removed.
const locks = false

func tryLock(*os.File) bool { return false }
