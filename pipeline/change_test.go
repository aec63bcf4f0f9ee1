package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// versioned gives a detector of persons whose nodes carry its version.
func versioned(d core.Declaration, version string, more ...func(seq uint64)) *pipelinetest.Capsule {
	d.Version = version
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(seq uint64) []*core.Node {
		for _, f := range more {
			f(seq)
		}
		n := node("person", "confidence")
		if err := n.ExtraData.Set("version", version); err != nil {
			panic(err)
		}
		return []*core.Node{n}
	})}
}

// versionOf gives the version that the frame's only node carries.
func versionOf(t *testing.T, r *pipeline.Result) string {
	t.Helper()
	if len(r.Nodes) != 1 {
		t.Fatalf("frame %d has %d nodes, want one", r.Frame.Seq, len(r.Nodes))
	}
	return strings.Trim(string(r.Nodes[0].ExtraData["version"]), `"`)
}

// change makes a change that must succeed.
func change(t *testing.T, e *pipeline.Engine, c pipeline.Change) *pipeline.Changed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done, err := e.Change(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// streamCalls gives the sequence numbers that a capsule was called with, without its probe.
func streamCalls(c *pipelinetest.Capsule) (seqs []uint64) {
	for _, call := range c.Calls() {
		if call.Frame.Stream != pipeline.ProbeStream {
			seqs = append(seqs, call.Frame.Seq)
		}
	}
	return seqs
}

// TestReplace puts ten versions in one after the other while frames run and wants every frame
// once, in order, from versions that never go back.
func TestReplace(t *testing.T) {
	t.Parallel()
	for _, decl := range []core.Declaration{pvb, stateful(pvb)} {
		t.Run(fmt.Sprintf("stateful=%v", decl.Stateful), func(t *testing.T) {
			t.Parallel()
			const frames, versions = 600, 10
			slow := func(uint64) { time.Sleep(300 * time.Microsecond) }
			all := []*pipelinetest.Capsule{versioned(decl, "0", slow)}
			e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), all[0])
			s := open(t, e, pipeline.Job{})
			var boundaries []uint64
			for i := 1; i <= versions; i++ {
				next := versioned(decl, fmt.Sprint(i), slow)
				all = append(all, next)
				for range 20 {
					r, err := s.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					r.Release()
				}
				done := change(t, e, pipeline.Change{Put: []pipeline.Capsule{next}})
				if !slices.Equal(done.Replaced, []string{"detector_pvb"}) || len(done.Added)+len(done.Removed) != 0 {
					t.Fatalf("replaced %v, added %v, removed %v", done.Replaced, done.Added, done.Removed)
				}
				if len(done.Left) != 1 || done.Left[0] != all[i-1] || all[i-1].OpenStreams() != 0 {
					t.Fatalf("left %v with %d streams open", done.Left, all[i-1].OpenStreams())
				}
				if len(done.Streams) != 1 || done.Streams[0].Late || len(done.Streams[0].Plan) != 0 {
					t.Fatalf("streams %+v", done.Streams)
				}
				boundaries = append(boundaries, done.Streams[0].Before)
			}
			play(t, s)
			seen := map[uint64]string{}
			for i, c := range all {
				for _, seq := range streamCalls(c) {
					if v, twice := seen[seq]; twice {
						t.Fatalf("frame %d was seen by version %s and by %d", seq, v, i)
					}
					seen[seq] = c.Decl.Version
				}
				if i > 0 && len(streamCalls(c)) == 0 {
					t.Errorf("version %d saw no frame", i)
				}
			}
			at := 0
			for seq := uint64(1); seq <= frames; seq++ {
				for at < len(boundaries) && seq > boundaries[at] {
					at++
				}
				if seen[seq] != fmt.Sprint(at) {
					t.Fatalf("frame %d was seen by version %q, want %d", seq, seen[seq], at)
				}
			}
			rep := s.Stats().Capsules
			if len(rep) != 1 || rep[0].Calls != frames || rep[0].Replaced != versions || s.Stats().Frames != frames {
				t.Errorf("the report says %+v of %d frames", rep, s.Stats().Frames)
			}
		})
	}
}

