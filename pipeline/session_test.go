package pipeline_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

func stateful(d core.Declaration) core.Declaration {
	d.Stateful = true
	return d
}

// TestOrder has a stateless capsule that takes random times, so that frames overtake each
// other in it, and a stateful one behind it that must see them in order.
func TestOrder(t *testing.T) {
	t.Parallel()
	const frames = 200
	var now, most atomic.Int64
	det := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{node("person", "confidence")}}}}, nil
	}}
	var inside atomic.Int64
	var seen []uint64
	track := &pipelinetest.Capsule{Decl: stateful(trk), ProcessFunc: func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if inside.Add(1) != 1 {
			t.Error("two frames are inside a stateful capsule")
		}
		defer inside.Add(-1)
		seen = append(seen, c.Frame.Seq)
		return pipelinetest.Patching(trk, tracking)(ctx, c)
	}}
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), det, track), pipeline.Job{})
	results := play(t, s)
	if len(results) != frames || len(seen) != frames {
		t.Fatalf("%d results, %d frames in the tracker, want %d", len(results), len(seen), frames)
	}
	for i := range frames {
		if results[i].Frame.Seq != uint64(i+1) || seen[i] != uint64(i+1) {
			t.Fatalf("place %d: result %d, tracker saw %d", i, results[i].Frame.Seq, seen[i])
		}
		if n := results[i].Nodes; len(n) != 1 || n[0].TrackID == "" {
			t.Fatalf("frame %d: nodes %v", i+1, n)
		}
	}
	if most.Load() < 2 {
		t.Error("the stateless capsule never had two frames at once")
	}
}

func TestIDsAreTheSameInEveryRun(t *testing.T) {
	t.Parallel()
	run := func() (ids []core.NodeID) {
		e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 20}), detecting(pvb, node("person"), node("bike")), patching(gender, attribute("gender", "m")))
		for _, r := range play(t, open(t, e, pipeline.Job{})) {
			for _, n := range r.Nodes {
				ids = append(ids, n.ID)
			}
		}
		return ids
	}
	a, b := run(), run()
	unique := map[core.NodeID]bool{}
	for i := range a {
		unique[a[i]] = true
		if a[i] != b[i] {
			t.Fatalf("node %d has ID %d in one run and %d in the other", i, a[i], b[i])
		}
	}
	if len(unique) != 40 {
		t.Errorf("%d different IDs, want 40", len(unique))
	}
}

// TestCapsuleDies has a capsule that loses each third frame once. A file's frame is tried
// again and nothing is missing; a live one goes on without the capsule and says so.
func TestCapsuleDies(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		t.Run(map[bool]string{false: "file", true: "live"}[live], func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			died := map[uint64]bool{}
			c := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
				mu.Lock()
				defer mu.Unlock()
				if seq := call.Frame.Seq; seq%3 == 0 && !died[seq] {
					died[seq] = true
					return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "killed")
				}
				return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{node("person")}}}}, nil
			}}
			media := pipelinetest.Playing(pipelinetest.Script{Frames: 12, Live: live, Every: 10 * time.Millisecond})
			s := open(t, engineOf(t, media, c), pipeline.Job{})
			results := play(t, s)
			var nodes, failed int
			for _, r := range results {
				nodes += len(r.Nodes)
				failed += int(r.Drops["detector_pvb: capsule exited"])
			}
			rep := s.Stats().Capsules[0]
			if !live && (len(results) != 12 || nodes != 12 || failed != 0 || rep.Retries != 4) {
				t.Errorf("file: %d results, %d nodes, %d failed, %d retries; want 12, 12, 0, 4", len(results), nodes, failed, rep.Retries)
			}
			if live && (nodes+failed != len(results) || failed == 0 || rep.Retries != 0) {
				t.Errorf("live: %d results, %d nodes, %d failed, %d retries", len(results), nodes, failed, rep.Retries)
			}
		})
	}
}

