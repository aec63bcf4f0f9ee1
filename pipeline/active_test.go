package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// counting gives a tracker whose track IDs count the frames since the stream was opened, and how
// often that was.
func counting() (*pipelinetest.Capsule, *atomic.Int32) {
	var frames, opened atomic.Int32
	track := &pipelinetest.Capsule{Decl: stateful(trk), OpenFunc: func(_ context.Context, id core.StreamID, _ core.Values) error {
		if id != pipeline.ProbeStream {
			opened.Add(1)
			frames.Store(0)
		}
		return nil
	}}
	track.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		n := frames.Add(1)
		return pipelinetest.Patching(trk, func(*core.Node) core.Patch {
			return core.Patch{TrackID: core.TrackID(fmt.Sprint(n))}
		})(ctx, c)
	}
	return track, &opened
}

// TestActive has a classifier take part and not, over and over, while frames run: every frame
// comes once and in order, the classifier sees those between the boundaries, and the tracker
// beside it does not notice.
func TestActive(t *testing.T) {
	t.Parallel()
	const frames, turns = 400, 8
	det, look := detecting(pvb, node("person", "confidence")), patching(gender, attribute("gender", "m"))
	track, opened := counting()
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), det, look, track)
	s := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "a"}})
	without, boundaries := []string{"detector_pvb", "tracker_iou"}, []uint64{}
	var results []*pipeline.Result
	for i := range turns {
		for range 20 {
			r, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, r)
			r.Release()
		}
		active := [][]string{without, nil}[i%2]
		done := change(t, e, pipeline.Change{Active: map[core.StreamID][]string{"a": active, "nobody": {}}, IfOpen: true})
		st := done.Streams[0]
		if done.Empty() || len(done.Left) > 0 || st.Late || len(st.Joined)+len(st.Parted) != 1 || len(st.Plan) == 0 {
			t.Fatalf("turn %d: %+v", i, done)
		}
		if want := i % 2; look.OpenStreams() != want {
			t.Fatalf("turn %d: the classifier knows %d streams, want %d", i, look.OpenStreams(), want)
		}
		boundaries = append(boundaries, st.Before)
	}
	if again := change(t, e, pipeline.Change{Active: map[core.StreamID][]string{"a": nil}}); !again.Empty() {
		t.Errorf("a change to what is there already gives %+v", again)
	}
	results = append(results, play(t, s)...)
	if len(results) != frames || opened.Load() != 1 {
		t.Fatalf("%d results, the tracker was opened %d times; want %d and once", len(results), opened.Load(), frames)
	}
	for i, r := range results {
		past := 0
		for past < turns && uint64(i) >= boundaries[past] {
			past++
		}
		n := r.Nodes[0]
		if r.Frame.Seq != uint64(i+1) || n.TrackID != core.TrackID(fmt.Sprint(i+1)) || (n.Attributes["gender"] == "m") != (past%2 == 0) {
			t.Fatalf("result %d, %d boundaries on: frame %d, track %q, attributes %v", i, past, r.Frame.Seq, n.TrackID, n.Attributes)
		}
	}
	work := s.Work()
	if len(work) != 3 || work[2].Name != "tracker_iou" || work[2].Calls != frames || s.Source().State != pipeline.SourceEnded {
		t.Errorf("worked: %+v; the source is %s", work, s.Source().State)
	}
	for _, c := range s.Stats().Capsules {
		if c.Name == "tracker_iou" && (c.Calls != frames || c.Replaced != 0) {
			t.Errorf("the tracker was called %d times and replaced %d times", c.Calls, c.Replaced)
		}
	}
}

// TestActiveOfOneThatIsPut has a new capsule join one stream of two, as it is told.
func TestActiveOfOneThatIsPut(t *testing.T) {
	t.Parallel()
	det := detecting(pvb, node("person", "confidence"))
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 200}), det)
	one := []string{"detector_pvb"}
	a := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "a"}, Active: one})
	b := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "b"}, Active: one})
	look := patching(gender, attribute("gender", "m"))
	done := change(t, e, pipeline.Change{Put: []pipeline.Capsule{look}, Active: map[core.StreamID][]string{"a": {"detector_pvb", look.Decl.Name}, "b": one}})
	if len(done.Streams) != 2 || !slices.Equal(done.Streams[0].Joined, []string{look.Decl.Name}) || len(done.Streams[1].Joined) != 0 {
		t.Errorf("%+v", done.Streams)
	}
	for s, want := range map[*pipeline.Session]bool{a: true, b: false} {
		results := play(t, s)
		if got := results[len(results)-1].Nodes[0].Attributes["gender"] == "m"; got != want {
			t.Errorf("stream %s: classified %v, want %v", results[0].Frame.Stream, got, want)
		}
	}
	if seen := look.StreamValues("b"); seen != nil {
		t.Error("the capsule was told of a stream in which it has no part")
	}
}

