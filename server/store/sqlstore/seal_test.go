package sqlstore

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/secrets"
	"github.com/capstan-video/capstan/server/store"
)

var keys struct {
	sync.Mutex
	boxes map[string]*secrets.Box
}

// sealed gives the same key for the same name.
func sealed(t testing.TB, name string) Option {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if keys.boxes[name] == nil {
		b, err := secrets.Open(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if keys.boxes == nil {
			keys.boxes = map[string]*secrets.Box{}
		}
		keys.boxes[name] = b
	}
	return Sealed(keys.boxes[name])
}

var camera = core.StreamConfig{Name: "gate", Metadata: map[string]any{}, Connection: core.Connection{
	Kind: core.IPCamera, URL: "rtsp://anna:geheim-1@host/1", Pipeline: "rtspsrc location={url} user-pw=geheim-2 ! appsink name=main_sink",
}, Said: core.Said{Other: map[string]any{"password": "geheim-6"}}}

var hook = store.Destination{Name: "hook", Kind: "webhook", URL: "https://host/geheim-3", Secret: "geheim-4"}

var option = core.CapsuleSetting{Capsule: "detector_cloud", Options: map[string]any{"key": "geheim-5"}}

func keepSecrets(t *testing.T, s store.Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.SaveStream(camera)
		if err == nil {
			_, err = tx.SaveDestination(hook)
		}
		if err == nil {
			err = tx.SaveSetting(option)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// whole holds what a store gives against what was saved.
func whole(t *testing.T, s store.Store) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) error {
		cfg, err := tx.Stream(1)
		if err != nil || cfg.Connection != camera.Connection || cfg.Said.Other["password"] != "geheim-6" {
			t.Errorf("stream: %+v, %v", cfg, err)
		}
		all, err := tx.Streams(0)
		if err != nil || len(all) != 1 || all[0].Connection != camera.Connection {
			t.Errorf("streams: %+v, %v", all, err)
		}
		d, err := tx.Destination(1)
		if err != nil || d.URL != hook.URL || d.Secret != hook.Secret {
			t.Errorf("destination: %+v, %v", d, err)
		}
		set, err := tx.Settings("")
		if err != nil || len(set) != 1 || set[0].Options["key"] != "geheim-5" {
			t.Errorf("settings: %+v, %v", set, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func secretsIn(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "capstan.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(data, []byte("geheim"))
	}
	return n
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "capstan.db")
	s := open(t, url, sealed(t, "key"))
	keepSecrets(t, s)
	whole(t, s)
	if n := secretsIn(t, dir); n != 0 {
		t.Errorf("%d secrets are in the files of a running database", n)
	}
	if err := s.Close(); err != nil || secretsIn(t, dir) != 0 {
		t.Errorf("secrets after the end, %v", err)
	}
	again := open(t, url, sealed(t, "key"))
	defer again.Close()
	whole(t, again)
}

// TestPlainTextIsSealed opens with a key what was kept without one.
func TestPlainTextIsSealed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url := "sqlite:" + filepath.Join(dir, "capstan.db")
	s := open(t, url)
	keepSecrets(t, s)
	whole(t, s)
	if err := s.Close(); err != nil || secretsIn(t, dir) == 0 {
		t.Fatalf("without a key nothing is in plain text, %v", err)
	}
	for range 2 {
		s := open(t, url, sealed(t, "key"))
		whole(t, s)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	raw := open(t, url)
	defer raw.Close()
	var kept string
	err := raw.(*Store).read.NewRaw("SELECT url || pipeline || said FROM streams").Scan(t.Context(), &kept)
	if err != nil || strings.Count(kept, sealPrefix) != 3 || strings.Contains(kept, "geheim") {
		t.Errorf("still in plain text: %s, %v", kept, err)
	}
}

func TestAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "capstan.db")
	s := open(t, url, sealed(t, "key"))
	keepSecrets(t, s)
	_ = s.Close()
	if _, err := Open(context.Background(), url, sealed(t, "another key")); core.KindOf(err) != core.Denied {
		t.Errorf("got %v", err)
	}
	s = open(t, url, sealed(t, "key"))
	defer s.Close()
	whole(t, s)
}

// TestOneCamera: another password makes no other camera.
func TestOneCamera(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "capstan.db"), sealed(t, "key"))
	defer s.Close()
	keepSecrets(t, s)
	err := s.Update(t.Context(), func(tx store.Tx) error {
		other := camera
		other.Connection.URL = "rtsp://anna:another@host/1"
		if _, err := tx.SaveStream(other); core.KindOf(err) != core.Exists {
			t.Errorf("another password: %v", err)
		}
		other.Connection.URL = "rtsp://berta:geheim-1@host/1"
		_, err := tx.SaveStream(other)
		return err
	})
	if err != nil {
		t.Errorf("another user: %v", err)
	}
}
