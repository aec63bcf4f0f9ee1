package conform_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
	"github.com/capstan-video/capstan/sdk/conform"
	"github.com/hashicorp/go-hclog"
)

// look is what a broken capsule does on a frame.
type look func(s sdk.Stream, f *sdk.Frame) error

// of makes a capsule that does it.
func of(c sdk.Capsule, does look) sdk.Capsule {
	c.Version = "1"
	if c.Name == "" {
		c.Name = "broken_test"
	}
	if c.Open == nil {
		c.Open = func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
			return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error { return does(s, f) }), nil
		}
	}
	return c
}

// detector looks at grey pictures and finds spots.
func detector(does look) sdk.Capsule {
	return of(sdk.Capsule{Gives: sdk.Finds("spot"), Formats: []sdk.PixelFormat{sdk.GRAY8, sdk.RGB}}, does)
}

// classifier works on one person at a time.
func classifier(gives sdk.Description, does look) sdk.Capsule {
	gives.Size = sdk.Single
	return of(sdk.Capsule{Needs: sdk.Each("person"), Gives: gives, Formats: []sdk.PixelFormat{sdk.GRAY8}}, does)
}

// tracker takes all persons of a frame.
func tracker(does look) sdk.Capsule {
	return of(sdk.Capsule{Needs: sdk.Every("person"), Gives: sdk.Description{Size: sdk.All, Tracked: true}, Stateful: true}, does)
}

func encoder(does look) sdk.Capsule {
	c := classifier(sdk.Description{Encoded: true}, does)
	c.Metric = sdk.Cosine
	c.Options = []sdk.Option{sdk.Float("recognition_threshold", 0.5, "", sdk.AtLeast(0))}
	return c
}

func spot(f *sdk.Frame) *sdk.Node { return f.Add("spot", sdk.Rect(0, 0, 1, 1)) }

func nothing(sdk.Stream, *sdk.Frame) error { return nil }

// withOption gives a capsule an option.
func withOption(c sdk.Capsule, o ...sdk.Option) sdk.Capsule {
	c.Options = append(c.Options, o...)
	return c
}

// inside runs the cases on a capsule of this process, few openings so that tests are quick.
func inside(t *testing.T, c sdk.Capsule, opens int, s conform.Suite) *conform.Report {
	t.Helper()
	h := conform.Inside(c, nil)
	h.Opens = opens
	return run(t, h, s)
}

