package hotload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/capstan-video/capstan/core"
)

// maxFiles bounds the files of one capsule's folder: more is a folder that is not a capsule's
// alone.
const maxFiles = 5000

// linkFrom is the size of files that are linked into the copy where the system can, in bytes:
// models, which nobody writes in place.
const linkFrom = 64 << 20

// errBeingWritten says that files changed while they were copied, or are gone again.
var errBeingWritten = errors.New("its files are being written")

// version stands for the files of a capsule and its declaration. It reads no contents: size,
// time and inode of every file count, so that a file that is written, touched or replaced is
// another version.
func (w Wanted) version() (string, error) {
	h := sha256.New()
	said, err := json.Marshal(w.Spec.Declaration)
	if err != nil {
		return "", err
	}
	h.Write(said)
	if w.Digest != "" {
		fmt.Fprintf(h, "package %s %s", w.Digest, w.Spec.Path)
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	err = w.each(func(rel string, info fs.FileInfo) error {
		fmt.Fprintf(h, "%q %d %d %o %s\n", rel, info.Size(), info.ModTime().UnixNano(), info.Mode(), inode(info))
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// each visits the files that belong to a capsule, by path, and links to folders. Hidden ones,
// what editors leave and Python's caches do not belong to it. Links to files count as files.
func (w Wanted) each(visit func(rel string, info fs.FileInfo) error) error {
	if w.Dir == "" {
		info, err := os.Stat(w.Spec.Path)
		if err != nil {
			return err
		}
		return visit(filepath.Base(w.Spec.Path), info)
	}
	dir, err := filepath.EvalSymlinks(w.Dir)
	if err != nil {
		return err
	}
	n := 0
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && ignored(d.Name()) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
			return nil // a link to nowhere, a socket
		}
		if n++; n > maxFiles {
			return core.Faultf(core.Invalid, "watch capsule", w.Dir, "it has more than %d files", maxFiles)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return visit(rel, info)
	})
}

// ignored says whether a file or folder of this name is nothing of the capsule.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || name == "__pycache__" || strings.HasSuffix(name, ".swp")
}

// launch starts a candidate from a copy of its files.
func (c *candidate) launch(ctx context.Context, k *Keeper) {
	spec := c.want.Spec
	if c.want.Digest == "" {
		var err error
		if spec.Path, err = c.copy(k); err != nil {
			c.err = err
			return
		}
	}
	c.capsule, c.err = k.cfg.Launch(ctx, spec)
	if c.err != nil {
		c.capsule = nil // it may be a nil pointer in the interface
		c.err = c.elsewhere(c.err)
	}
}

// elsewhere has a fault speak of the files on disk: the copy is about to go.
func (c *candidate) elsewhere(err error) error {
	if c.copied == "" {
		return err
	}
	return &translated{err, strings.NewReplacer(c.copied, c.want.folder())}
}

// translated is an error in other words.
type translated struct {
	error
	words *strings.Replacer
}

func (t *translated) Error() string { return t.words.Replace(t.error.Error()) }

func (t *translated) Unwrap() error { return t.error }

// folder gives the folder that the files to be copied are in.
func (w Wanted) folder() string {
	if w.Dir != "" {
		return w.Dir
	}
	return filepath.Dir(w.Spec.Path)
}

// copy copies the capsule and gives the path of the program in the copy.
func (c *candidate) copy(k *Keeper) (string, error) {
	c.copied = filepath.Join(k.scratch, c.name+"-"+strconv.FormatUint(k.copies.Add(1), 10))
	from := c.want.folder()
	program, err := filepath.Rel(from, c.want.Spec.Path)
	if err != nil {
		return "", core.Faultf(core.Invalid, "watch capsule", c.name, "%w", err)
	}
	err = c.want.each(func(rel string, info fs.FileInfo) error {
		return copyFile(filepath.Join(c.copied, rel), filepath.Join(from, rel), info)
	})
	after, again := c.want.version()
	if err != nil || again != nil || after != c.version {
		_ = os.RemoveAll(c.copied)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = errBeingWritten
		}
		return "", err
	}
	return filepath.Join(c.copied, program), nil
}

func copyFile(to, from string, info fs.FileInfo) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return core.Faultf(core.Exhausted, "copy capsule", from, "%w", err)
	}
	if info.IsDir() {
		return linkFolder(to, from)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if beingWritten(in) {
		return errBeingWritten
	}
	if info.Size() >= linkFrom && os.Link(from, to) == nil {
		return nil
	}
	if info.Mode()&0o111 != 0 {
		// A process that is started meanwhile would inherit the open file, and the system
		// does not run a program that somebody has open for writing.
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
	if err != nil {
		return core.Faultf(core.Exhausted, "copy capsule", from, "%w", err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return core.Faultf(core.Exhausted, "copy capsule", from, "%w", err)
	}
	return nil
}

// linkFolder makes a link to where another one leads.
func linkFolder(to, from string) error {
	real, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	if real, err = filepath.Abs(real); err != nil {
		return err
	}
	return os.Symlink(real, to)
}

// optionsKey stands for a set of options.
func optionsKey(options map[string]any) string {
	var h hash.Hash = sha256.New()
	text, _ := json.Marshal(options) // maps are sorted; a value without JSON form is the same each time
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}
