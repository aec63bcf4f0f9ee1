package secrets

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func open(t *testing.T, path string) *Box {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedIsOpenedByTheSameKeyAndContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "secrets.key")
	sealed, err := open(t, path).Seal([]byte("geheim"), "stream")
	if err != nil || bytes.Contains(sealed, []byte("geheim")) {
		t.Fatalf("%x, %v", sealed, err)
	}
	again, _ := open(t, path).Seal([]byte("geheim"), "stream")
	if bytes.Equal(sealed, again) {
		t.Error("the same text is sealed to the same bytes")
	}
	if plain, err := open(t, path).Unseal(sealed, "stream"); err != nil || string(plain) != "geheim" {
		t.Errorf("%q, %v", plain, err)
	}
	other := open(t, filepath.Join(dir, "other.key"))
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, tt := range map[string]struct {
		box     *Box
		sealed  []byte
		context string
	}{
		"another key":     {other, sealed, "stream"},
		"another context": {open(t, path), sealed, "destination"},
		"changed":         {open(t, path), changed, "stream"},
		"cut off":         {open(t, path), sealed[:20], "stream"},
		"nothing":         {open(t, path), nil, "stream"},
	} {
		if plain, err := tt.box.Unseal(tt.sealed, tt.context); core.KindOf(err) != core.Denied || plain != nil {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "secrets.key")
	open(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("beside the key: %v, %v", list, err)
	}
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"open to others": {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 0o644},
		"short":          {"0011\n", 0o600},
		"no digits":      {"hello\n", 0o600},
		"empty":          {"", 0o600},
	} {
		p := filepath.Join(dir, "bad")
		_ = os.Remove(p)
		if err := os.WriteFile(p, []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(p); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if text, _ := os.ReadFile(p); string(text) != tt.text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// TestOneKey has many who begin at once: all have the same key.
func TestOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secrets.key")
	boxes := make([]*Box, 16)
	var wg sync.WaitGroup
	for i := range boxes {
		wg.Go(func() { boxes[i], _ = Open(path) })
	}
	wg.Wait()
	for i, b := range boxes {
		if b == nil {
			t.Fatalf("%d has no key", i)
		}
		sealed, _ := b.Seal([]byte("x"), "")
		if _, err := boxes[0].Unseal(sealed, ""); err != nil {
			t.Errorf("%d has another key", i)
		}
	}
}
