//go:build unix

package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// interpreter writes a program that answers a probe with text.
func interpreter(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPythonIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		answer string
		want   python
		err    string
	}{
		"good":    {"echo 'capstan-python|/opt/py/bin/python3|none|-'", python{path: "/opt/py/bin/python3"}, ""},
		"own":     {"echo noise; echo 'capstan-python|/opt/py/bin/python3|own|-'", python{path: "/opt/py/bin/python3", own: true}, ""},
		"lacking": {"echo 'capstan-python|/opt/py/bin/python3|none|grpcio,numpy'", python{}, "it lacks grpcio, numpy"},
		"old":     {"echo SyntaxError >&2; exit 1", python{}, "exit status 1: SyntaxError"},
		"silent":  {"exit 0", python{}, "it is no Python 3"},
		"short":   {"echo 'capstan-python|x'", python{}, "it is no Python 3"},
	} {
		path := interpreter(t, dir, "py-"+name, tt.answer)
		py, err := searchPython(t.Context(), []string{PythonEnv + "=" + path})
		if py != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v; want %+v, %s", name, py, err, tt.want, tt.err)
		}
		if err != nil && (core.KindOf(err) != core.Unsupported || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "apt install")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPythonSearchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := interpreter(t, t.TempDir(), "python3", "sleep 60")
	if _, err := searchPython(ctx, []string{PythonEnv + "=" + path}); core.KindOf(err) != core.Cancelled {
		t.Errorf("%v", err)
	}
}

func TestPythonCandidates(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(first, "python3"), nil, 0o600); err != nil { // not a program
		t.Fatal(err)
	}
	found := interpreter(t, second, "python3", "")
	path := "PATH=" + strings.Join([]string{"relative", first, second}, string(os.PathListSeparator))
	if got := candidates([]string{path}); len(got) == 0 || got[0] != found {
		t.Errorf("%v, want %s first", got, found)
	}
	if got := candidates([]string{path, PythonEnv + "=/my/python"}); !slices.Equal(got, []string{"/my/python"}) {
		t.Errorf("%v", got)
	}
}

func TestPythonPath(t *testing.T) {
	t.Parallel()
	env := []string{"PYTHONPATH=a", "X=1", "PYTHONPATH=b"}
	if got := lookup(withPath(env, "c"), "PYTHONPATH"); got != "b"+string(os.PathListSeparator)+"c" || len(env) != 3 {
		t.Errorf("PYTHONPATH=%s", got)
	}
	if got := lookup(withPath(nil, "c"), "PYTHONPATH"); got != "c" {
		t.Errorf("PYTHONPATH=%s", got)
	}
}
