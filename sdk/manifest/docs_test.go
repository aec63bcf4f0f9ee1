package manifest

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// unknown are manifests with an unknown key in each of their mappings; %s of the document's key
// stands for a known one.
var unknown = map[string]string{
	"":               "zzz: 1\n",
	"input.":         "input: {zzz: 1}\n",
	"output.":        "output: {zzz: 1}\n",
	"options.NAME.":  "options: {x: {zzz: 1}}\n",
	"picture.":       "picture: {zzz: 1}\n",
	"gate.":          "gate: {zzz: 1}\n",
	"models[].":      "models: [{zzz: 1}]\n",
	"needs.":         "needs: {zzz: 1}\n",
	"needs.files[].": "needs: {files: [{zzz: 1}]}\n",
	"files[].":       "files: [{zzz: 1}]\n",
}

var knownKeys = regexp.MustCompile(`known keys: (.*)$`)

// keysOf asks the decoder for the keys that it knows.
func keysOf(t *testing.T) []string {
	t.Helper()
	var keys []string
	for prefix, text := range unknown {
		_, err := Decode("capsule.yaml", []byte(text))
		var f *core.Fault
		if !errors.As(err, &f) {
			t.Fatalf("%q: %v", text, err)
		}
		m := knownKeys.FindStringSubmatch(f.Hint)
		if m == nil {
			t.Fatalf("%q: %v", text, err)
		}
		for k := range strings.SplitSeq(m[1], ", ") {
			keys = append(keys, prefix+k)
		}
	}
	return keys
}

// TestEveryKeyIsDocumented holds docs/reference/manifest.md against the decoder, both ways.
func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reference/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(text)) {
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !ok || !strings.HasPrefix(first, "`") {
			continue
		}
		for name := range strings.SplitSeq(first, ", ") {
			documented = append(documented, strings.Trim(name, "`"))
		}
	}
	known := keysOf(t)
	for _, k := range known {
		if !slices.Contains(documented, k) {
			t.Errorf("docs/reference/manifest.md does not tell of %s", k)
		}
	}
	for _, d := range documented {
		if !slices.Contains(known, d) {
			t.Errorf("docs/reference/manifest.md tells of %s, which there is not", d)
		}
	}
	if len(known) < 40 {
		t.Errorf("only %d keys were looked at", len(known))
	}
}

// The example of the document is a manifest.
func TestDocumentedExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reference/manifest.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	m, err := DecodeManifest("docs/reference/manifest.md", []byte(example))
	if !ok || err != nil || len(m.Programs) != 2 || m.Name != "classifier_face_mood" {
		t.Errorf("%+v, %v", m, err)
	}
}
