package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/gstreamer"
	"github.com/capstan-video/capstan/server/config"
)

// TestViewAFile uploads a clip, asks for its URL and plays that, as a client's player does; and has it
// analysed through a pipeline of the administrator's own.
func TestViewAFile(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("CAPSTAN_TESTDATA")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared", "data")
	}
	clip, err := os.ReadFile(filepath.Join(dir, "videos", "faces", "head-pose-face-detection-female-and-male_480x270_from_gif.mp4"))
	if err != nil {
		t.Skipf("no test data: %v; set CAPSTAN_TESTDATA", err)
	}
	c := config.Default()
	c.Data, c.AdminPassword = filepath.Join(t.TempDir(), "data"), "PASSWORD"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	call := func(method, path, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("admin", "PASSWORD")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %s, %v", method, path, answer.StatusCode, b, err)
		}
		return string(b)
	}
	blob := strings.TrimSpace(call("POST", "/api/storage", string(clip)))
	const line = "uridecodebin uri={url} ! videocrop top=30 ! appsink name=main_sink"
	call("POST", "/api/streams", fmt.Sprintf(`{"id":null,"name":"clip","premises_id":null,"connection_type":"file","connection_options":{"storage_id":%s,"pipeline":%q},"runtime_options":{},"metadata":{}}`, blob, line))
	call("PUT", "/api/streams/1/analyze", "true")
	var url string
	if err := json.Unmarshal([]byte(call("GET", "/api/streams/1/url", "")), &url); err != nil || !strings.HasPrefix(url, "rtsp://until-") || !strings.HasSuffix(url, "/streams/1") {
		t.Fatalf("%q, %v", url, err)
	}
	m, err := gstreamer.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := m.Open(t.Context(), pipeline.Source{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	for range 10 {
		f, p, err := st.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if f.Caps.Width != 480 || f.Caps.Height != 270 {
			t.Errorf("it is %dx%d", f.Caps.Width, f.Caps.Height)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var state struct {
			State  string `json:"state"`
			Frames int    `json:"frames"`
		}
		body := call("GET", "/capstan/v1/streams/1/state", "")
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			t.Fatal(err)
		}
		if state.State == "running" && state.Frames > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is not analysed: %s", body)
		}
	}
	call("DELETE", "/api/streams/1", "")
	for err = nil; err == nil; { // who watches is sent away
		var p pipeline.Picture
		if _, p, err = st.Next(t.Context()); err == nil {
			p.Release()
		}
	}
	if _, err := m.Open(t.Context(), pipeline.Source{URL: url}); core.KindOf(err) != core.SourceOpen {
		t.Errorf("a stream that is gone is watched: %v", err)
	}
}
