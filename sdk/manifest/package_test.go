package manifest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

const packaged = short + `entry: {linux/amd64: bin/x, plan9/mips: "bin/y z", any: main.py}
files:
- {path: LICENSE, size: 11, sha256: 30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58}
- path: für alle/x
  size: 0
  sha256: "0000000000000000000000000000000000000000000000000000000000000000"
  executable: true
`

func TestDecodeManifest(t *testing.T) {
	t.Parallel()
	m, err := DecodeManifest("capsule.yaml", []byte(packaged))
	if err != nil {
		t.Fatal(err)
	}
	programs := []Program{{"linux/amd64", "bin/x"}, {"plan9/mips", "bin/y z"}, {"any", "main.py"}}
	files := []File{
		{"LICENSE", 11, "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58", false},
		{"für alle/x", 0, strings.Repeat("0", 64), true},
	}
	if !reflect.DeepEqual(m.Programs, programs) || !reflect.DeepEqual(m.Files, files) || !reflect.DeepEqual(m.Platforms(), []string{"linux/amd64", "plan9/mips", "any"}) {
		t.Errorf("got %+v", m)
	}
	for platform, want := range map[string]string{"linux/amd64": "bin/x", "plan9/mips": "bin/y z", "linux/arm64": "main.py"} {
		if got, ok := m.Program(platform); !ok || got != want {
			t.Errorf("%s: %q, %v", platform, got, ok)
		}
	}
	if want, _ := m.Program(Platform); m.Entry != want {
		t.Errorf("entry %q, want %q", m.Entry, want)
	}
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeManifest("capsule.yaml", text)
	if err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%v: written it reads\n%s", err, text)
	}
}

// A manifest without files and with one program is written as it always was.
func TestEncodeManifestOfAFolder(t *testing.T) {
	t.Parallel()
	d, err := Decode("capsule.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want, err := Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	m, err := DecodeManifest("capsule.yaml", want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Encode(); err != nil || string(got) != string(want) {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestNoProgramHere(t *testing.T) {
	t.Parallel()
	m, err := DecodeManifest("f", []byte(short+"entry: {plan9/mips: x}\n"))
	if err != nil || m.Entry != "" {
		t.Errorf("%q, %v", m.Entry, err)
	}
	if _, ok := m.Program(Platform); ok {
		t.Error("it has none")
	}
	if d, err := Decode("f", []byte(short+"entry: {plan9/mips: x}\n")); err != nil || d.Entry != "" {
		t.Errorf("%q, %v", d.Entry, err)
	}
}

func TestDecodeManifestRefuses(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 63) + "a"
	for name, c := range map[string]struct{ text, want string }{
		"no platform":       {"entry: {linux: x}\n", `entry: "linux" is no platform (want linux/amd64`},
		"no programs":       {"entry: {}\n", "entry: it names no program"},
		"leaves":            {"entry: {any: ../x}\n", `entry.any: "../x" may leave the folder`},
		"a platform a list": {"entry: {any: [x]}\n", "entry.any: a list is not text"},
		"files a mapping":   {"files: {x: 1}\n", "files: a mapping is not a list"},
		"no path":           {"files: [{size: 1, sha256: " + zeros + "}]\n", `files[0]: key "path" is missing`},
		"no size":           {"files: [{path: x, sha256: " + zeros + "}]\n", `files[0]: key "size" is missing`},
		"no digest":         {"files: [{path: x, size: 1}]\n", `files[0]: key "sha256" is missing`},
		"bad size":          {"files: [{path: x, size: -1, sha256: " + zeros + "}]\n", "files[0].size: -1 is not a size"},
		"large":             {"files: [{path: x, size: 2147483649, sha256: " + zeros + "}]\n", "is not a size (want 0..2147483648)"},
		"bad digest":        {"files: [{path: x, size: 1, sha256: abc}]\n", `"abc" is no SHA-256`},
		"bad path":          {"files: [{path: /x, size: 1, sha256: " + zeros + "}]\n", `files[0].path: "/x" is not relative`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := DecodeManifest("capsule.yaml", []byte(short+c.text))
			if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "capsule.yaml:4:") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBadPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"a", "a/b.c", "für alle/x y", ".hidden/x", "a..b", "...a", strings.Repeat("a/", 199) + "a"} {
		if why := BadPath(p); why != "" {
			t.Errorf("%q %s", p, why)
		}
	}
	for _, p := range []string{"", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", `a\b`, "c:x", "a\x00", "a\x7f", "\xff", "a.", "a /b", "a*", strings.Repeat("a", 256), strings.Repeat("a/", 200) + "a"} {
		if BadPath(p) == "" {
			t.Errorf("%q is let through", p)
		}
	}
}
