package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/service"
)

// TestClocks follows a file through its rounds, by a clock that the test has set: frames come late,
// and say no less where the file stands.
func TestClocks(t *testing.T) {
	t.Parallel()
	start := time.Now()
	now := start
	clocks := &service.Clocks{Now: func() time.Time { return now }}
	const frames, every = 100, 100 * time.Millisecond
	m := service.Looping(&pipelinetest.Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
		return pipelinetest.Script{Frames: frames, Every: every}.Open()
	}}, clocks)
	src := pipeline.Source{Stream: "stream-7", URL: "/clip", Realtime: true}
	open := func() pipeline.MediaStream {
		s, err := m.Open(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	take := func(s pipeline.MediaStream, at time.Duration) {
		t.Helper()
		now = start.Add(at)
		_, p, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
	}
	known := func(n core.StreamNumber, want bool) (r service.Round) {
		t.Helper()
		r, ok := clocks.Round(n)
		if ok != want {
			t.Fatalf("stream %d: %+v, %t", n, r, ok)
		}
		return r
	}
	known(7, false)
	now = start.Add(time.Second)
	s := open()
	known(7, false)
	take(s, 3*time.Second) // it has waited
	if got := known(7, true).Zero.Sub(start); got != time.Second {
		t.Errorf("it is said to have begun after %s", got)
	}
	late := func(i int) time.Duration { return time.Duration(i*37%50) * time.Millisecond }
	for i := 1; i < frames; i++ {
		take(s, time.Second+time.Duration(i)*every+late(i))
		if got := known(7, true).Zero.Sub(start) - time.Second; got < 0 || got > 10*time.Millisecond {
			t.Errorf("frame %d: it is said to have begun %s late", i, got)
		}
	}
	first := known(7, true)
	if first.Over {
		t.Error("it is over")
	}
	known(8, false)
	for i := range 40 { // decoding falls behind by 300 ms
		take(s, 12*time.Second+time.Duration(i)*every+min(time.Duration(i)*20*time.Millisecond, 300*time.Millisecond))
	}
	second := known(7, true)
	if got := second.Zero.Sub(start); second.Number == first.Number || got < 12100*time.Millisecond || got > 12300*time.Millisecond {
		t.Errorf("the second round is %d after %d, from %s on", second.Number, first.Number, got)
	}
	now = start.Add(20 * time.Second)
	other := open() // the next session, before the last is gone
	take(other, 20*time.Second)
	take(other, 20*time.Second+every)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if third := known(7, true); third.Number <= second.Number || !third.Zero.Equal(start.Add(20*time.Second)) {
		t.Errorf("%+v", third)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	known(7, false)
}
