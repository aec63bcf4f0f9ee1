package observe

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/service"
)

// receiver is a collector of traces.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*otlp.Span
	paths map[string]string // and who sent
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{paths: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(q.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = z
		}
		data, err := io.ReadAll(body)
		var m collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(data, &m)); err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.paths[q.URL.Path] = q.Header.Get("Authorization")
		for _, rs := range m.ResourceSpans {
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// story is a frame whose way is known: two stages, one of two capsules, and an alert.
func story(at time.Time) service.FrameTrace {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	return service.FrameTrace{
		Stream: 7,
		Result: &pipeline.Result{
			Frame: core.Frame{Seq: 42, Captured: at}, Latency: ms(70), Nodes: []*core.Node{{}, {}},
			Times: []pipeline.CallTime{
				{Capsule: "detector", Stage: 0, Began: at.Add(ms(10)), Queue: ms(5), Took: ms(20), Compute: ms(15)},
				{Capsule: "motion", Stage: 0, Began: at.Add(ms(11)), Took: ms(2)},
				{Capsule: "tracker", Stage: 1, Began: at.Add(ms(40)), Took: ms(10), Nodes: 2, Err: core.Faultf(core.CapsuleDeadline, "", "", "rtsp://secret")},
			},
		},
		Named: service.Span{Began: at.Add(ms(60)), Took: ms(1)}, Zones: service.Span{Began: at.Add(ms(61)), Took: ms(9)},
		Saves: []service.SaveTrace{{Span: service.Span{Began: at.Add(ms(62)), Took: ms(7)}, What: "began", Alarm: 3, Alert: 4}},
	}
}

// TestTrace sends one frame and holds the tree of spans against its way.
func TestTrace(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	tr, err := NewTracer(t.Context(), "http://me:secret@"+r.Listener.Addr().String(), 0, "v1", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Truncate(time.Millisecond)
	tr.Frame(story(at))
	quiet := story(at)
	quiet.Saves = nil
	tr.Frame(quiet) // not sampled
	if err := errors.Join(tr.Close(t.Context()), tr.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if r.paths["/v1/traces"] != "Basic bWU6c2VjcmV0" {
		t.Errorf("sent to %v", r.paths)
	}
	names := map[string]string{}
	for _, s := range r.spans {
		names[string(s.SpanId)] = s.Name
	}
	got := map[string][2]int64{}
	for _, s := range r.spans {
		got[names[string(s.ParentSpanId)]+"/"+s.Name] = [2]int64{(int64(s.StartTimeUnixNano) - at.UnixNano()) / 1e6, (int64(s.EndTimeUnixNano) - at.UnixNano()) / 1e6}
		if s.Name == "tracker" && (s.Status.GetCode() != otlp.Status_STATUS_CODE_ERROR || s.Status.GetMessage() != "capsule deadline") {
			t.Errorf("the tracker's status: %v", s.Status)
		}
	}
	want := map[string][2]int64{
		"/frame": {0, 70}, "frame/decode": {0, 10}, "frame/identities": {60, 61}, "frame/zones": {61, 70}, "zones/alert began": {62, 69},
		"stage/detector": {10, 35}, "stage/motion": {11, 13}, "stage/tracker": {40, 50}, "frame/stage": {40, 50},
	}
	if len(r.spans) != len(want)+1 { // two stages have one name
		t.Errorf("%d spans: %v", len(r.spans), got)
	}
	for k, w := range want {
		if got[k] != w && !(k == "frame/stage" && got[k] == [2]int64{10, 35}) {
			t.Errorf("%s: %v, want %v", k, got[k], w)
		}
	}
}

// TestSample sends about its share.
func TestSample(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64][2]int{0: {0, 0}, 1: {200, 200}, 0.5: {60, 140}} {
		r := newReceiver(t)
		tr, err := NewTracer(t.Context(), r.URL+"/elsewhere", share, "v1", hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			f := story(time.Now())
			f.Saves, f.Result.Times, f.Result.Frame.Captured = nil, nil, time.Time{}
			tr.Frame(f)
		}
		if err := tr.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		frames := 0
		for _, s := range r.spans {
			if s.Name == "frame" {
				frames++
			}
		}
		if frames < want[0] || frames > want[1] || frames > 0 && len(r.paths) != 1 {
			t.Errorf("share %g: %d frames of 200 at %v", share, frames, r.paths)
		}
	}
}

// TestCollectorGone loses traces and nothing else.
func TestCollectorGone(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.Close()
	tr, err := NewTracer(t.Context(), r.URL, 1, "v1", hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		tr.Frame(story(time.Now()))
	}
	_ = tr.Close(t.Context()) // it may say that it could not send
	if _, err := NewTracer(t.Context(), "nowhere", 1, "v1", hclog.NewNullLogger()); core.KindOf(err) != core.Invalid {
		t.Errorf("no URL: %v", err)
	}
}

// BenchmarkTrace is what a frame costs the stream's goroutine that is not sampled, and one that is.
func BenchmarkTrace(b *testing.B) {
	for name, share := range map[string]float64{"not sampled": 0, "sampled": 1} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			defer r.Close()
			tr, err := NewTracer(b.Context(), r.URL, share, "v1", hclog.NewNullLogger())
			if err != nil {
				b.Fatal(err)
			}
			f := story(time.Now())
			f.Saves = nil
			b.ReportAllocs()
			for b.Loop() {
				tr.Frame(f)
			}
			_ = tr.Close(b.Context())
		})
	}
}