// TestReplaceUnderWay holds a frame inside the old capsule: later frames go to the new one, the
// results keep their order, and the change returns when the old one is done.
func TestReplaceUnderWay(t *testing.T) {
	t.Parallel()
	inside, let := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	old := versioned(pvb, "1", func(seq uint64) {
		if seq >= 5 && first.CompareAndSwap(false, true) { // the fifth may be dropped
			close(inside)
			<-let
		}
	})
	reached := make(chan struct{})
	var once sync.Once
	next := versioned(pvb, "2", func(seq uint64) {
		if seq > 5 { // not the probe
			once.Do(func() { close(reached) })
		}
	})
	media := pipelinetest.Playing(pipelinetest.Script{Frames: 60, Live: true, Every: 5 * time.Millisecond})
	e := engineOf(t, media, old)
	s := open(t, e, pipeline.Job{Window: 100})
	<-inside
	done := make(chan *pipeline.Changed, 1)
	go func() { done <- change(t, e, pipeline.Change{Put: []pipeline.Capsule{next}}) }()
	<-reached // the new one has a frame, the old one has too
	select {
	case <-done:
		t.Fatal("the change returned while the old capsule has a frame")
	default:
	}
	if old.OpenStreams() != 1 {
		t.Error("the old capsule lost its stream under a frame")
	}
	close(let)
	ch := <-done
	before := ch.Streams[0].Before
	for i, r := range play(t, s) {
		want := "1"
		if uint64(i) >= before {
			want = "2"
		}
		if versionOf(t, r) != want {
			t.Errorf("result %d, frame %d, is of version %s, want %s", i, r.Frame.Seq, versionOf(t, r), want)
		}
	}
}

// TestReplaceHangingCapsule gives up on frames in the old capsule when Drain is over.
func TestReplaceHangingCapsule(t *testing.T) {
	t.Parallel()
	dead := make(chan struct{})
	inside := make(chan struct{})
	old := versioned(pvb, "1")
	answer := old.ProcessFunc
	old.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq == 3 {
			close(inside)
			<-dead
			return pipeline.Answer{}, core.Faultf(core.Closed, "call", "detector_pvb", "it is closed")
		}
		return answer(ctx, c)
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 12}), old)
	s := open(t, e, pipeline.Job{})
	<-inside
	done := change(t, e, pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}, Drain: 20 * time.Millisecond})
	if !done.Streams[0].Late || old.OpenStreams() != 0 {
		t.Errorf("late %v, %d streams open in the old capsule", done.Streams[0].Late, old.OpenStreams())
	}
	close(dead) // the caller closes what left
	results := play(t, s)
	if len(results) != 12 || len(results[2].Nodes) != 0 || results[2].Drops["detector_pvb: closed"] != 1 {
		t.Errorf("%d results, frame 3 has %d nodes and drops %v", len(results), len(results[2].Nodes), results[2].Drops)
	}
}

