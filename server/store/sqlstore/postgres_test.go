package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"os/user"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/storetest"
)

// server is a private PostgreSQL, on a socket in a folder of its own.
type server struct {
	dir  string
	err  error // why there is none
	stop func()
	n    atomic.Int64 // databases made
}

var (
	theServer  server
	startOnce  sync.Once
	startLimit = 60 * time.Second
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		writeUntilKilled(path)
	}
	code := m.Run()
	if theServer.stop != nil {
		theServer.stop()
	}
	os.Exit(code)
}

// postgres makes an empty database on the private server and gives its URL; it skips the test
// where PostgreSQL is not installed.
func postgres(t testing.TB) string {
	t.Helper()
	startOnce.Do(func() { theServer.err = theServer.start() })
	if theServer.err != nil {
		if os.IsNotExist(theServer.err) {
			t.Skipf("PostgreSQL IS NOT TESTED: %v (on Debian: apt-get install postgresql)", theServer.err)
		}
		t.Fatal(theServer.err)
	}
	name := fmt.Sprint("test", theServer.n.Add(1))
	admin, err := sql.Open("pgx", theServer.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return theServer.url(name)
}

func (s *server) url(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"capstan"}}.Encode()
}

// programs is where Debian keeps those of the newest PostgreSQL, or else those in the path.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", os.ErrNotExist
		}
		return filepath.Dir(path), nil
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// start makes a server and waits until it answers. It refuses to be run by root, and is then run
// by nobody.
func (s *server) start() error {
	bin, err := programs()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "capstan-pg"); err != nil {
		return err
	}
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "capstan", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = attr, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	// No TCP, and no syncing: no test cuts the power.
	run := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=32MB")
	var log bytes.Buffer
	run.SysProcAttr, run.Dir, run.Stdout, run.Stderr = attr, s.dir, &log, &log
	if err := run.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() { _ = run.Wait(); close(gone) }()
	s.stop = func() {
		_ = run.Process.Signal(syscall.SIGINT) // fast shutdown
		select {
		case <-gone:
		case <-time.After(20 * time.Second):
			_ = run.Process.Kill()
			<-gone
		}
		_ = os.RemoveAll(s.dir)
	}
	return s.wait(gone, &log)
}

// wait waits until the server answers.
func (s *server) wait(gone <-chan struct{}, log fmt.Stringer) error {
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-gone:
			return fmt.Errorf("postgres ended: %s", log)
		default:
		}
		if db.Ping() == nil {
			return nil
		}
	}
	return fmt.Errorf("postgres does not answer after %v", startLimit)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) func() store.Store {
		url := postgres(t)
		return func() store.Store { return open(t, url, sealed(t, "key")) }
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
