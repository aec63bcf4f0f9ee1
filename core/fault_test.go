package core

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// The numbers cross process lines and disks. A line here is only ever added.
var goldenKinds = map[int]struct {
	kind        Kind
	text, blame string
}{
	0:   {Unknown, "unknown", "capstan"},
	100: {Invalid, "invalid", "caller"}, 101: {NotFound, "not found", "caller"}, 102: {Exists, "exists", "caller"}, 103: {Denied, "denied", "caller"}, 104: {Cancelled, "cancelled", "caller"},
	200: {SourceOpen, "source open", "source"}, 201: {SourceBroken, "source broken", "source"}, 202: {SourceFormat, "source format", "source"}, 203: {SourceStalled, "source stalled", "source"},
	300: {CapsuleStart, "capsule start", "capsule"}, 301: {CapsuleVersion, "capsule version", "capsule"}, 302: {CapsuleExited, "capsule exited", "capsule"},
	303: {CapsuleDeadline, "capsule deadline", "capsule"}, 304: {CapsuleGarbage, "capsule garbage", "capsule"}, 305: {CapsuleContract, "capsule contract", "capsule"}, 306: {CapsuleFailed, "capsule failed", "capsule"}, 307: {CapsuleLimit, "capsule limit", "capsule"},
	400: {Internal, "internal", "capstan"}, 401: {Unsupported, "unsupported", "capstan"}, 402: {Exhausted, "exhausted", "capstan"}, 403: {Closed, "closed", "capstan"},
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for number, g := range goldenKinds {
		if int(g.kind) != number || g.kind.String() != g.text || g.kind.Blame() != g.blame {
			t.Errorf("%d: %d %q %q", number, int(g.kind), g.kind, g.kind.Blame())
		}
	}
	for k := range kindNames {
		if _, ok := goldenKinds[int(k)]; !ok {
			t.Errorf("kind %d (%s) is not in the table of stable numbers", int(k), k)
		}
	}
	if s := Kind(999).String(); s != "kind 999" {
		t.Errorf("got %q", s)
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	inner := Faultf(SourceOpen, "open", "rtsp://host/1", "401 unauthorized: %w", io.EOF)
	inner.Hint = "check the password"
	wrapped := fmt.Errorf("stream 7: %w", inner)
	if got, want := wrapped.Error(), "stream 7: open: rtsp://host/1: 401 unauthorized: EOF (check the password)"; got != want {
		t.Errorf("got %q", got)
	}
	if !errors.Is(wrapped, &Fault{Kind: SourceOpen}) || errors.Is(wrapped, &Fault{Kind: SourceBroken}) || !errors.Is(wrapped, io.EOF) {
		t.Error("errors.Is by kind or cause")
	}
	if errors.Is(wrapped, &Fault{Kind: SourceOpen, Op: "open"}) {
		t.Error("only a bare kind asks for a kind")
	}
	var f *Fault
	if !errors.As(wrapped, &f) || f != inner {
		t.Error("errors.As")
	}
	outer := &Fault{Op: "run", Kind: Internal, Err: wrapped}
	for err, want := range map[error]Kind{wrapped: SourceOpen, outer: Internal, io.EOF: Unknown} {
		if got := KindOf(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if KindOf(nil) != Unknown {
		t.Error("nil has a kind")
	}
	for want, f := range map[string]*Fault{
		"exhausted":       {Kind: Exhausted},
		"arena: closed":   {Op: "arena", Kind: Closed},
		"slot 3: invalid": {On: "slot 3", Kind: Invalid},
		"a: b: EOF":       {Op: "a", On: "b", Err: io.EOF},
		"EOF (wait)":      {Err: io.EOF, Hint: "wait"},
	} {
		if f.Error() != want {
			t.Errorf("got %q, want %q", f.Error(), want)
		}
	}
}
