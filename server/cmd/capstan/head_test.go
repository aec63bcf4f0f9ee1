package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/server/config"
)

// TestHead asks by HEAD what GET answers: the same without a body, but for what has no end.
func TestHead(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Data, c.NoAuth, c.RTSP.Listen = filepath.Join(t.TempDir(), "data"), config.OnLoopback, "off"
	c.Capsules.Dirs, c.Capsules.Unsafe = []string{fewCapsules(t)}, true
	s := startServer(t, c)
	var id int64
	s.call("POST", "/api/storage", "", []byte(strings.Repeat("a file of some size ", 5000)), &id)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string) (*http.Response, string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
		}
		return answer, string(body)
	}
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/", "/capstan/v1/docs", "/capstan/v1/openapi.json", "/capstan/v1/streams", "/capstan/v1/capsules", "/capstan/v1/users/1",
		"/capstan/v1/blobs/1", "/capstan/v1/blobs/1/content", "/capstan/v1/streams/99", "/api/version", "/api/streams", "/api/plugins", "/api/storage/1", "/api/zones/1", "/api/nothing",
	} {
		whole, text := ask("GET", path)
		head, none := ask("HEAD", path)
		if head.StatusCode != whole.StatusCode || none != "" || head.Header.Get("Content-Type") != whole.Header.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %q %q, GET %d %q", path, head.StatusCode, head.Header.Get("Content-Type"), none, whole.StatusCode, whole.Header.Get("Content-Type"))
		}
		if n := head.ContentLength; n >= 0 && int(n) != len(text) && path != "/metrics" {
			t.Errorf("%s: HEAD promises %d bytes, GET gives %d", path, n, len(text))
		}
	}
	for _, path := range []string{"/api/streams/statuses", "/capstan/v1/results", "/capstan/v1/streams/1/results", "/api/process_image"} {
		if head, _ := ask("HEAD", path); head.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("HEAD %s: %d, want 405", path, head.StatusCode)
		}
	}
}