// TestChangeRefused tries changes that cannot be, one by one, and wants everything as it was.
func TestChangeRefused(t *testing.T) {
	t.Parallel()
	withOptions := pvb
	withOptions.Options = []core.Option{{Name: "size", Type: core.IntOption, Default: int64(4), Min: ptr(1), Max: ptr(9)}}
	refusing := versioned(pvb, "2")
	refusing.OpenFunc = func(_ context.Context, id core.StreamID, _ core.Values) error {
		if id != pipeline.ProbeStream {
			return errors.New("not that stream")
		}
		return nil
	}
	dying := versioned(pvb, "2")
	dying.ProcessFunc = func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "it died")
	}
	failing := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Err: errors.New("no such model")}}}, nil
	}}
	lying := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: pipelinetest.Finding(func(uint64) []*core.Node { return []*core.Node{node("cat")} })}
	nameless := versioned(pvb, "2")
	nameless.Decl.Name = ""
	tests := []struct {
		name   string
		change func(old *pipelinetest.Capsule) pipeline.Change
		kind   core.Kind
		says   string
	}{
		{"no such capsule to remove", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Remove: []string{"nobody"}} }, core.NotFound, "nobody"},
		{"put and removed", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}, Remove: []string{"detector_pvb"}}
		}, core.Exists, "twice"},
		{"in its own place", func(old *pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{old}} }, core.Invalid, "own place"},
		{"no name", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{nameless}} }, core.Invalid, "name"},
		{"refuses the stream", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{refusing}} }, core.Unknown, "not that stream"},
		{"dies of the probe", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{dying}} }, core.CapsuleExited, "it died"},
		{"fails on the probe", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{failing}} }, core.Unknown, "no such model"},
		{"breaks its declaration", func(*pipelinetest.Capsule) pipeline.Change { return pipeline.Change{Put: []pipeline.Capsule{lying}} }, core.CapsuleContract, "cat"},
		{"one of two is bad", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Put: []pipeline.Capsule{detecting(speedless, node("face")), dying}}
		}, core.CapsuleExited, "it died"},
		{"options of a newcomer", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}, Options: map[string]map[string]any{"detector_pvb": {}}}
		}, core.Invalid, "launch it with its options"},
		{"unknown option", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Options: map[string]map[string]any{"detector_pvb": {"nope": 1}}}
		}, core.Invalid, "nope"},
		{"bad value", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Options: map[string]map[string]any{"detector_pvb": {"size": 10}}}
		}, core.Invalid, "size"},
		{"bad value of a stream", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{"stream": {"detector_pvb": {"size": 0}}}}
		}, core.Invalid, "size"},
		{"unknown stream", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{"other": {"detector_pvb": {"size": 2}}}}
		}, core.NotFound, "other"},
		{"a value that the capsule does not bear", func(old *pipelinetest.Capsule) pipeline.Change {
			old.OpenFunc = func(_ context.Context, id core.StreamID, v core.Values) error {
				if id == pipeline.ProbeStream && v.Int("size") == 8 {
					return errors.New("eight is too much")
				}
				return nil
			}
			return pipeline.Change{Options: map[string]map[string]any{"detector_pvb": {"size": 8}}}
		}, core.Unknown, "eight is too much"},
		{"unknown capsule of a stream", func(*pipelinetest.Capsule) pipeline.Change {
			return pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{"stream": {"nobody": {"size": 2}}}}
		}, core.NotFound, "nobody"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			old := versioned(withOptions, "1")
			e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 30}), old)
			s := open(t, e, pipeline.Job{})
			r, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.Release()
			c := tt.change(old)
			_, err = e.Change(t.Context(), c)
			if err == nil || core.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("%v (kind %v), want kind %v and %q", err, core.KindOf(err), tt.kind, tt.says)
			}
			for _, p := range c.Put {
				if n := p.(*pipelinetest.Capsule).OpenStreams(); p != pipeline.Capsule(old) && n != 0 {
					t.Errorf("%d streams are open in a capsule that was refused", n)
				}
			}
			if v := old.Values()["size"]; v != int64(4) || old.StreamValues("stream")["size"] != int64(4) {
				t.Errorf("size is %v, of the stream %v; want 4", v, old.StreamValues("stream"))
			}
			if list := e.Capsules(); len(list) != 1 || list[0] != pipeline.Capsule(old) {
				t.Errorf("the engine has %v", list)
			}
			for i, r := range play(t, s) {
				if r.Frame.Seq != uint64(i+2) || versionOf(t, r) != "1" {
					t.Fatalf("result %d is frame %d of version %s", i, r.Frame.Seq, versionOf(t, r))
				}
			}
		})
	}
}

func ptr(f float64) *float64 { return &f }

var speedless = declare("detector_face", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"face"}})

