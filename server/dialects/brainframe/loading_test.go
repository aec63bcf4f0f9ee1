package brainframe

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/sdk/pack"
	"github.com/capstan-video/capstan/server/service"
)

// launched is a capsule of a package that finds nothing.
type launched struct{ *pipelinetest.Capsule }

func (launched) Close() error { return nil }

// launchPackage launches what a package says of itself. Version 2 does not start, version 3 is for
// another machine.
func launchPackage(_ context.Context, file string, _ map[string]any) (service.Launched, error) {
	p, err := pack.Open(file, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	d := p.Manifest.Declaration
	switch d.Version {
	case "2":
		return nil, core.Faultf(core.CapsuleStart, "launch capsule", d.Name, "it exits at once")
	case "3":
		return nil, core.Faultf(core.Unsupported, "capsule "+d.Name, "", "it has no program for this machine")
	}
	return launched{&pipelinetest.Capsule{Decl: d}}, nil
}

// packageOf makes a package of a detector of dogs.
func packageOf(t *testing.T, version string) string {
	t.Helper()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "dog.cap")
	text := "name: detector_dog\nversion: " + version + "\noutput: {size: all, detections: [dog]}\nentry: program\n"
	err := errors.Join(os.WriteFile(filepath.Join(dir, "capsule.yaml"), []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\n"), 0o755))
	if err == nil {
		_, err = pack.Write(t.Context(), dir, pack.Writing{Out: out})
	}
	data, e := os.ReadFile(out)
	if err := errors.Join(err, e); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestCapsulesComeAndGo loads capsules as the client does, and goes through the kinds of error that
// the contract has for it; and through the one of more streams than are carried.
func TestCapsulesComeAndGo(t *testing.T) {
	t.Parallel()
	s := realServer(t, func(c *service.Config) {
		c.Uploads = service.Uploads{Folder: t.TempDir(), Launch: launchPackage}
		c.Admission.Most = 1
	})
	call := func(method, path, body string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.SetBasicAuth("admin", "secret")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		return w
	}
	load := func(data string) *httptest.ResponseRecorder {
		id := call("POST", "/api/storage", data).Body.String()
		return call("PUT", "/api/plugins", `{"storage_id": `+id+`, "dev_options": {"source_path": "None"}}`)
	}
	wrong := func(what string, w *httptest.ResponseRecorder, status int, title string) {
		t.Helper()
		if w.Code != status || title0(w) != title {
			t.Errorf("%s: %d %s, want %d %s", what, w.Code, w.Body, status, title)
		}
	}
	wrong("no file", call("PUT", "/api/plugins", `{"storage_id": 99, "dev_options": {"source_path": "None"}}`), 404, "StorageNotFoundError")
	wrong("no package", load("text"), 400, "InvalidCapsuleError")
	wrong("does not start", load(packageOf(t, "2")), 400, "InvalidCapsuleError")
	wrong("another machine", load(packageOf(t, "3")), 400, "IncompatibleCapsuleError")
	if w := load(packageOf(t, "1")); w.Code != 200 || !strings.HasPrefix(w.Body.String(), `{"name":"detector_dog","version":1,`) {
		t.Errorf("loaded: %d %s", w.Code, w.Body)
	}
	if w := call("GET", "/api/plugins", ""); strings.Count(w.Body.String(), `"name":"detector_`) != 2 {
		t.Errorf("capsules %s", w.Body)
	}
	wrong("one of the server's", call("DELETE", "/api/plugins/detector_face", ""), 404, "PluginNotFoundError")
	wrong("nobody", call("DELETE", "/api/plugins/nobody", ""), 404, "PluginNotFoundError")
	if w := call("DELETE", "/api/plugins/detector_dog", ""); w.Code != 200 {
		t.Errorf("unloaded: %d %s", w.Code, w.Body)
	}
	wrong("unloaded twice", call("DELETE", "/api/plugins/detector_dog", ""), 404, "PluginNotFoundError")

	for _, url := range []string{"rtsp://a", "rtsp://b"} {
		if w := call("POST", "/api/streams", `{"id":null,"name":"C","premises_id":null,"connection_type":"ip_camera","connection_options":{"url":"`+url+`"},"runtime_options":{},"metadata":{}}`); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if w := call("PUT", "/api/streams/1/analyze", "true"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	refused := call("PUT", "/api/streams/2/analyze", "true")
	wrong("one stream too many", refused, 503, "AnalysisLimitExceededError")
	if !strings.Contains(refused.Body.String(), "the most that may be analysed at once is 1") {
		t.Errorf("refused: %s", refused.Body)
	}
	if w := call("GET", "/api/streams/2/analyze", ""); w.Body.String() != "false" {
		t.Errorf("a stream that was refused is analysed: %s", w.Body)
	}
}
