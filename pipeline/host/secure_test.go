package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

func sumOf(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// A program with another digest than its package states is made anew, or not started.
func TestSecure(t *testing.T) {
	t.Parallel()
	const good = "#!/bin/sh\n"
	for name, c := range map[string]struct {
		is, sum string
		renew   func(path string) error
		want    string // part of the error
		renewed int
	}{
		"as stated":       {good, sumOf(good), nil, "", 0},
		"not stated":      {"anything", "", nil, "", 0},
		"another":         {"evil", sumOf(good), nil, "is not started: checksums did not match", 0},
		"made anew":       {"evil", sumOf(good), func(p string) error { return os.WriteFile(p, []byte(good), 0o755) }, "", 1},
		"gone":            {"", sumOf(good), func(p string) error { return os.WriteFile(p, []byte(good), 0o755) }, "", 1},
		"anew, no better": {"evil", sumOf(good), func(string) error { return nil }, "checksums did not match", 1},
		"cannot be made":  {"evil", sumOf(good), func(string) error { return core.Faultf(core.Invalid, "package", "x.cap", "it is gone") }, "x.cap: it is gone", 1},
		"no digest":       {good, "abc", nil, `"abc" is no SHA-256`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "program")
			if c.is != "" {
				if err := os.WriteFile(path, []byte(c.is), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			renewed := 0
			capsule := &Capsule{name: "x", log: hclog.NewNullLogger(), spec: Spec{Path: path, SHA256: c.sum}}
			if c.renew != nil {
				capsule.spec.Renew = func(context.Context) error { renewed++; return c.renew(path) }
			}
			err := capsule.secure(context.Background())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || renewed != c.renewed {
				t.Errorf("%v, renewed %d times", err, renewed)
			}
		})
	}
}

// Nothing of a program is run whose digest is another one.
func TestLaunchRefusesAnotherProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\ntouch \""+dir+"/ran\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := New(Config{})
	defer h.Close()
	_, err := h.Launch(context.Background(), Spec{Declaration: core.Declaration{Name: "x"}, Path: path, SHA256: sumOf("another")})
	if core.KindOf(err) != core.CapsuleStart || !strings.Contains(err.Error(), "its package says SHA-256") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); !os.IsNotExist(err) {
		t.Error("it was run")
	}
}
