package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/storetest"
)

// open opens a database that must be fine.
func open(t testing.TB, url string, options ...Option) store.Store {
	t.Helper()
	s, err := Open(context.Background(), url, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) func() store.Store {
		path := filepath.Join(t.TempDir(), "capstan.db")
		return func() store.Store { return open(t, "sqlite:"+path, sealed(t, "key")) }
	})
}

func TestSQLiteAlertPages(t *testing.T) {
	t.Parallel()
	storetest.RunAlertPages(t, func(t testing.TB) func() store.Store {
		url := "sqlite:" + filepath.Join(t.TempDir(), "capstan.db")
		t.Cleanup(func() { partsRightAfter(t, url) })
		return func() store.Store { return open(t, url, smallParts) }
	})
}

func TestSQLiteFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd name?mode=ro&x=%20#1 ü.db")
	s := open(t, "sqlite:"+path)
	defer s.Close()
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, and passwords in it", filepath.Base(name), info.Mode())
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := s.(*Store).write.NewRaw("PRAGMA "+pragma).Scan(context.Background(), &got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database. ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		url  string
		kind core.Kind
		says string
	}{
		"nothing":          {"", core.Invalid, "sqlite:PATH"},
		"another database": {"mysql://host/x", core.Invalid, "sqlite:PATH"},
		"no path":          {"sqlite:", core.Invalid, "path"},
		"in memory":        {"sqlite::memory:", core.Invalid, "path"},
		"no folder":        {"sqlite:" + filepath.Join(dir, "no", "x.db"), core.Internal, "folder"},
		"a folder":         {"sqlite:" + dir, core.Internal, "directory"},
		"garbage":          {"sqlite:" + garbage, core.Internal, "database of Capstan"},
		"odd URL":          {"postgres://user:secret@host:port/x", core.Invalid, ""},
		"nobody there":     {"postgres://user:secret@127.0.0.1:1/x", core.Internal, "running"},
	} {
		_, err := Open(context.Background(), c.url)
		if core.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
			continue
		}
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q does not say %q", name, err, c.says)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

// TestNewer: a database of a newer program is left as it is.
func TestNewer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "capstan.db")
	_ = open(t, "sqlite:"+path).Close()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE schema_version SET version = 1000"); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), "sqlite:"+path)
	if core.KindOf(err) != core.Unsupported || !strings.Contains(err.Error(), "1000") || !strings.Contains(err.Error(), "newer Capstan") {
		t.Errorf("open: %v", err)
	}
}

// TestMigrationWhole: a migration that fails leaves nothing behind, and is done when it is mended.
func TestMigrationWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "capstan.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE users (x TEXT)"); err != nil { // in the way of the migration
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), "sqlite:"+path); core.KindOf(err) != core.Internal || !strings.Contains(err.Error(), "0001_begin.sql") {
		t.Fatalf("open: %v", err)
	}
	var tables int
	if err := db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").Scan(&tables); err != nil || tables != 1 {
		t.Fatalf("%d tables are left (%v), want the one that was there", tables, err)
	}
	if _, err := db.Exec("DROP TABLE users"); err != nil {
		t.Fatal(err)
	}
	_ = open(t, "sqlite:"+path).Close()
}

// TestFull fills the disk: what was acknowledged stays, the fault says what is wrong, and with room
// again the same store goes on.
func TestFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("A FULL DISK IS NOT TESTED: no tmpfs can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, "sqlite:"+filepath.Join(dir, "capstan.db"))
	defer s.Close()
	save := func(i int) error {
		return s.Update(context.Background(), func(tx store.Tx) error {
			return tx.SaveValue(fmt.Sprint(i), make([]byte, 100_000))
		})
	}
	kept, err := 0, error(nil)
	for ; kept < 1000 && err == nil; kept++ {
		err = save(kept)
	}
	kept-- // the last one failed
	if core.KindOf(err) != core.Internal || !strings.Contains(err.Error(), "disk of the database is full") {
		t.Fatalf("after %d values: %v", kept, err)
	}
	check := func() {
		t.Helper()
		err := s.View(context.Background(), func(tx store.Tx) error {
			for i := range kept + 1 {
				v, err := tx.Value(fmt.Sprint(i))
				if err != nil {
					return err
				}
				if (i < kept) != (len(v) == 100_000) {
					t.Errorf("value %d of %d has %d bytes", i, kept, len(v))
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	check()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := save(kept); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	kept++
	check()
}

// FuzzText looks that any text either comes back as it was or is refused.
func FuzzText(f *testing.F) {
	s := open(f, "sqlite:"+filepath.Join(f.TempDir(), "capstan.db"))
	f.Cleanup(func() { _ = s.Close() })
	for _, seed := range []string{"", "anna", "'\"\\", "\x00", "\xff", "🎥", "?0 ?", "\u2028"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		err := s.Update(context.Background(), func(tx store.Tx) error {
			want := core.Identity{UniqueName: name, Nickname: value, Metadata: map[string]any{name: value}}
			id, err := tx.SaveIdentity(want)
			if err != nil {
				return err
			}
			got, err := tx.Identity(id)
			if err != nil {
				return err
			}
			if got.UniqueName != name || got.Nickname != value || len(got.Metadata) != 1 || got.Metadata[name] != value {
				t.Errorf("%q, %q came back as %+v", name, value, got)
			}
			if found, n, err := tx.Identities(store.IdentityFilter{Search: value}); err != nil || n != 1 || found[0].ID != id {
				t.Errorf("searching %q: %+v, %d, %v", value, found, n, err)
			}
			return tx.DeleteIdentity(id)
		})
		if err != nil && core.KindOf(err) != core.Invalid {
			t.Errorf("%q, %q: %v", name, value, err)
		}
		if storable(name) && storable(value) && max(len(name), len(value)) <= store.MaxName && err != nil {
			t.Errorf("%q, %q refused: %v", name, value, err)
		}
	})
}
