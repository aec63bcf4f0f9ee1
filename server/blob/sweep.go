package blob

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/capstan-video/capstan/core"
)

// Swept is what a sweep has found.
type Swept struct {
	Files   int   // looked at
	Removed int   // those without a row
	Bytes   int64 // that they had
	Strange int   // whose names are none of ours; they are left alone
}

// Sweep removes files that have no row: what failed transactions, deleted alerts and crashes have
// left. Those of a Pending that is not closed are left alone. has says whether the store has a row
// now; its failure ends the sweep, and is given with what was done until then.
func (f *Folder) Sweep(ctx context.Context, has func(core.BlobID) (bool, error)) (Swept, error) {
	var s Swept
	folders, err := os.ReadDir(f.dir)
	if err != nil {
		return s, core.Faultf(core.Internal, "sweep blobs", "", "%w", err)
	}
	for _, d := range folders {
		if !d.IsDir() || d.Name() == tmpDir {
			continue
		}
		files, err := os.ReadDir(filepath.Join(f.dir, d.Name()))
		if err != nil {
			return s, core.Faultf(core.Internal, "sweep blobs", "", "%w", err)
		}
		for _, e := range files {
			if ctx.Err() != nil {
				return s, core.Faultf(core.Cancelled, "sweep blobs", "", "%w", context.Cause(ctx))
			}
			if err := f.sweepOne(filepath.Join(f.dir, d.Name(), e.Name()), has, &s); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// sweepOne looks at one file. It asks for the Pending first and for the row after that: a file that
// no Pending holds has its row by now or never.
func (f *Folder) sweepOne(path string, has func(core.BlobID) (bool, error), s *Swept) error {
	n, err := strconv.ParseInt(filepath.Base(path), 10, 64)
	id := core.BlobID(n)
	if err != nil || n < 1 || f.path(id) != path {
		s.Strange++
		return nil
	}
	s.Files++
	if f.held(id) {
		return nil
	}
	if known, err := has(id); err != nil || known {
		return err
	}
	info, err := os.Lstat(path)
	if err == nil {
		err = os.Remove(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return core.Faultf(core.Internal, "sweep blobs", "blob", "%w", err)
	}
	s.Removed++
	s.Bytes += info.Size()
	return nil
}

// Missing gives those of some blobs that have no file, or one of another size: what a disk or
// somebody has damaged.
func (f *Folder) Missing(blobs []core.Blob) []core.BlobID {
	var out []core.BlobID
	for _, b := range blobs {
		if info, err := os.Stat(f.path(b.ID)); err != nil || info.Size() != b.Size {
			out = append(out, b.ID)
		}
	}
	return out
}
