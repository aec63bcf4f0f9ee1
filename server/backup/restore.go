package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// The limits of an archive: a manifest has about 150 bytes a file.
const (
	maxManifest = 1 << 30
	maxFiles    = 1 << 22
)

// Restore puts an archive into a new data folder. Everything is read and checked beside it first:
// when Restore fails there is nothing at dir. Invalid is an archive that is cut off, changed or none,
// Unsupported one of a newer Capstan, Exists a folder that has something in it.
func Restore(ctx context.Context, r io.Reader, dir string) (m Manifest, err error) {
	dir = filepath.Clean(dir)
	if err := vacant(dir); err != nil {
		return m, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return m, restoreFault(dir, err)
	}
	stage, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".restore-")
	if err != nil {
		return m, restoreFault(dir, err)
	}
	defer os.RemoveAll(stage)
	u := unpacker{ctx: ctx, stage: stage, seen: map[string]Entry{}}
	if m, err = u.unpack(r); err != nil {
		return m, err
	}
	if err := u.check(m); err != nil {
		return m, err
	}
	if err := syncTree(stage); err != nil {
		return m, restoreFault(dir, err)
	}
	if err := vacant(dir); err != nil { // somebody may have come meanwhile
		return m, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, restoreFault(dir, err)
	}
	if err := os.Rename(stage, dir); err != nil {
		return m, restoreFault(dir, err)
	}
	return m, restoreFault(dir, syncDir(filepath.Dir(dir)))
}

// vacant refuses a folder that has something in it.
func vacant(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return restoreFault(dir, err)
	case len(list) > 0:
		f := core.Faultf(core.Exists, "restore", dir, "the folder is not empty")
		f.Hint = "restore into a new folder, and move it when the server has stopped"
		return f
	}
	return nil
}

func restoreFault(on string, err error) error {
	if err == nil {
		return nil
	}
	return core.Faultf(core.Internal, "restore", on, "%w", err)
}

func broken(on, text string, args ...any) error {
	f := core.Faultf(core.Invalid, "restore", on, text, args...)
	f.Hint = "nothing was changed; use another backup"
	return f
}

type unpacker struct {
	ctx   context.Context
	stage string
	seen  map[string]Entry
}

// unpack writes the files to the stage, and gives the manifest, which has to come last.
func (u *unpacker) unpack(r io.Reader) (m Manifest, err error) {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return m, broken("", "it is no backup, or was cut off: there is no manifest at its end")
		case err != nil:
			return m, broken("", "it is no backup, or is damaged: %w", err)
		case u.ctx.Err() != nil:
			return m, core.Faultf(core.Cancelled, "restore", "", "%w", context.Cause(u.ctx))
		case h.Typeflag != tar.TypeReg || h.Size < 0 || len(u.seen) >= maxFiles:
			return m, broken(fmt.Sprintf("%.200q", h.Name), "this has no place in a backup")
		case h.Name == manifestName:
			return u.manifest(t, h.Size)
		}
		if err := u.file(h.Name, t); err != nil {
			return m, err
		}
	}
}

func (u *unpacker) manifest(t *tar.Reader, size int64) (m Manifest, err error) {
	if size > maxManifest {
		return m, broken(manifestName, "it has %d bytes", size)
	}
	if err := json.NewDecoder(t).Decode(&m); err != nil {
		return m, broken(manifestName, "it cannot be read: %w", err)
	}
	if m.Format != format || m.Schema > sqlstore.SchemaVersion() {
		f := core.Faultf(core.Unsupported, "restore", "", "Capstan %.40s has written it (format %d, database %d), and this one reads format %d and databases up to %d",
			m.Capstan, m.Format, m.Schema, format, sqlstore.SchemaVersion())
		f.Hint = "restore it with that version or a newer one"
		return m, f
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return m, broken("", "something follows the manifest")
	}
	return m, nil
}

var blobPath = regexp.MustCompile(`^blobs/([0-9a-f]{2})/([1-9][0-9]{0,18})$`)

// place gives where a file of the archive lies in a data folder.
func place(name string) (string, bool) {
	if name == dbName {
		return name, true
	}
	if parts := blobPath.FindStringSubmatch(name); parts != nil {
		id, err := strconv.ParseInt(parts[2], 10, 64)
		return name, err == nil && blobName(core.BlobID(id)) == name
	}
	rest, ok := strings.CutPrefix(name, "files/")
	first, _, _ := strings.Cut(rest, "/")
	if !ok || !filepath.IsLocal(rest) || filepath.ToSlash(filepath.Clean(rest)) != rest || strings.ContainsAny(rest, "\\\x00") || left[rest] || first == "blobs" || len(rest) > 1024 {
		return "", false
	}
	return rest, true
}

func (u *unpacker) file(name string, from io.Reader) error {
	rel, ok := place(name)
	if _, twice := u.seen[name]; !ok || twice {
		return broken(fmt.Sprintf("%.200q", name), "this has no place in a backup")
	}
	to := filepath.Join(u.stage, filepath.FromSlash(rel))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return restoreFault(name, err)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return restoreFault(name, err)
	}
	sum := sha256.New()
	source := &watched{from: from}
	n, err := io.Copy(io.MultiWriter(f, sum), source)
	if source.err != nil {
		err = broken(name, "it is cut off or damaged: %w", source.err)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		if core.KindOf(err) == core.Invalid {
			return err
		}
		return restoreFault(name, err)
	}
	u.seen[name] = Entry{name, n, hex.EncodeToString(sum.Sum(nil))}
	return nil
}

// watched keeps the error of a reader, to tell it from one of the disk.
type watched struct {
	from io.Reader
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// check holds the files against the manifest, and the database against the files.
func (u *unpacker) check(m Manifest) error {
	if len(m.Files) != len(u.seen) {
		return broken("", "it has %d files, and its manifest lists %d", len(u.seen), len(m.Files))
	}
	for _, e := range m.Files {
		if u.seen[e.Name] != e {
			return broken(fmt.Sprintf("%.200q", e.Name), "it is not as the manifest says: it was changed or damaged")
		}
	}
	if _, ok := u.seen[dbName]; m.Apart != !ok {
		return broken(dbName, "the manifest says otherwise of where the database is")
	}
	if m.Apart {
		return nil
	}
	c, err := sqlstore.Inspect(u.ctx, filepath.Join(u.stage, dbName))
	if err != nil {
		return broken(dbName, "%w", err)
	}
	if c.Version != m.Schema {
		return broken(dbName, "it is of version %d, and the manifest says %d", c.Version, m.Schema)
	}
	for _, b := range c.Blobs {
		name := blobName(b.ID)
		e, ok := u.seen[name]
		if !ok || (e.SHA256 != b.SHA256 || e.Size != b.Size) && !slices.Contains(m.Damaged, name) {
			return broken(name, "it is missing or not as the database says")
		}
	}
	return nil
}

// syncTree brings everything below a folder to the disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncDir(path)
	})
}

// syncDir brings a folder's names, or a file, to the disk.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
