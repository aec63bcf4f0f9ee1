package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/hashicorp/go-hclog"
)

// fake is a processor made of funcs.
type fake struct {
	process   func(context.Context, *Frame) error
	configure func(Values) error
	close     func() error
}

func (p *fake) Process(ctx context.Context, f *Frame) error { return p.process(ctx, f) }
func (p *fake) Configure(v Values) error                    { return p.configure(v) }
func (p *fake) Close() error                                { return p.close() }

// plain is a processor that cannot be configured.
type plain struct{ f *fake }

func (p plain) Process(ctx context.Context, f *Frame) error { return p.f.process(ctx, f) }
func (p plain) Close() error                                { return p.f.close() }

func capsuleOf(open func(context.Context, Stream) (Processor, error)) Capsule {
	return Capsule{Name: "c", Version: "1", Gives: Finds(), Open: open, Options: []Option{Text("word", "default", "")}}
}

func start(t *testing.T, c Capsule) *Runtime {
	t.Helper()
	r, err := NewRuntime(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.OpenStream(context.Background(), "s", nil); err != nil {
		t.Fatal(err)
	}
	return r
}

func ask(r *Runtime, seq uint64, nodes ...*core.Node) Result {
	return r.Process(context.Background(), Request{Stream: "s", Frame: core.Frame{Stream: "s", Seq: seq}, Nodes: nodes})
}

// A return has the form that the declared sizes ask for.
func TestFormOfReturns(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, out        core.Size
		added, patched int
		kind           core.ReturnKind
		returned       int
		breaks         bool
	}{
		{None, All, 0, 0, core.ReturnList, 0, false},
		{None, All, 2, 0, core.ReturnList, 0, false},
		{All, All, 0, 0, core.ReturnList, 0, false},
		{All, All, 1, 1, core.ReturnList, 1, false},
		{Single, Single, 0, 0, core.ReturnNull, 0, false},
		{Single, Single, 0, 1, core.ReturnNull, 0, false},
		{Single, Single, 1, 0, core.ReturnOne, 0, false},
		{Single, Single, 1, 1, core.ReturnOne, 0, false},
		{Single, Single, 2, 0, core.ReturnList, 0, true},
		{Single, All, 0, 0, core.ReturnList, 0, false},
		{Single, All, 2, 1, core.ReturnList, 1, false},
		{None, Single, 1, 0, core.ReturnOne, 0, false},
		{None, Single, 0, 0, core.ReturnList, 0, true},
		{All, Single, 1, 0, core.ReturnOne, 0, false},
		{All, Single, 0, 1, core.ReturnList, 1, true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s to %s, %d added, %d patched", tt.in, tt.out, tt.added, tt.patched), func(t *testing.T) {
			t.Parallel()
			c := capsuleOf(func(context.Context, Stream) (Processor, error) {
				return ProcessorFunc(func(_ context.Context, f *Frame) error {
					for range tt.added {
						f.Add("x", nil)
					}
					for i := range tt.patched {
						f.Nodes()[i].SetAttribute("a", "1")
					}
					return nil
				}), nil
			})
			c.Needs, c.Gives = Description{Size: tt.in}, Description{Size: tt.out}
			res := ask(start(t, c), 1, &core.Node{ID: 7, Class: "p"})
			if res.Err != nil || len(res.Returns) != 1 || res.Returns[0].Err != nil {
				t.Fatalf("%+v", res)
			}
			r := res.Returns[0]
			if r.Kind != tt.kind || len(r.Added) != tt.added || len(r.Patches) != tt.patched || len(r.Returned) != tt.returned {
				t.Errorf("%+v", r)
			}
			if err := core.CheckReturn(tt.in, tt.out, &r); (err != nil) != tt.breaks {
				t.Errorf("contract: %v", err)
			}
		})
	}
}

