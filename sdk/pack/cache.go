package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/onnx/files"
)

// Cache keeps packages as folders to run from, one for each digest. Several processes may use
// one cache.
type Cache struct{ Dir string }

// DefaultCache is capsules in the folder for downloads ($CAPSTAN_CACHE, else the user's).
func DefaultCache() (Cache, error) {
	dir := files.Cache()
	if dir == "" {
		f := core.Faultf(core.Invalid, "package", "", "there is no folder to unpack it to: neither %s nor HOME is set", files.CacheEnv)
		f.Hint = "name one in " + files.CacheEnv
		return Cache{}, f
	}
	return Cache{filepath.Join(dir, "capsules")}, nil
}

// Folder gives where the package is, or would be.
func (c Cache) Folder(p *Package) string {
	name := p.Manifest.Name
	return filepath.Join(c.Dir, fmt.Sprintf("%s-%s", name[:min(len(name), 60)], p.Digest))
}

// Unpack gives the folder of the package. One that is there is checked file by file, and made
// anew where it is not what the package says.
func (c Cache) Unpack(ctx context.Context, p *Package, progress func(done, total int64)) (string, error) {
	dir := c.Folder(p)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil { // it may hold what came encrypted
		return "", core.Faultf(core.Denied, "package", c.Dir, "%w", cause(err))
	}
	var err error
	for range 3 { // another process may be at it too
		if err = p.Matches(dir); err == nil {
			return dir, nil
		}
		if _, missing := os.Lstat(dir); missing == nil {
			if err := c.discard(dir); err != nil {
				return "", err
			}
		}
		c.tidy()
		if err = p.extract(ctx, dir, progress, true); err != nil && core.KindOf(err) != core.Exists {
			return "", err
		}
		if err == nil {
			return dir, nil
		}
	}
	return "", err
}

// discard takes a folder out of the way at once and removes it then. Programs that run from it
// go on.
func (c Cache) discard(dir string) error {
	old, err := os.MkdirTemp(c.Dir, ".extract-")
	if err != nil {
		return core.Faultf(core.Denied, "package", c.Dir, "%w", cause(err))
	}
	if err := os.Rename(dir, filepath.Join(old, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(core.Faultf(core.Denied, "package", dir, "%w", err), os.RemoveAll(old))
	}
	return os.RemoveAll(old)
}

// tidy removes what extractions have left whose process was killed.
func (c Cache) tidy() {
	entries, _ := os.ReadDir(c.Dir)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), ".extract-") && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(filepath.Join(c.Dir, e.Name())) // tried again the next time
		}
	}
}

// Matches says what in the folder dir differs from the package; nil when nothing does. Caches
// that Python makes, and signatures, may differ.
func (p *Package) Matches(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		return err
	}
	if !bytes.Equal(text, p.Text) {
		return refuse("%s has another %s", dir, manifest.FileName)
	}
	for _, f := range p.Manifest.Files {
		if err := matches(filepath.Join(dir, filepath.FromSlash(f.Path)), f); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == "__pycache__":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if _, ok := p.listed(name); !ok && name != manifest.FileName && name != SignatureName {
			return refuse("%s is not of the package", path)
		}
		return nil
	})
}

func matches(path string, want manifest.File) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() != want.Size || (info.Mode()&0o100 != 0) != want.Executable:
		return refuse("%s is not what the package says", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return refuse("%s has other content than the package says", path)
	}
	return nil
}
