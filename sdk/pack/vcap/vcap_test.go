package vcap

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/aes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/eax"
	"github.com/capstan-video/capstan/core"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The golden vectors of contracts/capsules.md, section 4.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, plain, file string }{
		{"0123456789abcdef", "", "000102030405060708090a0b0c0d0e0f aeb4ebfc5c46e0e2b0aaaa3701da729c"},
		{"0123456789abcdef", "PK\x03\x04 capsule", "000102030405060708090a0b0c0d0e0f a1f9871c0a71e080a004a960f3aa1906 5f0fd2e2fcf5f6e41bce2881"},
		{"0123456789abcdef01234567", "PK\x03\x04 capsule", "000102030405060708090a0b0c0d0e0f d70012713b2b29daf0a88e9fe21be368 fe004fbb6daabd9ea4c23da9"},
		{"0123456789abcdef0123456789abcdef", strings.Repeat("A", 40), "00000000000000000000000000000000 5abf4c4b91a7c75d8de58ece659f881b ce0de7620c4925bee0aa9751a45cdbf48bb2736f1f9617cbb0ac413d4f6dbe733bb9e24e280cb804"},
	} {
		file := unhex(t, c.file)
		got, err := Decrypt([]byte(c.key), file)
		if err != nil || string(got) != c.plain {
			t.Errorf("%q, %v, want %q", got, err, c.plain)
		}
		for i := range file {
			bad := bytes.Clone(file)
			bad[i] ^= 1
			if _, err := Decrypt([]byte(c.key), bad); core.KindOf(err) != core.Denied {
				t.Errorf("byte %d changed: %v", i, err)
			}
		}
		if _, err := Decrypt([]byte("x"+c.key[1:]), file); core.KindOf(err) != core.Denied {
			t.Errorf("another key: %v", err)
		}
	}
	for _, key := range []string{"", "short", strings.Repeat("x", 33)} {
		if _, err := Decrypt([]byte(key), make([]byte, 64)); core.KindOf(err) != core.Denied || !strings.Contains(err.Error(), "16, 24 or 32") {
			t.Errorf("key of %d: %v", len(key), err)
		}
	}
	if _, err := Decrypt([]byte("0123456789abcdef"), make([]byte, 31)); core.KindOf(err) != core.Invalid {
		t.Errorf("too short: %v", err)
	}
}

const code = `from vcap import BaseCapsule

class Capsule(BaseCapsule):
    name = "detector_person_example"
    description = "Detects."
    version = 3
`