// TestAddAndRemove takes the detector of a chain away and brings another: the dependants are
// blocked, then ready again, and keep their streams.
func TestAddAndRemove(t *testing.T) {
	t.Parallel()
	det, track, speed := versioned(pvb, "1"), patching(stateful(trk), tracking), patching(spd, speeding)
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 400}), det, track, speed)
	s := open(t, e, pipeline.Job{})
	next := func(want int) {
		t.Helper()
		for range 12 { // more than the window
			r, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r.Release()
		}
		r, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
		if len(r.Nodes) != want {
			t.Fatalf("frame %d has %d nodes, want %d", r.Frame.Seq, len(r.Nodes), want)
		}
		if want > 0 && (r.Nodes[0].TrackID == "" || r.Nodes[0].ExtraData["speed"] == nil) {
			t.Fatalf("frame %d: the node has track %q and speed %s", r.Frame.Seq, r.Nodes[0].TrackID, r.Nodes[0].ExtraData["speed"])
		}
	}
	next(1)
	gone := change(t, e, pipeline.Change{Remove: []string{"detector_pvb"}})
	if len(gone.Left) != 1 || gone.Left[0] != pipeline.Capsule(det) || det.OpenStreams() != 0 || track.OpenStreams() != 1 {
		t.Fatalf("left %v; %d and %d streams open", gone.Left, det.OpenStreams(), track.OpenStreams())
	}
	said := strings.Join(gone.Streams[0].Plan, "\n")
	for _, want := range []string{"detector_pvb is gone", "tracker_iou is now left out: no class", "speed is now left out: no class"} {
		if !strings.Contains(said, want) {
			t.Errorf("the difference does not say %q:\n%s", want, said)
		}
	}
	if blocked := s.Plan().Blocked; len(blocked) != 2 {
		t.Errorf("blocked: %v", blocked)
	}
	next(0)
	back := change(t, e, pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}})
	if !slices.Equal(back.Added, []string{"detector_pvb"}) || !strings.Contains(strings.Join(back.Streams[0].Plan, "\n"), "detector_pvb is new") {
		t.Errorf("added %v: %v", back.Added, back.Streams[0].Plan)
	}
	next(1)
	results := play(t, s)
	if last := results[len(results)-1]; last.Frame.Seq != 400 {
		t.Errorf("the last frame is %d", last.Frame.Seq)
	}
	seqs := streamCalls(track)
	if !slices.IsSorted(seqs) {
		t.Errorf("the tracker saw frames out of order: %v", seqs)
	}
}

// TestAddUnblocks has a tracker that nobody feeds, and does not know the stream, until a
// detector comes.
func TestAddUnblocks(t *testing.T) {
	t.Parallel()
	track := patching(stateful(trk), tracking)
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 200}), track)
	s := open(t, e, pipeline.Job{})
	r, err := s.Next(t.Context())
	if err != nil || track.OpenStreams() != 0 {
		t.Fatalf("%v; %d streams open in a capsule without a part", err, track.OpenStreams())
	}
	r.Release()
	change(t, e, pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "1")}})
	if track.OpenStreams() != 1 {
		t.Error("the tracker does not know the stream")
	}
	results := play(t, s)
	if last := results[len(results)-1]; len(last.Nodes) != 1 || last.Nodes[0].TrackID == "" {
		t.Errorf("the last frame has %v", last.Nodes)
	}
}

// TestRepair replaces a capsule that was left out because it is broken.
func TestRepair(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	bad := versioned(pvb, "1")
	answer := bad.ProcessFunc
	bad.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq < 5 {
			return answer(ctx, c)
		}
		broken.Store(true)
		return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "broken")
	}
	bad.ReadyFunc = func(context.Context) error { return errors.New("it will not come back") }
	bad.StatsFunc = func() pipeline.CapsuleStats {
		st := pipeline.CapsuleStats{State: pipeline.CapsuleRunning, Restarts: 4}
		if broken.Load() {
			st.State = pipeline.CapsuleBroken
		}
		return st
	}
	track := patching(stateful(trk), tracking)
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 300}), bad, track)
	s := open(t, e, pipeline.Job{})
	for s.Plan().Capsules() > 0 { // both are left out
		r, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	// Another change does not bring the broken one back.
	done := change(t, e, pipeline.Change{Put: []pipeline.Capsule{detecting(speedless, node("face"))}})
	if said := strings.Join(done.Streams[0].Plan, "; "); said != "detector_face is new, in stage 1" {
		t.Errorf("the difference: %s", said)
	}
	change(t, e, pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}, Remove: []string{"detector_face"}})
	results := play(t, s)
	last := results[len(results)-1]
	if versionOf(t, last) != "2" || last.Nodes[0].TrackID == "" {
		t.Errorf("the last frame has %v", last.Nodes)
	}
	for _, c := range s.Stats().Capsules {
		if c.Name == "detector_pvb" && (c.Restarts != 4 || c.Replaced != 1) {
			t.Errorf("the report says %d restarts and %d replacements, want 4 and 1", c.Restarts, c.Replaced)
		}
	}
}

