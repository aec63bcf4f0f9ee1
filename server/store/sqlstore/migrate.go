package sqlstore

import (
	"context"
	"embed"
	"io/fs"
	"path"

	"github.com/uptrace/bun"

	"github.com/capstan-video/capstan/core"
)

// migrations are folders of SQL, one a database, whose files are applied in the order of their
// names; the number of those applied is the version of a database. A released file never changes.
//
//go:embed migrations
var migrations embed.FS

// migrate applies what a database lacks, all in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, path.Join("migrations", s.dialect.folder, "*.sql"))
	if err != nil {
		return core.Faultf(core.Internal, "open database", "", "%w", err)
	}
	t, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return unreachable(s.dialect.name, err)
	}
	defer func() { _ = t.Rollback() }()
	have, err := s.version(ctx, t)
	if err != nil {
		return s.fault(ctx, err)
	}
	if have > len(files) {
		f := core.Faultf(core.Unsupported, "open database", "", "it is of version %d, and this program knows those up to %d", have, len(files))
		f.Hint = "run the newer Capstan that has written it, or restore a backup from before"
		return f
	}
	for _, name := range files[have:] {
		text, err := migrations.ReadFile(name)
		if err == nil {
			_, err = t.Tx.ExecContext(ctx, string(text)) // not through bun: a "?" in it is no value
		}
		if err != nil {
			return s.fault(ctx, core.Faultf(core.Internal, "open database", "", "%s: %w", path.Base(name), err))
		}
	}
	if have < len(files) {
		if _, err := t.ExecContext(ctx, "UPDATE schema_version SET version = ?", len(files)); err != nil {
			return s.fault(ctx, err)
		}
	}
	if err := t.Commit(); err != nil {
		return s.fault(ctx, err)
	}
	return nil
}

// version gives the number of migrations that the database has, 0 for a new one.
func (s *Store) version(ctx context.Context, t bun.Tx) (version int, err error) {
	setup := []string{
		s.dialect.lockSchema,
		"CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)",
		"INSERT INTO schema_version (version) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
	}
	for _, statement := range setup {
		if statement == "" {
			continue
		}
		if _, err := t.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	err = t.NewRaw("SELECT version FROM schema_version").Scan(ctx, &version)
	return version, err
}
