package sqlstore

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
)

// SchemaVersion is the version that this program brings databases up to.
func SchemaVersion() int {
	files, err := fs.Glob(migrations, path.Join("migrations", sqliteDialect.folder, "*.sql"))
	if err != nil {
		return 0 // only a pattern that is none fails
	}
	return len(files)
}

// Snapshot writes what an SQLite database holds at one moment to a new file, readable by this user
// alone. The database may be in use, and is not brought up to date. The fault is Exists when there
// is such a file, NotFound when there is no database.
func Snapshot(ctx context.Context, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return core.Faultf(core.NotFound, "snapshot", from, "there is no database: %w", err)
	}
	if _, err := os.Stat(to); err == nil {
		return core.Faultf(core.Exists, "snapshot", to, "there is a file of this name")
	}
	if err := touch(to); err != nil { // VACUUM INTO takes an empty file, and keeps its mode
		return err
	}
	db, err := sqliteConnect(from, 1, url.Values{"_pragma": {"busy_timeout(30000)", "query_only(OFF)"}})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		_ = os.Remove(to)
		f := core.Faultf(core.Internal, "snapshot", from, "%w", err)
		f.Hint = "is it a database of Capstan, may this user write beside it, and is there room on the disk?"
		return f
	}
	return syncFile(to)
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return core.Faultf(core.Internal, "snapshot", name, "%w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return core.Faultf(core.Internal, "snapshot", name, "%w", err)
	}
	return nil
}

// Contents is what a database file says of itself.
type Contents struct {
	Version int // of its schema
	Blobs   []core.Blob
}

// Inspect reads a database file that nobody has open, without bringing it up to date. It is Invalid
// when it is damaged.
func Inspect(ctx context.Context, file string) (c Contents, err error) {
	db, err := sqliteConnect(file, 1, url.Values{"mode": {"ro"}})
	if err != nil {
		return c, err
	}
	defer db.Close()
	var verdict string
	if err := db.NewRaw("PRAGMA integrity_check(1)").Scan(ctx, &verdict); err != nil || verdict != "ok" {
		return c, core.Faultf(core.Invalid, "inspect database", "", "it is damaged, or no database of Capstan: %w", errors.Join(err, errors.New(verdict)))
	}
	return contents(ctx, db)
}

// InspectPostgres reads a PostgreSQL database that may be in use, without bringing it up to date.
func InspectPostgres(ctx context.Context, url string) (c Contents, err error) {
	s, err := openPostgres(url)
	if err != nil {
		return c, err
	}
	defer s.Close()
	return contents(ctx, s.read)
}

func contents(ctx context.Context, db *bun.DB) (c Contents, err error) {
	damaged := func(err error) error {
		return core.Faultf(core.Invalid, "inspect database", "", "it cannot be read, is damaged, or none of Capstan: %w", err)
	}
	if err := db.NewRaw("SELECT version FROM schema_version").Scan(ctx, &c.Version); err != nil {
		return c, damaged(err)
	}
	var rows []struct {
		ID     int64  `bun:"id"`
		Size   int64  `bun:"size"`
		SHA256 string `bun:"sha256"`
	}
	if err := db.NewRaw("SELECT id, size, sha256 FROM blobs ORDER BY id").Scan(ctx, &rows); err != nil {
		return c, damaged(err)
	}
	for _, r := range rows {
		c.Blobs = append(c.Blobs, core.Blob{ID: core.BlobID(r.ID), Size: r.Size, SHA256: r.SHA256})
	}
	return c, nil
}

// Forget deletes rows of blobs from a database file that nobody has open; what named them names
// none then.
func Forget(ctx context.Context, file string, ids []core.BlobID) error {
	if len(ids) == 0 {
		return nil
	}
	db, err := sqliteConnect(file, 1, url.Values{"_pragma": {"foreign_keys(ON)"}})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "DELETE FROM blobs WHERE id IN (?)", bun.List(ids)); err != nil {
		return core.Faultf(core.Internal, "forget blobs", "", "%w", err)
	}
	return nil
}
