package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/lifecycle"
)

// TestStartsWithoutACapsule starts with a capsule that crashes and one that has no manifest to speak
// of: both are named wherever one looks, streams run without them, and the one that is mended takes
// part by itself.
func TestStartsWithoutACapsule(t *testing.T) {
	t.Parallel()
	dir := fewCapsules(t)
	program := filepath.Join(dir, "tracker_bytetrack", "tracker_bytetrack")
	if err := os.Rename(program, program+".well"); err != nil {
		t.Fatal(err)
	}
	putFile(t, program, "#!/bin/sh\necho libnothing.so: cannot open shared object file >&2\nexit 127\n", 0o755)
	putFile(t, filepath.Join(dir, "detector_torn", "capsule.yaml"), "name: [", 0o644)
	c := config.Default()
	c.Data, c.Listen, c.Demo, c.NoAuth, c.RTSP.Listen = filepath.Join(t.TempDir(), "data"), []string{"127.0.0.1:0"}, "on", config.OnLoopback, "off"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{dir}, true
	log := &said{}
	s := newServer(&config.Loaded{Config: c}, hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Warn}), io.Discard)
	s.relaunch = 100 * time.Millisecond
	r, err := lifecycle.Start(t.Context(), hclog.NewNullLogger(), stopTimeout, s.parts())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	get := func(path string) (int, string) {
		answer, err := http.Get(s.urls()[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(body)
	}
	holds := func(path string, status int, parts ...string) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			got, body := get(path)
			ok := got == status
			for _, p := range parts {
				ok = ok && strings.Contains(body, p)
			}
			if ok {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %d %s\nwant %d %q", path, got, body, status, parts)
			}
		}
	}
	holds("/readyz", 200, `"ready":true`, `"capsule tracker_bytetrack":"broken"`, `"capsule detector_torn":"unreadable"`)
	holds("/capstan/v1/capsules/tracker_bytetrack", 200, `"state":"broken"`, "libnothing.so")
	holds("/capstan/v1/capsules/detector_face_pigo", 200, `"state":"running"`, `"error":""`)
	holds("/capstan/v1/states", 200, `"state":"running"`, "it runs without tracker_bytetrack", "libnothing.so")
	holds("/metrics", 200, `capstan_capsule_state{capsule="tracker_bytetrack",state="broken"} 1`)
	holds("/api/plugins", 200, "tracker_bytetrack")
	for _, want := range []string{"tracker_bytetrack", "libnothing.so", "detector_torn", "capsules.without"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	answer, err := http.NewRequest("PUT", s.urls()[0]+"/capstan/v1/capsules/tracker_bytetrack/setting", strings.NewReader(`{"options": {}}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Header.Set("Content-Type", "application/json")
	if got, err := http.DefaultClient.Do(answer); err != nil || got.StatusCode != 200 {
		t.Errorf("its options cannot be set: %v %v", got, err)
	}
	if err := os.Rename(program+".well", program); err != nil {
		t.Fatal(err)
	}
	holds("/capstan/v1/capsules/tracker_bytetrack", 200, `"state":"running"`, `"error":""`)
	var states struct{ Items []struct{ Error string } }
	if _, body := get("/capstan/v1/states"); json.Unmarshal([]byte(body), &states) != nil || len(states.Items) != 1 || states.Items[0].Error != "" {
		t.Errorf("states: %s", body)
	}
	tracked(t, s.urls()[0])
}

// tracked wants tracks in the statuses.
func tracked(t *testing.T, url string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(url + "/api/streams/status")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if strings.Contains(string(body), `"track_id":"`) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is tracked: %s", body)
		}
	}
}

func putFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestOptionsOfAKilledCapsule changes an option of a stream again and again while the capsule's process
// is killed: every change is answered well, and the last one holds.
func TestOptionsOfAKilledCapsule(t *testing.T) {
	t.Parallel()
	dir := fewCapsules(t)
	c := config.Default()
	c.Data, c.Demo, c.NoAuth, c.RTSP.Listen = filepath.Join(t.TempDir(), "data"), "on", config.OnLoopback, "off"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{dir}, true
	s := startServer(t, c)
	var states struct{ Items []struct{ State string } }
	for end := time.Now().Add(20 * time.Second); len(states.Items) == 0 || states.Items[0].State != "running"; time.Sleep(20 * time.Millisecond) {
		if s.call("GET", "/capstan/v1/states", "", nil, &states); time.Now().After(end) {
			t.Fatalf("%+v", states)
		}
	}
	program := filepath.Join(dir, "detector_face_pigo", "detector_face_pigo")
	const own = "/capstan/v1/streams/1/capsules/detector_face_pigo/setting"
	var set struct{ Options map[string]float64 }
	for i := range 12 {
		if i%4 == 0 { // below what makes the host give it up
			for end := time.Now().Add(20 * time.Second); kill(program) == 0; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("there is no process to kill")
				}
			}
		}
		var answer json.RawMessage
		if got := s.call("PATCH", own, "", map[string]any{"options": map[string]any{"threshold": 0.3 + 0.1*float64(i%3)}}, &answer); got != http.StatusOK {
			t.Errorf("change %d: %d %s", i, got, answer)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s.call("GET", own, "", nil, &set); set.Options["threshold"] != 0.5 {
		t.Errorf("%+v is set", set)
	}
}

// kill kills the processes of a program, and gives how many.
func kill(program string) (n int) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && exe == program {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil && syscall.Kill(pid, syscall.SIGKILL) == nil {
				n++
			}
		}
	}
	return n
}
