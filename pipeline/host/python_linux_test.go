package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/manifest"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// pythonEnvironment is that of this process with the checkout's Python SDK; the test is skipped
// where no interpreter can run capsules.
func pythonEnvironment(t testing.TB) []string {
	t.Helper()
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	env := withPath(os.Environ(), sdk)
	if _, err := findPython(context.Background(), env); err != nil {
		t.Skipf("SKIPPED, no capsule in Python is tested: %v", err)
	}
	return env
}

func pySpec(t testing.TB, act string, workers int) Spec {
	t.Helper()
	env := pythonEnvironment(t)
	return Spec{Path: filepath.Join("testdata", "acts.py"), Env: append(env, actEnv+"="+act, "CAPSTAN_TEST_WORKERS="+strconv.Itoa(workers))}
}

// launchPython launches a role of testdata/acts.py, in one process or with workers behind it.
func launchPython(t testing.TB, cfg Config, act string, workers int) *Capsule {
	t.Helper()
	h := newTestHost(t, cfg)
	c, err := h.Launch(t.Context(), pySpec(t, act, workers))
	if err != nil {
		t.Fatalf("launch %s: %v", act, err)
	}
	return c
}

// pythonWays are the ways in which a capsule in Python may get its frames.
var pythonWays = []struct {
	name    string
	cfg     Config
	workers int
}{
	{"arena", Config{}, 0}, {"copy", Config{Copy: true}, 0}, {"arena workers", Config{}, 2}, {"copy workers", Config{Copy: true}, 2},
}

// picture is a picture of noise with strides of its own, in any format.
func picture(t testing.TB, format core.PixelFormat, w, h int) shm.View {
	t.Helper()
	l := core.Layout{Format: format, Width: w, Height: h, Matrix: core.BT709}
	at := int64(4096)
	for i := range format.Planes() {
		row, rows := format.PlaneSize(i, w, h)
		l.Planes = append(l.Planes, core.Plane{Offset: at, Stride: row + 13})
		at += int64((row+13)*rows) + 7
	}
	a, err := shm.Create(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	for i := range a.Bytes() {
		a.Bytes()[i] = byte(i * i >> 3)
	}
	return shm.View{Arena: a, Layout: l}
}

// A capsule in Python and its twin in Go give the same for the same frames, whatever the way.
func TestPythonGivesWhatGoGives(t *testing.T) {
	t.Parallel()
	_, twin := launchAct(t, Config{}, "sum")
	openTest(t, twin)
	for _, way := range pythonWays {
		t.Run(way.name, func(t *testing.T) {
			c := launchPython(t, way.cfg, "sum", way.workers)
			if d := twin.Declaration(); c.Declaration().Name != d.Name || !slices.Equal(c.Declaration().Formats, d.Formats) || len(c.Declaration().Options) != len(d.Options) {
				t.Errorf("declared %+v, the twin %+v", c.Declaration(), d)
			}
			openTest(t, c)
			for i, format := range core.PixelFormats {
				for j, size := range [][2]int{{320, 180}, {1, 1}, {3, 5}, {33, 17}, {640, 360}} {
					call := pipeline.Call{Frame: frame(uint64(10*i + j + 1)), View: picture(t, format, size[0], size[1])}
					want, err := twin.Process(context.Background(), call)
					if err != nil {
						t.Fatal(err)
					}
					got, err := c.Process(context.Background(), call)
					if err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(got.Returns, want.Returns) {
						t.Fatalf("%s %v: %+v, the twin %+v", format, size, show(got), show(want))
					}
				}
			}
			if n := c.Counters(); (n.BytesCopied > 0) != way.cfg.Copy {
				t.Errorf("counters %+v", n)
			}
		})
	}
}

func show(a pipeline.Answer) string {
	var b strings.Builder
	for _, r := range a.Returns {
		fmt.Fprintf(&b, "%v %v %v %v", r.Kind, r.Err, r.Returned, r.Patches)
		for _, n := range r.Added {
			fmt.Fprintf(&b, " %s %v %s", n.Class, n.Coords, n.ExtraData)
		}
	}
	return b.String()
}

func TestPythonNodes(t *testing.T) {
	t.Parallel()
	for _, way := range pythonWays[:3] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c, e := launchPython(t, way.cfg, "single", way.workers), launchPython(t, way.cfg, "echo", way.workers)
			openTest(t, c)
			openTest(t, e)
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
			a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: gray(t, 64, 36), Nodes: nodes})
			if err != nil || len(a.Returns) != 40 {
				t.Fatalf("%v, %d returns", err, len(a.Returns))
			}
			for i, r := range a.Returns {
				if i == 5 || i == 7 {
					if core.KindOf(r.Err) != core.CapsuleFailed || r.Node != nodes[i].ID || !strings.Contains(r.Err.Error(), "capsule test_single: stream s: ") {
						t.Errorf("return %d: %+v", i, r)
					}
					continue
				}
				want := core.Return{Kind: core.ReturnNull, Node: nodes[i].ID, Patches: []core.Patch{{
					Node: nodes[i].ID, Attributes: []core.AttributeValue{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}},
					ExtraData: core.ExtraData{"mark": json.RawMessage(fmt.Sprint(1000 + i))}, Encoding: core.Encoding{},
				}}}
				if !reflect.DeepEqual(r, want) {
					t.Errorf("return %d: %+v, want %+v", i, r, want)
				}
			}
			if a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(2)}); err != nil || len(a.Returns) != 0 {
				t.Errorf("without nodes: %v, %d returns", err, len(a.Returns))
			}
			if a, err := send(t, e, 1); err != nil || len(a.Returns) != 1 || a.Returns[0].Kind != core.ReturnList || len(a.Returns[0].Returned) != 0 {
				t.Errorf("no nodes: %v, %+v", err, a.Returns)
			}
		})
	}
}

