package sqlstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/pgtest"
	"github.com/capstan-video/capstan/server/store/storetest"
)

// theServer is started by the first test that needs it.
var theServer struct {
	once sync.Once
	*pgtest.Server
	err error
}

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		writeUntilKilled(path)
	}
	code := m.Run()
	if theServer.Server != nil {
		_ = theServer.Stop()
	}
	os.Exit(code)
}

// postgres makes an empty database on the private server and gives its URL; it skips the test
// where PostgreSQL is not installed.
func postgres(t testing.TB) string {
	t.Helper()
	theServer.once.Do(func() { theServer.Server, theServer.err = pgtest.Start() })
	if theServer.err != nil {
		if errors.Is(theServer.err, fs.ErrNotExist) {
			t.Skipf("PostgreSQL IS NOT TESTED: %v (on Debian: apt-get install postgresql)", theServer.err)
		}
		t.Fatal(theServer.err)
	}
	url, err := theServer.Make()
	if err != nil {
		t.Fatal(err)
	}
	return url
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) func() store.Store {
		url := postgres(t)
		return func() store.Store { return open(t, url, sealed(t, "key")) }
	})
}

func TestPostgresAlertPages(t *testing.T) {
	t.Parallel()
	storetest.RunAlertPages(t, func(t testing.TB) func() store.Store {
		url := postgres(t)
		t.Cleanup(func() { partsRightAfter(t, url) })
		return func() store.Store { return open(t, url, smallParts) }
	})
}

// TestPostgresOpenedAtOnce: several programs bring a new database up to date; one does it.
func TestPostgresOpenedAtOnce(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			s, err := Open(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	wait.Wait()
}

// TestPostgresBack: when connections are cut, what runs fails, and what comes later does not.
func TestPostgresBack(t *testing.T) {
	t.Parallel()
	s := open(t, postgres(t))
	defer s.Close()
	ctx := context.Background()
	err := s.Update(ctx, func(tx store.Tx) error {
		if err := tx.SaveValue("lost", []byte("x")); err != nil {
			return err
		}
		if _, err := s.(*Store).write.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			return err
		}
		return tx.SaveValue("lost too", []byte("x"))
	})
	if core.KindOf(err) != core.Internal {
		t.Fatalf("update without a connection: %v", err)
	}
	err = s.Update(ctx, func(tx store.Tx) error {
		if v, err := tx.Value("lost"); v != nil || err != nil {
			t.Errorf("%q, %v came from nowhere", v, err)
		}
		return tx.SaveValue("kept", []byte("x"))
	})
	if err != nil {
		t.Errorf("after that: %v", err)
	}
}