// TestChangesAtOnce has two goroutines replace, and one play.
func TestChangesAtOnce(t *testing.T) {
	t.Parallel()
	const frames = 400
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), versioned(pvb, "0"))
	s := open(t, e, pipeline.Job{})
	errs := make(chan error, 20)
	for g := range 2 {
		go func() {
			for i := range 10 {
				_, err := e.Change(context.Background(), pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, fmt.Sprint(g, "-", i))}})
				errs <- err
			}
		}()
	}
	results := play(t, s)
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if len(results) != frames {
		t.Fatalf("%d results", len(results))
	}
	runs := map[string]bool{}
	last := ""
	for i, r := range results {
		v := versionOf(t, r)
		if r.Frame.Seq != uint64(i+1) {
			t.Fatalf("place %d: frame %d", i, r.Frame.Seq)
		}
		if v != last && runs[v] {
			t.Fatalf("frame %d went back to version %s", r.Frame.Seq, v)
		}
		runs[v], last = true, v
	}
}

// TestChangeWhileClosing closes sessions and the engine in the middle of changes.
func TestChangeWhileClosing(t *testing.T) {
	t.Parallel()
	for range 20 {
		old := versioned(pvb, "1")
		e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1000}), old)
		s := open(t, e, pipeline.Job{})
		next := versioned(pvb, "2")
		changed := make(chan error, 1)
		go func() {
			_, err := e.Change(context.Background(), pipeline.Change{Put: []pipeline.Capsule{next}})
			changed <- err
		}()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-changed; err != nil {
			t.Fatal(err)
		}
		if old.OpenStreams() != 0 || next.OpenStreams() != 0 {
			t.Fatalf("%d and %d streams are open", old.OpenStreams(), next.OpenStreams())
		}
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{}))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Change(t.Context(), pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "1")}}); core.KindOf(err) != core.Closed {
		t.Errorf("a change of a closed engine: %v", err)
	}
}

// sized is a detector with an option, and with a description that follows another.
func sized() *pipelinetest.Capsule {
	d := declare("detector_any", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"${classes}"}})
	d.Options = []core.Option{
		{Name: "size", Type: core.IntOption, Default: int64(4), Min: ptr(1), Max: ptr(9)},
		{Name: "classes", Type: core.ListOption, Default: []string{"face"}},
	}
	c := &pipelinetest.Capsule{Decl: d}
	c.ProcessFunc = func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		v := c.StreamValues(call.Frame.Stream)
		var added []*core.Node
		for _, class := range v.List("classes") {
			n := node(class, "confidence")
			if err := n.ExtraData.Set("size", v.Int("size")); err != nil {
				return pipeline.Answer{}, err
			}
			added = append(added, n)
		}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: added}}}, nil
	}
	return c
}