func TestBrokenCapsuleIsLeftOut(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	det := &pipelinetest.Capsule{Decl: pvb}
	det.ProcessFunc = func(_ context.Context, c pipeline.Call) (pipeline.Answer, error) {
		if c.Frame.Seq < 10 {
			return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{node("person", "confidence")}}}}, nil
		}
		broken.Store(true)
		return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "broken")
	}
	det.ReadyFunc = func(context.Context) error { return errors.New("it will not come back") }
	det.StatsFunc = func() pipeline.CapsuleStats {
		return pipeline.CapsuleStats{State: map[bool]string{false: pipeline.CapsuleRunning, true: pipeline.CapsuleBroken}[broken.Load()]}
	}
	track := patching(stateful(trk), tracking)
	other := detecting(declare("detector_face", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"face"}}), node("face"))
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 100}), det, track, other), pipeline.Job{})
	results := play(t, s)
	if len(results) != 100 {
		t.Fatalf("%d results, want all 100", len(results))
	}
	if last := results[99]; len(last.Nodes) != 1 || last.Nodes[0].Class != "face" {
		t.Errorf("the last frame has %v, want the face of the other detector", last.Nodes)
	}
	blocked := s.Plan().Blocked
	if len(blocked) != 1 || blocked[0].Capsule != "tracker_iou" {
		t.Errorf("blocked is %v, want the tracker, which nobody feeds now", blocked)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	slow := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		time.Sleep(5 * time.Millisecond)
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList}}}, nil
	}}
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1 << 30}), slow), pipeline.Job{})
	for range 10 {
		r, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	s.Stop()
	rest := play(t, s)
	if calls := len(slow.Calls()); calls != 10+len(rest) {
		t.Errorf("%d frames were begun, %d came out", calls, 10+len(rest))
	}
}

// TestCloseWhileBusy closes sessions in the middle, with results nobody took and one that is
// still held.
func TestCloseWhileBusy(t *testing.T) {
	before := runtime.NumGoroutine()
	var streams []*pipelinetest.Stream
	media := &pipelinetest.Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
		s, err := pipelinetest.Script{Frames: 1 << 30}.Open()
		streams = append(streams, s)
		return s, err
	}}
	e := engineOf(t, media, detecting(pvb, node("person")), patching(stateful(trk), tracking))
	for range 200 {
		s := open(t, e, pipeline.Job{})
		r, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next(context.Background()); err == nil {
			t.Fatal("Next gives a result after Close")
		}
		r.Release()
		r.Release()
	}
	for i, s := range streams {
		if n := s.Held(); n != 0 {
			t.Fatalf("session %d: %d pictures are still held", i, n)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before 200 sessions", runtime.NumGoroutine(), before)
}

func TestEvery(t *testing.T) {
	t.Parallel()
	third := patching(gender, attribute("gender", "m"))
	third.Decl.EveryN = 3
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 20}), detecting(pvb, node("person")), third), pipeline.Job{Every: 2})
	results := play(t, s)
	if len(results) != 10 {
		t.Fatalf("%d results of 20 frames, want every second", len(results))
	}
	var every uint64
	for i, r := range results {
		if r.Frame.Seq != uint64(2*i+1) {
			t.Errorf("result %d is frame %d, want %d", i, r.Frame.Seq, 2*i+1)
		}
		if got, want := r.Nodes[0].Attributes["gender"] == "m", i%3 == 0; got != want {
			t.Errorf("result %d: called %v, want %v", i, got, want)
		}
	}
	every = s.Stats().Drops[pipeline.DropEvery]
	if every != 10 {
		t.Errorf("%d frames counted as left out, want 10", every)
	}
	if skipped := reportOf(s, "gender").Skipped; len(skipped) != 1 || skipped[pipeline.SkipEveryN] != 6 {
		t.Errorf("skipped %v, want 6 for every_n", skipped)
	}
}

// TestLiveDropsAndCounts has a capsule ten times too slow: frames must be dropped and counted,
// and what comes out must be recent.
func TestLiveDropsAndCounts(t *testing.T) {
	t.Parallel()
	slow := &pipelinetest.Capsule{Decl: stateful(pvb), ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		time.Sleep(50 * time.Millisecond)
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList}}}, nil
	}}
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 100, Live: true, Every: 5 * time.Millisecond}), slow), pipeline.Job{})
	results := play(t, s)
	st := s.Stats()
	last := results[len(results)-1].Frame.Seq
	if got := uint64(len(results)) + st.Drops[pipeline.DropLate]; got != last {
		t.Errorf("%d results and %d late frames, but the last frame was number %d", len(results), st.Drops[pipeline.DropLate], last)
	}
	if st.Drops[pipeline.DropLate] == 0 {
		t.Error("no frame was dropped, although the capsule is ten times too slow")
	}
}