// old makes a package as the older tool does: with entries for folders, stored.
func old(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Store})
		if err == nil {
			_, err = w.Write([]byte(files[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func whole(t testing.TB) []byte {
	return old(t, "capsule.py", code, "meta.conf", "[about]\napi_compatibility_version = 0.3\n", "models/", "", "models/net.pb", "graph", "models/net.XML", "<xml/>", "__pycache__/", "", ".hidden", "x")
}

func encrypted(t testing.TB, key string, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := eax.NewEAXWithNonceAndTagSize(block, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Repeat([]byte{7}, 16)
	sealed := aead.Seal(nil, nonce, plain, nil)
	n := len(sealed) - 16
	return append(append(nonce, sealed[n:]...), sealed[:n]...)
}

func TestOpen(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	for name, c := range map[string]struct {
		data []byte
		key  string
	}{"plain": {whole(t), ""}, "plain, with a key": {whole(t), key}, "encrypted": {encrypted(t, key, whole(t)), key}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "old.cap")
			if err := os.WriteFile(path, c.data, 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := Open(path, []byte(c.key))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if p.Encrypted != (name == "encrypted") || p.API != "0.3" || p.Name != "detector_person_example" || p.Version != "3" || len(p.Files()) != 5 || len(p.Models()) != 2 {
				t.Errorf("%+v, %v", p, p.Files())
			}
			dir := filepath.Join(t.TempDir(), "out")
			if err := p.Extract(context.Background(), dir, nil); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(filepath.Join(dir, "capsule.py")); err != nil || string(text) != code {
				t.Errorf("%q, %v", text, err)
			}
			if info, err := os.Stat(filepath.Join(dir, "__pycache__")); err != nil || !info.IsDir() {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	meta := "[about]\napi_compatibility_version: 0.3\n"
	for name, c := range map[string]struct {
		data []byte
		key  string
		kind core.Kind
		want string
	}{
		"no code":         {old(t, "meta.conf", meta), "", core.Invalid, "it has no capsule.py at its root"},
		"no meta":         {old(t, "capsule.py", code), "", core.Invalid, "it has no meta.conf at its root"},
		"in a folder":     {old(t, "x/capsule.py", code, "x/meta.conf", meta), "", core.Invalid, "it has no capsule.py at its root"},
		"leaves":          {old(t, "capsule.py", code, "meta.conf", meta, "../evil.txt", "x"), "", core.Invalid, `"../evil.txt" may leave the folder`},
		"no section":      {old(t, "capsule.py", code, "meta.conf", "api_compatibility_version = 0.3\n"), "", core.Invalid, "no section [about]"},
		"empty meta":      {old(t, "capsule.py", code, "meta.conf", ""), "", core.Invalid, "no section [about]"},
		"another section": {old(t, "capsule.py", code, "meta.conf", "[about]\nx=1\n[more]\napi_compatibility_version=0.3\n"), "", core.Invalid, "no section [about]"},
		"no key":          {encrypted(t, key, whole(t)), "", core.Denied, "it is encrypted, or no package (give its key)"},
		"another key":     {encrypted(t, key, whole(t)), "fedcba9876543210", core.Denied, "the key does not fit"},
		"a bad key":       {encrypted(t, key, whole(t)), "short", core.Denied, "the key has 5 bytes"},
		"cut off":         {encrypted(t, key, whole(t))[:200], key, core.Denied, "the key does not fit, or the file is damaged"},
		"nothing":         {nil, key, core.Invalid, "it has 0 bytes"},
		"encrypted text":  {encrypted(t, key, []byte("text")), key, core.Invalid, "no zip"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(bytes.NewReader(c.data), int64(len(c.data)), "old.cap", []byte(c.key))
			if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "older package: old.cap: ") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCheckAPI(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]core.Kind{
		"0.3": core.Unknown, "00.03": core.Unknown, "0.2": core.CapsuleVersion, "0.4": core.CapsuleVersion, "0.30": core.CapsuleVersion, "1.0": core.CapsuleVersion, "1.3": core.CapsuleVersion,
		"99999999999999999999.0": core.CapsuleVersion, "0.3.1": core.Invalid, "3": core.Invalid, "abc": core.Invalid, "": core.Invalid, "v0.3": core.Invalid, "0.3-dev": core.Invalid, "-0.3": core.Invalid,
	} {
		if err := CheckAPI(version); core.KindOf(err) != want || (err == nil) != (want == core.Unknown) {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestParseMeta(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[about]\napi_compatibility_version=0.3": "0.3", "# c\r\n[x]\r\na=b\r\n[about]\r\n; c\r\nAPI_Compatibility_Version :  00.03  \r\nmore = 1\r\n": "00.03",
		"[about]\n\napi_compatibility_version =\n": "",
	} {
		if got, err := parseMeta([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// FuzzRead: whatever the bytes are, there is a package or a fault.
func FuzzRead(f *testing.F) {
	const key = "0123456789abcdef"
	f.Add(whole(f))
	f.Add(encrypted(f, key, whole(f)))
	f.Add(old(f, "meta.conf", "[about]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Read(bytes.NewReader(data), int64(len(data)), "old.cap", []byte(key))
		if err != nil && core.KindOf(err) == core.Unknown {
			t.Fatalf("an error that is no fault: %v", err)
		}
		if err == nil && (len(p.Files()) < 2 || p.Close() != nil) {
			t.Fatalf("%+v", p)
		}
	})
}