func TestActiveIsRefused(t *testing.T) {
	t.Parallel()
	det, look := detecting(pvb, node("person", "confidence")), patching(gender, attribute("gender", "m"))
	look.OpenFunc = func(context.Context, core.StreamID, core.Values) error {
		return core.Faultf(core.CapsuleFailed, "open", "gender", "no room")
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: 100}), det, look)
	s := open(t, e, pipeline.Job{Source: pipeline.Source{Stream: "a"}, Active: []string{"detector_pvb"}})
	for name, c := range map[string]struct {
		stream core.StreamID
		active []string
		kind   core.Kind
		says   string
	}{
		"no such capsule": {"a", []string{"detector_pvb", "ghost"}, core.NotFound, "ghost"},
		"no such stream":  {"b", nil, core.NotFound, "no such stream"},
		"it refuses":      {"a", nil, core.CapsuleFailed, "no room"},
	} {
		done, err := e.Change(t.Context(), pipeline.Change{Active: map[core.StreamID][]string{c.stream: c.active}})
		if done != nil || core.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
	if n := len(play(t, s)); n != 100 || len(s.Plan().Stages) != 1 {
		t.Errorf("%d results by %v", n, s.Plan().Stages)
	}
}

// TestSessionsComeWhileTheirCapsulesAreSwitched opens, plays and closes sessions while a classifier
// is switched in all of them: no frame is missing, the tracker beside it counts every frame, and no
// stream stays open.
func TestSessionsComeWhileTheirCapsulesAreSwitched(t *testing.T) {
	t.Parallel()
	const frames = 60
	det, look := detecting(pvb, node("person", "confidence")), patching(gender, attribute("gender", "m"))
	var mu sync.Mutex
	seen := map[core.StreamID]int{}
	track := &pipelinetest.Capsule{Decl: stateful(trk)}
	track.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		mu.Lock()
		seen[c.Frame.Stream]++
		n := seen[c.Frame.Stream]
		mu.Unlock()
		return pipelinetest.Patching(trk, func(*core.Node) core.Patch { return core.Patch{TrackID: core.TrackID(fmt.Sprint(n))} })(ctx, c)
	}
	e := engineOf(t, pipelinetest.Playing(pipelinetest.Script{Frames: frames}), det, look, track)
	ctx, stop := context.WithCancel(t.Context())
	var switching, playing sync.WaitGroup
	for _, active := range [][]string{nil, {"detector_pvb", "tracker_iou"}} {
		switching.Go(func() {
			for ctx.Err() == nil {
				c := pipeline.Change{Active: map[core.StreamID][]string{}, IfOpen: true}
				for g := range 3 {
					c.Active[core.StreamID(fmt.Sprint("s", g))] = active
				}
				if _, err := e.Change(context.Background(), c); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for g := range 3 {
		playing.Go(func() {
			id := core.StreamID(fmt.Sprint("s", g))
			for range 10 {
				s, err := e.Open(context.Background(), pipeline.Job{Source: pipeline.Source{Stream: id}})
				if err != nil {
					t.Error(err)
					return
				}
				n := 0
				for r, err := s.Next(ctx); err == nil; r, err = s.Next(ctx) {
					if n++; r.Frame.Seq != uint64(n) || r.Nodes[0].TrackID != core.TrackID(fmt.Sprint(n)) {
						t.Errorf("result %d is frame %d with track %q", n, r.Frame.Seq, r.Nodes[0].TrackID)
					}
					r.Release()
				}
				if err := s.Close(); err != nil || n != frames {
					t.Errorf("%d results, %v", n, err)
				}
				mu.Lock()
				seen[id] = 0
				mu.Unlock()
			}
		})
	}
	playing.Wait()
	stop()
	switching.Wait()
	if n := det.OpenStreams() + look.OpenStreams() + track.OpenStreams(); n != 0 {
		t.Errorf("%d streams are open", n)
	}
}
