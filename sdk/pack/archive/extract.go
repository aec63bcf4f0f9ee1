package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/capstan-video/capstan/core"
)

// Extraction says how a folder is made of an archive.
type Extraction struct {
	// Check is asked about every file once it is written; sum is the SHA-256 of its content in
	// hexadecimal digits. nil: everything is good.
	Check func(f *File, sum string) error
	// Executable says which files are; nil: as the zip says.
	Executable func(f *File) bool
	// Progress is told how many bytes are written so far; nil: nobody.
	Progress func(done, total int64)
	// ReadOnly takes the right to write from files; folders keep it, so that they can be removed.
	ReadOnly bool
}

// Extract makes the folder dir, which must not be there yet, of the archive. It is there as a
// whole or not at all: it is written beside its place and renamed. Its parent is made.
func (a *Archive) Extract(ctx context.Context, dir string, x Extraction) (err error) {
	if _, err := os.Lstat(dir); err == nil {
		f := core.Faultf(core.Exists, "extract", dir, "it is there already")
		f.Hint = "name a folder that is not there yet"
		return f
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return core.Faultf(core.Denied, "extract", dir, "%w", err)
	}
	part, err := os.MkdirTemp(parent, ".extract-")
	if err != nil {
		return core.Faultf(core.Denied, "extract", dir, "%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(part))
		}
	}()
	if err := os.Chmod(part, 0o755); err != nil {
		return err
	}
	if err := a.fill(ctx, part, x); err != nil {
		return err
	}
	if err := os.Rename(part, dir); err != nil {
		return core.Faultf(core.Exists, "extract", dir, "%w", err)
	}
	return nil
}

func (a *Archive) fill(ctx context.Context, dir string, x Extraction) error {
	root, err := os.OpenRoot(dir) // a second wall: no name reaches out of it
	if err != nil {
		return err
	}
	defer root.Close()
	w := filler{root: root, x: x, total: a.Size}
	for _, name := range a.Folders {
		if err := root.MkdirAll(filepath.FromSlash(name), 0o755); err != nil {
			return core.Faultf(core.Denied, "extract", name, "%w", err)
		}
	}
	for _, f := range a.Files {
		if err := w.file(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

type filler struct {
	root        *os.Root
	x           Extraction
	done, total int64
	ctx         context.Context
}

func (w *filler) file(ctx context.Context, f *File) error {
	name := filepath.FromSlash(f.Path)
	if dir := path.Dir(f.Path); dir != "." {
		if err := w.root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
			return core.Faultf(core.Denied, "extract", f.Path, "%w", err)
		}
	}
	mode := os.FileMode(0o644)
	if w.x.Executable == nil && f.Executable || w.x.Executable != nil && w.x.Executable(f) {
		mode = 0o755
	}
	if w.x.ReadOnly {
		mode &= 0o555
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := w.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return core.Faultf(core.Denied, "extract", f.Path, "%w", err)
	}
	sum := sha256.New()
	w.ctx = ctx
	_, err = io.Copy(io.MultiWriter(out, sum), counted{in, w})
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if w.x.Check == nil {
		return nil
	}
	return w.x.Check(f, hex.EncodeToString(sum.Sum(nil)))
}

// counted tells of every byte that is read, and ends with the context.
type counted struct {
	io.Reader
	w *filler
}

func (c counted) Read(p []byte) (int, error) {
	if err := c.w.ctx.Err(); err != nil {
		return 0, core.Faultf(core.Cancelled, "extract", "", "%w", context.Cause(c.w.ctx))
	}
	n, err := c.Reader.Read(p)
	c.w.done += int64(n)
	if c.w.x.Progress != nil {
		c.w.x.Progress(c.w.done, c.w.total)
	}
	return n, err
}
