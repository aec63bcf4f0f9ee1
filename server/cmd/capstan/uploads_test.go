package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/host"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// packed gives a version of the marker as a package; fault is what is wrong with it.
func (m marker) packed(t *testing.T, version int, fault string) []byte {
	t.Helper()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "marker.cap")
	m.install(t, dir, version)
	if fault != "" {
		program := bytes.TrimSuffix(readAll(t, filepath.Join(dir, "marker")), []byte("}"))
		if err := os.WriteFile(filepath.Join(dir, "marker"), fmt.Appendf(program, ", \"Fault\": %q}", fault), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pack.Write(t.Context(), dir, pack.Writing{Out: out}); err != nil {
		t.Fatal(err)
	}
	return readAll(t, out)
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// uploadServer is a service with a host of its own, on scripted media.
type uploadServer struct {
	*service.Service
	stop func()
}

func startUploadServer(t *testing.T, dir string) uploadServer {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), "sqlite:"+filepath.Join(dir, "capstan.db"))
	blobs, err2 := blob.Open(filepath.Join(dir, "blobs"), blob.Options{})
	h := host.New(host.Config{})
	taken, err3 := uploads(h, dir, false)
	engine := pipeline.New(pipelinetest.Playing(pipelinetest.Script{Frames: 1 << 30, Every: 20 * time.Millisecond, Live: true}), hclog.NewNullLogger())
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	svc, _, err := service.New(t.Context(), service.Config{Store: store, Blobs: blobs, Engine: engine, Uploads: taken, NoAuth: true, Cost: bcrypt.MinCost})
	if err != nil {
		t.Fatal(err)
	}
	s := uploadServer{svc, nil}
	s.stop = func() {
		if s.stop = func() {}; errors.Join(svc.Close(), engine.Close(), store.Close(), blobs.Close(), h.Close()) != nil {
			t.Error("the server did not end well")
		}
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// TestUploadedCapsules runs real packages: one, the next in its place, one that fails its first
// frame, after a restart, and none.
func TestUploadedCapsules(t *testing.T) {
	m, dir := newMarker(t), t.TempDir()
	who := service.Caller{User: 1, Name: "admin", Role: core.Admin}
	s := startUploadServer(t, dir)
	stream, err := s.SaveStream(t.Context(), who, core.StreamConfig{Name: "a", Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://a"}})
	if err == nil {
		err = s.Analyze(t.Context(), who, stream.Number, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	load := func(version int, fault string) error {
		t.Helper()
		b, err := s.SaveBlob(t.Context(), who, "", bytes.NewReader(m.packed(t, version, fault)))
		if err == nil {
			_, err = s.LoadCapsule(t.Context(), who, b.ID, "")
		}
		return err
	}
	// marks waits until the stream has marks of a version and gives the process that made them.
	marks := func(version string) (pid string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			snap, err := s.Statuses(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, z := range snap.Streams[stream.Number] {
				for _, n := range z.Within {
					got, pid = strings.Trim(string(n.ExtraData["version"]), `"`), string(n.ExtraData["pid"])
				}
				if got == version {
					return pid
				}
			}
			if time.Now().After(end) {
				t.Fatalf("marks of version %q, want %q", got, version)
			}
		}
	}
	marks("")
	if err := load(1, ""); err != nil {
		t.Fatal(err)
	}
	first := marks("1")
	if err := load(3, "probe"); core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "no such model") {
		t.Errorf("one that fails its first frame: %v", err)
	}
	if pid := marks("1"); pid != first {
		t.Errorf("the old one runs as process %s, was %s", pid, first)
	}
	if err := load(2, ""); err != nil {
		t.Fatal(err)
	}
	second := marks("2")
	for end := time.Now().Add(10 * time.Second); alive(first); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the process of the first version is still there")
		}
	}
	s.stop()
	if alive(second) {
		t.Error("a process is left after the end")
	}
	s = startUploadServer(t, dir)
	marks("2")
	if err := s.UnloadCapsule(t.Context(), who, "detector_marker"); err != nil {
		t.Fatal(err)
	}
	marks("")
	left, err := os.ReadDir(filepath.Join(dir, "capsules"))
	if err != nil || len(left) != 1 {
		t.Errorf("left are %v, %v; want the list alone", left, err)
	}
}

// alive says whether there is a process of this number.
func alive(pid string) bool {
	var n int
	_, err := fmt.Sscan(pid, &n)
	return err == nil && syscall.Kill(n, 0) == nil
}
