package service_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/service"
)

// burning is a machine of two CPUs on which every stream that is open takes each of the given
// CPUs. A second goes by with every look at it.
type burning struct {
	mu   sync.Mutex
	open int
	each float64
	used time.Duration
	at   time.Time
}

func (b *burning) look() service.Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(time.Second)
	b.used += time.Duration(b.each * float64(b.open) * float64(time.Second))
	return service.Usage{At: b.at, Engine: b.used * 3 / 5, Capsules: b.used * 2 / 5}
}

func (b *burning) set(open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = open
}

func (b *burning) admission(mode string) func(*service.Config) {
	b.at = time.Now()
	return func(c *service.Config) {
		c.Admission = service.Admission{Mode: mode, Every: 5 * time.Millisecond, CPUs: func() float64 { return 2 }, Used: b.look}
	}
}

// measured waits until n streams have a cost of about each CPUs.
func (w *world) measured(n int, each float64) {
	w.t.Helper()
	until(w.t, fmt.Sprintf("%d streams of %.2f CPUs", n, each), func() bool {
		list, err := w.States(w.t.Context(), viewer)
		if err != nil {
			w.t.Fatal(err)
		}
		good := 0
		for _, st := range list {
			if st.CPU > each*0.98 && st.CPU < each*1.02 {
				good++
			}
		}
		return good == n && w.Room(false).Measured
	})
}

// slow is a source of five frames a second.
var slow = script(pipelinetest.Script{Frames: 1 << 30, Every: 200 * time.Millisecond, Live: true})

// slowOnes are cameras rtsp://0 and so on.
func slowOnes(n int) media {
	m := media{}
	for i := range n {
		m[fmt.Sprintf("rtsp://%d", i)] = slow
	}
	return m
}

