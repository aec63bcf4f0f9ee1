package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/capstan-video/capstan/server/config"
)

// fewCapsules builds a detector of faces and a tracker.
func fewCapsules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"detector_face_pigo", "tracker_bytetrack"} {
		to := filepath.Join(dir, name)
		text, err := os.ReadFile(filepath.Join(root, "capsules", name, "capsule.yaml"))
		if err == nil {
			err = errors.Join(os.MkdirAll(to, 0o755), os.WriteFile(filepath.Join(to, "capsule.yaml"), text, 0o644), build(filepath.Join(to, name), "./capsules/"+name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// said is what a server has written so far.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var answersAt = regexp.MustCompile(`http://\S+`)

// served is a capstan serve within the test.
type served struct {
	t    *testing.T
	url  string
	out  *said
	stop func()
}

func startServer(t *testing.T, c config.Config) *served {
	t.Helper()
	c.Listen, c.Log.Level = []string{"127.0.0.1:0"}, "error"
	s := &served{t: t, out: &said{}}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, &config.Loaded{Config: c}, s.out) }()
	s.stop = sync.OnceFunc(func() {
		cancel(errInterrupted)
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(stopTimeout + 5*time.Second):
			t.Error("the server did not stop")
		}
	})
	t.Cleanup(s.stop)
	for end := time.Now().Add(30 * time.Second); s.url == ""; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it does not answer")
		}
		s.url = answersAt.FindString(s.out.String())
	}
	return s
}

// call asks the server and reads its answer into out; nil: it is left alone.
func (s *served) call(method, path, auth string, body, out any) int {
	s.t.Helper()
	var from io.Reader
	switch body := body.(type) {
	case nil:
	case []byte:
		from = bytes.NewReader(body)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		from = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, from)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Close = true
	if name, password, ok := strings.Cut(auth, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if raw, ok := out.(*[]byte); ok {
		*raw = data
	} else if err == nil && out != nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v in %.200q", method, path, err, data)
	}
	return answer.StatusCode
}

// status is the part of a zone's status that the test looks at.
type status struct {
	Within []struct {
		Class string `json:"class_name"`
		Track string `json:"track_id"`
	} `json:"within"`
	Alerts []struct {
		ID int64 `json:"id"`
	} `json:"alerts"`
}

// TestServe analyses a clip over HTTP, and goes on after a restart.
func TestServe(t *testing.T) {
	clip, err := os.ReadFile(filepath.Join(data(t, "videos"), "faces", "asl", "again.mkv"))
	if err != nil {
		t.Skip(err)
	}
	f := config.Default()
	f.Data, f.AdminPassword = filepath.Join(t.TempDir(), "data"), "a test's own"
	f.Capsules.Dirs, f.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, f)
	const auth = "admin:a test's own"
	if code := s.call("GET", "/api/version", "", nil, nil); code != http.StatusUnauthorized {
		t.Errorf("without a password: %d", code)
	}
	var blob int
	s.call("POST", "/api/storage", auth, clip, &blob)
	var made struct {
		ID int `json:"id"`
	}
	s.call("POST", "/api/streams", auth, map[string]any{"id": nil, "name": "clip", "premises_id": nil, "connection_type": "file",
		"connection_options": map[string]any{"storage_id": blob}, "runtime_options": map[string]any{}, "metadata": map[string]any{}}, &made)
	alarm := map[string]any{"id": nil, "name": "a face", "zone_id": nil, "stream_id": nil, "use_active_time": false, "active_start_time": "00:00:00", "active_end_time": "23:59:59",
		"rate_conditions": []any{}, "count_conditions": []any{map[string]any{"id": nil, "test": ">", "check_value": 0, "with_class_name": "face", "with_attribute": nil,
			"window_duration": 0, "window_threshold": 0, "intersection_point": "bottom"}}}
	if code := s.call("POST", "/api/zones", auth, map[string]any{"id": nil, "name": "all", "stream_id": made.ID, "coords": [][]int{{0, 0}, {2000, 0}, {2000, 2000}, {0, 2000}},
		"alarms": []any{alarm}}, nil); code != http.StatusOK {
		t.Fatalf("zone: %d", code)
	}
	s.call("PUT", fmt.Sprintf("/api/streams/%d/analyze", made.ID), auth, true, nil)
	alert := s.seen(made.ID, auth)
	var frame []byte
	s.call("GET", fmt.Sprintf("/api/alerts/%d/frame", alert), auth, nil, &frame)
	if img, _, err := image.Decode(bytes.NewReader(frame)); err != nil || img.Bounds().Dx() < 100 {
		t.Errorf("the frame of the alert: %v", err)
	}
	s.stop()
	before := goroutines()
	s = startServer(t, f)
	if strings.Contains(s.out.String(), "password") {
		t.Errorf("a password is shown: %s", s.out)
	}
	s.seen(made.ID, auth)
	if code := s.call("DELETE", fmt.Sprintf("/api/streams/%d", made.ID), auth, nil, nil); code != http.StatusOK {
		t.Errorf("delete: %d", code)
	}
	s.stop()
	for end := time.Now().Add(10 * time.Second); len(goroutines()) > len(before); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines after the first server, and after the second\n%s", len(before), strings.Join(goroutines(), "\n\n"))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(f.Data, "blobs", "??", "*")); len(left) != 1 {
		t.Errorf("%d files are left, want the clip alone", len(left))
	}
}

// goroutines gives the stacks of those of Go: each thread of GStreamer that has called Go has one more.
func goroutines() (list []string) {
	stacks := make([]byte, 1<<20)
	for _, s := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if head, _, _ := strings.Cut(s, "\n"); !strings.Contains(head, "locked to thread") {
			list = append(list, s)
		}
	}
	return list
}

// seen waits until a tracked face is in the zone and the alarm is on, and gives the alert.
func (s *served) seen(stream int, auth string) int64 {
	s.t.Helper()
	var last []byte
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		s.call("GET", "/api/streams/status", auth, nil, &last)
		var all map[string]map[string]status
		if err := json.Unmarshal(last, &all); err != nil {
			s.t.Fatal(err)
		}
		z := all[fmt.Sprint(stream)]["all"]
		if len(z.Within) > 0 && z.Within[0].Class == "face" && z.Within[0].Track != "" && len(z.Alerts) > 0 {
			return z.Alerts[0].ID
		}
	}
	s.t.Fatalf("no tracked face with an alert was seen: %s", last)
	return 0
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no auth for everybody": {"--listen", "0.0.0.0:0", "--no-auth"},
		"no auth, no host":      {"--listen", ":0", "--no-auth"},
		"no port":               {"--listen", "localhost"},
		"only and without":      {"--only", "a", "--without", "b"},
		"no such level":         {"--log-level", "loud"},
		"no such file":          {"--config", "/nowhere/capstan.yaml"},
	} {
		var usage usageError
		cmd := rootCommand()
		cmd.SetArgs(append([]string{"serve"}, args...))
		if err := cmd.ExecuteContext(t.Context()); !errors.As(err, &usage) {
			t.Errorf("%s: %v, want wrong usage", name, err)
		}
	}
}

// TestEveryFlagOfServeIsDocumented wants every flag of capstan serve in docs/reference/config.md.
func TestEveryFlagOfServeIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "reference", "config.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	serveCommand().Flags().VisitAll(func(f *pflag.Flag) {
		if n++; !bytes.Contains(text, []byte("--"+f.Name)) {
			t.Errorf("docs/reference/config.md does not tell of --%s", f.Name)
		}
	})
	if n < 5 {
		t.Errorf("only %d flags were looked at", n)
	}
}