func TestProcessorIsNeverSharedAndLanesAreBounded(t *testing.T) {
	t.Parallel()
	var opened, closed, most, now atomic.Int32
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		opened.Add(1)
		var busy atomic.Bool
		return plain{&fake{
			process: func(_ context.Context, f *Frame) error {
				if !busy.CompareAndSwap(false, true) {
					return errors.New("two runs at once")
				}
				defer busy.Store(false)
				n := now.Add(1)
				defer now.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				f.Node().SetExtra("id", f.Node().ID())
				return nil
			},
			close: func() error { closed.Add(1); return nil },
		}}, nil
	})
	c.Needs, c.Gives, c.Concurrency = Each(), Each(), 3
	r := start(t, c)
	var nodes []*core.Node
	for i := range 500 {
		nodes = append(nodes, &core.Node{ID: core.NodeID(i + 1)})
	}
	res := ask(r, 1, nodes...)
	if res.Err != nil || len(res.Returns) != 500 {
		t.Fatalf("%v, %d returns", res.Err, len(res.Returns))
	}
	for i, ret := range res.Returns {
		if ret.Err != nil || ret.Node != nodes[i].ID || string(ret.Patches[0].ExtraData["id"]) != fmt.Sprint(ret.Node) {
			t.Fatalf("return %d: %+v", i, ret)
		}
	}
	r.Close()
	if opened.Load() > 3 || opened.Load() != closed.Load() || most.Load() > 3 {
		t.Errorf("%d opened, %d closed, %d at once", opened.Load(), closed.Load(), most.Load())
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		return ProcessorFunc(func(_ context.Context, f *Frame) error {
			if f.Seq() == 1 {
				close(started)
			}
			<-release
			return nil
		}), nil
	})
	c.Stateful = true
	r := start(t, c)
	results := make(chan Result, 2*queueBound)
	submit := func(seq uint64) {
		r.Submit(context.Background(), Request{Stream: "s", Frame: core.Frame{Seq: seq}}, func(res Result) { results <- res })
	}
	submit(1)
	<-started
	for i := range uint64(queueBound + 10) {
		submit(i + 2)
	}
	for range 11 {
		if res := <-results; core.KindOf(res.Err) != core.Exhausted {
			t.Errorf("%+v, want exhausted", res)
		}
	}
	if n := r.Counters(); n.Refused != 11 || n.Requests != queueBound+11 {
		t.Errorf("counters %+v", n)
	}
	close(release)
	for range queueBound {
		if res := <-results; res.Err != nil || len(res.Returns) != 1 {
			t.Errorf("%+v", res)
		}
	}
	if res := ask(r, 999); res.Err != nil {
		t.Errorf("afterwards: %v", res.Err)
	}
}

func TestPanicOpensANewProcessor(t *testing.T) {
	t.Parallel()
	var opened, closed int
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		opened++
		return plain{&fake{
			process: func(_ context.Context, f *Frame) error {
				if f.Seq() == 2 {
					panic("boom")
				}
				return nil
			},
			close: func() error { closed++; panic("boom in Close") },
		}}, nil
	})
	c.Stateful = true
	r := start(t, c)
	for seq, want := range []string{1: "", 2: "panic in Process: boom", 3: ""} {
		if seq == 0 {
			continue
		}
		res := ask(r, uint64(seq))
		if res.Err != nil || len(res.Returns) != 1 {
			t.Fatalf("frame %d: %+v", seq, res)
		}
		if err := res.Returns[0].Err; (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) && err != nil {
			t.Errorf("frame %d: %v, want %q", seq, err, want)
		}
	}
	r.Close()
	if opened != 2 || closed != 2 {
		t.Errorf("%d opened, %d closed", opened, closed)
	}
	if n := r.Counters(); n.Panics != 1 || n.Failed != 1 {
		t.Errorf("counters %+v", n)
	}
}

// New options go to the processor where it takes them, else a new one is opened; always between
// two frames.
func TestOptionsChange(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"plain", "configurable", "refusing"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			var events []string
			c := capsuleOf(func(_ context.Context, s Stream) (Processor, error) {
				word := s.Options.Text("word")
				events = append(events, "open "+word)
				p := &fake{
					process: func(context.Context, *Frame) error { events = append(events, "frame "+word); return nil },
					close:   func() error { events = append(events, "close "+word); return nil },
				}
				p.configure = func(v Values) error {
					if kind == "refusing" {
						return errors.New("no")
					}
					word = v.Text("word")
					events = append(events, "configure "+word)
					return nil
				}
				if kind == "plain" {
					return plain{p}, nil
				}
				return p, nil
			})
			c.Stateful = true
			r := start(t, c)
			ask(r, 1)
			if err := r.OpenStream(context.Background(), "s", map[string]any{"word": "new"}); err != nil {
				t.Fatal(err)
			}
			ask(r, 2)
			ask(r, 3)
			if err := r.OpenStream(context.Background(), "s", map[string]any{"word": 3}); core.KindOf(err) != core.Invalid {
				t.Errorf("bad options: %v", err)
			}
			ask(r, 4)
			r.Close()
			want := []string{"open default", "frame default", "close default", "open new", "frame new", "frame new", "frame new", "close new"}
			if kind == "configurable" {
				want = []string{"open default", "frame default", "configure new", "frame new", "frame new", "frame new", "close new"}
			}
			if !slices.Equal(events, want) {
				t.Errorf("%v\nwant %v", events, want)
			}
		})
	}
}

