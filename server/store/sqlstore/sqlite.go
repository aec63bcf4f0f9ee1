package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/capstan-video/capstan/core"
)

// sqliteReaders bounds the views that run at once; more wait. Each connection has a cache of its own.
const sqliteReaders = 8

var sqliteDialect = dialect{
	name:     "SQLite",
	folder:   "sqlite",
	contains: "instr(?, ?) > 0",
	again:    func(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_BUSY },
	full:     func(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_FULL },
}

// sqliteCode gives the primary result code of an error, 0 if it is none of SQLite's.
func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// openSQLite opens the file, and makes it if need be, for its owner only.
//
// One connection writes, since SQLite has one writer at a time anyway: who waits, waits in Go,
// where a context ends it. In WAL mode readers never wait. synchronous is FULL: a commit is on the
// disk when Update returns, so that it survives a power cut as well as kill -9 (NORMAL would
// survive only the second). A server writes a few times a second, and a sync costs about a
// millisecond.
func openSQLite(ctx context.Context, path string) (*Store, error) {
	path = strings.TrimPrefix(path, "//")
	if err := touch(path); err != nil {
		return nil, err
	}
	write, err := sqliteConnect(path, 1, url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)",
		"cache_size(-16000)", "journal_size_limit(67108864)",
	}})
	if err != nil {
		return nil, err
	}
	// The file's mode is changed by the first connection, before any reader looks at it.
	if err := write.PingContext(ctx); err != nil {
		_ = write.Close()
		f := core.Faultf(core.Internal, "open database", "", "%s: %w", path, err)
		f.Hint = "is it a database of Capstan, and may this user write to it?"
		return nil, f
	}
	read, err := sqliteConnect(path, sqliteReaders, url.Values{"_pragma": {
		"busy_timeout(5000)", "query_only(ON)", "cache_size(-8000)",
	}})
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	return &Store{write: write, read: read, dialect: sqliteDialect}, nil
}

// sqliteConnect opens a pool of so many connections.
func sqliteConnect(path string, most int, settings url.Values) (*bun.DB, error) {
	// SQLite takes what follows "file:" as a URL: the path's own "?" and "%" are escaped.
	escaped := (&url.URL{Path: path}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+escaped+"?"+settings.Encode())
	if err != nil {
		return nil, core.Faultf(core.Internal, "open database", "", "%s: %w", path, err)
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// touch makes an empty file unless there is one. SQLite gives its mode to the WAL beside it.
func touch(path string) error {
	if path == "" || strings.ContainsRune(path, 0) || strings.HasPrefix(path, ":") {
		f := core.Faultf(core.Invalid, "open database", "", "%q is not the path of a file", path)
		f.Hint = "for example sqlite:data/capstan.db"
		return f
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		f := core.Faultf(core.Internal, "open database", "", "%w", err)
		if errors.Is(err, fs.ErrNotExist) {
			f.Hint = "make its folder first"
		}
		return f
	}
	return file.Close()
}
