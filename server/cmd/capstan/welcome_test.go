package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline/catalog"
	"github.com/capstan-video/capstan/sdk/onnx/files"
	"github.com/capstan-video/capstan/server/config"
)

// TestWelcoming opens the address itself, as one does in a browser.
func TestWelcoming(t *testing.T) {
	t.Parallel()
	h := welcoming(http.NotFoundHandler())
	for path, want := range map[string]int{"GET /": 302, "GET /capstan": 302, "GET /capstan/": 302, "POST /": 404, "GET /api": 404, "GET //": 404} {
		method, at, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, "/", nil)
		r.URL.Path = at
		h.ServeHTTP(w, r)
		if w.Code != want || want == 302 && w.Header().Get("Location") != "/capstan/v1/docs" {
			t.Errorf("%s: %d to %q, want %d", path, w.Code, w.Header().Get("Location"), want)
		}
	}
}

// TestMissingModel says what is missing, and how that is had.
func TestMissingModel(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, files.Library)
	if err := os.WriteFile(library, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := catalog.Entry{Dir: dir, Declaration: core.Declaration{Models: []core.Model{{File: "none.onnx"}}}}
	t.Setenv(files.ModelsEnv, dir)
	t.Setenv(files.LibraryEnv, filepath.Join(dir, "nowhere.so"))
	if missing, hint := missingModel(e); missing != "ONNX Runtime" || !strings.Contains(hint, "make onnxruntime") {
		t.Errorf("without the library: %q, %q", missing, hint)
	}
	t.Setenv(files.LibraryEnv, library)
	if missing, hint := missingModel(e); missing != "none.onnx" || !strings.Contains(hint, "capstan models pull") {
		t.Errorf("without the model: %q, %q", missing, hint)
	}
	if err := os.WriteFile(filepath.Join(dir, "none.onnx"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if missing, hint := missingModel(e); missing+hint != "" {
		t.Errorf("with both: %q, %q", missing, hint)
	}
}

// TestSameData repeats the folder where a flag has named it: the line is to be run as it is.
func TestSameData(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{"--data": " --data d", "default": "", "capstan.yaml": ""} {
		s := &server{cfg: &config.Loaded{Config: config.Config{Data: "d"}, Origins: map[string]config.Origin{"data": {Source: source}}}}
		if got := s.sameData(); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}
