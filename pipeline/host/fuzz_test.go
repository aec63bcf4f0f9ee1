package host

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// FuzzOutput has a capsule print anything: one line goes to the handshake, no line is kept longer than
// it may be, and its last words are few.
func FuzzOutput(f *testing.F) {
	for _, s := range []string{"", "1|1|unix|/tmp/x|grpc\n", "{\"@level\":\"debug\"}\n", "{\"@message\":\"x\",\"error\":{\"a\":[1]}}\n", "panic: oh\n\ngoroutine 1\n", "\xff\xfe\n\n\n", strings.Repeat("x", 3*maxLine), "{" + strings.Repeat("[", 2000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := newOutput(hclog.NewNullLogger())
		var shaken []string
		r, w := io.Pipe()
		var passed bytes.Buffer
		done := make(chan struct{})
		go func() { defer close(done); _, _ = io.Copy(&passed, r) }()
		o.handshake(bytes.NewReader(text), w, func(line string) { shaken = append(shaken, line) })
		<-done
		if len(shaken) > 1 || bytes.Count(passed.Bytes(), []byte("\n")) > 1 || passed.Len() > maxLine+1 {
			t.Errorf("the handshake has %d lines, %d bytes", len(shaken), passed.Len())
		}
		r, w = io.Pipe()
		done = make(chan struct{})
		go func() { defer close(done); _, _ = io.Copy(io.Discard, r) }()
		o.errors(bytes.NewReader(text), w)
		_ = w.Close()
		<-done
		if words := o.lastWords(); len(words) > 500 {
			t.Errorf("%d bytes of last words", len(words))
		}
	})
}
