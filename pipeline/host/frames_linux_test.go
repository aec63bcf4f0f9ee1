package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

var bothWays = map[string]Config{"arena": {}, "copy": {Copy: true}}

func number(t testing.TB, n *core.Node, key string) int {
	t.Helper()
	v, ok := n.ExtraData.Float(key)
	if !ok {
		t.Fatalf("no number %s in %v", key, n.ExtraData)
	}
	return int(v)
}

func TestSingleNodesOfAFrameTravelTogether(t *testing.T) {
	t.Parallel()
	for name, cfg := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, cfg, "single")
			openTest(t, c)
			var nodes []*core.Node
			for i := range 40 {
				n := &core.Node{ID: core.NodeID(1000 + i), Class: "person", Coords: core.Rect(1, 2, 3, 4)}
				switch i {
				case 5:
					n.Class = "dog"
				case 7:
					n.ExtraData = core.ExtraData{"bad": json.RawMessage("1")}
				}
				nodes = append(nodes, n)
			}
			before := nodes[0].Clone()
			a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: gray(t, 64, 36), Nodes: nodes})
			if err != nil || len(a.Returns) != 40 {
				t.Fatalf("%v, %d returns", err, len(a.Returns))
			}
			if !reflect.DeepEqual(nodes[0], before) {
				t.Errorf("the node was changed: %+v", nodes[0])
			}
			for i, r := range a.Returns {
				if r.Node != nodes[i].ID {
					t.Fatalf("return %d is of node %d", i, r.Node)
				}
				if i == 5 || i == 7 {
					if core.KindOf(r.Err) != core.CapsuleFailed || len(r.Patches) != 0 {
						t.Errorf("return %d: %+v", i, r)
					}
					continue
				}
				want := core.Return{Kind: core.ReturnNull, Node: r.Node, Patches: []core.Patch{{
					Node: r.Node, Attributes: []core.AttributeValue{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}},
					ExtraData: core.ExtraData{"mark": json.RawMessage(fmt.Sprint(int(r.Node)))}, Encoding: core.Encoding{},
				}}}
				if !reflect.DeepEqual(r, want) {
					t.Errorf("return %d: %+v, want %+v", i, r, want)
				}
			}
			if a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(2)}); err != nil || len(a.Returns) != 0 {
				t.Errorf("without nodes: %v, %d returns", err, len(a.Returns))
			}
		})
	}
}

func TestNoNodesAreAListOfNone(t *testing.T) {
	t.Parallel()
	for name, cfg := range bothWays {
		_, c := launchAct(t, cfg, "echo")
		openTest(t, c)
		a, err := send(t, c, 1)
		if err != nil || len(a.Returns) != 1 || a.Returns[0].Kind != core.ReturnList || len(a.Returns[0].Returned) != 0 {
			t.Errorf("%s: %v, %+v", name, err, a.Returns)
		}
	}
}

// Calls and answers that do not fit into a packet take the other way, with the same result.
func TestOversize(t *testing.T) {
	t.Parallel()
	for name, cfg := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, cfg, "echo")
			openTest(t, c)
			var nodes []*core.Node
			for i := range 3000 {
				nodes = append(nodes, &core.Node{ID: core.NodeID(i + 1), Class: strings.Repeat("c", 40) + fmt.Sprint(i), Encoding: make(core.Encoding, 64)})
			}
			view := gray(t, 320, 180)
			for range 3 {
				a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view, Nodes: nodes})
				if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Patches) != 3000 {
					t.Fatalf("%v, %d returns", err, len(a.Returns))
				}
				for i, p := range a.Returns[0].Patches {
					if want := fmt.Sprintf("%q", nodes[i].Class); p.Node != nodes[i].ID || string(p.ExtraData["seen"]) != want {
						t.Fatalf("patch %d: %+v, want %s", i, p, want)
					}
				}
			}
			if n := c.Counters(); n.OversizeCalls != 3 && !cfg.Copy {
				t.Errorf("counters %+v", n)
			}
		})
		t.Run(name+" answer", func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, cfg, "naughty")
			openTest(t, c)
			a, err := send(t, c, seqBig)
			if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 2 {
				t.Fatalf("%v, %d returns", err, len(a.Returns))
			}
			if s := text(t, a.Returns[0].Added[0], "blob"); len(s) != 2<<20 {
				t.Errorf("blob of %d bytes", len(s))
			}
			if n := c.Counters(); n.OversizeAnswers != 1 && !cfg.Copy {
				t.Errorf("counters %+v", n)
			}
		})
	}
}