func run(t *testing.T, h conform.Home, s conform.Suite) *conform.Report {
	t.Helper()
	if s.Limit == 0 {
		s.Limit = 5 * time.Second
	}
	r, err := s.Run(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// says wants a case to have failed (or, with noted, to have been noted) with a sentence.
func says(t *testing.T, r *conform.Report, name, want string) {
	t.Helper()
	c, ok := r.Case(name)
	if !ok {
		t.Fatalf("there is no case %s", name)
	}
	var all []string
	for _, f := range slices.Concat(c.Findings, c.Notes) {
		all = append(all, f.String())
	}
	text := strings.Join(all, "\n")
	if c.Verdict != conform.Failed || !strings.Contains(text, want) {
		t.Errorf("case %s %s, saying %q; want failed with %q", name, c.Verdict, text+c.Reason, want)
	}
}

// counter is state outside of any stream.
var counter atomic.Int64

// last is state that all streams share, taken anew when a stream is opened.
var last atomic.Int64

// broken is a capsule that breaks one rule: the case that catches it, and a part of what it says.
type broken struct {
	name, in, says string
	capsule        sdk.Capsule
}

// breaks has a capsule for every case.
func breaks() []broken {
	return slices.Concat(breaksInFormats(), breaksInFrames(), breaksInReturns())
}

func breaksInFormats() []broken {
	return []broken{
		{"cannot be opened", "start", "no licence", func() sdk.Capsule {
			c := detector(nothing)
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return nil, errors.New("no licence") }
			return c
		}()},
		{"cannot be loaded", "start", "no model", func() sdk.Capsule {
			c := detector(nothing)
			c.Load = func(context.Context, hclog.Logger) error { return errors.New("no model") }
			return c
		}()},
		{"panics at its limit", "options", "panic in Process", withOption(detector(func(s sdk.Stream, f *sdk.Frame) error {
			_ = make([]int, 10)[9+s.Options.Int("n")/100]
			return nil
		}), sdk.Int("n", 3, "", sdk.Between(0, 100)))},
		{"fails with a choice", "options", "not written yet", withOption(detector(func(s sdk.Stream, f *sdk.Frame) error {
			if s.Options.Text("mode") == "c" {
				return errors.New("not written yet")
			}
			return nil
		}), sdk.Enum("mode", "a", []string{"a", "b", "c"}, ""))},
		{"refuses every value", "options", "not one value of option path is taken", func() sdk.Capsule {
			c := withOption(detector(nothing), sdk.Text("path", "", ""))
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return nil, errors.New("there is no path") }
			return c
		}()},
		{"fails after a change", "changes", "it is not empty", withOption(func() sdk.Capsule {
			c := detector(nothing)
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return &changing{}, nil }
			return c
		}(), sdk.Bool("on", true, ""))},
		{"panics on RGB", "formats", "panic in Process", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			if f.Format() == sdk.RGB {
				panic("who asked for colours")
			}
			return nil
		})},
		{"fails on limited range", "formats", "only full range", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			if !f.FullRange() {
				return errors.New("only full range")
			}
			return nil
		})},
		{"ignores strides", "sizes", "panic in Process", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			pix, stride := f.Plane(0)
			_ = pix[(f.Height()-1)*(stride+f.Width()%2)]
			return nil
		})},
		{"fails on one pixel", "sizes", "panic in Process", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			_ = 100 / (f.Width() - 1)
			return nil
		})},
		{"fails on 4K", "sizes", "too large", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			if f.Width() > 2000 {
				return errors.New("too large")
			}
			return nil
		})},
		{"needs a node", "empty", "panic in Process", tracker(func(_ sdk.Stream, f *sdk.Frame) error {
			f.Nodes()[0].SetTrackID("00000000-0000-4000-8000-000000000001")
			for _, n := range f.Nodes() {
				n.SetTrackID("00000000-0000-4000-8000-000000000001")
			}
			return nil
		})},
		{"has room for a hundred", "nodes", "panic in Process", tracker(func(_ sdk.Stream, f *sdk.Frame) error {
			var room [100]int
			for i, n := range f.Nodes() {
				room[i]++
				n.SetTrackID("00000000-0000-4000-8000-000000000001")
			}
			return nil
		})},
	}
}

func breaksInFrames() []broken {
	return []broken{
		{"crops without looking", "borders", "panic in Process", classifier(sdk.Description{}, func(_ sdk.Stream, f *sdk.Frame) error {
			b, g := f.Node().Box(), f.Gray()
			_ = g.Pix[int(b.Y1)*g.Stride+int(b.X1)]
			return nil
		})},
		{"divides by the area", "borders", "unsupported value", classifier(sdk.Description{ExtraData: []string{"ratio"}}, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetExtra("ratio", f.Node().Box().Width()/f.Node().Box().Height())
			return nil
		})},
		{"divides by the time", "time", "unsupported value", func() sdk.Capsule {
			c := tracker(nothing)
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return &speed{}, nil }
			return c
		}()},
		{"rolls dice", "repeat", "different results from frame 1 on", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			spot(f).SetConfidence(rand.Float64())
			return nil
		})},
		{"counts for all time", "repeat", "different results", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			spot(f).SetExtra("n", counter.Add(1))
			return nil
		})},
		{"shares the last frame", "streams", "side by side", func() sdk.Capsule {
			c := detector(nothing)
			c.Stateful = true
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) {
				last.Store(0)
				return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
					spot(f).SetExtra("before", last.Swap(int64(f.Seq()))) // 1 to 12, one after the other, when alone
					time.Sleep(time.Millisecond)
					return nil
				}), nil
			}
			return c
		}()},
		{"keeps what streams leave", "streams", "other streams were open before it", func() sdk.Capsule {
			c := detector(nothing)
			var loaded atomic.Int64
			c.Load = func(context.Context, hclog.Logger) error { loaded.Store(0); return nil }
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) {
				n := loaded.Add(1)
				return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error { spot(f).SetExtra("n", n); return nil }), nil
			}
			c.Concurrency = 1
			return c
		}()},
		{"has one buffer for all frames", "flight", "got the answer of another one", func() sdk.Capsule {
			c := detector(nothing)
			c.Concurrency = 8
			var mu sync.Mutex
			var seen uint64
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) {
				return sdk.ProcessorFunc(func(_ context.Context, f *sdk.Frame) error {
					mu.Lock()
					seen = f.Seq()
					mu.Unlock()
					time.Sleep(2 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					spot(f).SetExtra("seen", seen)
					return nil
				}), nil
			}
			return c
		}()},
		{"draws into the frame", "pixels", "wrote to the pixels", detector(func(_ sdk.Stream, f *sdk.Frame) error { f.Memory()[0] ^= 255; return nil })},
		{"does not forget a caller that left", "cancel", "context canceled", func() sdk.Capsule {
			c := detector(nothing)
			c.Stateful = true
			c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) { return &sulking{}, nil }
			return c
		}()},
	}
}

