package gstreamer

import (
	"context"
	"testing"
	"time"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/hashicorp/go-hclog"
)

// TestRTSPSessionSurvives has a session on a camera that dies twice and once falls silent. The
// frames go on, in one run of sequence numbers and PTS, and the state says what happens.
func TestRTSPSessionSurvives(t *testing.T) {
	units := accessUnits(t)
	address := freeAddress(t)
	cam := startCamera(t, address, "", "", units)
	e := pipeline.New(newMedia(t), hclog.NewNullLogger())
	defer e.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s, err := e.Open(ctx, pipeline.Job{
		Source: pipeline.Source{Stream: "cam", URL: "rtsp://" + address + "/cam"}, StallAfter: time.Second,
		Reconnect: pipeline.Reconnect{First: 50 * time.Millisecond, Most: 200 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var seq uint64
	pts := time.Duration(-1)
	take := func(n int) {
		t.Helper()
		for range n {
			r, err := s.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if r.Frame.Seq <= seq || time.Duration(r.Frame.PTS) <= pts {
				t.Fatalf("frame %d at %v follows frame %d at %v", r.Frame.Seq, r.Frame.PTS, seq, pts)
			}
			seq, pts = r.Frame.Seq, time.Duration(r.Frame.PTS)
			r.Release()
		}
	}
	take(10)
	for range 2 {
		cam.die()
		waitForState(t, s, pipeline.SourceConnecting)
		if st := s.Stats().Source; st.LastError == "" || st.Since.IsZero() {
			t.Errorf("after its death the source is %+v", st)
		}
		cam = startCamera(t, address, "", "", units)
		take(10)
	}
	cam.mu.Lock()
	cam.mute = true
	cam.mu.Unlock()
	waitForState(t, s, pipeline.SourceStalled, pipeline.SourceConnecting)
	cam.mu.Lock()
	cam.mute = false
	cam.mu.Unlock()
	take(10)
	if st := s.Stats().Source; st.State != pipeline.SourceRunning {
		t.Errorf("in the end the source is %+v", st)
	}
}

func waitForState(t *testing.T, s *pipeline.Session, states ...pipeline.SourceState) {
	t.Helper()
	for range 2000 {
		// Results that are ready must be taken, or the session reads no further.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if r, err := s.Next(ctx); err == nil {
			r.Release()
		}
		cancel()
		for _, want := range states {
			if s.Stats().Source.State == want {
				return
			}
		}
	}
	t.Fatalf("the source is %+v, want it to become %v", s.Stats().Source, states)
}