func TestStatefulFramesComeInOrder(t *testing.T) {
	t.Parallel()
	for name, cfg := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, cfg, "order")
			view := gray(t, 64, 36)
			var streams sync.WaitGroup
			for s := range 5 {
				streams.Go(func() {
					id := core.StreamID(fmt.Sprint("stream ", s))
					values := core.Values{"word": fmt.Sprint("word ", s), "span": time.Duration(s+1) * 90 * time.Millisecond}
					if err := c.OpenStream(context.Background(), id, values); err != nil {
						t.Error(err)
						return
					}
					var want []uint64
					for seq := uint64(1); seq <= 50; seq++ {
						want = append(want, seq)
						f := frame(seq)
						f.Stream = id
						a, err := c.Process(context.Background(), pipeline.Call{Frame: f, View: view})
						if err != nil || a.Returns[0].Err != nil {
							t.Errorf("stream %s frame %d: %v %+v", id, seq, err, a)
							return
						}
						n := a.Returns[0].Added[0]
						var got []uint64
						_ = json.Unmarshal(n.ExtraData["frames"], &got)
						if !slices.Equal(got, want) || text(t, n, "word") != values["word"] || text(t, n, "span") != fmt.Sprint(values["span"]) {
							t.Errorf("stream %s frame %d: %v, want %v and %v", id, seq, n.ExtraData, want, values)
							return
						}
					}
					if err := c.CloseStream(context.Background(), id); err != nil {
						t.Error(err)
					}
				})
			}
			streams.Wait()
		})
	}
}

// Several frames of a stateful capsule in flight are still worked on one at a time, and none is lost.
func TestStatefulFramesInFlight(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{}, "order")
	openTest(t, c)
	longest := 0
	var mu sync.Mutex
	var calls sync.WaitGroup
	for seq := range uint64(40) {
		calls.Go(func() {
			a, err := send(t, c, seq+1)
			if err != nil || a.Returns[0].Err != nil {
				t.Errorf("frame %d: %v %+v", seq+1, err, a)
				return
			}
			var got []uint64
			_ = json.Unmarshal(a.Returns[0].Added[0].ExtraData["frames"], &got)
			mu.Lock()
			longest = max(longest, len(got))
			mu.Unlock()
		})
	}
	calls.Wait()
	if longest != 40 {
		t.Errorf("the capsule saw %d frames, want 40", longest)
	}
}

// New options of a stream reach its processor with the next frame.
func TestOptionsOfAnOpenStreamChange(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{Restart: fast}, "order", func(s *Spec) { s.Options = map[string]any{"word": "first"} })
	if got := c.Values(); got.Text("word") != "first" || got.Duration("span") != time.Second {
		t.Fatalf("values %v", got)
	}
	openTest(t, c)
	word := func() string {
		a, err := send(t, c, 1)
		if err != nil {
			t.Fatal(err)
		}
		return text(t, a.Returns[0].Added[0], "word")
	}
	if w := word(); w != "first" {
		t.Errorf("word %q", w)
	}
	if err := c.OpenStream(context.Background(), "s", core.Values{"word": "second", "span": time.Second}); err != nil {
		t.Fatal(err)
	}
	if w := word(); w != "second" {
		t.Errorf("word %q", w)
	}
	p, err := c.current()
	if err != nil {
		t.Fatal(err)
	}
	p.runner.kill()
	<-p.gone
	if err := c.Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w := word(); w != "second" {
		t.Errorf("word %q after a restart", w)
	}
}

func TestStreamsAreRefused(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{}, "unopenable")
	if err := c.OpenStream(context.Background(), "s", c.Values()); core.KindOf(err) != core.CapsuleFailed || !strings.Contains(err.Error(), "not that stream") {
		t.Errorf("open: %v", err)
	}
	if _, err := send(t, c, 1); core.KindOf(err) != core.NotFound {
		t.Errorf("process: %v", err)
	}
	if err := c.CloseStream(context.Background(), "s"); err != nil {
		t.Errorf("close: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Process(ctx, pipeline.Call{Frame: frame(1)}); core.KindOf(err) != core.Cancelled {
		t.Errorf("ended context: %v", err)
	}
}

func TestCallsThatCannotBe(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{}, "sum")
	openTest(t, c)
	view := gray(t, 64, 36)
	view.Layout.Height = 4000 // beyond the arena
	if _, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view}); core.KindOf(err) != core.Invalid {
		t.Errorf("layout beyond the arena: %v", err)
	}
	nodes := []*core.Node{{ID: 1, Class: "\xff"}}
	if _, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), Nodes: nodes}); core.KindOf(err) != core.Invalid {
		t.Errorf("class that is not UTF-8: %v", err)
	}
	works(t, c)
}