func breaksInReturns() []broken {
	attribute := sdk.Description{Attributes: []sdk.Attribute{{Name: "side", Values: []string{"left", "right"}}}}
	return []broken{
		{"leaks memory", "reopen", "memory grows", leaking(func() func() {
			held := make([]byte, 1<<18)
			hoard.Lock()
			hoard.list = append(hoard.list, held)
			hoard.Unlock()
			return func() {}
		})},
		{"leaks descriptors", "reopen", "open descriptors grow", leaking(func() func() {
			f, err := os.Open(os.DevNull)
			if err == nil {
				hoard.Lock()
				hoard.files = append(hoard.files, f)
				hoard.Unlock()
			}
			return func() {}
		})},
		{"leaks goroutines", "reopen", "goroutines grow", leaking(func() func() { go func() { <-hoard.end }(); return func() {} })},
		{"leaves a goroutine", "close", "goroutines are left", leaking(func() func() { go func() { <-hoard.end }(); return func() {} })},
		{"gives two for one", "returns", "gives single", of(sdk.Capsule{Gives: sdk.Each("spot"), Formats: []sdk.PixelFormat{sdk.GRAY8}}, func(_ sdk.Stream, f *sdk.Frame) error {
			spot(f)
			spot(f)
			return nil
		})},
		{"is not UTF-8", "returns", "does not survive", of(sdk.Capsule{Gives: sdk.Finds()}, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Add("caf\xe9", sdk.Rect(0, 0, 1, 1))
			return nil
		})},
		{"finds what it does not declare", "classes", `class "stain" is not declared`, detector(func(_ sdk.Stream, f *sdk.Frame) error {
			if f.Width() == 7 { // on one odd picture only
				f.Add("stain", sdk.Rect(0, 0, 1, 1))
			}
			return nil
		})},
		{"forgets an attribute", "attributes", "lacks the declared attribute side", classifier(attribute, nothing)},
		{"has another value", "attributes", `side="top" is not declared`, classifier(attribute, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetAttribute("side", "top")
			return nil
		})},
		{"forgets a key", "extra_data", "lacks the declared key score", classifier(sdk.Description{ExtraData: []string{"score"}}, nothing)},
		{"is too sure", "extra_data", "confidence 93", detector(func(_ sdk.Stream, f *sdk.Frame) error { spot(f).SetConfidence(93); return nil })},
		{"does not encode", "encodings", "has no encoding", encoder(nothing)},
		{"encodes by mood", "encodings", "4 and 3 values", encoder(func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetEncoding(make(sdk.Encoding, 3+f.Seq()%2))
			return nil
		})},
		{"encodes undeclared", "encodings", "does not declare it", classifier(sdk.Description{}, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetEncoding(sdk.Encoding{1})
			return nil
		})},
		{"does not track", "tracks", "has no track", func() sdk.Capsule {
			c := tracker(nothing)
			c.Needs.Size, c.Gives.Size = sdk.Single, sdk.Single
			return c
		}()},
		{"tracks undeclared", "tracks", "does not declare it", classifier(sdk.Description{}, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetTrackID("00000000-0000-4000-8000-000000000001")
			return nil
		})},
		{"has no outline", "coords", "has no outline", detector(func(_ sdk.Stream, f *sdk.Frame) error { f.Add("spot", nil); return nil })},
		{"measures in something else", "coords", "far outside", detector(func(_ sdk.Stream, f *sdk.Frame) error {
			f.Add("spot", sdk.Rect(1e6, 1e6, 1e6+5, 1e6+5))
			return nil
		})},
	}
}

