package service_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
)

// tardy is tuned, whose OpenStream gives errors while there are some left.
type tardy struct {
	*pipelinetest.Capsule
	mu    sync.Mutex
	errs  []error
	state string
}

func newTardy() *tardy {
	s := &tardy{Capsule: tuned(), state: pipeline.CapsuleRunning}
	s.OpenFunc = func(_ context.Context, _ core.StreamID, v core.Values) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if v.Int("persons") != 3 || len(s.errs) == 0 {
			return nil
		}
		err := s.errs[0]
		s.errs = s.errs[1:]
		return err
	}
	s.StatsFunc = func() pipeline.CapsuleStats {
		s.mu.Lock()
		defer s.mu.Unlock()
		return pipeline.CapsuleStats{State: s.state}
	}
	return s
}

func (s *tardy) fails(errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = errs
}

func (s *tardy) is(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// times gives an error several times.
func times(n int, kind core.Kind) (errs []error) {
	for range n {
		errs = append(errs, core.Faultf(kind, "capsule tuned", "", "as a test has it"))
	}
	return errs
}

// TestOptionsThatTakeAWhile wants a value that is right to be kept when it cannot be in force at once,
// and to be in force in the end; only a capsule's own word against it takes it back.
func TestOptionsThatTakeAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		errs []error
		want core.Kind // Unknown: it is kept
	}{
		"at once":                         {nil, core.Unknown},
		"its process is being started":    {times(3, core.CapsuleStart), core.Unknown},
		"the engine gave up waiting":      {times(3, core.Cancelled), core.Unknown},
		"it did not know the stream":      {times(3, core.NotFound), core.Unknown},
		"there was no memory for a probe": {times(3, core.Exhausted), core.Unknown},
		"it died of something else":       {times(1, core.CapsuleExited), core.Unknown},
		"it was late once":                {times(1, core.CapsuleDeadline), core.Unknown},
		"it dies of the value":            {times(9, core.CapsuleExited), core.CapsuleExited},
		"it hangs with the value":         {times(9, core.CapsuleDeadline), core.CapsuleDeadline},
		"it refuses the value":            {times(9, core.CapsuleFailed), core.CapsuleFailed},
		"the value makes no sense":        {times(9, core.Invalid), core.Invalid},
	} {
		for _, n := range []core.StreamNumber{0, 1} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				capsule := newTardy()
				w := newWorld(t, media{"rtsp://a": live}, nil, capsule)
				a := w.camera("rtsp://a").Number
				w.analyze(a, true)
				until(t, "one person", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 1 })
				capsule.fails(c.errs...)
				err := w.SetOptions(t.Context(), editor, "tuned", n, map[string]any{"persons": 3.0}, false)
				if core.KindOf(err) != c.want || (err == nil) != (c.want == core.Unknown) {
					t.Fatalf("stream %d: %v", n, err)
				}
				set, _ := w.Setting(t.Context(), viewer, "tuned", n)
				if kept := set.Options["persons"] == 3.0 || set.Options["persons"] == int64(3); kept != (err == nil) {
					t.Errorf("stream %d: %v is set", n, set.Options)
				}
				if err == nil {
					until(t, "three persons", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 3 })
				}
			})
		}
	}
}

// TestOptionsOfACapsuleThatIsAway wants the answer at once, and the newest value to count.
func TestOptionsOfACapsuleThatIsAway(t *testing.T) {
	t.Parallel()
	capsule := newTardy()
	away := make(chan struct{})
	w := newWorld(t, media{"rtsp://a": live}, nil, capsule)
	a := w.camera("rtsp://a").Number
	w.analyze(a, true)
	until(t, "one person", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 1 })
	open := capsule.OpenFunc
	capsule.mu.Lock()
	capsule.OpenFunc = func(ctx context.Context, id core.StreamID, v core.Values) error {
		select {
		case <-away:
			return open(ctx, id, v)
		case <-ctx.Done():
			return core.Faultf(core.Cancelled, "wait for capsule", "tuned", "%w", context.Cause(ctx))
		}
	}
	capsule.mu.Unlock()
	capsule.is(pipeline.CapsuleRestarting)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, persons := range []float64{2, 4, 3} {
		if err := w.SetOptions(ctx, editor, "tuned", a, map[string]any{"persons": persons}, false); err != nil {
			t.Fatal(err)
		}
	}
	capsule.is(pipeline.CapsuleRunning)
	close(away)
	until(t, "three persons", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 3 })
}

// TestFramesThatTakeLong wants an option to be kept that frames under way keep from being in force.
func TestFramesThatTakeLong(t *testing.T) {
	t.Parallel()
	capsule := tuned()
	answer, let := capsule.ProcessFunc, make(chan struct{})
	capsule.ProcessFunc = func(ctx context.Context, call pipeline.Call) (pipeline.Answer, error) {
		if call.Frame.Stream != pipeline.ProbeStream && call.Frame.Seq == 3 {
			<-let
		}
		return answer(ctx, call)
	}
	w := newWorld(t, media{"rtsp://a": live}, nil, capsule)
	a := w.camera("rtsp://a").Number
	w.analyze(a, true)
	until(t, "the third frame", func() bool {
		for _, call := range capsule.Calls() {
			if call.Frame.Seq == 3 && call.Frame.Stream != pipeline.ProbeStream {
				return true
			}
		}
		return false
	})
	if err := w.SetOptions(t.Context(), editor, "tuned", a, map[string]any{"persons": 3.0}, false); err != nil {
		t.Error(err) // after ten seconds
	}
	close(let)
	until(t, "three persons", func() bool { return len(w.zone(a, core.ScreenZone).Within) == 3 })
}