func TestArenasAreReadOnlyInTheCapsule(t *testing.T) {
	t.Parallel()
	_, c := launchAct(t, Config{}, "tamper")
	openTest(t, c)
	view := gray(t, 320, 180)
	want := sum(view.Layout, view.Arena.Bytes())
	a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view})
	if err != nil || a.Returns[0].Err != nil {
		t.Fatalf("%v %+v", err, a)
	}
	n := a.Returns[0].Added[0]
	if string(n.ExtraData["found"]) != "true" || text(t, n, "done") != "" {
		t.Errorf("the capsule could: %s (arena found: %s)", text(t, n, "done"), n.ExtraData["found"])
	}
	if got := sum(view.Layout, view.Arena.Bytes()); got != want {
		t.Errorf("the picture has changed")
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func children(t testing.TB) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		n += len(strings.Fields(string(b)))
	}
	return n
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 200 processes of one capsule, each with a stream and arenas, leave nothing behind. Not
// parallel: it counts what the whole test process has.
func TestRestartsLeakNothing(t *testing.T) {
	_, c := launchAct(t, Config{Restart: fast}, "naughty")
	openTest(t, c)
	view := gray(t, 320, 180)
	round := func() {
		t.Helper()
		if err := c.Ready(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Process(context.Background(), pipeline.Call{Frame: frame(seqExit), View: view}); core.KindOf(err) != core.CapsuleExited {
			t.Fatal(err)
		}
	}
	for range 20 {
		round()
	}
	works(t, c)
	files, goroutines, mem := openFiles(t), runtime.NumGoroutine(), heap()
	for range 200 {
		round()
	}
	works(t, c)
	waitFor(t, "descriptors and goroutines to end", func() bool { return openFiles(t) <= files+2 && runtime.NumGoroutine() <= goroutines+4 })
	if n := children(t); n != 1 {
		t.Errorf("%d children, want 1", n)
	}
	if now := heap(); now > mem+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", mem, now)
	}
	if s := c.Stats(); s.Restarts < 220 {
		t.Errorf("stats %+v", s)
	}
}

// 200 streams, each with an arena of its own, leave nothing behind on either side.
func TestStreamsLeakNothing(t *testing.T) {
	_, c := launchAct(t, Config{}, "inspect")
	round := func() *core.Node {
		t.Helper()
		openTest(t, c)
		a, err := shm.Create(1 << 16)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		l, _ := core.Packed(core.GRAY8, 64, 64)
		out, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: shm.View{Arena: a, Layout: l}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CloseStream(context.Background(), "s"); err != nil {
			t.Fatal(err)
		}
		return out.Returns[0].Added[0]
	}
	var first *core.Node
	for range 5 {
		first = round()
	}
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	var last *core.Node
	for range 200 {
		last = round()
	}
	waitFor(t, "descriptors and goroutines to end", func() bool { return openFiles(t) <= files && runtime.NumGoroutine() <= goroutines+2 })
	for _, key := range []string{"fds", "goroutines"} {
		if a, b := number(t, first, key), number(t, last, key); b > a+2 {
			t.Errorf("the capsule has %d %s, at first %d", b, key, a)
		}
	}
	if n := number(t, last, "arenas"); n != 1 {
		t.Errorf("the capsule has %d arenas mapped, want 1", n)
	}
}

// Launches that fail leave nothing behind either.
func TestFailedLaunchesLeakNothing(t *testing.T) {
	h := newTestHost(t, Config{})
	fail := func() {
		t.Helper()
		for _, spec := range []Spec{{Path: "/nobody"}, actSpec("words"), actSpec("hello"), actSpec("version"), actSpec("unloadable")} {
			if c, err := h.Launch(context.Background(), spec); err == nil {
				t.Fatalf("launched %+v", c.Stats())
			}
		}
	}
	fail()
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), "plugin-dir*"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		fail()
	}
	waitFor(t, "descriptors and goroutines to end", func() bool { return openFiles(t) <= files && runtime.NumGoroutine() <= goroutines+2 })
	if n := children(t); n != 0 {
		t.Errorf("%d children", n)
	}
	if after, _ := filepath.Glob(filepath.Join(os.TempDir(), "plugin-dir*")); len(after) > len(folders)+10 { // others run too
		t.Errorf("%d temporary folders, %d before", len(after), len(folders))
	}
}

// Many frames of several streams in flight: each call gets the answer to its own frame.
func TestAnswersReachTheirCalls(t *testing.T) {
	t.Parallel()
	for name, cfg := range bothWays {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := launchAct(t, cfg, "sum")
			view := gray(t, 160, 1000)
			var callers sync.WaitGroup
			for s := range 8 {
				id := core.StreamID(fmt.Sprint("stream ", s))
				if err := c.OpenStream(context.Background(), id, c.Values()); err != nil {
					t.Fatal(err)
				}
				callers.Go(func() {
					for i := range 60 {
						f, v := frame(uint64(i+1)), view
						f.Stream = id
						v.Layout.Height = 10 + s
						v.Layout.Planes = []core.Plane{{Offset: 4096 + int64(i*s*173), Stride: 173}}
						a, err := c.Process(context.Background(), pipeline.Call{Frame: f, View: v})
						if err != nil || a.Returns[0].Err != nil {
							t.Errorf("%s frame %d: %v %+v", id, i, err, a)
							return
						}
						n := a.Returns[0].Added[0]
						if got, want := text(t, n, "sum"), sum(v.Layout, view.Arena.Bytes()); got != want {
							t.Errorf("%s frame %d: %s, want %s", id, i, got, want)
						}
						if got := text(t, n, "frame"); !strings.HasPrefix(got, fmt.Sprintf("%s %d ", id, i+1)) {
							t.Errorf("%s frame %d got the answer to %s", id, i+1, got)
						}
					}
				})
			}
			callers.Wait()
		})
	}
}