func TestPythonOversize(t *testing.T) {
	t.Parallel()
	for _, way := range pythonWays[:3] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c, big := launchPython(t, way.cfg, "echo", way.workers), launchPython(t, way.cfg, "naughty", way.workers)
			openTest(t, c)
			openTest(t, big)
			var nodes []*core.Node
			for i := range 3000 {
				nodes = append(nodes, &core.Node{ID: core.NodeID(i + 1), Class: strings.Repeat("c", 40) + fmt.Sprint(i), Encoding: make(core.Encoding, 64)})
			}
			view := gray(t, 320, 180)
			for range 3 {
				a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view, Nodes: nodes})
				if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Patches) != 3000 {
					t.Fatalf("%v, %s", err, show(a))
				}
				for i, p := range a.Returns[0].Patches {
					if want := fmt.Sprintf("%q", nodes[i].Class); p.Node != nodes[i].ID || string(p.ExtraData["seen"]) != want {
						t.Fatalf("patch %d: %+v, want %s", i, p, want)
					}
				}
			}
			a, err := send(t, big, seqBig)
			if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 2 || len(text(t, a.Returns[0].Added[0], "blob")) != 2<<20 {
				t.Fatalf("%v, %d returns", err, len(a.Returns))
			}
			if n, m := c.Counters(), big.Counters(); !way.cfg.Copy && (n.OversizeCalls != 3 || m.OversizeAnswers != 1) {
				t.Errorf("counters %+v %+v", n, m)
			}
		})
	}
}

// What goes wrong in the author's code is the frame's error, and nothing else ends.
func TestPythonErrorsEndNothing(t *testing.T) {
	t.Parallel()
	for _, way := range pythonWays[:3] {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			c := launchPython(t, way.cfg, "naughty", way.workers)
			openTest(t, c)
			pid := c.Stats().PID
			for seq, want := range map[uint64]string{
				seqPanic: "SystemError: boom in process", seqUTF8: "UnicodeEncodeError", seqNaN: "(nan, 0.0)",
				seqFail: "ValueError: this frame is not to my taste, nor is this line",
			} {
				a, err := send(t, c, seq)
				if err != nil || len(a.Returns) != 1 || core.KindOf(a.Returns[0].Err) != core.CapsuleFailed || !strings.Contains(a.Returns[0].Err.Error(), want) || len(a.Returns[0].Added) != 0 {
					t.Errorf("%d: %v, %s; want %s", seq, err, show(a), want)
				}
			}
			works(t, c)
			if s := c.Stats(); s.Restarts != 0 || s.PID != pid {
				t.Errorf("it was started again: %+v", s)
			}
		})
	}
}

func TestPythonProcessThatEndsIsStartedAgain(t *testing.T) {
	t.Parallel()
	const seqKill = 1011
	for name, tt := range map[string]struct {
		seq  uint64
		kind core.Kind
		want string
	}{
		"exit": {seqExit, core.CapsuleExited, "status 3"}, "abort": {seqCrash, core.CapsuleExited, "signal 6"},
		"killed": {seqKill, core.CapsuleExited, "signal 9"}, "hung": {seqHang, core.CapsuleDeadline, "did not answer within"},
		"silent": {seqSilence, core.CapsuleExited, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := launchPython(t, Config{Restart: fast, Deadline: time.Second}, "naughty", 0)
			openTest(t, c)
			works(t, c)
			_, err := send(t, c, tt.seq)
			if core.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %v %s", err, tt.kind, tt.want)
			}
			works(t, c)
		})
	}
}