// changing is a processor that does not survive new options.
type changing struct{ changed bool }

func (c *changing) Configure(sdk.Values) error { c.changed = true; return nil }

func (c *changing) Process(context.Context, *sdk.Frame) error {
	if c.changed {
		return errors.New("it is not empty")
	}
	return nil
}

// speed divides by the time between frames.
type speed struct{ last sdk.PTS }

func (s *speed) Process(_ context.Context, f *sdk.Frame) error {
	dt := (f.PTS() - s.last).Seconds()
	s.last = f.PTS()
	for _, n := range f.Nodes() {
		n.SetTrackID("00000000-0000-4000-8000-000000000001")
		if f.Seq() > 1 {
			n.SetExtra("speed", 1/dt)
		}
	}
	return nil
}

// sulking gives every later frame the error of the first caller that left.
type sulking struct{ err error }

func (s *sulking) Process(ctx context.Context, _ *sdk.Frame) error {
	if s.err == nil {
		s.err = ctx.Err()
	}
	return s.err
}

// hoard is what leaking capsules leave behind, until the tests are over.
var hoard = struct {
	sync.Mutex
	list  [][]byte
	files []*os.File
	end   chan struct{}
}{end: make(chan struct{})}

func emptyHoard() {
	hoard.Lock()
	defer hoard.Unlock()
	for _, f := range hoard.files {
		_ = f.Close()
	}
	hoard.list, hoard.files = nil, nil
	close(hoard.end)
	hoard.end = make(chan struct{})
}

// leaking takes something at every opening.
func leaking(take func() (free func())) sdk.Capsule {
	c := detector(nothing)
	c.Open = func(context.Context, sdk.Stream) (sdk.Processor, error) {
		take()
		return sdk.ProcessorFunc(func(context.Context, *sdk.Frame) error { return nil }), nil
	}
	c.Concurrency = 1
	return c
}

// TestEveryBreakIsCaught runs the whole suite on each broken capsule: the right case has to fail,
// with a sentence that says why.
func TestEveryBreakIsCaught(t *testing.T) {
	t.Cleanup(emptyHoard)
	for _, tt := range breaks() {
		t.Run(tt.in+"/"+tt.name, func(t *testing.T) {
			opens := 10
			if tt.in == "reopen" {
				opens = 100
			}
			says(t, inside(t, tt.capsule, opens, conform.Suite{Budget: 3 * time.Second, Only: only(tt.in)}), tt.in, tt.says)
		})
	}
}

// only gives the cases to run for one: those that are told by other cases need them all.
func only(name string) []string {
	switch name {
	case "classes", "returns", "coords":
		return []string{"sizes", "nodes", name}
	default:
		return []string{name}
	}
}

// TestWellBehaved wants a capsule that does all well to pass every case.
func TestWellBehaved(t *testing.T) {
	good := []sdk.Capsule{
		withOption(detector(func(s sdk.Stream, f *sdk.Frame) error {
			spot(f).SetConfidence(s.Options.Float("score"))
			return nil
		}), sdk.Float("score", 0.5, "", sdk.Between(0, 1)), sdk.Enum("mode", "a", []string{"a", "b"}, ""), sdk.List("names", []string{"a"}, ""),
			sdk.Duration("wait", time.Second, "", sdk.AtLeast(0)), sdk.Text("title", "x", ""), sdk.Secret("key", ""), sdk.Bool("on", true, "")),
		classifier(sdk.Description{Attributes: []sdk.Attribute{{Name: "side", Values: []string{"left", "right"}}}}, func(_ sdk.Stream, f *sdk.Frame) error {
			f.Node().SetAttribute("side", "left")
			return nil
		}),
		encoder(func(_ sdk.Stream, f *sdk.Frame) error { f.Node().SetEncoding(sdk.Encoding{1, 2}); return nil }),
		tracker(func(_ sdk.Stream, f *sdk.Frame) error {
			for i, n := range f.Nodes() {
				n.SetTrackID(sdk.TrackID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)))
			}
			return nil
		}),
	}
	for _, c := range good {
		r := inside(t, c, 50, conform.Suite{})
		if len(r.Cases) != len(conform.Names()) {
			t.Errorf("%d cases of %d", len(r.Cases), len(conform.Names()))
		}
		for _, c := range r.Cases {
			if c.Verdict == conform.Failed {
				t.Errorf("%s: %v", c.Name, c.Findings)
			}
			if c.Verdict == conform.NotApplicable && c.Reason == "" {
				t.Errorf("%s is not applicable and does not say why", c.Name)
			}
		}
	}
}

