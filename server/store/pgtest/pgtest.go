// Package pgtest runs a private PostgreSQL for tests: in a folder of its own, on a socket, with
// nobody else's data.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

const (
	startLimit = 60 * time.Second
	stopLimit  = 20 * time.Second
)

// Server is a private PostgreSQL. One goroutine starts and stops it.
type Server struct {
	bin, dir string
	attr     *syscall.SysProcAttr
	run      *exec.Cmd
	gone     chan struct{}
	made     atomic.Int64 // databases
}

// Start makes a server and waits until it answers; the caller stops it. It fails with
// fs.ErrNotExist where PostgreSQL is not installed. PostgreSQL refuses to be run by root, and is
// then run by nobody. The server dies with this process.
func Start() (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, attr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}}
	if s.dir, err = os.MkdirTemp("", "capstan-pg"); err != nil {
		return nil, err
	}
	if err = s.init(); err == nil {
		err = s.Run()
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// programs is where Debian keeps those of the newest PostgreSQL, or else those in the path.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", fs.ErrNotExist
		}
		return filepath.Dir(path), nil
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *Server) init() error {
	if os.Getuid() == 0 {
		nobody, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
		gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
		if err := os.Chown(s.dir, int(uid), int(gid)); err != nil {
			return err
		}
		s.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	initdb := exec.Command(filepath.Join(s.bin, "initdb"), "-D", s.data(), "-U", "capstan", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = s.attr, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Run starts a server that was killed, on its data, and waits until it answers.
func (s *Server) Run() error {
	// No TCP, and no syncing: no test cuts the power.
	run := exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=32MB")
	var log bytes.Buffer
	run.SysProcAttr, run.Dir, run.Stdout, run.Stderr = s.attr, s.dir, &log, &log
	if err := run.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() { _ = run.Wait(); close(gone) }() // ends with the process, for which Kill and Stop wait
	s.run, s.gone = run, gone
	return s.wait(&log)
}

// wait waits until the server answers.
func (s *Server) wait(log fmt.Stringer) error {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.gone:
			return fmt.Errorf("postgres ended: %s", log)
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err = db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("postgres does not answer after %v: %w", startLimit, err)
}

// URL gives the URL of a database.
func (s *Server) URL(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"capstan"}}.Encode()
}

// Make makes an empty database and gives its URL.
func (s *Server) Make() (string, error) {
	name := fmt.Sprint("test", s.made.Add(1))
	admin, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		return "", err
	}
	return s.URL(name), nil
}

// Kill ends the server at once, as a crash does: no connection is told. Run starts it again.
func (s *Server) Kill() error {
	if s.run == nil {
		return nil
	}
	err := s.run.Process.Signal(syscall.SIGQUIT) // also ends the processes of connections, without a checkpoint
	s.end()
	return err
}

// Stop ends the server and deletes its data. It is safe to call twice.
func (s *Server) Stop() error {
	if s.run != nil {
		_ = s.run.Process.Signal(syscall.SIGINT) // fast shutdown
		s.end()
	}
	return os.RemoveAll(s.dir)
}

func (s *Server) end() {
	select {
	case <-s.gone:
	case <-time.After(stopLimit):
		_ = s.run.Process.Kill()
		<-s.gone
	}
	s.run = nil
}
