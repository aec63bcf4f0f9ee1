package rtsp

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzNumber: a path is a stream's in one way only.
func FuzzNumber(f *testing.F) {
	for _, p := range []string{"", "/streams/", "/streams/1", "/streams/1/", "/streams//", "/streams/01", "/streams/-1", "/streams/99999999999", "/streams/1/trackID=0", "/streams/1\x00"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		n, ok := number(path)
		if !ok {
			return
		}
		if n < 1 || strings.TrimSuffix(path, "/") != fmt.Sprintf("/streams/%d", n) {
			t.Errorf("%q is stream %d", path, n)
		}
	})
}
