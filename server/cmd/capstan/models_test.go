package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// modelsBench is a capsule with two models, one at a server and one beside its manifest.
type modelsBench struct {
	capsules, to string
	served       []byte
	requests     int
}

func newModelsBench(t *testing.T) *modelsBench {
	t.Helper()
	b := &modelsBench{capsules: t.TempDir(), to: filepath.Join(t.TempDir(), "models"), served: bytes.Repeat([]byte("model"), 1000)}
	t.Setenv("CAPSTAN_CACHE", t.TempDir())
	t.Setenv("CAPSTAN_MODELS", "")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b.requests++
		_, _ = w.Write(b.served)
	}))
	t.Cleanup(s.Close)
	hash := func(data []byte) string {
		h := sha256.Sum256(data)
		return hex.EncodeToString(h[:])
	}
	local := []byte("local")
	text := fmt.Sprintf("name: detector_x\nversion: 1\noutput: {size: all, detections: [x]}\nmodels:\n"+
		"  - {file: a.onnx, url: %q, sha256: %q, licence: MIT, source: me}\n  - {file: b.onnx, url: files/b.bin, sha256: %q, licence: BSD}\n",
		s.URL+"/a.onnx", hash(b.served), hash(local))
	b.write(t, filepath.Join(b.capsules, "detector_x", "capsule.yaml"), []byte(text))
	b.write(t, filepath.Join(b.capsules, "detector_x", "files", "b.bin"), local)
	return b
}

func (b *modelsBench) write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// run gives what the command writes.
func (b *modelsBench) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := modelsCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetContext(t.Context())
	cmd.SetArgs(append(args, "--capsules", b.capsules, "--models", b.to))
	err := cmd.Execute()
	return out.String(), err
}

func TestModelsPullListVerify(t *testing.T) {
	b := newModelsBench(t)
	if out, err := b.run(t, "list"); err != nil || strings.Count(out, "missing") != 2 || !strings.Contains(out, "detector_x") {
		t.Errorf("list: %v\n%s", err, out)
	}
	if _, err := b.run(t, "verify"); err == nil || !strings.Contains(err.Error(), "missing: a.onnx, b.onnx") || !strings.Contains(err.Error(), "capstan models pull") {
		t.Errorf("verify before: %v", err)
	}
	out, err := b.run(t, "pull", "--to", b.to)
	if err != nil || !strings.Contains(out, filepath.Join(b.to, "a.onnx")) || !strings.Contains(out, "MIT") {
		t.Fatalf("pull: %v\n%s", err, out)
	}
	if got, _ := os.ReadFile(filepath.Join(b.to, "a.onnx")); !bytes.Equal(got, b.served) {
		t.Errorf("a.onnx has %d bytes", len(got))
	}
	if out, err := b.run(t, "verify"); err != nil || strings.Count(out, "here") != 2 {
		t.Errorf("verify after: %v\n%s", err, out)
	}
	if _, err := b.run(t, "pull", "--to", b.to); err != nil || b.requests != 1 {
		t.Errorf("a second pull: %v, %d requests", err, b.requests)
	}
	out, err = b.run(t, "list", "a.onnx", "--json")
	var rows []struct{ File, State, Licence string }
	if err != nil || json.Unmarshal([]byte(out), &rows) != nil || len(rows) != 1 || rows[0].State != "here" || rows[0].Licence != "MIT" {
		t.Errorf("list --json: %v\n%s", err, out)
	}
}

func TestModelsWrongContent(t *testing.T) {
	b := newModelsBench(t)
	b.write(t, filepath.Join(b.to, "a.onnx"), []byte("spoilt"))
	if _, err := b.run(t, "verify", "a.onnx"); err == nil || !strings.Contains(err.Error(), "other content") || !strings.Contains(err.Error(), b.to) {
		t.Errorf("verify: %v", err)
	}
	if _, err := b.run(t, "pull", "a.onnx", "--to", b.to); err != nil {
		t.Errorf("pull does not mend it: %v", err)
	}
	if _, err := b.run(t, "verify", "a.onnx"); err != nil {
		t.Errorf("verify after: %v", err)
	}
}

func TestModelsRefused(t *testing.T) {
	b := newModelsBench(t)
	b.served = []byte("something else")
	out, err := b.run(t, "pull", "--to", b.to)
	if err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("pull of other content: %v", err)
	}
	if _, err := os.Stat(filepath.Join(b.to, "a.onnx")); err == nil {
		t.Error("it was kept")
	}
	if !strings.Contains(out, "b.onnx is at") {
		t.Errorf("the other file was not fetched: %s", out)
	}
	var usage usageError
	if _, err := b.run(t, "pull", "detector_y"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "did you mean detector_x?") {
		t.Errorf("unknown name: %v", err)
	}
}
