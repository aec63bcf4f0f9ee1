package hotload

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/core"
)

func TestReadOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       map[string]map[string]any
		says       string // "": it is read
	}{
		{"empty", "", nil, ""},
		{"a comment", "# nothing yet\n", nil, ""},
		{"every type", "a:\n  n: 3\n  f: 0.5\n  b: true\n  t: text\n  d: 2s\n  l: [x, y]\nb: {n: -1}\n", map[string]map[string]any{
			"a": {"n": uint64(3), "f": 0.5, "b": true, "t": "text", "d": "2s", "l": []any{"x", "y"}}, "b": {"n": int64(-1)},
		}, ""},
		{"a capsule without options", "a:\n", map[string]map[string]any{"a": nil}, ""},
		{"no capsules", "[1, 2]\n", nil, "1:1"},
		{"no options", "a: 3\n", nil, "1:4"},
		{"twice", "a: {n: 1}\na: {n: 2}\n", nil, "already"},
		{"no YAML", "a: {\n", nil, "options.yaml"},
		{"too long", strings.Repeat("# \n", 400_000), nil, "1 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "options.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := ReadOptions(path)
			if tt.says != "" {
				if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v, want one sentence that says %q", err, tt.says)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte("a: {n: 1, l: [x]}\nb:\n  d: 2s\n"))
	f.Add([]byte("a: &x {n: 1}\nb: *x\n"))
	f.Add([]byte("? [a]\n: {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		options, err := decodeOptions(data)
		if err != nil && err.Error() == "" {
			t.Error("a fault without words")
		}
		again, err2 := decodeOptions(data)
		if (err == nil) != (err2 == nil) || err == nil && len(again) != len(options) {
			t.Errorf("%v (%v), and then %v (%v)", options, err, again, err2)
		}
	})
}

func TestMatters(t *testing.T) {
	t.Parallel()
	w := &watcher{roots: []string{"/c", "/o/options.yaml"}}
	for path, want := range map[string]bool{
		"/c": true, "/c/a": true, "/c/a/capsule.yaml": true, "/cc/a": false, "/o/options.yaml": true, "/o/other": false,
		"/c/.git/index": false, "/c/a/.run.swp": false, "/c/a/__pycache__/x.pyc": false, "/c/a/main.py~": false, "/c/a/x.swp": false,
	} {
		if got := w.matters(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