func TestCloseStreamEndsWhatIsQueued(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	closed := false
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		return plain{&fake{
			process: func(ctx context.Context, f *Frame) error { close(started); <-ctx.Done(); return ctx.Err() },
			close:   func() error { closed = true; return nil },
		}}, nil
	})
	c.Stateful = true
	r := start(t, c)
	results := make(chan Result, 3)
	for i := range uint64(3) {
		r.Submit(context.Background(), Request{Stream: "s", Frame: core.Frame{Seq: i}}, func(res Result) { results <- res })
	}
	<-started
	r.CloseStream("s")
	if !closed {
		t.Error("the processor is still open")
	}
	kinds := map[core.Kind]int{}
	for range 3 {
		res := <-results
		kinds[core.KindOf(res.Returns[0].Err)]++
	}
	if kinds[core.CapsuleFailed] != 1 || kinds[core.Closed] != 2 {
		t.Errorf("results %v", kinds)
	}
	if res := ask(r, 1); core.KindOf(res.Err) != core.NotFound {
		t.Errorf("after the end: %+v", res)
	}
	r.CloseStream("s")
	r.Close()
	r.Close()
	if err := r.OpenStream(context.Background(), "s", nil); core.KindOf(err) != core.Closed {
		t.Errorf("open after Close: %v", err)
	}
}

// A capsule that cannot open as many processors as it may works with fewer.
func TestFewerProcessors(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		if opened.Add(1) > 2 {
			return nil, errors.New("out of memory")
		}
		return ProcessorFunc(func(context.Context, *Frame) error { return nil }), nil
	})
	c.Concurrency, c.Needs, c.Gives = 8, Each(), Each()
	r := start(t, c)
	nodes := make([]*core.Node, 200)
	for i := range nodes {
		nodes[i] = &core.Node{ID: core.NodeID(i + 1)}
	}
	for _, ret := range ask(r, 1, nodes...).Returns {
		if ret.Err != nil {
			t.Fatalf("%+v", ret)
		}
	}
}

func TestLoadAndOpenThatFail(t *testing.T) {
	t.Parallel()
	loads := 0
	c := capsuleOf(func(context.Context, Stream) (Processor, error) { panic("boom") })
	c.Load = func(context.Context, hclog.Logger) error { loads++; return nil }
	r, err := NewRuntime(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.OpenStream(context.Background(), "s", nil); core.KindOf(err) != core.CapsuleFailed || !strings.Contains(err.Error(), "panic in Open: boom") {
			t.Errorf("open: %v", err)
		}
	}
	if loads != 1 {
		t.Errorf("loaded %d times", loads)
	}
	c.Load = func(context.Context, hclog.Logger) error { return errors.New("no model") }
	r, _ = NewRuntime(c, nil)
	if err := r.OpenStream(context.Background(), "s", nil); core.KindOf(err) != core.CapsuleFailed || !strings.Contains(err.Error(), "no model") {
		t.Errorf("load: %v", err)
	}
	if _, err := NewRuntime(Capsule{Name: "x", Version: "1", Gives: Finds()}, nil); core.KindOf(err) != core.Invalid {
		t.Errorf("no Open: %v", err)
	}
	if _, err := NewRuntime(Capsule{}, nil); core.KindOf(err) != core.Invalid {
		t.Errorf("no declaration: %v", err)
	}
}

func TestFiveByFiveStreams(t *testing.T) {
	t.Parallel()
	c := capsuleOf(func(_ context.Context, s Stream) (Processor, error) {
		seen := 0
		return ProcessorFunc(func(_ context.Context, f *Frame) error {
			seen++
			if f.Stream() != s.ID || uint64(seen) != f.Seq() {
				return fmt.Errorf("frame %s/%d on the processor of %s after %d", f.Stream(), f.Seq(), s.ID, seen)
			}
			return nil
		}), nil
	})
	c.Stateful = true
	r := start(t, c)
	var streams sync.WaitGroup
	for i := range 5 {
		id := core.StreamID(fmt.Sprint(i))
		if err := r.OpenStream(context.Background(), id, nil); err != nil {
			t.Fatal(err)
		}
		streams.Go(func() {
			for seq := range uint64(50) {
				res := r.Process(context.Background(), Request{Stream: id, Frame: core.Frame{Stream: id, Seq: seq + 1}})
				if res.Err != nil || res.Returns[0].Err != nil {
					t.Errorf("%+v", res)
				}
			}
		})
	}
	streams.Wait()
}

// A value without a JSON form fails the call wherever it was set.
func TestValuesWithoutJSON(t *testing.T) {
	t.Parallel()
	c := capsuleOf(func(context.Context, Stream) (Processor, error) {
		return ProcessorFunc(func(_ context.Context, f *Frame) error {
			f.Add("person", nil).AddChild("face", nil).AddChild("eye", nil).SetExtra("f", func() {})
			return nil
		}), nil
	})
	res := ask(start(t, c), 1)
	if len(res.Returns) != 1 || core.KindOf(res.Returns[0].Err) != core.CapsuleFailed || len(res.Returns[0].Added) != 0 {
		t.Errorf("%+v", res)
	}
}
