package sdktest

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/manifest"
)

// Manifest holds the committed manifest against the code: the test fails where the file is not
// what the capsule's program would write.
func Manifest(t testing.TB, c sdk.Capsule, path string) {
	t.Helper()
	d := c.Declaration()
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	want, err := manifest.Encode(d)
	if err != nil {
		t.Fatalf("%s: the declaration has no manifest: %v", c.Name, err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it: go run . manifest %s)", err, path)
	}
	if bytes.Equal(got, want) {
		return
	}
	line, is, should := firstDifference(string(got), string(want))
	t.Errorf("%s:%d: %q, but the code declares %q (make it anew: go run . manifest %s)", path, line, is, should, path)
}

func firstDifference(got, want string) (line int, is, should string) {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		is, should = "", ""
		if i < len(a) {
			is = a[i]
		}
		if i < len(b) {
			should = b[i]
		}
		if is != should {
			return i + 1, is, should
		}
	}
	return len(a), "", ""
}
