package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/server/config"
	"github.com/capstan-video/capstan/server/lifecycle"
)

// TestWhileStarting goes through the parts one by one, and asks after each: first nobody answers, then
// clients are told to wait in their words, and when the last part has started they are let in.
func TestWhileStarting(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data, c.Listen = filepath.Join(t.TempDir(), "data"), []string{"127.0.0.1:0", "127.0.0.1:0"}
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	out := &said{}
	s := newServer(&config.Loaded{Config: c}, hclog.NewNullLogger(), out)
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	env := map[string]string{"NOTIFY_SOCKET": path}
	s.notify = lifecycle.NewNotifier(func(name string) string { return env[name] })
	front, in := false, false
	var parts []lifecycle.Part
	for _, p := range s.parts() {
		parts = append(parts, lifecycle.Part{Name: p.Name, Start: func(ctx context.Context) (func(context.Context) error, error) {
			stop, err := p.Start(ctx)
			front, in = front || p.Name == "front", in || p.Name == "dialects"
			if front && err == nil {
				askStarting(t, s.urls(), p.Name, in)
			}
			return stop, err
		}})
	}
	r, err := lifecycle.Start(t.Context(), hclog.NewNullLogger(), stopTimeout, parts)
	if err != nil {
		t.Fatal(err)
	}
	told := make([]byte, 64)
	_ = systemd.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := systemd.Read(told); err != nil || string(told[:n]) != "READY=1" {
		t.Errorf("systemd was told %q: %v", told[:n], err)
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if text := out.String(); strings.Count(text, "capstan answers at") != 2 || strings.Count(text, "password ") != 1 {
		t.Errorf("said: %s", text)
	}
}

// askStarting wants what the contract of each dialect has for a server that is starting, or is there.
func askStarting(t *testing.T, urls []string, after string, in bool) {
	t.Helper()
	want := map[string]int{"/api/version": 502, "/capstan/v1/streams": 503, "/healthz": 200, "/readyz": 503, "/metrics": 503}
	if in {
		want = map[string]int{"/api/version": 401, "/capstan/v1/streams": 401, "/healthz": 200, "/readyz": 200, "/metrics": 401}
	}
	for _, url := range urls {
		for path, status := range want {
			answer, err := http.Get(url + path)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != status {
				t.Errorf("after %s, %s: %d %s, want %d", after, path, answer.StatusCode, body, status)
			}
			var failure struct{ Title, Description string }
			if path == "/api/version" && (json.Unmarshal(body, &failure) != nil || failure.Title == "" || failure.Description == "") {
				t.Errorf("after %s, %s: %s is no error of the contract", after, path, body)
			}
		}
	}
}

// TestStartRefuses wants a start that cannot work refused in one sentence that says what to do, and
// nothing left behind that keeps the next one from starting.
func TestStartRefuses(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	taken := other.Listener.Addr().String()
	dir := t.TempDir()
	inUse := filepath.Join(dir, "in use")
	folder, err := lifecycle.OpenFolder(inUse)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"a port that is taken":     {func(c *config.Config) { c.Listen = []string{"127.0.0.1:0", taken} }, "choose another address with --listen"},
		"a folder that is in use":  {func(c *config.Config) { c.Data = inUse }, "another folder with --data"},
		"a file for a folder":      {func(c *config.Config) { c.Data = filepath.Join(file, "data") }, "a folder of its own with --data"},
		"a database that is none":  {func(c *config.Config) { c.Database = config.SecretURL("sqlite:" + file) }, "is it a database of Capstan"},
		"a database that is away":  {func(c *config.Config) { c.Database = "postgres://nobody:secret@127.0.0.1:1/x" }, "is it running"},
		"no capsules":              {func(c *config.Config) { c.Capsules.Dirs = []string{filepath.Join(dir, "none")} }, "none"},
		"a certificate of nothing": {func(c *config.Config) { c.TLS.Cert, c.TLS.Key = file, file }, "PEM files that belong together"},
		"a webhook to this machine": {func(c *config.Config) {
			c.Events.Webhooks = []config.Webhook{{URL: "http://127.0.0.1/hook", Secret: "0123456789abcdef"}}
		}, "webhook 1"},
	} {
		set := config.Default()
		set.Data, set.Listen = filepath.Join(t.TempDir(), "data"), []string{"127.0.0.1:0"}
		set.Capsules.Dirs = []string{t.TempDir()}
		c.change(&set)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := serve(ctx, &config.Loaded{Config: set}, io.Discard)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if again, err := lifecycle.OpenFolder(set.Data); name != "a folder that is in use" && name != "a file for a folder" {
			if err != nil {
				t.Errorf("%s: the folder is still held: %v", name, err)
			} else {
				_ = again.Close()
			}
		}
	}
}