// TestOptions changes options of the engine and of one stream of two. The capsule reads the
// values when it is called, so that a change that does not wait for the frames under way shows
// as a node that breaks the declaration.
func TestOptions(t *testing.T) {
	t.Parallel()
	c := sized()
	track := patching(stateful(trk), tracking)
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 300}), c, track)
	a := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "a"}})
	b := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "b"}, Options: map[string]map[string]any{"detector_any": {"size": 7}}})
	results := map[*pipeline.Session][]*pipeline.Result{}
	take := func(n int) {
		t.Helper()
		for _, s := range []*pipeline.Session{a, b} {
			for range n {
				r, err := s.Next(t.Context())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				r.Release()
				results[s] = append(results[s], r)
			}
		}
	}
	type step struct {
		change pipeline.Change
		names  []string
		a, b   string // size and classes from now on
	}
	at := map[*pipeline.Session][]uint64{}
	steps := []step{
		{pipeline.Change{Options: map[string]map[string]any{"detector_any": {"size": 5}}}, []string{"detector_any"}, "5 face", "7 face"},
		{pipeline.Change{Options: map[string]map[string]any{"detector_any": {"size": 5}}}, nil, "5 face", "7 face"},
		{pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{"a": {"detector_any": {"size": 2}}}}, []string{"detector_any"}, "2 face", "7 face"},
		{pipeline.Change{Options: map[string]map[string]any{"detector_any": {"classes": []string{"face", "person"}}}}, []string{"detector_any"}, "2 face person", "7 face person"},
		{pipeline.Change{Streams: map[core.StreamID]map[string]map[string]any{"a": {"detector_any": {}}, "b": {"detector_any": {"classes": []string{"bike"}}}}},
			[]string{"detector_any"}, "4 face person", "4 bike"},
	}
	for i, st := range steps {
		take(20)
		done := change(t, e, st.change)
		if !slices.Equal(done.Configured, st.names) || len(done.Left) != 0 {
			t.Fatalf("step %d: configured %v, left %v", i, done.Configured, done.Left)
		}
		at[a], at[b] = append(at[a], done.Streams[0].Before), append(at[b], done.Streams[1].Before)
	}
	if blocked := a.Plan().Blocked; len(blocked) != 0 {
		t.Errorf("blocked: %v", blocked)
	}
	take(1000)
	for s, list := range results {
		if len(list) != 300 {
			t.Fatalf("%d results", len(list))
		}
		for _, r := range list {
			want := map[*pipeline.Session]string{a: "4 face", b: "7 face"}[s]
			for i, st := range steps {
				if r.Frame.Seq > at[s][i] {
					want = map[*pipeline.Session]string{a: st.a, b: st.b}[s]
				}
			}
			got := ""
			for i, n := range r.Nodes {
				if i == 0 {
					got = string(n.ExtraData["size"])
				}
				got += " " + n.Class
				if tracked := n.TrackID != ""; tracked != (n.Class != "face") {
					t.Fatalf("frame %d of %s: a %s, tracked: %v", r.Frame.Seq, r.Frame.Stream, n.Class, tracked)
				}
			}
			if got != want {
				t.Fatalf("frame %d of %s is of %q, want %q", r.Frame.Seq, r.Frame.Stream, got, want)
			}
		}
		for _, rep := range s.Stats().Capsules {
			if rep.Violations != 0 {
				t.Errorf("%s: %d violations", rep.Name, rep.Violations)
			}
		}
	}
}

// TestOptionsTakenBack has a capsule that refuses values for the second of two streams.
func TestOptionsTakenBack(t *testing.T) {
	t.Parallel()
	for _, refuse := range []string{"configure", "stream"} {
		t.Run(refuse, func(t *testing.T) {
			t.Parallel()
			c := sized()
			c.OpenFunc = func(_ context.Context, id core.StreamID, v core.Values) error {
				if refuse == "stream" && id == "b" && v.Int("size") == 6 {
					return errors.New("six is too much")
				}
				return nil
			}
			c.ConfigureFunc = func(_ context.Context, v core.Values) error {
				if refuse == "configure" && v.Int("size") == 6 {
					return errors.New("six is too much")
				}
				return nil
			}
			e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 100}), c)
			a := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "a"}})
			b := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "b"}})
			_, err := e.Change(t.Context(), pipeline.Change{Options: map[string]map[string]any{"detector_any": {"size": 6}}})
			if err == nil || !strings.Contains(err.Error(), "six is too much") {
				t.Fatalf("the change: %v", err)
			}
			if c.Values().Int("size") != 4 || c.StreamValues("a").Int("size") != 4 || c.StreamValues("b").Int("size") != 4 {
				t.Errorf("values %v, of a %v, of b %v", c.Values(), c.StreamValues("a"), c.StreamValues("b"))
			}
			for _, s := range []*pipeline.Session{a, b} {
				if n := len(play(t, s)); n != 100 {
					t.Errorf("%d results", n)
				}
			}
		})
	}
}