// flaky gives media whose openings play the scripts one after the other; a nil error in fails
// opens, another one refuses.
func flaky(scripts []pipelinetest.Script, fails map[int]error) (*pipelinetest.Media, *atomic.Int64) {
	var n atomic.Int64
	return &pipelinetest.Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
		i := int(n.Add(1)) - 1
		if err := fails[i]; err != nil {
			return nil, err
		}
		return scripts[min(i, len(scripts)-1)].Open()
	}}, &n
}

func TestLiveSourceComesBack(t *testing.T) {
	t.Parallel()
	broke := core.Faultf(core.SourceBroken, "rtsp", "camera", "connection reset")
	live := func(n int, err error, hang bool) pipelinetest.Script {
		return pipelinetest.Script{Frames: n, Live: true, Every: 2 * time.Millisecond, Err: err, Hang: hang}
	}
	media, opened := flaky([]pipelinetest.Script{live(5, broke, false), {}, live(5, nil, true), live(5, nil, false)},
		map[int]error{1: core.Faultf(core.SourceOpen, "rtsp", "camera", "connection refused")})
	s := open(t, engineOf(t, media, detecting(pvb, node("person"))), pipeline.Job{
		Source: pipeline.Source{URL: "rtsp://camera/1"}, StallAfter: 50 * time.Millisecond, Reconnect: pipeline.Reconnect{First: time.Millisecond},
	})
	defer s.Close()
	var lastSeq uint64
	var lastPTS core.PTS = -1
	for opened.Load() < 6 {
		r, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if r.Frame.Seq <= lastSeq || r.Frame.PTS <= lastPTS {
			t.Fatalf("frame %d at %v follows frame %d at %v", r.Frame.Seq, r.Frame.PTS, lastSeq, lastPTS)
		}
		lastSeq, lastPTS = r.Frame.Seq, r.Frame.PTS
		r.Release()
	}
	if st := s.Stats().Source; !strings.Contains(st.LastError, "ended") && !strings.Contains(st.LastError, "no frame for") {
		t.Errorf("the last error is %q", st.LastError)
	}
}

func TestSourceThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	refused := core.Faultf(core.SourceOpen, "rtsp", "camera", "connection refused")
	fails := map[int]error{}
	for i := 1; i < 10000; i++ {
		fails[i] = refused
	}
	media, _ := flaky([]pipelinetest.Script{{Frames: 3, Live: true, Every: time.Millisecond, Err: errors.New("reset")}}, fails)
	s := open(t, engineOf(t, media, detecting(pvb)), pipeline.Job{
		Source: pipeline.Source{URL: "rtsp://camera/1"}, Reconnect: pipeline.Reconnect{First: time.Millisecond, Most: 5 * time.Millisecond, GiveUp: 50 * time.Millisecond},
	})
	defer s.Close()
	results, err := playToError(t, s)
	if len(results) == 0 || core.KindOf(err) != core.SourceBroken || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("%d results, then %v", len(results), err)
	}
	if st := s.Stats().Source.State; st != pipeline.SourceFailed {
		t.Errorf("state %s, want failed", st)
	}
}

func TestFileThatBreaks(t *testing.T) {
	t.Parallel()
	broke := core.Faultf(core.SourceBroken, "decode", "film.mp4", "the file ends in the middle")
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 7, Err: broke}), detecting(pvb)), pipeline.Job{Source: pipeline.Source{URL: "film.mp4"}})
	results, err := playToError(t, s)
	if len(results) != 7 || !errors.Is(err, broke) {
		t.Errorf("%d results, then %v; want the 7 good ones and the fault", len(results), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	opt := core.Option{Name: "threshold", Type: core.FloatOption, Default: 0.5, Description: "…"}
	withOption := pvb
	withOption.Options = []core.Option{opt}
	tests := []struct {
		name string
		job  pipeline.Job
		kind core.Kind
		says string
	}{
		{"unknown capsule", pipeline.Job{Active: []string{"nope"}}, core.NotFound, "there are: detector_pvb"},
		{"options of an unknown capsule", pipeline.Job{Options: map[string]map[string]any{"nope": {}}}, core.NotFound, "nope"},
		{"unknown option", pipeline.Job{Options: map[string]map[string]any{"detector_pvb": {"treshold": 1.0}}}, core.Invalid, "it has: threshold"},
		{"bad value", pipeline.Job{Options: map[string]map[string]any{"detector_pvb": {"threshold": "high"}}}, core.Invalid, "high"},
		{"every n of zero", pipeline.Job{EveryN: map[string]int{"detector_pvb": 0}}, core.Invalid, "want 1 or more"},
		{"gate of an unknown capsule", pipeline.Job{Gates: map[string]core.Gate{"nope": {}}}, core.NotFound, "nope"},
		{"gate that cannot be", pipeline.Job{Gates: map[string]core.Gate{"detector_pvb": {Hold: 1}}}, core.Invalid, "nothing to hold for"},
		{"picture of an unknown capsule", pipeline.Job{Pictures: map[string]core.PictureSize{"nope": {}}}, core.NotFound, "nope"},
		{"picture that cannot be", pipeline.Job{Pictures: map[string]core.PictureSize{"detector_pvb": {Width: 3}}}, core.Invalid, "either max_side"},
		{"the capsule refuses the stream", pipeline.Job{Source: pipeline.Source{Stream: "bad"}}, core.CapsuleFailed, "no such model"},
		{"the source does not open", pipeline.Job{Source: pipeline.Source{URL: "missing"}}, core.SourceOpen, "missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			media := &pipelinetest.Media{OpenFunc: func(_ context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
				return nil, core.Faultf(core.SourceOpen, "open", s.URL, "no such file")
			}}
			c := &pipelinetest.Capsule{Decl: withOption, OpenFunc: func(_ context.Context, id core.StreamID, _ core.Values) error {
				if id == "bad" {
					return core.Faultf(core.CapsuleFailed, "open", "detector_pvb", "no such model")
				}
				return nil
			}}
			_, err := engineOf(t, media, c).Open(context.Background(), tt.job)
			if core.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v (%s), want %s saying %q", err, core.KindOf(err), tt.kind, tt.says)
			}
		})
	}
}