// program is a capsule with a process, made of functions.
type program struct {
	conform.Subject
	mu      sync.Mutex
	options func(map[string]any) error
	dead    bool
	ready   func() error
	slow    time.Duration
	process func(f *conform.Frame) ([]core.Return, error)
}

func (p *program) OpenStream(ctx context.Context, id core.StreamID, options map[string]any) error {
	if p.options != nil {
		if err := p.options(options); err != nil {
			return err
		}
		return nil
	}
	return p.Subject.OpenStream(ctx, id, options)
}

func (p *program) Process(ctx context.Context, f *conform.Frame) ([]core.Return, error) {
	p.mu.Lock()
	dead := p.dead
	p.dead = false
	p.mu.Unlock()
	if dead {
		return nil, core.Faultf(core.CapsuleDeadline, "capsule", "", "it did not answer")
	}
	if p.process != nil {
		return p.process(f)
	}
	return p.Subject.Process(ctx, f)
}

func (p *program) Halt() error { p.mu.Lock(); defer p.mu.Unlock(); p.dead = true; return nil }
func (p *program) Kill() error { return p.Halt() }
func (p *program) Ready(context.Context) error {
	if p.ready != nil {
		return p.ready()
	}
	return nil
}
func (p *program) Close() error { time.Sleep(p.slow); return p.Subject.Close() }

// home makes a home of programs over a good capsule.
func home(c sdk.Capsule, change func(*program)) conform.Home {
	h := conform.Inside(c, nil)
	in := h.Start
	h.Shared, h.Opens = false, 10
	h.Start = func(ctx context.Context, s conform.Settings) (conform.Subject, error) {
		sub, err := in(ctx, s)
		if err != nil {
			return nil, err
		}
		p := &program{Subject: sub}
		change(p)
		return p, nil
	}
	return h
}

