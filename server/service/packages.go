package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/pack"
)

const (
	packageList   = "loaded.json"
	packageFile   = "capsule" + pack.Extension
	packagePrefix = "capsule-" // of the folders that packages have
	// maxPackageList bounds the list, in bytes.
	maxPackageList = 1 << 20
)

// packages is the folder of the capsules that came over HTTP. Each package has a folder of its
// own, and a list names those that count; a folder that it does not name is left of something that
// did not end, and goes at the next start. The list alone is ever replaced, as a whole.
type packages struct{ dir string }

// kept is a package in the list.
type kept struct {
	Folder string      `json:"folder"`
	Digest string      `json:"digest"` // of the package
	Blob   core.BlobID `json:"blob"`   // that it came as
	Loaded time.Time   `json:"loaded"`
	By     string      `json:"by"`
}

func (p packages) file(k kept) string { return filepath.Join(p.dir, k.Folder, packageFile) }

// read gives the list by name of capsule.
func (p packages) read() (map[string]kept, error) {
	list := map[string]kept{}
	f, err := os.Open(filepath.Join(p.dir, packageList))
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, diskFault(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPackageList))
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	for name, k := range list {
		if !core.ValidName(name) || !strings.HasPrefix(k.Folder, packagePrefix) || filepath.Base(k.Folder) != k.Folder {
			err = errors.New("it names what cannot be")
		}
	}
	if err != nil {
		fault := core.Faultf(core.Internal, "loaded capsules", f.Name(), "%w", err)
		fault.Hint = "put the file of a backup in its place, or remove it and load the capsules again"
		return nil, fault
	}
	return list, nil
}

// write replaces the list, for good once it returns.
func (p packages) write(list map[string]kept) error {
	data, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(p.dir, packagePrefix+"*.list")
	if err != nil {
		return diskFault(err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(p.dir, packageList))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return diskFault(err)
	}
	return diskFault(syncDir(p.dir))
}

// put copies a package into a folder of its own, which is not in the list yet.
func (p packages) put(ctx context.Context, from io.Reader) (folder string, err error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return "", diskFault(err)
	}
	dir, err := os.MkdirTemp(p.dir, packagePrefix)
	if err != nil {
		return "", diskFault(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, packageFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.Copy(f, untilDone{ctx, from})
		err = errors.Join(err, f.Sync(), f.Close(), syncDir(dir), syncDir(p.dir))
	}
	folder = filepath.Base(dir)
	if err != nil {
		p.remove(folder)
		return "", diskFault(err)
	}
	return folder, nil
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (r untilDone) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(b)
}

// remove deletes a package's folder. What cannot be deleted goes at the next start.
func (p packages) remove(folder string) { _ = os.RemoveAll(filepath.Join(p.dir, folder)) }

// sweep removes what the list does not name.
func (p packages) sweep(list map[string]kept) {
	named := map[string]bool{}
	for _, k := range list {
		named[k.Folder] = true
	}
	entries, _ := os.ReadDir(p.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), packagePrefix) && !named[e.Name()] {
			p.remove(e.Name())
		}
	}
}

// diskFault wraps an error of the disk; nil stays nil.
func diskFault(err error) error {
	switch {
	case err == nil, core.KindOf(err) != core.Unknown:
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return core.Faultf(core.Cancelled, "", "capsule", "%w", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f := core.Faultf(core.Exhausted, "", "disk", "that of the server is full: %w", err)
		f.Hint = "the server's administrator has to make room: delete streams, alerts or files, or give the data folder a larger disk"
		return f
	default:
		return core.Faultf(core.Internal, "", "capsule", "%w", err)
	}
}

// syncDir brings the names in a folder to the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