// A worker that dies costs its frame and is replaced; the capsule's process stays.
func TestPythonWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	const seqKill = 1011
	c := launchPython(t, Config{}, "naughty", 2)
	openTest(t, c)
	pid := c.Stats().PID
	for _, tt := range []struct {
		seq  uint64
		want string
	}{{seqKill, "signal 9"}, {seqExit, "status 3"}, {seqCrash, "signal 6"}} {
		works(t, c)
		_, err := send(t, c, tt.seq)
		if core.KindOf(err) != core.CapsuleFailed || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d: %v, want %s", tt.seq, err, tt.want)
		}
	}
	works(t, c)
	if s := c.Stats(); s.Restarts != 0 || s.PID != pid {
		t.Errorf("the whole capsule was started again: %+v", s)
	}
	pids := map[int]bool{}
	var mu sync.Mutex
	waitFor(t, "both workers at work", func() bool {
		var both sync.WaitGroup
		for range 4 {
			both.Go(func() {
				a, err := send(t, c, seqSlow)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				pids[number(t, a.Returns[0].Added[0], "pid")] = true
			})
		}
		both.Wait()
		return t.Failed() || len(pids) == 2 && !pids[pid]
	})
}

// Frames of a stateful stream come in order, with or without workers; each stream has its state.
func TestPythonStateAndOrder(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			c := launchPython(t, Config{}, "order", workers)
			pids := map[int]bool{}
			for s := range 4 {
				id := core.StreamID(fmt.Sprintf("s%d", s))
				values, err := c.Declaration().Complete(map[string]any{"word": string(id), "span": "1.5s"})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.OpenStream(t.Context(), id, values); err != nil {
					t.Fatal(err)
				}
			}
			for seq := uint64(1); seq <= 20; seq++ {
				for s := range 4 {
					f := frame(seq)
					f.Stream = core.StreamID(fmt.Sprintf("s%d", s))
					a, err := c.Process(context.Background(), pipeline.Call{Frame: f})
					if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 1 {
						t.Fatalf("%v %s", err, show(a))
					}
					n := a.Returns[0].Added[0]
					var seen []uint64
					if err := json.Unmarshal(n.ExtraData["frames"], &seen); err != nil || uint64(len(seen)) != seq || seen[seq-1] != seq {
						t.Fatalf("stream %s saw %v at frame %d", f.Stream, seen, seq)
					}
					if text(t, n, "word") != string(f.Stream) || text(t, n, "span") != "1.5s" {
						t.Fatalf("options of %s: %s", f.Stream, n.ExtraData)
					}
					pids[number(t, n, "pid")] = true
				}
			}
			if len(pids) != max(1, workers) {
				t.Errorf("%d processes worked", len(pids))
			}
			pythonOptionsChange(t, c)
		})
	}
}

// pythonOptionsChange changes the options of stream s0: state stays where the capsule takes the
// new ones, and begins anew where it does not.
func pythonOptionsChange(t *testing.T, c *Capsule) {
	for _, tt := range []struct {
		word string
		seen int
	}{{"new", 21}, {"refuse", 1}} {
		values, err := c.Declaration().Complete(map[string]any{"word": tt.word})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.OpenStream(t.Context(), "s0", values); err != nil {
			t.Fatal(err)
		}
		f := frame(100)
		f.Stream = "s0"
		a, err := c.Process(context.Background(), pipeline.Call{Frame: f})
		if err != nil {
			t.Fatal(err)
		}
		n := a.Returns[0].Added[0]
		var seen []uint64
		if err := json.Unmarshal(n.ExtraData["frames"], &seen); err != nil || len(seen) != tt.seen || text(t, n, "word") != tt.word {
			t.Errorf("after %s: %s", tt.word, n.ExtraData)
		}
	}
}

func TestPythonBatches(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 2} {
		c, single := launchPython(t, Config{}, "batch", workers), launchPython(t, Config{}, "batch_single", workers)
		openTest(t, c)
		openTest(t, single)
		var together sync.WaitGroup
		for i := range 64 {
			together.Go(func() {
				a, err := send(t, c, uint64(i+1))
				if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 1 || number(t, a.Returns[0].Added[0], "batch") < 1 {
					t.Errorf("%v %s", err, show(a))
				}
			})
		}
		together.Wait()
		var nodes []*core.Node
		for i := range 19 {
			nodes = append(nodes, &core.Node{ID: core.NodeID(i + 1), Class: "person"})
		}
		a, err := single.Process(context.Background(), pipeline.Call{Frame: frame(1), Nodes: nodes})
		if err != nil || len(a.Returns) != 19 {
			t.Fatalf("%v %s", err, show(a))
		}
		for i, r := range a.Returns {
			want := []string{"8", "8", "3"}[i/8]
			if r.Node != nodes[i].ID || len(r.Patches) != 1 || string(r.Patches[0].ExtraData["batch"]) != want {
				t.Errorf("return %d: %+v, want a batch of %s", i, r, want)
			}
		}
	}
}