func TestLacking(t *testing.T) {
	t.Parallel()
	err := lacking([]gstreamer.Finding{{Name: "a", OK: true, Required: true}, {Name: "b", Required: false}})
	if err != nil {
		t.Error(err)
	}
	err = lacking([]gstreamer.Finding{{Name: "element appsink", Required: true, Package: "gstreamer1.0-plugins-base"}, {Name: "element x", Required: true, Package: "gstreamer1.0-plugins-base"}})
	if core.KindOf(err) != core.Unsupported || !strings.Contains(err.Error(), "lacks: element appsink, element x (apt-get install gstreamer1.0-plugins-base)") {
		t.Error(err)
	}
}

// TestServeTraces wants spans of a frame and its alert at a collector on this machine.
func TestServeTraces(t *testing.T) {
	t.Parallel()
	var got atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Add(n)
	}))
	t.Cleanup(collector.Close)
	c := config.Default()
	c.Data, c.Demo, c.NoAuth = filepath.Join(t.TempDir(), "data"), "on", config.OnLoopback
	c.Tracing.Endpoint, c.Tracing.Sample = config.SecretURL(collector.URL), 1
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var all map[string]map[string]status
		s.call("GET", "/api/streams/status", "", nil, &all)
		if len(all["1"]["Screen"].Within) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing is seen")
		}
	}
	metricsGrow(t, s)
	s.stop()
	if got.Load() < 1000 {
		t.Errorf("%d bytes of traces", got.Load())
	}
}

// metricsGrow holds /metrics against a stream that runs: what was counted stays when it is switched
// off and on again.
func metricsGrow(t *testing.T, s *served) {
	t.Helper()
	value := func(sample string) float64 {
		t.Helper()
		var text []byte
		if code := s.call("GET", "/metrics", "", nil, &text); code != http.StatusOK {
			t.Fatalf("/metrics: %d", code)
		}
		m := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(sample) + " (.+)$").FindSubmatch(text)
		if m == nil {
			return 0
		}
		v, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Error(err)
		}
		return v
	}
	const calls = `capstan_capsule_calls_total{capsule="detector_face_pigo"}`
	before := value(calls)
	for _, sample := range []string{
		calls, `capstan_stream_frames_total{stream="1"}`, `capstan_stream_state{state="running",stream="1"}`, `capstan_stream_latency_seconds_count{stream="1"}`,
		`capstan_capsule_memory_bytes{capsule="detector_face_pigo"}`, `capstan_capsule_compute_seconds_total{capsule="detector_face_pigo"}`, "capstan_data_bytes",
		`capstan_http_requests_total{method="GET",route="/api/streams/status",status="200"}`, `capstan_store_seconds_count{kind="update"}`, "capstan_disk_free_bytes",
	} {
		if v := value(sample); v <= 0 {
			t.Errorf("%s is %g", sample, v)
		}
	}
	s.call("PUT", "/api/streams/1/analyze", "", false, nil)
	if idle := value(`capstan_streams{state="idle"}`); idle != 1 {
		t.Errorf("%g idle streams", idle)
	}
	off := value(calls)
	s.call("PUT", "/api/streams/1/analyze", "", true, nil)
	if on := value(calls); before > off || off > on {
		t.Errorf("calls went from %g to %g to %g", before, off, on)
	}
}

// TestNoAuthIsLoud wants a server without passwords to say so at the level that is logged by default,
// and louder where everybody reaches it.
func TestNoAuthIsLoud(t *testing.T) {
	t.Parallel()
	for mode, want := range map[config.Openness]string{config.Closed: "", config.OnLoopback: "[WARN]  authorization is off: everybody on this machine", config.Everywhere: "[ERROR] AUTHORIZATION IS OFF: everybody who reaches this machine is an administrator"} {
		var out bytes.Buffer
		c := config.Default()
		c.Listen, c.NoAuth = []string{"127.0.0.1:0"}, mode
		s := newServer(&config.Loaded{Config: c}, hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.LevelFromString(c.Log.Level)}), io.Discard)
		stop, err := s.startAddresses(t.Context())
		if err == nil {
			err = stop(t.Context())
		}
		if err != nil || !strings.Contains(out.String(), want) || want == "" && out.Len() > 0 {
			t.Errorf("%s: %v %q, want %q", mode, err, out.String(), want)
		}
	}
}
