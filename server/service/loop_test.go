package service_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/service"
)

// TestTheLastFrameIsSeenToo: a file begins again when its last frame has had its time, and not before.
func TestTheLastFrameIsSeenToo(t *testing.T) {
	t.Parallel()
	const every = 600 * time.Millisecond
	s, err := service.Looping(pipelinetest.Playing(pipelinetest.Script{Frames: 2, Every: every, Live: true}), nil).Open(t.Context(), pipeline.Source{URL: "/clip", Realtime: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var came []time.Time
	for range 3 {
		_, p, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		came = append(came, time.Now())
	}
	if d := came[2].Sub(came[1]); d < every-10*time.Millisecond {
		t.Errorf("the first frame again %s after the last, want %s", d, every)
	}
}

// lasting says how long it lasts.
type lasting struct {
	pipeline.MediaStream
	d time.Duration
}

func (l lasting) Info() pipeline.MediaInfo {
	info := l.MediaStream.Info()
	info.Duration = l.d
	return info
}

// TestKeyFramesLoopAtTheirOwnSpeed: of a file that has one key frame at its beginning, that is seen
// once in the time that the file takes.
func TestKeyFramesLoopAtTheirOwnSpeed(t *testing.T) {
	t.Parallel()
	const lasts = 2 * time.Second
	media := &pipelinetest.Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
		s, err := pipelinetest.Script{Frames: 1, Live: true}.Open()
		return lasting{s, lasts}, err
	}}
	s, err := service.Looping(media, nil).Open(t.Context(), pipeline.Source{URL: "/clip", Realtime: true, KeyframesOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began, last := time.Now(), core.Frame{}
	for range 2 {
		f, p, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		last = f
	}
	if took := time.Since(began); took < lasts-100*time.Millisecond || time.Duration(last.PTS) != lasts {
		t.Errorf("it begins again after %s, at %s; want %s", took, time.Duration(last.PTS), lasts)
	}
}

func TestLooping(t *testing.T) {
	t.Parallel()
	var opened []*pipelinetest.Stream
	frames := 5
	m := service.Looping(&pipelinetest.Media{OpenFunc: func(context.Context, pipeline.Source) (pipeline.MediaStream, error) {
		s, err := pipelinetest.Script{Frames: frames, Every: 250 * time.Millisecond, Live: true}.Open()
		opened = append(opened, s)
		return s, err
	}}, nil)
	s, err := m.Open(t.Context(), pipeline.Source{URL: "/clip", Realtime: true})
	if err != nil {
		t.Fatal(err)
	}
	for want := range 7 {
		f, p, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Release()
		if f.Seq <= uint64(want) || f.PTS != core.PTS(time.Duration(f.Seq-1)*250*time.Millisecond) {
			t.Errorf("frame %d is number %d at %v", want, f.Seq, f.PTS)
		}
	}
	if len(opened) != 2 || s.Stats().Frames < 7 {
		t.Errorf("opened %d times, %d frames; want 2 and 7", len(opened), s.Stats().Frames)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if _, _, err := s.Next(t.Context()); core.KindOf(err) != core.Closed {
		t.Errorf("after Close: %v", err)
	}
	frames = 0
	for name, src := range map[string]pipeline.Source{"nothing in it": {URL: "/clip", Realtime: true}, "not at its own speed": {URL: "/clip"}, "no file": {URL: "rtsp://a", Realtime: true}} {
		s, err := m.Open(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, want the end", name, err)
		}
		_ = s.Close()
	}
}