// TestSessionsComeWhileCapsulesChange opens, plays and closes sessions while capsules are
// replaced and get other options: no session misses a mark, no stream stays open.
func TestSessionsComeWhileCapsulesChange(t *testing.T) {
	t.Parallel()
	withOption := pvb
	withOption.Options = []core.Option{{Name: "size", Type: core.IntOption, Default: int64(4)}}
	first := versioned(withOption, "0")
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 50}), first)
	ctx, stop := context.WithCancel(t.Context())
	var changing sync.WaitGroup
	all := []*pipelinetest.Capsule{first}
	changing.Go(func() {
		for i := 1; ctx.Err() == nil; i++ {
			next := versioned(withOption, fmt.Sprint(i))
			all = append(all, next)
			for _, c := range []pipeline.Change{
				{Put: []pipeline.Capsule{next}}, {Options: map[string]map[string]any{"detector_pvb": {"size": i}}},
			} {
				if _, err := e.Change(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		}
	})
	var playing sync.WaitGroup
	for g := range 3 {
		playing.Go(func() {
			for range 10 {
				s, err := e.Open(context.Background(), pipeline.Job{Source: pipeline.Source{Stream: core.StreamID(fmt.Sprint("s", g))}})
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for r, err := s.Next(ctx); err == nil; r, err = s.Next(ctx) {
					if n++; len(r.Nodes) != 1 {
						t.Errorf("frame %d has %d nodes", r.Frame.Seq, len(r.Nodes))
					}
					r.Release()
				}
				if err := s.Close(); err != nil || n != 50 {
					t.Errorf("%d results, %v", n, err)
				}
			}
		})
	}
	playing.Wait()
	stop()
	changing.Wait()
	for _, c := range all {
		if n := c.OpenStreams(); n != 0 {
			t.Errorf("version %s has %d streams open", c.Decl.Version, n)
		}
	}
	if len(all) < 3 {
		t.Errorf("only %d versions", len(all))
	}
}

// TestOptionsOfAHangingCapsule does not wait for ever: the change is refused and the stream
// goes on.
func TestOptionsOfAHangingCapsule(t *testing.T) {
	t.Parallel()
	inside, let := make(chan struct{}), make(chan struct{})
	c := sized()
	answer := c.ProcessFunc
	c.ProcessFunc = func(ctx context.Context, call pipeline.Call) (pipeline.Answer, error) {
		if call.Frame.Seq == 3 {
			close(inside)
			<-let
		}
		return answer(ctx, call)
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 40}), c)
	s := open(t, e, pipeline.Job{})
	<-inside
	_, err := e.Change(t.Context(), pipeline.Change{Options: map[string]map[string]any{"detector_any": {"size": 6}}, Drain: 30 * time.Millisecond})
	if core.KindOf(err) != core.CapsuleDeadline || c.Values().Int("size") != 4 || c.StreamValues("stream").Int("size") != 4 {
		t.Errorf("%v; values %v, of the stream %v", err, c.Values(), c.StreamValues("stream"))
	}
	close(let)
	if n := len(play(t, s)); n != 40 {
		t.Errorf("%d results", n)
	}
}

// TestStreamWithOptionsOfItsOwn refuses a version that has no such option any more.
func TestStreamWithOptionsOfItsOwn(t *testing.T) {
	t.Parallel()
	c := sized()
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 40}), c)
	s := open(t, e, pipeline.Job{Options: map[string]map[string]any{"detector_any": {"size": 6}}})
	next := detecting(declare("detector_any", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"face"}}), node("face"))
	_, err := e.Change(t.Context(), pipeline.Change{Put: []pipeline.Capsule{next}})
	if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "stream stream") || !strings.Contains(err.Error(), `"size"`) {
		t.Errorf("%v", err)
	}
	both := pipeline.Change{Put: []pipeline.Capsule{next}, Streams: map[core.StreamID]map[string]map[string]any{"stream": {"detector_any": {}}}}
	if done := change(t, e, both); !slices.Equal(done.Replaced, []string{"detector_any"}) {
		t.Errorf("%+v", done)
	}
	if n := len(play(t, s)); n != 40 || next.OpenStreams() != 0 && s.Close() != nil {
		t.Errorf("%d results", n)
	}
}