func TestMoreThanTheMachineCarriesIsRefused(t *testing.T) {
	t.Parallel()
	b := &burning{each: 0.5}
	m := slowOnes(5)
	w := newWorld(t, m, b.admission(""), walker())
	var streams []core.StreamNumber
	for i := range 5 {
		streams = append(streams, w.camera(fmt.Sprintf("rtsp://%d", i)).Number)
	}
	for i, n := range streams[:3] {
		w.analyze(n, true)
		b.set(i + 1)
		w.measured(i+1, 0.5)
	}
	err := w.Analyze(t.Context(), editor, streams[3], true)
	kindOn(t, err, core.Exhausted, "stream")
	for _, want := range []string{"3 streams use 1.50 of 2 CPUs", "1.80 are given out", "takes 0.50", "keyframes_only"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
	if s, _ := w.Stream(t.Context(), viewer, streams[3]); s.Analyze {
		t.Error("a stream that was refused is to be analysed")
	}
	w.analyze(streams[0], true) // it is already
	if !w.Room(true).OK {
		t.Errorf("key frames alone: %v", w.Room(true))
	}
	b.set(2)
	w.analyze(streams[0], false)
	w.measured(2, 0.5)
	w.analyze(streams[3], true)

	// After a restart all that were analysed are so, however little there is.
	w.stop()
	b.mu.Lock()
	b.each, b.open = 1.5, 3
	b.mu.Unlock()
	w.start(m, walker())
	w.measured(3, 1.5)
	kindOn(t, w.Analyze(t.Context(), editor, streams[4], true), core.Exhausted, "stream")
}

// TestStreamsThatBeginAtOnceAreMeasuredFirst has more than would be carried if each took what is
// assumed.
func TestStreamsThatBeginAtOnceAreMeasuredFirst(t *testing.T) {
	t.Parallel()
	const n = 12 // of 0.1 CPUs; 7 of those that are assumed
	b := &burning{each: 0.1}
	w := newWorld(t, slowOnes(n), b.admission(""), walker())
	for i := range n {
		b.set(i + 1)
		w.analyze(w.camera(fmt.Sprintf("rtsp://%d", i)).Number, true)
	}
}

func TestAdmissionModes(t *testing.T) {
	t.Parallel()
	for mode, ok := range map[string]bool{service.AdmitRefuse: false, service.AdmitWarn: true, service.AdmitAll: true} {
		b := &burning{each: 1.7}
		w := newWorld(t, slowOnes(2), b.admission(mode), walker())
		a, c := w.camera("rtsp://0").Number, w.camera("rtsp://1").Number
		w.analyze(a, true)
		b.set(1)
		w.measured(1, 1.7)
		if err := w.Analyze(t.Context(), editor, c, true); (err == nil) != ok {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if _, _, err := service.New(t.Context(), service.Config{Admission: service.Admission{Mode: "perhaps"}}); core.KindOf(err) != core.Invalid {
		t.Errorf("mode perhaps: %v", err)
	}
}

// TestWhatIsLeftOutIsSaid has a capsule that is slower than its camera.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	t.Parallel()
	dull := walker()
	find := dull.ProcessFunc
	var pause atomic.Int64
	dull.ProcessFunc = func(ctx context.Context, c pipeline.Call) (pipeline.Answer, error) {
		time.Sleep(time.Duration(pause.Load()))
		a, err := find(ctx, c)
		a.Compute = time.Duration(pause.Load())
		return a, err
	}
	b := &burning{each: 0.5}
	w := newWorld(t, media{"rtsp://a": live}, b.admission(""), dull)
	n := w.camera("rtsp://a").Number
	w.analyze(n, true)
	state := func() service.StreamState {
		list, err := w.States(t.Context(), viewer)
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	pause.Store(int64(150 * time.Millisecond))
	until(t, "frames that are left out", func() bool {
		st := state()
		return st.Shed > 0 && st.Dropped > 0 && strings.Contains(st.ShedWhy, "detector, with 150ms")
	})
	b.mu.Lock()
	b.each, b.open = 2, 1
	b.mu.Unlock()
	until(t, "the machine as the reason", func() bool { return strings.Contains(state().ShedWhy, "use 2.00 of 2 CPUs") })
	pause.Store(0)
	until(t, "no frames that are left out", func() bool { st := state(); return st.Shed == 0 && st.ShedWhy == "" })
}

// TestStreamsThatAreNotAnalysedCostNothing has a hundred configured and three at work.
func TestStreamsThatAreNotAnalysedCostNothing(t *testing.T) { // not beside others, whose memory would count
	weigh := func() (goroutines int, heap uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	w := newWorld(t, slowOnes(100), nil, walker())
	first := w.camera("rtsp://0").Number
	w.analyze(first, true)
	until(t, "a result", func() bool { return len(w.zone(first, core.ScreenZone).Within) == 1 })
	goroutines, heap := weigh()
	const more = 99
	for i := range more {
		w.camera(fmt.Sprintf("rtsp://%d", i+1))
	}
	afterGoroutines, afterHeap := weigh()
	if n := afterGoroutines - goroutines; n > 5 {
		t.Errorf("%d goroutines more for %d streams that are not analysed", n, more)
	}
	if n := int64(afterHeap) - int64(heap); n > more*16<<10 {
		t.Errorf("%d bytes more for %d streams that are not analysed", n, more)
	}
	list, err := w.States(t.Context(), viewer)
	if err != nil || len(list) != more+1 {
		t.Fatalf("%d streams, %v", len(list), err)
	}
	for _, st := range list[1:] {
		if st.Analyzing || st.State != "" || st.Frames != 0 {
			t.Errorf("%+v", st)
		}
	}
	w.analyze(list[50].Number, true)
	w.analyze(list[99].Number, true)
	until(t, "results of three", func() bool {
		return len(w.zone(list[50].Number, core.ScreenZone).Within) == 1 && len(w.zone(list[99].Number, core.ScreenZone).Within) == 1
	})
	if snap, _ := w.Statuses(t.Context(), viewer); len(snap.Streams) != more+1 {
		t.Errorf("%d streams in the snapshot", len(snap.Streams))
	}
}