func TestPythonCannotWriteToArenas(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 1} {
		c := launchPython(t, Config{}, "tamper", workers)
		openTest(t, c)
		view := gray(t, 320, 180)
		before := slices.Clone(view.Arena.Bytes())
		a, err := c.Process(context.Background(), pipeline.Call{Frame: frame(1), View: view})
		if err != nil || len(a.Returns) != 1 || len(a.Returns[0].Added) != 1 {
			t.Fatalf("%v %s", err, show(a))
		}
		n := a.Returns[0].Added[0]
		if string(n.ExtraData["found"]) != "true" || text(t, n, "done") != "" {
			t.Errorf("attempts: %s", n.ExtraData)
		}
		if !slices.Equal(view.Arena.Bytes(), before) {
			t.Error("the arena was changed")
		}
	}
}

// Fifty streams, each with an arena of its own, leave no descriptor and no mapping behind.
func TestPythonStreamsLeakNothing(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 1} {
		c := launchPython(t, Config{}, "inspect", workers)
		look := func(id core.StreamID, view shm.View) (fds, arenas int) {
			t.Helper()
			if err := c.OpenStream(t.Context(), id, c.Values()); err != nil {
				t.Fatal(err)
			}
			f := frame(1)
			f.Stream = id
			a, err := c.Process(context.Background(), pipeline.Call{Frame: f, View: view})
			if err != nil || len(a.Returns) != 1 || a.Returns[0].Err != nil {
				t.Fatalf("%v %s", err, show(a))
			}
			n := a.Returns[0].Added[0]
			if err := c.CloseStream(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			return number(t, n, "fds"), number(t, n, "arenas")
		}
		look("warm", shm.View{})
		first, _ := look("first", shm.View{})
		for i := range 50 {
			view := gray(t, 64, 36)
			look(core.StreamID(fmt.Sprint(i)), view)
			view.Arena.Close()
		}
		last, arenas := look("last", shm.View{})
		if last > first || arenas != 0 {
			t.Errorf("%d workers: %d descriptors and %d arenas, %d descriptors at first", workers, last, arenas, first)
		}
	}
}

