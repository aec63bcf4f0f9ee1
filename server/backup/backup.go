// Package backup writes what a server keeps into one file, also while it runs, and puts it back.
//
// The file is a tar archive: the database as it was at one moment, every file that it names, the
// other files of the data folder (keys, certificates, uploaded capsules), and at the end a manifest
// with the size and SHA-256 of each. An archive without the manifest was cut off.
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
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/lifecycle"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

const (
	format       = 1 // of the archive
	manifestName = "capstan-backup.json"
	dbName       = "capstan.db"
	lockName     = "backup.lock"
	stagePrefix  = "backup-"
	attempts     = 3 // of a moment in which no file of the snapshot is deleted
)

// Manifest is what an archive says of itself.
type Manifest struct {
	Format  int       `json:"format"`
	Capstan string    `json:"capstan"` // that has written it
	Made    time.Time `json:"made"`
	Schema  int       `json:"schema"`                   // version of the database
	Apart   bool      `json:"database_apart,omitempty"` // the database is PostgreSQL's, and not in the archive
	Files   []Entry   `json:"files"`
	Damaged []string  `json:"damaged,omitempty"` // files that are not as the database says they were
}

// Entry is one file of an archive.
type Entry struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Bytes gives the size of all files together.
func (m Manifest) Bytes() (n int64) {
	for _, e := range m.Files {
		n += e.Size
	}
	return n
}

// Write writes an archive of a data folder, whose server may run. It needs to write to the folder,
// for the snapshot of the database. Files that are damaged are written as they are, and listed.
// database is the URL of a PostgreSQL database, which only says what files there are: it is backed up
// apart. Empty: it is SQLite, in the folder.
func Write(ctx context.Context, w io.Writer, data, database, version string) (Manifest, error) {
	m := Manifest{Apart: database != "", Format: format, Capstan: version, Made: time.Now().UTC().Truncate(time.Second)}
	unlock, err := lock(data)
	if err != nil {
		return m, err
	}
	defer unlock()
	stage, err := os.MkdirTemp(data, stagePrefix)
	if err != nil {
		return m, fault(data, err)
	}
	defer os.RemoveAll(stage)
	blobs, schema, err := freeze(ctx, data, database, stage)
	if err != nil {
		return m, err
	}
	m.Schema = schema
	a := archive{ctx: ctx, tar: tar.NewWriter(w), manifest: &m}
	if !m.Apart {
		if err := a.add(dbName, filepath.Join(stage, dbName)); err != nil {
			return m, err
		}
	}
	for _, b := range blobs {
		name := blobName(b.ID)
		if err := a.add(name, filepath.Join(stage, filepath.FromSlash(name))); err != nil {
			return m, err
		}
		if e := m.Files[len(m.Files)-1]; e.Size != b.Size || e.SHA256 != b.SHA256 {
			m.Damaged = append(m.Damaged, name)
		}
	}
	if err := a.others(data); err != nil {
		return m, err
	}
	return m, a.finish()
}