// TestEveryBrokenProgramIsCaught has the breaks that the Go SDK does not let happen.
func TestEveryBrokenProgramIsCaught(t *testing.T) {
	good := withOption(detector(nothing), sdk.Float("score", 0.5, "", sdk.Between(0, 1)), sdk.Int("n", 1, "", sdk.AtLeast(0)))
	other := good.Declaration()
	other.Options = slices.Clone(other.Options)
	other.Options[0].Max = nil
	tests := []struct {
		name, in, says string
		home           conform.Home
	}{
		{"manifest of another version", "manifest", "max: 1", func() conform.Home {
			h := home(good, func(*program) {})
			h.Program = func(context.Context) (core.Declaration, error) { return other, nil }
			return h
		}()},
		{"program that says nothing", "manifest", "no handshake", func() conform.Home {
			h := home(good, func(*program) {})
			h.Program = func(context.Context) (core.Declaration, error) { return other, errors.New("no handshake") }
			return h
		}()},
		{"takes everything", "refusals", "it takes", home(good, func(p *program) { p.options = func(map[string]any) error { return nil } })},
		{"takes NaN", "refusals", "it takes score: NaN", home(good, func(p *program) {
			p.options = func(m map[string]any) error {
				if v, ok := m["score"].(float64); ok && math.IsNaN(v) {
					delete(m, "score")
				}
				_, err := good.Declaration().Complete(m)
				return err
			}
		})},
		{"dies of a wrong value", "refusals", "status 1", home(good, func(p *program) {
			p.options = func(m map[string]any) error {
				if _, err := good.Declaration().Complete(m); err != nil {
					return core.Faultf(core.CapsuleExited, "capsule", "", "it exited with status 1")
				}
				return nil
			}
		})},
		{"does not come back from a deadline", "deadline", "does not come back after a deadline", home(good, func(p *program) { p.ready = func() error { return errors.New("the lock file is there") } })},
		{"does not come back from a kill", "kill", "the lock file is there", home(good, func(p *program) { p.ready = func() error { return errors.New("the lock file is there") } })},
		{"does not end", "close", "did not end by itself", home(good, func(p *program) { p.slow = 5100 * time.Millisecond })},
		{"answers for a node that it has not", "returns", "which it was not called for", home(classifier(sdk.Description{}, nothing), func(p *program) {
			p.process = func(f *conform.Frame) ([]core.Return, error) {
				var list []core.Return
				for range f.Nodes {
					list = append(list, core.Return{Kind: core.ReturnNull, Node: 99})
				}
				return list, nil
			}
		})},
		{"answers too little", "returns", "0 returns, want", home(classifier(sdk.Description{}, nothing), func(p *program) {
			p.process = func(*conform.Frame) ([]core.Return, error) { return nil, nil }
		})},
		{"keeps nodes of the last frame", "returns", "was not given", home(tracker(nothing), func(p *program) {
			p.process = func(*conform.Frame) ([]core.Return, error) {
				return []core.Return{{Kind: core.ReturnList, Returned: []core.NodeID{123456}}}, nil
			}
		})},
		{"mixes the streams up", "streams", "got the result of stream", mixing()},
		{"mixes the frames up", "flight", "got the answer of another one", swapping()},
		{"gives what is no JSON", "extra_data", "is not JSON", home(detector(nothing), func(p *program) {
			p.process = func(*conform.Frame) ([]core.Return, error) {
				return []core.Return{{Kind: core.ReturnList, Added: []*core.Node{{Class: "spot", Coords: core.Rect(0, 0, 1, 1), ExtraData: core.ExtraData{"k": []byte("{")}}}}}, nil
			}
		})},
		{"gives no numbers", "coords", "lies at", home(detector(nothing), func(p *program) {
			p.process = func(*conform.Frame) ([]core.Return, error) {
				return []core.Return{{Kind: core.ReturnList, Added: []*core.Node{{Class: "spot", Coords: core.Rect(math.NaN(), 0, 1, 1)}}}}, nil
			}
		})},
		{"encodes what is no number", "encodings", "not finite", home(encoder(nothing), func(p *program) {
			p.process = func(f *conform.Frame) ([]core.Return, error) {
				var list []core.Return
				for _, n := range f.Nodes {
					list = append(list, core.Return{Kind: core.ReturnNull, Node: n.ID, Patches: []core.Patch{{Node: n.ID, Encoding: core.Encoding{float32(math.Inf(1))}}}})
				}
				return list, nil
			}
		})},
		{"hangs", "start", "did not answer within", home(good, func(p *program) {
			p.process = func(*conform.Frame) ([]core.Return, error) { time.Sleep(2 * time.Second); return nil, nil }
		})},
	}
	for _, tt := range tests {
		t.Run(tt.in+"/"+tt.name, func(t *testing.T) {
			t.Parallel()
			s := conform.Suite{Only: []string{tt.in}, Budget: time.Second}
			if tt.name == "hangs" {
				s.Limit = 100 * time.Millisecond
			}
			says(t, run(t, tt.home, s), tt.in, tt.says)
		})
	}
}

// mixing answers streams that are side by side, which are opened after six that are alone, with
// what belongs to the neighbour.
func mixing() conform.Home {
	return home(detector(nothing), func(p *program) {
		var mu sync.Mutex
		var order []core.StreamID
		given := map[core.StreamID][]core.Polygon{}
		p.process = func(f *conform.Frame) ([]core.Return, error) {
			mu.Lock()
			defer mu.Unlock()
			id := f.Info.Stream
			if !slices.Contains(order, id) {
				order = append(order, id)
			}
			at := core.Rect(0, 0, float64(len(order)), float64(len(given[id])+1))
			if k := slices.Index(order, id); k == 5 { // the first one again
				at = given[order[0]][len(given[id])]
			} else if k > 5 {
				at = given[order[(k-6+1)%5]][len(given[id])]
			}
			given[id] = append(given[id], at)
			return []core.Return{{Kind: core.ReturnList, Added: []*core.Node{{Class: "spot", Coords: at}}}}, nil
		}
	})
}