func TestPythonLaunchRefuses(t *testing.T) {
	t.Parallel()
	env := pythonEnvironment(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	act := func(name string) Spec { return pySpec(t, name, 0) }
	declared := act("nothing")
	declared.Declaration = actCapsule("nothing").Declaration()
	declared.Declaration.Version = "2"
	lacking := append(slices.Clone(env), PythonEnv+"="+write("python", "#!/bin/sh\nexec /bin/false\n"))
	if err := os.Chmod(filepath.Join(dir, "python"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		spec Spec
		want []string
	}{
		"missing":     {Spec{Path: filepath.Join(dir, "nobody.py"), Env: env}, []string{"nobody.py", "no such file"}},
		"folder":      {Spec{Path: filepath.Join(dir, "folder.py"), Env: env}, []string{"folder"}},
		"words":       {act("words"), []string{"status 1", "no such model: faces.bin"}},
		"syntax":      {Spec{Path: write("syntax.py", "def ("), Env: env}, []string{"status 1", "SyntaxError"}},
		"no capsule":  {Spec{Path: write("none.py", "import capstan\ncapstan.main()\n"), Env: env}, []string{"status 1", "has no capsule"}},
		"no main":     {Spec{Path: write("quiet.py", "print('hello')\n"), Env: env}, []string{"quiet.py is not a capsule", "hello", "quiet.py describe"}},
		"declaration": {declared, []string{"acts.py is not what its capsule.yaml says", "acts.py manifest"}},
		"model":       {act("unloadable"), []string{"load: FileNotFoundError: no such model: faces.bin"}},
		"late":        {act("hang"), []string{"did not shake hands within"}},
		"interpreter": {Spec{Path: filepath.Join("testdata", "acts.py"), Env: lacking}, []string{filepath.Join(dir, "python"), "pip install", "apt install", PythonEnv}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "folder" {
				if err := os.Mkdir(tt.spec.Path, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			cfg := Config{}
			if name == "late" {
				cfg.StartTimeout = 3 * time.Second
			}
			_, err := newTestHost(t, cfg).Launch(t.Context(), tt.spec)
			if core.KindOf(err) != core.CapsuleStart {
				t.Fatalf("%v (%v)", err, core.KindOf(err))
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %v", w, err)
				}
			}
		})
	}
}

// What the Python SDK writes as a manifest is what Go writes of the same declaration, and that of
// the examples is the one that stands beside them.
func TestPythonManifests(t *testing.T) {
	t.Parallel()
	env := pythonEnvironment(t)
	py, err := findPython(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string][]byte{}
	if texts["everything"], err = os.ReadFile("../../sdk/python/tests/everything.yaml"); err != nil {
		t.Fatal(err)
	}
	programs, err := filepath.Glob("../../examples/python-*/main.py")
	if err != nil || len(programs) < 3 {
		t.Fatalf("%d examples: %v", len(programs), err)
	}
	for _, program := range programs {
		cmd := exec.Command(py.path, program, "manifest")
		cmd.Env = env
		out, err := cmd.Output()
		if e, ok := errors.AsType[*exec.ExitError](err); ok && strings.Contains(string(e.Stderr), "'cv2'") {
			t.Logf("SKIPPED %s: there is no cv2 (apt install python3-opencv)", program)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		beside, err := os.ReadFile(filepath.Join(filepath.Dir(program), manifest.FileName))
		if err != nil || string(beside) != string(out) {
			t.Errorf("%s: the manifest beside it is another: %v; make it anew: python3 main.py manifest capsule.yaml", program, err)
		}
		texts[program] = out
	}
	for name, text := range texts {
		d, err := manifest.Decode(name, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := manifest.Encode(d); err != nil || string(again) != string(text) {
			t.Errorf("%s: Go writes %s (%v), Python %s", name, again, err, text)
		}
	}
}

func TestPythonStreamIsRefused(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 2} {
		c := launchPython(t, Config{}, "unopenable", workers)
		err := c.OpenStream(t.Context(), "s", c.Values())
		if core.KindOf(err) != core.CapsuleFailed || !strings.Contains(err.Error(), "open stream s: ValueError: not that stream") {
			t.Errorf("%v", err)
		}
		if s := c.Stats(); s.State != pipeline.CapsuleRunning {
			t.Errorf("%+v", s)
		}
	}
}

func TestPythonLog(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 1} {
		var mu sync.Mutex
		var b strings.Builder
		log := hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: &b, Mutex: &mu, JSONFormat: true})
		c := launchPython(t, Config{Log: log}, "talkative", workers)
		openTest(t, c)
		works(t, c)
		said := func() string { mu.Lock(); defer mu.Unlock(); return b.String() }
		for _, want := range []string{`"@message":"dark picture"`, `"luma":7`, `"stream":"s"`, `"@message":"printed to standard output"`, `printed to standard error`, `before the handshake`} {
			if want == `before the handshake` {
				continue // a plain line of standard error is for developers
			}
			waitFor(t, want, func() bool { return strings.Contains(said(), want) })
		}
		if strings.Contains(said(), "nobody asked") {
			t.Errorf("a debug line at level info: %s", said())
		}
	}
}

// Whoever is behind a capsule is gone with it, also when the capsule is killed or does not close.
func TestPythonDiesWithTheEngine(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{0, 2} {
		for name, end := range map[string]func(*Capsule, int) error{
			"closed": func(c *Capsule, _ int) error { return c.Close() },
			"killed": func(_ *Capsule, pid int) error { return unix.Kill(pid, unix.SIGKILL) },
			"engine": func(c *Capsule, _ int) error { // what the end of the engine does
				c.process.runner.life.Close()
				return c.process.conn.Close()
			},
		} {
			c := launchPython(t, Config{Restart: Restart{First: time.Hour}, StopTimeout: 5 * time.Second}, "stubborn", workers)
			openTest(t, c)
			pid := c.Stats().PID
			family := append(offspring(t, pid), pid)
			if len(family) != workers+1 {
				t.Fatalf("%d processes for %d workers", len(family), workers)
			}
			if err := end(c, pid); err != nil {
				t.Fatal(err)
			}
			waitFor(t, fmt.Sprintf("the end of %d processes after it was %s", len(family), name), func() bool {
				return !slices.ContainsFunc(family, alive)
			})
		}
	}
}

func offspring(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for s := range strings.FieldsSeq(string(b)) {
			n, _ := strconv.Atoi(s)
			pids = append(pids, n)
		}
	}
	return pids
}
