package host

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"
)

// What ends a Go program is said before its stacks, which may be of any length.
func TestLastWords(t *testing.T) {
	t.Parallel()
	stack := make([]string, 200)
	for i := range stack {
		stack[i] = fmt.Sprintf("goroutine %d [running]:", i)
	}
	tests := map[string]struct {
		lines []string
		want  string
	}{
		"panic":   {append([]string{"starting", "panic: boom"}, stack...), "panic: boom"},
		"fault":   {append([]string{"unexpected fault address 0x7f00", "fatal error: fault"}, stack...), "unexpected fault address 0x7f00"},
		"fatal":   {append([]string{"fatal error: all goroutines are asleep"}, stack...), "fatal error: all goroutines are asleep"},
		"words":   {[]string{"one", "two", "", "three", "four"}, "two | three | four"},
		"a log":   {[]string{`{"@level":"error","@message":"no model","error":"x.onnx"}`, `{"@level":"debug","@message":"noise"}`}, "no model: x.onnx"},
		"silence": {nil, ""},
	}
	for name, tt := range tests {
		o := newOutput(hclog.NewNullLogger())
		for _, l := range tt.lines {
			o.keep(l)
		}
		if got := o.lastWords(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
