package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// folder keeps blobs in a folder, each under the SHA-256 of its content. A file is whole or not
// there: it gets its name when it is on the disk.
type folder struct{ dir string }

var _ service.Files = folder{}

const unfinished = "part-*"

// openFiles makes the folder, and clears away what a server that was killed left half written.
func openFiles(dir string) (folder, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		f := core.Faultf(core.Invalid, "serve", "", "the data folder cannot be made: %w", err)
		f.Hint = "name a folder that can be written to with --data"
		return folder{}, f
	}
	old, err := filepath.Glob(filepath.Join(dir, unfinished))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	return folder{dir}, err
}

// Path is where the content lies.
func (f folder) Path(sum string) string { return filepath.Join(f.dir, sum) }

// Put writes what it reads to the disk.
func (f folder) Put(ctx context.Context, from io.Reader) (sum string, size int64, err error) {
	part, err := os.CreateTemp(f.dir, unfinished)
	if err != nil {
		return "", 0, diskFault(err)
	}
	defer os.Remove(part.Name())
	defer part.Close()
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(part, hash), until{ctx, from})
	if err != nil {
		return "", 0, diskFault(err)
	}
	if err := errors.Join(part.Sync(), part.Close()); err != nil {
		return "", 0, diskFault(err)
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	if err := os.Rename(part.Name(), f.Path(sum)); err != nil {
		return "", 0, diskFault(err)
	}
	return sum, size, nil
}

// until reads until its context ends.
type until struct {
	ctx  context.Context
	from io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, core.Faultf(core.Cancelled, "read", "", "%w", context.Cause(u.ctx))
	}
	return u.from.Read(p)
}

// diskFault keeps what is no fault of the disk as it is, such as a client that went away.
func diskFault(err error) error {
	var of *fs.PathError
	if !errors.As(err, &of) {
		return err
	}
	f := core.Faultf(core.Exhausted, "keep file", "", "%w", of.Err)
	f.Hint = "is the disk full?"
	return f
}

// Open gives the content.
func (f folder) Open(_ context.Context, sum string) (io.ReadSeekCloser, error) {
	file, err := os.Open(f.Path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, core.Faultf(core.NotFound, "", "blob", "its file is not there")
	}
	if err != nil {
		return nil, diskFault(err)
	}
	return file, nil
}

// Delete forgets the content.
func (f folder) Delete(_ context.Context, sum string) error {
	if err := os.Remove(f.Path(sum)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskFault(err)
	}
	return nil
}
