package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fuzzer = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// TestFuzzers holds the list of fuzzers against the code.
func TestFuzzers(t *testing.T) {
	t.Parallel()
	var have, listed []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		dir, _ := filepath.Rel("..", filepath.Dir(path))
		for _, m := range fuzzer.FindAllStringSubmatch(string(text), -1) {
			have = append(have, filepath.ToSlash(dir)+" "+m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const head = "| package | fuzzer | what is read |"
	for _, row := range tableRows(t, "reference/fuzzing.md", head)[head] {
		listed = append(listed, strings.Trim(row[0], "`")+" "+strings.Trim(row[1], "`"))
		if row[2] == "" {
			t.Errorf("%v: what is read?", row)
		}
	}
	slices.Sort(have)
	slices.Sort(listed)
	if !slices.Equal(have, listed) {
		for _, f := range have {
			if !slices.Contains(listed, f) {
				t.Errorf("docs/reference/fuzzing.md does not have %s", f)
			}
		}
		for _, f := range listed {
			if !slices.Contains(have, f) {
				t.Errorf("docs/reference/fuzzing.md has %s, which there is not", f)
			}
		}
	}
}
