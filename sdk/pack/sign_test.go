package pack

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func newKey(t *testing.T) PrivateKey {
	t.Helper()
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSign(t *testing.T) {
	t.Parallel()
	path, w := packed(t, fire(), Writing{})
	unsigned := readFile(t, path)
	anna, bert := newKey(t), newKey(t)
	for _, k := range []PrivateKey{anna, bert, anna} {
		if d, err := Sign(context.Background(), path, k, nil, nil); err != nil || d != w.Digest {
			t.Fatalf("%s, %v", d, err)
		}
	}
	p, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(p.Signatures) != 2 || p.Digest != w.Digest {
		t.Fatalf("%d signatures, digest %s", len(p.Signatures), p.Digest)
	}
	trust := Trust{{newKey(t).Public(), "carl"}, {bert.Public(), "bert"}}
	if s, ok := trust.Signer(p.Signatures); !ok || s.Name != "bert" {
		t.Errorf("%+v, %v", s, ok)
	}
	if _, ok := trust[:1].Signer(p.Signatures); ok {
		t.Error("carl has not signed")
	}
	// Ed25519 and the zip are deterministic: signing the same package again gives the same file.
	other := filepath.Join(t.TempDir(), "other.cap")
	if err := os.WriteFile(other, unsigned, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, k := range []PrivateKey{bert, anna} {
		if _, err := Sign(context.Background(), other, k, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(readFile(t, path), readFile(t, other)) {
		t.Error("the order of the signatures changes the file")
	}
	onlyFiles(t, filepath.Dir(other), "other.cap")
}

// Whoever changes a signed package has to sign it anew.
func TestSignedAndChanged(t *testing.T) {
	t.Parallel()
	text := testManifest + "files:\n" + fileLine("bin/fire", "go")
	path := filepath.Join(t.TempDir(), "x.cap")
	if err := os.WriteFile(path, crafted(t, "capsule.yaml", text, "bin/fire", "go"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(context.Background(), path, newKey(t), nil, nil); err != nil {
		t.Fatal(err)
	}
	p, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	sig := p.Signatures[0].line()
	p.Close()
	evil := strings.Replace(text, fileLine("bin/fire", "go"), fileLine("bin/fire", "no"), 1)
	if _, err := readBytes(crafted(t, "capsule.yaml", evil, "bin/fire", "no", "capsule.sig", sig)); err == nil || !strings.Contains(err.Error(), "it was changed after it was signed") {
		t.Errorf("got %v", err)
	}
	if _, err := readBytes(crafted(t, "capsule.yaml", text, "bin/fire", "go", "capsule.sig", sig+sig)); err == nil || !strings.Contains(err.Error(), "two signatures by") {
		t.Errorf("got %v", err)
	}
	if _, err := readBytes(crafted(t, "capsule.yaml", text, "bin/fire", "go", "capsule.sig", sig)); err != nil {
		t.Errorf("the whole one: %v", err)
	}
}

func TestSignRefusesBroken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.cap")
	data := crafted(t, "capsule.yaml", testManifest+"files:\n"+fileLine("bin/fire", "go"), "bin/fire", "no")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(context.Background(), path, newKey(t), nil, nil); err == nil || !bytes.Equal(readFile(t, path), data) {
		t.Errorf("got %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := newKey(t)
	prefix := filepath.Join(dir, "anna")
	if err := k.Save(prefix); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"anna.key": 0o600, "anna.pub": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	private, err := LoadPrivate(prefix + ".key")
	if err != nil || !private.Public().Equal(k.Public()) {
		t.Errorf("private: %v", err)
	}
	public, err := LoadPublic(prefix + ".pub")
	if err != nil || !public.Equal(k.Public()) || !strings.HasPrefix(public.Fingerprint(), "SHA256:") || len(public.Fingerprint()) != 50 {
		t.Errorf("public: %s, %v", public.Fingerprint(), err)
	}
	if err := k.Save(prefix); core.KindOf(err) != core.Exists {
		t.Errorf("over another: %v", err)
	}
	if trust, err := LoadTrust(dir); err != nil || len(trust) != 1 || trust[0].Name != "anna" {
		t.Errorf("trust: %+v, %v", trust, err)
	}
	if err := os.Remove(prefix + ".key"); err != nil {
		t.Fatal(err)
	}
	if err := k.Save(prefix); core.KindOf(err) != core.Exists {
		t.Errorf("over another public key: %v", err)
	}
	onlyFiles(t, dir, "anna.pub")
}

func TestBadKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := newKey(t).Save(filepath.Join(dir, "open")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "open.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	junk := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))
	for name, c := range map[string]struct {
		load func(string) error
		path string
		want string
	}{
		"not there":        {loadPublic, filepath.Join(dir, "none"), "no such file"},
		"text":             {loadPublic, write("a", "text", 0o644), "it has no public key in PEM form"},
		"junk":             {loadPublic, write("b", junk, 0o644), "it is no Ed25519 key"},
		"a private one":    {loadPublic, filepath.Join(dir, "open.key"), "it has no public key in PEM form"},
		"others may read":  {loadPrivate, filepath.Join(dir, "open.key"), "others may read it (mode 0644) (chmod 600"},
		"private is junk":  {loadPrivate, write("c", strings.ReplaceAll(junk, "PUBLIC", "PRIVATE"), 0o600), "it is no Ed25519 key"},
		"a folder":         {loadPublic, dir, "it is no key file"},
		"trust of nothing": {func(p string) error { _, err := LoadTrust(p); return err }, filepath.Join(dir, "gone"), "no such file"},
	} {
		if err := c.load(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func loadPublic(path string) error  { _, err := LoadPublic(path); return err }
func loadPrivate(path string) error { _, err := LoadPrivate(path); return err }

// Another program's key is as good: the files are what openssl writes.
func TestOpenSSLKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "o.key")
	if out, err := exec.Command("openssl", "genpkey", "-algorithm", "ed25519", "-out", path).CombinedOutput(); err != nil {
		t.Skipf("openssl: %v %s", err, out)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := LoadPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(t.TempDir(), "o.pub")
	if out, err := exec.Command("openssl", "pkey", "-in", path, "-pubout", "-out", public).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if p, err := LoadPublic(public); err != nil || !p.Equal(k.Public()) {
		t.Errorf("%v", err)
	}
}

// FuzzKeys reads what should be a key and what should be a signature.
func FuzzKeys(f *testing.F) {
	k, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	good := filepath.Join(f.TempDir(), "good")
	if err := k.Save(good); err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{good + ".key", good + ".pub"} {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(text)
		}
	}
	f.Add([]byte("ed25519 " + strings.Repeat("A", 44) + " " + strings.Repeat("A", 88)))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "x.pub")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := LoadPublic(path); err == nil && len(k.key) != ed25519.PublicKeySize {
			t.Errorf("a key of %d bytes", len(k.key))
		}
		if s, err := parseSignature(string(text)); err == nil && strings.TrimSuffix(s.line(), "\n") != string(text) {
			t.Errorf("%q is read as %q", text, s.line())
		}
	})
}
