package sdk

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/hashicorp/go-hclog"
)

func commanded() Capsule {
	c := capsuleOf(nil)
	c.Description, c.Formats, c.Picture, c.EveryN = "Finds nothing.", []PixelFormat{GRAY8, RGB}, PictureSize{MaxSide: 320}, 3
	return c
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "capsule.yaml")
	tests := []struct {
		args   []string
		status int
		out    []string
		errs   []string
	}{
		{nil, 2, nil, []string{"c is a Capstan capsule", "capstan run", "c describe"}},
		{[]string{"dance"}, 2, nil, []string{"capstan run"}},
		{[]string{"describe"}, 0, []string{"Finds nothing.", "GRAY8, RGB, longer side at most 320", "word", "every 3"}, nil},
		{[]string{"manifest"}, 0, []string{"name: c"}, nil},
		{[]string{"manifest", file}, 0, nil, nil},
		{[]string{"manifest", "/nowhere/at/all"}, 1, nil, []string{"nowhere"}},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		if got := commandLine(commanded(), tt.args, &out, &errs); got != tt.status {
			t.Errorf("%v: status %d, want %d: %s", tt.args, got, tt.status, errs.String())
		}
		for _, s := range tt.out {
			if !strings.Contains(out.String(), s) {
				t.Errorf("%v: %q is not in %q", tt.args, s, out.String())
			}
		}
		for _, s := range tt.errs {
			if !strings.Contains(errs.String(), s) {
				t.Errorf("%v: %q is not in %q", tt.args, s, errs.String())
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := manifest.Decode(file, text)
	if err != nil || d.Name != "c" || d.Picture.MaxSide != 320 || len(d.Options) != 1 {
		t.Errorf("%v %+v", err, d)
	}
	bad := commanded()
	bad.Version = ""
	var out, errs bytes.Buffer
	if commandLine(bad, []string{"manifest"}, &out, &errs) != 1 || out.Len() != 0 || !strings.Contains(errs.String(), "version") {
		t.Errorf("not valid: %q %q", out.String(), errs.String())
	}
}

func TestLargeAnswersAreKeptWithinBounds(t *testing.T) {
	t.Parallel()
	var a answers
	dropped := 0
	for i := range uint64(maxAnswers + 5) {
		dropped = max(dropped, a.put(&wire.FrameAnswer{Call: i + 1}, 100))
	}
	if dropped != 5 || a.bytes != 100*maxAnswers {
		t.Errorf("%d dropped, %d bytes", dropped, a.bytes)
	}
	if _, ok := a.take(5); ok {
		t.Error("an answer that was dropped is there")
	}
	if m, ok := a.take(6); !ok || m.Call != 6 {
		t.Errorf("answer 6: %v", m)
	}
	if _, ok := a.take(6); ok {
		t.Error("an answer can be fetched twice")
	}
	if n := a.put(&wire.FrameAnswer{Call: 900}, maxAnswerBytes); n != maxAnswers-1+5 || len(a.order) != 1 {
		t.Errorf("%d dropped, %d left", n, len(a.order))
	}
}

// serverOf is the service without a process around it.
func serverOf(t *testing.T, c Capsule) *server {
	t.Helper()
	rt, err := NewRuntime(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rt.Close)
	return newServer(rt, hclog.NewNullLogger())
}

func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	s := serverOf(t, capsuleOf(func(context.Context, Stream) (Processor, error) {
		return ProcessorFunc(func(context.Context, *Frame) error { return nil }), nil
	}))
	ctx := context.Background()
	kind := func(err error) core.Kind { fault, _ := wire.FromStatus(err); return core.KindOf(fault) }
	_, err := s.Configure(ctx, &wire.ConfigureRequest{OptionsJson: `{"nope":1}`})
	if kind(err) != core.Invalid {
		t.Errorf("configure: %v", err)
	}
	_, err = s.OpenStream(ctx, &wire.OpenStreamRequest{Stream: 1, Id: "s", OptionsJson: "["})
	if kind(err) != core.Invalid {
		t.Errorf("open: %v", err)
	}
	_, err = s.Fetch(ctx, &wire.FetchRequest{Call: 3})
	if kind(err) != core.NotFound {
		t.Errorf("fetch: %v", err)
	}
	if _, err := s.OpenStream(ctx, &wire.OpenStreamRequest{Stream: 1, Id: "s"}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		m    *wire.FrameRequest
		kind core.Kind
	}{
		"good":           {&wire.FrameRequest{Call: 1, Stream: 1}, core.Unknown},
		"no call":        {&wire.FrameRequest{Stream: 1}, core.Invalid},
		"other stream":   {&wire.FrameRequest{Call: 1, Stream: 2}, core.NotFound},
		"handle":         {&wire.FrameRequest{Call: 1, Stream: 1, Picture: &wire.Picture{Handle: 9}}, core.Invalid},
		"missing pixels": {&wire.FrameRequest{Call: 1, Stream: 1, Picture: &wire.Picture{Handle: wire.HandleType_HANDLE_INLINE, Format: 1, Width: 8, Height: 8, Offsets: []int64{0}, Strides: []int64{8}}}, core.Invalid},
	}
	for name, tt := range tests {
		m, err := s.Process(ctx, tt.m)
		if err != nil || core.KindOf(wire.DecodeFault(m.Fault)) != tt.kind {
			t.Errorf("%s: %v %v, want %v", name, err, m, tt.kind)
		}
	}
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	m, err := s.Process(short, &wire.FrameRequest{Call: 1, Stream: 1, Picture: &wire.Picture{Handle: wire.HandleType_HANDLE_ARENA, Arena: 9, Format: 1, Width: 8, Height: 8, Offsets: []int64{0}, Strides: []int64{8}}})
	if err != nil || core.KindOf(wire.DecodeFault(m.Fault)) != core.NotFound {
		t.Errorf("unknown arena: %v %v", err, m)
	}
}

// An engine that forgot to close a stream opens it again under a new number, with a new state.
func TestStreamIsTakenOver(t *testing.T) {
	t.Parallel()
	opened := 0
	s := serverOf(t, capsuleOf(func(context.Context, Stream) (Processor, error) {
		opened++
		return ProcessorFunc(func(context.Context, *Frame) error { return nil }), nil
	}))
	ctx := context.Background()
	for n := range uint32(2) {
		if _, err := s.OpenStream(ctx, &wire.OpenStreamRequest{Stream: n + 1, Id: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CloseStream(ctx, &wire.CloseStreamRequest{Stream: 1}); err != nil { // late
		t.Fatal(err)
	}
	m, err := s.Process(ctx, &wire.FrameRequest{Call: 1, Stream: 2})
	if err != nil || m.Fault != nil || len(m.Returns) != 1 || opened != 2 {
		t.Errorf("%v %v, opened %d times", err, m, opened)
	}
}
