package pack

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func given(s string) Key { return func() (string, error) { return s, nil } }

func TestEncrypted(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	path, w := packed(t, fire(), Writing{Passphrase: secret, WorkFactor: 10})
	data := readFile(t, path)
	if bytes.Contains(data, []byte("capsule.yaml")) || bytes.Contains(data, []byte("You may")) {
		t.Error("its content can be read")
	}
	plain, wp := packed(t, fire(), Writing{})
	if w.Digest != wp.Digest {
		t.Error("encryption changes the digest")
	}
	p, err := Open(path, given(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Encrypted || p.Digest != w.Digest {
		t.Errorf("%+v", p)
	}
	if err := p.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if err := p.Extract(context.Background(), dir, nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(plain); err != nil || info.Size() >= int64(len(data)) {
		t.Errorf("%v, %v", info.Size(), err)
	}
	for name, c := range map[string]struct {
		data []byte
		key  Key
		kind core.Kind
		want string
	}{
		"no key":      {data, given(""), core.Denied, "it is encrypted (give the passphrase"},
		"another key": {data, given("incorrect horse"), core.Denied, "the key does not fit"},
		"cut off":     {data[:len(data)-1], given(secret), core.Invalid, ""},
		"half":        {data[:len(data)/2], given(secret), core.Invalid, ""},
		"changed":     {append(bytes.Clone(data[:len(data)-30]), bytes.Repeat([]byte{1}, 30)...), given(secret), core.Invalid, ""},
		"more work":   {bytes.Replace(data, []byte(" 10\n"), []byte(" 25\n"), 1), given(secret), core.Invalid, "work factor too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(bytes.NewReader(c.data), int64(len(c.data)), "x.cap", c.key)
			if core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSignEncrypted(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	path, w := packed(t, fire(), Writing{Passphrase: secret, WorkFactor: 10})
	k := newKey(t)
	if _, err := Sign(context.Background(), path, k, given("wrong horse"), nil); core.KindOf(err) != core.Denied {
		t.Errorf("with another key: %v", err)
	}
	if d, err := Sign(context.Background(), path, k, given(secret), nil); err != nil || d != w.Digest {
		t.Fatalf("%s, %v", d, err)
	}
	p, err := Open(path, given(secret))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(p.Signatures) != 1 || !p.Signatures[0].By.Equal(k.Public()) || !p.Encrypted {
		t.Errorf("%+v", p.Signatures)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := WorkFactor(f); n != 10 {
		t.Errorf("work factor %d", n)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	const secret = "correct horse"
	files := fire()
	sum := "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58" // of a megabyte of zeros
	files["capsule.yaml"] += "models:\n- {file: fire.bin, sha256: " + sum + ", licence: MIT}\n- {file: far.onnx, sha256: " + sum + ", url: \"https://example.com/far.onnx\"}\n"
	path, w := packed(t, files, Writing{Passphrase: secret, WorkFactor: 10})
	r, err := Inspect(path, given(""), nil)
	if err != nil || !r.Locked || !r.Encrypted || r.WorkFactor != 10 || r.Size != w.Size || r.Name != "" || r.Digest != "" || len(r.Files) != 0 {
		t.Errorf("locked: %+v, %v", r, err)
	}
	k := newKey(t)
	if _, err := Sign(context.Background(), path, k, given(secret), nil); err != nil {
		t.Fatal(err)
	}
	r, err = Inspect(path, given(secret), Trust{{k.Public(), "anna"}})
	if err != nil || r.Locked || r.Name != "detector_fire" || r.Version != "2" || len(r.Files) != 5 || r.Programs[0] != (ReportedProgram{"any", "bin/fire"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if len(r.Models) != 2 || !r.Models[0].Included || r.Models[1].Included || r.Models[0].Licence != "MIT" || len(r.Signatures) != 1 || r.Signatures[0].Trusted != "anna" || r.Licences[0] != "LICENSE" {
		t.Errorf("%+v", r)
	}
	if _, err := Inspect(path, given("wrong horse"), nil); core.KindOf(err) != core.Denied {
		t.Errorf("with another key: %v", err)
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(KeyEnv, "")
	t.Setenv(KeyFileEnv, "")
	if s, err := EnvKey(); s != "" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	t.Setenv(KeyFileEnv, write("k", " from a file \r\nsecond line\n"))
	if s, err := EnvKey(); s != " from a file " || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	t.Setenv(KeyEnv, "from the environment")
	if s, err := EnvKey(); s != "from the environment" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	for _, path := range []string{write("empty", ""), write("line", "\nx"), write("bytes", "\xff\n"), filepath.Join(dir, "none"), write("long", strings.Repeat("x", 2000))} {
		if s, err := FileKey(path)(); s != "" || err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %q, %v", path, s, err)
		}
	}
	asked := 0
	once := Once(func() (string, error) { asked++; return "x", nil })
	for range 3 {
		if s, _ := once(); s != "x" {
			t.Error(s)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
