package manifest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func withModels(models ...core.Model) core.Declaration {
	return core.Declaration{
		Name: "detector_x", Version: "1", API: "1.0", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"x"}}, Models: models, Entry: "detector_x",
	}
}

func TestModelsThereAndBack(t *testing.T) {
	sha := strings.Repeat("0", 64) // all digits: it must not come back as a number
	want := withModels(
		core.Model{File: "a.onnx", URL: "https://example.org/a%20b.onnx?raw=1#x", SHA256: sha, Licence: "MIT: as stated", Source: "A & B"},
		core.Model{File: "b c.onnx", SHA256: strings.Repeat("1e", 32)},
	)
	text, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode("x", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(got.Models, want.Models) {
		t.Errorf("got %+v, want %+v", got.Models, want.Models)
	}
}

func TestModelsRefused(t *testing.T) {
	good := strings.Repeat("ab", 32)
	for name, c := range map[string]struct{ text, want string }{
		"no list":     {"{file: a}", "is not a list"},
		"no file":     {"[{sha256: " + good + "}]", `key "file" is missing`},
		"no hash":     {"[{file: a}]", `key "sha256" is missing`},
		"short hash":  {"[{file: a, sha256: abc}]", "64 hexadecimal digits"},
		"folder":      {"[{file: ../a, sha256: " + good + "}]", "without folders"},
		"twice":       {"[{file: a, sha256: " + good + "}, {file: a, sha256: " + good + "}]", "stands there twice"},
		"unknown key": {"[{file: a, sha: " + good + "}]", `unknown key "sha"`},
		"bad url":     {"[{file: a, url: \"http://%zz\", sha256: " + good + "}]", "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode("f.yaml", []byte("name: d\nversion: 1\noutput: {size: all}\nmodels: "+c.text+"\n"))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "f.yaml") {
				t.Errorf("got %v, want %q and the file", err, c.want)
			}
		})
	}
}
