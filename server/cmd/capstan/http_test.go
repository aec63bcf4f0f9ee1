package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/server/config"
)

// blocks gives the code of a document in one language, in its order.
func blocks(t *testing.T, file, language string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, part := range strings.Split(string(text), "```") {
		if code, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			out = append(out, code)
		}
	}
	return strings.Join(out, "\n")
}

// hook takes webhooks.
type hook struct {
	*httptest.Server
	mu    sync.Mutex
	types []string
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct{ Type string }
		b, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(b, &event)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.types = append(h.types, event.Type)
	}))
	t.Cleanup(h.Close)
	return h
}

// TestScripts runs the scripts of docs/5-http.md against a server, those in curl and those in
// Python, so that they stay true.
func TestScripts(t *testing.T) {
	clip, err := filepath.Abs(filepath.Join(data(t, "videos"), "faces", "asl", "again.mkv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(files.ModelsEnv, data(t, "models"))
	if _, err := files.Runtime(""); err != nil {
		t.Skipf("SKIPPED: nobody can be enrolled without ONNX Runtime: %v", err)
	}
	hook := newHook(t)
	c := config.Default()
	c.Data, c.AdminPassword = filepath.Join(t.TempDir(), "data"), "a test's own"
	c.Capsules.Dirs = []string{filepath.Join(filepath.Dir(program(t)), "capsules")}
	c.Capsules.Only = []string{"detector_face_yunet", "encoder_face_mobilefacenet", "tracker_bytetrack"}
	c.Events.AllowLocal = true
	s, ran := startServer(t, c), 0
	for language, command := range map[string][]string{"sh": {"bash", "-euo", "pipefail", "-c"}, "python": {"/usr/bin/python3", "-c"}} {
		t.Run(language, func(t *testing.T) {
			for _, tool := range append(map[string][]string{"sh": {"jq", "curl"}}[language], command[0]) {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("SKIPPED: there is no %s here", tool)
				}
			}
			ran++
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, command[0], append(command[1:], blocks(t, filepath.Join(root, "docs", "5-http.md"), language))...)
			cmd.Dir = t.TempDir()
			cmd.Env = append(os.Environ(), "CAPSTAN="+s.url, "PASSWORD=a test's own", "CLIP="+clip, "HOOK="+hook.URL+"/"+language)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	tests := 0
	for _, kind := range hook.types {
		if kind == "capstan.test" {
			tests++
		}
	}
	if tests != ran {
		t.Errorf("the webhooks of %d scripts were told %v", ran, hook.types)
	}
	toldGoodbye(t, s)
}

// toldGoodbye stops the server: who reads from a WebSocket is told so.
func toldGoodbye(t *testing.T, s *served) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	header := http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("admin:a test's own"))}}
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.url, "http")+"/capstan/v1/results", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.Read(ctx); err != nil {
				ended <- err
				return
			}
		}
	}()
	s.stop()
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended by %v", err)
	}
}
