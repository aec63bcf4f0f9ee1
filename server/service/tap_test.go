package service_test

import (
	"context"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

// TestWebcamThatIsAnalysed is seen by the pictures of its analysis, as long as that goes on.
func TestWebcamThatIsAnalysed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"v4l2:///dev/video3": live}, nil, walker())
	s, err := w.SaveStream(t.Context(), admin, core.StreamConfig{Connection: core.Connection{Kind: core.Webcam, Device: 3}})
	if err != nil {
		t.Fatal(err)
	}
	if src, seen, err := w.Video(t.Context(), s.Number); src.URL != "v4l2:///dev/video3" || seen != nil || err != nil {
		t.Errorf("%+v, %v, %v", src, seen, err)
	}
	w.analyze(s.Number, true)
	var all []pipeline.Pictures
	for range 2 {
		src, seen, err := w.Video(t.Context(), s.Number)
		if src.URL != "" || seen == nil || err != nil {
			t.Fatalf("%+v, %v, %v", src, seen, err)
		}
		all = append(all, seen)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last := core.PTS(-1)
	for range 5 {
		u, err := all[0].Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, size := core.Packed(core.I420, u.Caps.Width, u.Caps.Height)
		if u.PTS <= last || int64(len(u.Pixels)) != size || size == 0 || u.Caps.Format != core.I420 {
			t.Errorf("%+v, %d bytes, after %v", u.Caps, len(u.Pixels), last)
		}
		last = u.PTS
	}
	if err := all[1].Close(); err != nil {
		t.Error(err)
	}
	w.analyze(s.Number, false)
	for _, seen := range all {
		for err = nil; err == nil; {
			_, err = seen.Next(ctx)
		}
		if core.KindOf(err) != core.Closed {
			t.Errorf("it ends with %v", err)
		}
		if err := seen.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, seen, err := w.Video(t.Context(), s.Number); seen != nil || err != nil {
		t.Errorf("%v, %v", seen, err)
	}
}