// swapping gives a frame the answer to the one that came before it, when several are under way.
func swapping() conform.Home {
	var mu sync.Mutex
	under, before := 0, uint64(0)
	return home(detector(nothing), func(p *program) {
		p.process = func(f *conform.Frame) ([]core.Return, error) {
			mu.Lock()
			under++
			seq := f.Info.Seq
			if under > 1 {
				seq = before
			}
			before = f.Info.Seq
			mu.Unlock()
			time.Sleep(2 * time.Millisecond)
			mu.Lock()
			under--
			mu.Unlock()
			return []core.Return{{Kind: core.ReturnList, Added: []*core.Node{{Class: "spot", Coords: core.Rect(0, 0, float64(seq), 1)}}}}, nil
		}
	})
}

// TestEveryCaseCanFail holds the two tables above against the list of cases.
func TestEveryCaseCanFail(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{"manifest": true, "refusals": true, "deadline": true, "kill": true} // of the programs
	for _, b := range breaks() {
		covered[b.in] = true
	}
	for _, name := range conform.Names() {
		if !covered[name] {
			t.Errorf("no broken capsule has case %s fail", name)
		}
	}
}

func TestRandomIsAllowedWhenSaid(t *testing.T) {
	c := detector(func(_ sdk.Stream, f *sdk.Frame) error { spot(f).SetConfidence(rand.Float64()); return nil })
	r := inside(t, c, 5, conform.Suite{Random: true, Only: []string{"repeat", "streams", "flight"}})
	if got, _ := r.Case("repeat"); got.Verdict != conform.Noted || r.Failed != 0 {
		t.Errorf("repeat is %s, %d failed", got.Verdict, r.Failed)
	}
	if got, _ := r.Case("streams"); got.Verdict != conform.NotApplicable {
		t.Errorf("streams is %s", got.Verdict)
	}
}

func TestCasesAreNamed(t *testing.T) {
	t.Parallel()
	_, err := conform.Suite{Only: []string{"stream"}}.Run(t.Context(), conform.Inside(detector(nothing), nil))
	if err == nil || !strings.Contains(err.Error(), "streams") {
		t.Errorf("it says %v", err)
	}
}

// TestOptionsThatItNeeds runs a capsule that opens with a path only.
func TestOptionsThatItNeeds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	c := withOption(detector(nothing), sdk.Text("path", "", ""))
	c.Open = func(_ context.Context, s sdk.Stream) (sdk.Processor, error) {
		if s.Options.Text("path") == "" {
			return nil, errors.New("there is no path")
		}
		return sdk.ProcessorFunc(func(context.Context, *sdk.Frame) error { return nil }), nil
	}
	if r := inside(t, c, 10, conform.Suite{Options: map[string]any{"path": path}}); r.Failed != 0 {
		for _, c := range r.Cases {
			t.Log(c.Name, c.Verdict, c.Findings)
		}
		t.Errorf("%d cases failed", r.Failed)
	}
}

// TestDataPictures takes one picture of each folder, and none that is too large or none at all.
func TestDataPictures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name string, w, h int) {
		path := filepath.Join(dir, "images", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := png.Encode(file, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
			t.Fatal(err)
		}
	}
	put("a/1.png", 1200, 1000)
	put("a/2.png", 20, 10)
	put("a/3.png", 30, 10)
	put("b/1.png", 40, 10)
	if err := os.WriteFile(filepath.Join(dir, "images", "b", "0.png"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := conform.DataPictures(dir)
	if len(got) != 2 || got[0].Bounds().Dx() != 20 || got[1].Bounds().Dx() != 40 {
		t.Errorf("%d pictures", len(got))
	}
	if none := conform.DataPictures(filepath.Join(dir, "nothing")); len(none) != 0 {
		t.Errorf("%d pictures where there are none", len(none))
	}
}