func TestStreamOptionsChangeThePlan(t *testing.T) {
	t.Parallel()
	d := declare("detector_replay", core.Description{}, core.Description{Size: core.SizeAll, Detections: []string{"${class}"}})
	d.Options = []core.Option{{Name: "class", Type: core.StringOption, Default: "person", Description: "…"}}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 1}), &pipelinetest.Capsule{Decl: d}, patching(gender, attribute("gender", "m")))
	if b := open(t, e, pipeline.Job{}).Plan().Blocked; len(b) != 0 {
		t.Errorf("with persons blocked is %v, want nothing", b)
	}
	s := open(t, e, pipeline.Job{Options: map[string]map[string]any{"detector_replay": {"class": "car"}}})
	if b := s.Plan().Blocked; len(b) != 1 || b[0].Capsule != "gender" {
		t.Errorf("with cars blocked is %v, want gender", b)
	}
}

func TestNextHonoursItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 0, Hang: true})), pipeline.Job{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	s.Stop()
	if _, err := s.Next(context.Background()); !errors.Is(err, io.EOF) {
		t.Errorf("after Stop: %v, want io.EOF", err)
	}
}

// TestPoisonedFrame has one frame that kills the capsule whenever it comes, with everything else
// that is inside. Only that frame may be lost.
func TestPoisonedFrame(t *testing.T) {
	t.Parallel()
	const poisoned, frames = 20, 60
	var mu sync.Mutex
	life, alive := context.WithCancel(context.Background())
	c := &pipelinetest.Capsule{Decl: pvb, ProcessFunc: func(_ context.Context, call pipeline.Call) (pipeline.Answer, error) {
		mu.Lock()
		process, kill := life, alive
		mu.Unlock()
		if call.Frame.Seq == poisoned {
			time.Sleep(2 * time.Millisecond)
			mu.Lock() // the next process first: a call that is tried again must not find the dead one
			life, alive = context.WithCancel(context.Background())
			mu.Unlock()
			kill()
		}
		select {
		case <-process.Done():
			return pipeline.Answer{}, core.Faultf(core.CapsuleExited, "call", "detector_pvb", "killed")
		case <-time.After(5 * time.Millisecond):
			return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: []*core.Node{node("person")}}}}, nil
		}
	}}
	s := open(t, engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), c), pipeline.Job{})
	results := play(t, s)
	alive()
	for _, r := range results {
		if want := map[bool]int{true: 0, false: 1}[r.Frame.Seq == poisoned]; len(r.Nodes) != want {
			t.Errorf("frame %d has %d nodes, want %d (%v)", r.Frame.Seq, len(r.Nodes), want, r.Drops)
		}
	}
	if rep := s.Stats().Capsules[0]; len(results) != frames || rep.Failures["capsule exited"] != 1 || rep.Retries < 2 {
		t.Errorf("%d results, %d retries, failures %v", len(results), rep.Retries, rep.Failures)
	}
}