// lock lets one backup run at a time, and removes what one that was killed has left.
func lock(data string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(data, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault(data, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, core.Faultf(core.Invalid, "backup", data, "another backup of it is running")
	}
	left, _ := filepath.Glob(filepath.Join(escape(data), stagePrefix+"*"))
	for _, dir := range left {
		if st, err := os.Lstat(dir); err == nil && st.IsDir() {
			_ = os.RemoveAll(dir)
		}
	}
	return func() { _ = f.Close() }, nil
}

// escape keeps a path from being a pattern.
func escape(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}

func fault(on string, err error) error {
	f := core.Faultf(core.Internal, "backup", on, "%w", err)
	if errors.Is(err, fs.ErrPermission) {
		f.Kind, f.Hint = core.Denied, "run it as the user of the server"
	} else if errors.Is(err, fs.ErrNotExist) {
		f.Kind, f.Hint = core.NotFound, "name the data folder with --data"
	}
	return f
}

// freeze puts a snapshot of the database and a link to each of its files into the stage. A file that
// is deleted between the two was deleted from the database as well: then it is tried anew, and in
// the end the snapshot forgets the file, as the database has.
func freeze(ctx context.Context, data, database, stage string) ([]core.Blob, int, error) {
	db := filepath.Join(stage, dbName)
	for n := 1; ; n++ {
		c, err := look(ctx, data, database, db)
		if err != nil {
			return nil, 0, err
		}
		var there []core.Blob
		var gone []core.BlobID
		for _, b := range c.Blobs {
			switch err := hold(data, stage, b.ID); {
			case errors.Is(err, fs.ErrNotExist):
				gone = append(gone, b.ID)
			case err != nil:
				return nil, 0, fault(data, err)
			default:
				there = append(there, b)
			}
		}
		if len(gone) == 0 || n == attempts {
			if database != "" {
				return there, c.Version, nil
			}
			return there, c.Version, sqlstore.Forget(ctx, db, gone)
		}
	}
}

// look reads what is in the database: of SQLite in a snapshot, db.
func look(ctx context.Context, data, database, db string) (sqlstore.Contents, error) {
	if database != "" {
		return sqlstore.InspectPostgres(ctx, database)
	}
	if err := os.RemoveAll(db); err != nil {
		return sqlstore.Contents{}, fault(data, err)
	}
	if err := sqlstore.Snapshot(ctx, filepath.Join(data, dbName), db); err != nil {
		return sqlstore.Contents{}, err
	}
	return sqlstore.Inspect(ctx, db)
}

func blobName(id core.BlobID) string { return fmt.Sprintf("blobs/%02x/%d", uint64(id)%256, int64(id)) }

// hold links a file into the stage, so that it stays whatever the server does.
func hold(data, stage string, id core.BlobID) error {
	name := filepath.FromSlash(blobName(id))
	to := filepath.Join(stage, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	from := filepath.Join(data, name)
	err := os.Link(from, to)
	switch {
	case err == nil, errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return copyFile(from, to) // a disk that has no links
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// archive writes the tar.
type archive struct {
	ctx      context.Context
	tar      *tar.Writer
	manifest *Manifest
}

// add writes one file, with the sum of what was read.
func (a *archive) add(name, file string) error {
	if err := a.ctx.Err(); err != nil {
		return core.Faultf(core.Cancelled, "backup", "", "%w", context.Cause(a.ctx))
	}
	f, err := os.Open(file)
	if err != nil {
		return fault(name, err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fault(name, err)
	}
	if err := a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: 0o600, ModTime: st.ModTime().Truncate(time.Second), Format: tar.FormatPAX}); err != nil {
		return fault(name, err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(a.tar, sum), f, st.Size()); err != nil {
		return fault(name, err)
	}
	a.manifest.Files = append(a.manifest.Files, Entry{name, st.Size(), hex.EncodeToString(sum.Sum(nil))})
	return nil
}

// left are the files of a data folder that a backup has no use for, or has already.
var left = map[string]bool{
	dbName: true, dbName + "-wal": true, dbName + "-shm": true, dbName + "-journal": true, lockName: true, lifecycle.LockFile: true,
}

// others writes what else is in the folder. What packages of capsules were unpacked to is left out:
// the next start unpacks them again.
func (a *archive) others(data string) error {
	err := filepath.WalkDir(data, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it went meanwhile
			}
			return err
		}
		rel, err := filepath.Rel(data, file)
		if err != nil || rel == "." {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "blobs" || rel == "tmp" || strings.HasPrefix(rel, stagePrefix) || path.Base(rel) == "unpacked" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || left[rel] {
			return nil
		}
		return a.add("files/"+rel, file)
	})
	if err != nil && core.KindOf(err) == core.Unknown {
		return fault(data, err)
	}
	return err
}

func (a *archive) finish() error {
	text, err := json.MarshalIndent(a.manifest, "", "  ")
	if err == nil {
		err = a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: manifestName, Size: int64(len(text)), Mode: 0o600, ModTime: a.manifest.Made, Format: tar.FormatPAX})
	}
	if err == nil {
		_, err = a.tar.Write(text)
	}
	if err = errors.Join(err, a.tar.Close()); err != nil {
		return fault(manifestName, err)
	}
	return nil
}