// TestCapsuleBreaksInTheMiddleOfAChange has a capsule given up while another is being put in:
// the change does not bring it back.
func TestCapsuleBreaksInTheMiddleOfAChange(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	bad := versioned(pvb, "1")
	answer := bad.ProcessFunc
	bad.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if broken.Load() {
			return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "broken")
		}
		return answer(ctx, c)
	}
	bad.ReadyFunc = func(context.Context) error { return errors.New("it will not come back") }
	bad.StatsFunc = func() pipeline.CapsuleStats {
		return pipeline.CapsuleStats{State: map[bool]string{false: pipeline.CapsuleRunning, true: pipeline.CapsuleBroken}[broken.Load()]}
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 200}), bad)
	s := open(t, e, pipeline.Job{})
	calls := 0
	face := detecting(speedless, node("face"))
	face.OpenFunc = func(_ context.Context, id core.StreamID, _ core.Values) error {
		if id == pipeline.ProbeStream {
			return nil
		}
		broken.Store(true)
		for after := 0; after < 20; { // more than the window: all frames under way know that it is out
			if s.Plan().Capsules() == 0 {
				after++
			}
			r, err := s.Next(context.Background())
			if err != nil {
				return err
			}
			r.Release()
		}
		calls = len(bad.Calls())
		return nil
	}
	done := change(t, e, pipeline.Change{Put: []pipeline.Capsule{face}})
	if said := strings.Join(done.Streams[0].Plan, "; "); said != "detector_face is new, in stage 1" {
		t.Errorf("the difference: %s", said)
	}
	if p := s.Plan(); p.Capsules() != 1 || p.Stage("detector_face") != 0 {
		t.Errorf("the plan: %v", p.Stages)
	}
	results := play(t, s)
	if last := results[len(results)-1]; len(last.Nodes) != 1 || last.Nodes[0].Class != "face" {
		t.Errorf("the last frame has %v", last.Nodes)
	}
	if n := len(bad.Calls()); n != calls {
		t.Errorf("%d calls of the broken capsule, there were %d", n, calls)
	}
}

// TestOldCapsuleBreaksAfterItWasReplaced has the old capsule given up over its last frame: the
// new one keeps its place.
func TestOldCapsuleBreaksAfterItWasReplaced(t *testing.T) {
	t.Parallel()
	inside, let := make(chan struct{}), make(chan struct{})
	var broken, once atomic.Bool
	old := versioned(pvb, "1")
	answer := old.ProcessFunc
	old.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq < 5 || !once.CompareAndSwap(false, true) {
			return answer(ctx, c)
		}
		close(inside)
		<-let
		broken.Store(true)
		return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "broken")
	}
	old.ReadyFunc = func(context.Context) error { return errors.New("it will not come back") }
	old.StatsFunc = func() pipeline.CapsuleStats {
		return pipeline.CapsuleStats{State: map[bool]string{false: pipeline.CapsuleRunning, true: pipeline.CapsuleBroken}[broken.Load()]}
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 100}), old)
	s := open(t, e, pipeline.Job{})
	<-inside
	done := make(chan *pipeline.Changed, 1)
	go func() { done <- change(t, e, pipeline.Change{Put: []pipeline.Capsule{versioned(pvb, "2")}}) }()
	for s.Stats().Capsules[0].Replaced == 0 {
		time.Sleep(time.Millisecond)
	}
	close(let)
	before := (<-done).Streams[0].Before
	results := play(t, s)
	lost := 0
	for _, r := range results {
		if len(r.Nodes) == 0 && r.Frame.Seq <= before {
			lost++
		} else if want := map[bool]string{true: "1", false: "2"}[r.Frame.Seq <= before]; versionOf(t, r) != want {
			t.Fatalf("frame %d is of version %s, want %s", r.Frame.Seq, versionOf(t, r), want)
		}
	}
	if len(results) != 100 || lost != 1 || s.Plan().Capsules() != 1 {
		t.Errorf("%d results, %d lost, %d capsules in the plan", len(results), lost, s.Plan().Capsules())
	}
}
