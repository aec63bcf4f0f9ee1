package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/config"
)

// capstan runs a command, and gives what it printed.
func capstan(ctx context.Context, in []byte, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := rootCommand()
	cmd.SetIn(bytes.NewReader(in))
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

// TestBackupOfAServer backs a server up under load, restores it elsewhere, and finds everything.
func TestBackupOfAServer(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data, c.AdminPassword = filepath.Join(t.TempDir(), "data"), "a test's own"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	const auth = "admin:a test's own"
	var blob, stream int
	s.call("POST", "/api/storage", auth, []byte("what was uploaded"), &blob)
	var made struct {
		ID int `json:"id"`
	}
	s.call("POST", "/api/streams", auth, map[string]any{"id": nil, "name": "clip", "premises_id": nil, "connection_type": "file",
		"connection_options": map[string]any{"storage_id": blob}, "runtime_options": map[string]any{}, "metadata": map[string]any{"a": "b"}}, &made)
	stream = made.ID
	s.call("POST", "/api/zones", auth, map[string]any{"id": nil, "name": "all", "stream_id": stream, "coords": [][]int{{0, 0}, {9, 0}, {9, 9}}, "alarms": []any{}}, nil)
	ask := func(s *served) string {
		var all strings.Builder
		for _, path := range []string{"/api/streams", "/api/zones", "/api/users", fmt.Sprint("/api/storage/", blob)} {
			var answer []byte
			if code := s.call("GET", path, auth, nil, &answer); code != 200 {
				t.Errorf("%s: %d", path, code)
			}
			all.Write(answer)
		}
		return all.String()
	}
	want := ask(s)
	ctx, stop := context.WithCancel(t.Context())
	loaded, busy := make(chan int, 1), make(chan struct{})
	go func() { // it does not stop being written to
		n := 0
		for ; ctx.Err() == nil; n++ {
			s.call("POST", "/api/premises", auth, map[string]any{"id": nil, "name": fmt.Sprint("p", n)}, nil)
			if n == 2 {
				close(busy)
			}
		}
		loaded <- n
	}()
	<-busy
	file, to := filepath.Join(t.TempDir(), "capstan.tar"), filepath.Join(t.TempDir(), "data")
	if out, err := capstan(t.Context(), nil, "backup", file, "--data", c.Data); err != nil {
		t.Fatal(out, err)
	}
	stop()
	if n := <-loaded; n < 4 {
		t.Errorf("only %d requests went on beside it", n)
	}
	if _, err := capstan(t.Context(), nil, "backup", file, "--data", c.Data); core.KindOf(err) != core.Exists {
		t.Errorf("over a file that is there: %v", err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	s.stop()
	piped, err := capstan(t.Context(), nil, "backup", "-", "--data", c.Data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capstan(t.Context(), []byte(piped), "restore", "-", "--data", filepath.Join(t.TempDir(), "piped")); err != nil {
		t.Error(err)
	}
	if out, err := capstan(t.Context(), nil, "restore", file, "--data", to); err != nil || !strings.Contains(out, "restored to "+to) {
		t.Fatal(out, err)
	}
	if _, err := capstan(t.Context(), nil, "restore", file, "--data", to); core.KindOf(err) != core.Exists {
		t.Errorf("over a folder that is there: %v", err)
	}
	c.Data = to
	if got := ask(startServer(t, c)); got != want {
		t.Errorf("it is not as it was:\n%s\n%s", want, got)
	}
}

// TestBackupToNowhere wants to be told what to do where there is no folder.
func TestBackupToNowhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none", "at all")
	err := writeBackup(t.Context(), filepath.Join(dir, "capstan.tar"), t.TempDir(), "", io.Discard, io.Discard)
	if core.KindOf(err) != core.NotFound || !strings.Contains(err.Error(), "mkdir -p "+dir) {
		t.Error(err)
	}
}
