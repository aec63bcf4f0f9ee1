package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/pipeline/push"
	"github.com/capstan-video/capstan/server/blob"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a service on a store of its own, with scripted media and capsules.
type world struct {
	t      *testing.T
	dir    string
	store  store.Store
	blobs  *blob.Folder
	engine *pipeline.Engine
	cfg    service.Config
	tells  *events.Config // nil: it does not tell events
	*service.Service
	password string
}

var (
	admin  = service.Caller{User: 1, Name: "admin", Role: core.Admin}
	editor = service.Caller{User: 2, Name: "eve", Role: core.Editor}
	viewer = service.Caller{User: 3, Name: "vic", Role: core.Viewer}
)

// media opens by URL what tests script, behind which a pipeline stands; files by their path are "file".
type media map[string]func() (pipeline.MediaStream, error)

func (m media) Open(_ context.Context, s pipeline.Source) (pipeline.MediaStream, error) {
	url := s.URL
	if filepath.IsAbs(url) {
		url = "file"
	}
	if s.Pipeline != "" {
		url += " | " + s.Pipeline
	}
	if f := m[url]; f != nil {
		return f()
	}
	return nil, core.Faultf(core.SourceOpen, "media", url, "there is nothing")
}

func script(s pipelinetest.Script) func() (pipeline.MediaStream, error) {
	return func() (pipeline.MediaStream, error) { return s.Open() }
}

// live is a source of 50 frames a second without an end.
var live = script(pipelinetest.Script{Frames: 1 << 30, Every: 20 * time.Millisecond, Live: true})

func newWorld(t *testing.T, m media, change func(*service.Config), capsules ...pipeline.Capsule) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	w.cfg = service.Config{Cost: bcrypt.MinCost, NoAuth: true, FirstPause: 20 * time.Millisecond, MostPause: 100 * time.Millisecond,
		Silence: 5 * time.Second, Keep: time.Hour, Admission: service.Admission{Mode: service.AdmitAll}} // the CPU time of all tests together would count
	if change != nil {
		change(&w.cfg)
	}
	w.start(m, capsules...)
	t.Cleanup(w.stop)
	return w
}

// state tells how the first stream does.
func (w *world) state() service.StreamState {
	w.t.Helper()
	states, err := w.States(w.t.Context(), viewer)
	if err != nil {
		w.t.Fatal(err)
	}
	return states[0]
}

// start opens the service on what is in the folder.
func (w *world) start(m media, capsules ...pipeline.Capsule) {
	w.t.Helper()
	var err error
	if w.store, err = sqlstore.Open(w.t.Context(), "sqlite:"+filepath.Join(w.dir, "capstan.db")); err != nil {
		w.t.Fatal(err)
	}
	if w.blobs, err = blob.Open(filepath.Join(w.dir, "blobs"), blob.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.cfg.Pictures = push.New(m)
	w.engine = pipeline.New(w.cfg.Pictures, hclog.NewNullLogger())
	for _, c := range capsules {
		if err := w.engine.Add(c); err != nil {
			w.t.Fatal(err)
		}
	}
	w.cfg.Store, w.cfg.Engine, w.cfg.Blobs = w.store, w.engine, w.blobs
	if w.tells != nil {
		w.tells.Store = w.store
		if w.cfg.Events, err = events.Open(w.t.Context(), *w.tells); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.Service, w.password, err = service.New(w.t.Context(), w.cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	if err := errors.Join(w.Close(), w.cfg.Events.Close(), w.engine.Close(), w.store.Close(), w.blobs.Close()); err != nil {
		w.t.Error(err)
	}
}

// camera makes a stream of a URL.
func (w *world) camera(url string) core.StreamConfig {
	w.t.Helper()
	s, err := w.SaveStream(w.t.Context(), admin, core.StreamConfig{Name: url, Connection: core.Connection{Kind: core.IPCamera, URL: url}})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) analyze(n core.StreamNumber, on bool) {
	w.t.Helper()
	if err := w.Analyze(w.t.Context(), admin, n, on); err != nil {
		w.t.Fatal(err)
	}
}

// zone gives a stream's status of a zone; the zero value where there is none.
func (w *world) zone(n core.StreamNumber, name string) service.ZoneStatus {
	s, err := w.Statuses(w.t.Context(), viewer)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, z := range s.Streams[n] {
		if z.Zone.Name == name {
			return z
		}
	}
	return service.ZoneStatus{}
}

// until waits for something to come true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

func kindOn(t *testing.T, err error, kind core.Kind, noun string) {
	t.Helper()
	var f *core.Fault
	if !errors.As(err, &f) || f.Kind != kind || f.On != noun {
		t.Errorf("error %v; want %v on %q", err, kind, noun)
	}
}

// walker is a detector of one person that goes right, a step a frame, from x 0 to 60 and begins
// again.
func walker() *pipelinetest.Capsule {
	d := core.Declaration{Name: "detector", Version: "1", API: core.APIVersion, Entry: "detector", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}}}
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(seq uint64) []*core.Node {
		x := float64(seq % 60)
		return []*core.Node{{Class: "person", Coords: core.Rect(x-4, 10, x+4, 30)}}
	})}
}

func TestAStreamIsAnalysed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://a": live}, nil, walker())
	s := w.camera("rtsp://a")
	if s.Number == 0 || s.Analyze {
		t.Fatalf("saved as %+v", s)
	}
	list, err := w.Zones(t.Context(), admin, s.Number)
	if err != nil || len(list) != 1 || list[0].Name != core.ScreenZone || !list[0].IsScreen() {
		t.Fatalf("zones %+v, %v; want Screen", list, err)
	}
	z, a, err := w.SaveZone(t.Context(), admin, core.Zone{Stream: s.Number, Name: "right", Coords: core.Rect(30, 0, 64, 48)},
		[]core.Alarm{{Name: "somebody", Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater, Value: 0}}}})
	if err != nil || len(a) != 1 || a[0].Zone != z.ID || a[0].Stream != s.Number || a[0].Counts[0].ID == 0 {
		t.Fatalf("zone %+v, alarms %+v, %v", z, a, err)
	}
	if snap, _ := w.Statuses(t.Context(), viewer); snap.Streams[s.Number] == nil || len(snap.Streams[s.Number]) != 0 {
		t.Errorf("a stream without a result is %v; want an empty list", snap.Streams)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	later, err := w.Subscribe(ctx, viewer)
	if err != nil {
		t.Fatal(err)
	}
	w.analyze(s.Number, true)
	var began, ended core.Alert
	for snap := range later {
		for _, z := range snap.Streams[s.Number] {
			if z.Zone.Name == core.ScreenZone && len(z.Within) != 1 {
				t.Errorf("within Screen %d objects, want 1", len(z.Within))
			}
			for _, a := range z.Alerts {
				if began = a; !a.End.IsZero() {
					ended = a
					cancel()
				}
			}
		}
	}
	if began.ID == 0 || ended.ID == 0 || ended.End.Before(ended.Start) {
		t.Fatalf("alert began as %+v, ended as %+v", began, ended)
	}
	stored, err := w.Alert(t.Context(), viewer, ended.ID)
	if err != nil || !stored.End.Equal(ended.End.Truncate(time.Microsecond)) && !stored.End.Equal(ended.End) {
		t.Errorf("stored as %+v (%v), told as %+v", stored, err, ended)
	}
	frame, err := w.AlertFrame(t.Context(), viewer, ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer frame.Close()
	if img, format, err := image.Decode(frame); err != nil || format != "jpeg" || img.Bounds().Dx() != 64 || img.Bounds().Dy() != 48 {
		t.Errorf("the frame is %v, %v; want a JPEG of 64x48", format, err)
	}
	yes := true
	if err := w.VerifyAlert(t.Context(), admin, ended.ID, &yes); err != nil {
		t.Fatal(err)
	}
	if a, _ := w.Alert(t.Context(), viewer, ended.ID); a.Verified == nil || !*a.Verified {
		t.Errorf("verified as %v", a.Verified)
	}
	states, err := w.States(t.Context(), viewer)
	if err != nil || len(states) != 1 || states[0].State != "running" || states[0].Frames == 0 || !states[0].Analyzing {
		t.Errorf("states %+v, %v", states, err)
	}
	w.analyze(s.Number, false)
	if snap, _ := w.Statuses(t.Context(), viewer); len(snap.Streams[s.Number]) != 0 {
		t.Error("a stream that is not analysed has statuses")
	}
	open, n, err := w.Alerts(t.Context(), viewer, store.AlertFilter{Open: true})
	if err != nil || n != 0 {
		t.Errorf("%v are on though nothing is analysed, %v", open, err)
	}
}

func TestChangesReachARunningStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://a": live}, nil, walker())
	s := w.camera("rtsp://a")
	w.analyze(s.Number, true)
	until(t, "a result", func() bool { return len(w.zone(s.Number, core.ScreenZone).Within) == 1 })
	z, _, err := w.SaveZone(t.Context(), admin, core.Zone{Stream: s.Number, Name: "left", Coords: core.Rect(0, 0, 30, 48)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the new zone", func() bool { return w.zone(s.Number, "left").Zone.ID == z.ID })
	a, err := w.SaveAlarm(t.Context(), admin, core.Alarm{Zone: z.ID, Name: "always", Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.NotEqual, Value: 9}}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "an alert", func() bool { return len(w.zone(s.Number, "left").Alerts) == 1 })
	if err := w.DeleteAlarm(t.Context(), admin, a.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "no alarm", func() bool { st := w.zone(s.Number, "left"); return len(st.Alarms) == 0 && len(st.Alerts) == 0 })
	if err := w.DeleteZone(t.Context(), admin, z.ID); err != nil {
		t.Fatal(err)
	}
	until(t, "no zone", func() bool { return w.zone(s.Number, "left").Zone.ID == 0 })
	if files, _ := filepath.Glob(filepath.Join(w.dir, "blobs", "??", "*")); len(files) != 0 {
		t.Errorf("files of alerts that are gone are left: %v", files)
	}
}

// TestConnectingTellsWhatWentWrong: the error of the last time is seen until frames come.
func TestConnectingTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	next, tries := make(chan struct{}), 0
	w := newWorld(t, media{"rtsp://a": func() (pipeline.MediaStream, error) {
		if tries++; tries == 1 {
			return nil, core.Faultf(core.SourceFormat, "open", "it", "no video track")
		}
		<-next
		return live()
	}}, nil)
	s := w.camera("rtsp://a")
	w.analyze(s.Number, true)
	until(t, "the second try", func() bool { st := w.state(); return st.Attempts == 2 && st.State == string(pipeline.SourceConnecting) })
	if st := w.state(); !strings.Contains(st.Err, "no video track") {
		t.Errorf("while it connects: %+v", st)
	}
	close(next)
	until(t, "frames", func() bool { return w.state().Frames > 0 })
	if st := w.state(); st.Err != "" {
		t.Errorf("while it runs: %+v", st)
	}
}

// TestBackAgainTellsNoError: what went wrong with a camera is over when its frames are back.
func TestBackAgainTellsNoError(t *testing.T) {
	t.Parallel()
	tries := 0
	w := newWorld(t, media{"rtsp://a": func() (pipeline.MediaStream, error) {
		if tries++; tries == 1 {
			return pipelinetest.Script{Frames: 3, Live: true, Err: core.Faultf(core.SourceBroken, "media", "a", "torn")}.Open()
		}
		return live()
	}}, nil)
	s := w.camera("rtsp://a")
	w.analyze(s.Number, true)
	until(t, "frames after those that were first", func() bool { return w.state().Frames > 3 })
	if st := w.state(); st.State != string(pipeline.SourceRunning) || st.Err != "" {
		t.Errorf("while it runs again: %+v", st)
	}
}

func TestABrokenStreamDisturbsNobody(t *testing.T) {
	t.Parallel()
	var opened sync.Map
	broken := func() (pipeline.MediaStream, error) {
		n, _ := opened.LoadOrStore("n", new(int))
		*n.(*int)++
		return pipelinetest.Script{Frames: 3, Every: time.Millisecond, Err: core.Faultf(core.SourceBroken, "media", "b", "torn")}.Open()
	}
	w := newWorld(t, media{"rtsp://a": live, "http://b": broken}, nil, walker())
	a, b, c := w.camera("rtsp://a"), w.camera("http://b"), w.camera("rtsp://nowhere")
	for _, s := range []core.StreamConfig{a, b, c} {
		w.analyze(s.Number, true)
	}
	frames := func() uint64 {
		states, err := w.States(t.Context(), viewer)
		if err != nil {
			t.Fatal(err)
		}
		return states[0].Frames
	}
	until(t, "failed streams", func() bool {
		states, _ := w.States(t.Context(), viewer)
		return states[1].Err != "" && states[2].State == "failed" && states[2].Attempts > 2
	})
	before := frames()
	until(t, "frames of the other", func() bool { return frames() > before+5 })
	if err := w.DeleteStream(t.Context(), admin, c.Number); err != nil {
		t.Fatal(err)
	}
	_, err := w.Stream(t.Context(), viewer, c.Number)
	kindOn(t, err, core.NotFound, "stream")
	w.analyze(b.Number, false)
	before = frames()
	until(t, "frames of the other after the end of two", func() bool { return frames() > before+5 })
	if snap, _ := w.Statuses(t.Context(), viewer); len(snap.Streams) != 2 {
		t.Errorf("%d streams in the snapshot, want 2", len(snap.Streams))
	}
}

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	m := media{"file": script(pipelinetest.Script{Frames: 50, Every: 4 * time.Millisecond, Live: true})}
	w := newWorld(t, m, nil, walker())
	b, err := w.SaveBlob(t.Context(), admin, "video/mp4", bytes.NewReader([]byte("a clip")))
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.SaveStream(t.Context(), admin, core.StreamConfig{Name: "clip", Connection: core.Connection{Kind: core.FileClip, Blob: b.ID}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.SaveZone(t.Context(), admin, core.Zone{Stream: s.Number, Name: "right", Coords: core.Rect(30, 0, 64, 48)}, nil); err != nil {
		t.Fatal(err)
	}
	w.analyze(s.Number, true)
	entered := func() uint64 { return w.zone(s.Number, "right").Totals.Entered["person"] }
	until(t, "the file going round", func() bool { return entered() >= 2 })
	w.stop()
	// What the service has closed cannot be asked any more; the store can, after it is opened again.
	w.start(m, walker())
	if got, err := w.Stream(t.Context(), viewer, s.Number); err != nil || !got.Analyze {
		t.Errorf("stream %+v, %v; want it analysed", got, err)
	}
	until(t, "totals of before and more", func() bool { return entered() >= 3 })
	if w.password != "" {
		t.Error("a second start made a password")
	}
}

func TestStreamsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{}, nil)
	w.camera("rtsp://a")
	tests := map[string]struct {
		cfg  core.StreamConfig
		kind core.Kind
		noun string
	}{
		"twice":           {core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://a"}}, core.Exists, "stream"},
		"a local file":    {core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: "file:///etc/passwd"}}, core.Invalid, "stream"},
		"a path":          {core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: "/etc/passwd"}}, core.Invalid, "stream"},
		"no such file":    {core.StreamConfig{Connection: core.Connection{Kind: core.FileClip, Blob: 9}}, core.NotFound, "blob"},
		"no file":         {core.StreamConfig{Connection: core.Connection{Kind: core.FileClip}}, core.Invalid, "stream"},
		"no kind":         {core.StreamConfig{}, core.Invalid, "stream"},
		"no such webcam":  {core.StreamConfig{Connection: core.Connection{Kind: core.Webcam, Device: -1}}, core.Invalid, "stream"},
		"no premises":     {core.StreamConfig{Premises: 7, Connection: core.Connection{Kind: core.Webcam}}, core.NotFound, "premises"},
		"a pipeline":      {core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://b", Pipeline: "x"}}, core.Invalid, "stream"},
		"another source":  {core.StreamConfig{Connection: core.Connection{Kind: core.Webcam, Pipeline: "rtspsrc location={url} ! decodebin ! appsink name=main_sink"}}, core.Invalid, "stream"},
		"no such stream":  {core.StreamConfig{Number: 99, Connection: core.Connection{Kind: core.Webcam}}, core.NotFound, "stream"},
		"an endless name": {core.StreamConfig{Name: strings.Repeat("x", 2000), Connection: core.Connection{Kind: core.Webcam}}, core.Invalid, "stream"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := w.SaveStream(t.Context(), admin, test.cfg)
			kindOn(t, err, test.kind, test.noun)
		})
	}
	_, err := w.SaveStream(t.Context(), viewer, core.StreamConfig{})
	kindOn(t, err, core.Denied, "role")
	if list, _ := w.Streams(t.Context(), admin, 0); len(list) != 1 {
		t.Errorf("%d streams, want 1", len(list))
	}
}

func TestZonesAndAlarmsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{}, nil)
	s := w.camera("rtsp://a")
	list, _ := w.Zones(t.Context(), admin, s.Number)
	screen := list[0]
	square := core.Rect(1, 1, 9, 9)
	if _, _, err := w.SaveZone(t.Context(), admin, core.Zone{Stream: s.Number, Name: "door", Coords: square}, nil); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		zone core.Zone
		kind core.Kind
		noun string
	}{
		"Screen":         {core.Zone{ID: screen.ID, Name: "x", Coords: square}, core.Denied, "zone"},
		"another Screen": {core.Zone{Stream: s.Number, Name: core.ScreenZone, Coords: square}, core.Denied, "zone"},
		"name taken":     {core.Zone{Stream: s.Number, Name: "door", Coords: square}, core.Exists, "zone"},
		"one point":      {core.Zone{Stream: s.Number, Name: "x", Coords: core.Polygon{{X: 1, Y: 1}}}, core.Invalid, "zone"},
		"no such stream": {core.Zone{Stream: 9, Name: "x", Coords: square}, core.NotFound, "stream"},
		"no such zone":   {core.Zone{ID: 99, Name: "x", Coords: square}, core.NotFound, "zone"},
	} {
		_, _, err := w.SaveZone(t.Context(), admin, test.zone, nil)
		t.Log(name)
		kindOn(t, err, test.kind, test.noun)
	}
	kindOn(t, w.DeleteZone(t.Context(), admin, screen.ID), core.Denied, "zone")
	_, err := w.SaveAlarm(t.Context(), admin, core.Alarm{Zone: screen.ID, Name: "never"})
	kindOn(t, err, core.Invalid, "alarm")
	_, err = w.SaveAlarm(t.Context(), admin, core.Alarm{Zone: 99, Name: "nowhere"})
	kindOn(t, err, core.NotFound, "zone")
	_, _, err = w.Alerts(t.Context(), viewer, store.AlertFilter{Stream: 99})
	kindOn(t, err, core.NotFound, "stream")
}

// TestStreamsComeAndGo has several callers make, change and delete streams while one runs on.
func TestStreamsComeAndGo(t *testing.T) {
	t.Parallel()
	m := media{"rtsp://a": live}
	for i := range 4 {
		m[fmt.Sprintf("rtsp://%d", i)] = live
	}
	detector := walker()
	w := newWorld(t, m, nil, detector)
	steady := w.camera("rtsp://a").Number
	w.analyze(steady, true)
	var callers sync.WaitGroup
	for i := range 4 {
		callers.Go(func() {
			for range 6 {
				s, err := w.SaveStream(t.Context(), editor, core.StreamConfig{Connection: core.Connection{Kind: core.IPCamera, URL: fmt.Sprintf("rtsp://%d", i)}})
				if err == nil {
					err = w.Analyze(t.Context(), editor, s.Number, true)
				}
				var z core.Zone
				if err == nil {
					z, _, err = w.SaveZone(t.Context(), editor, core.Zone{Stream: s.Number, Name: "z", Coords: core.Rect(0, 0, 9, 9)},
						[]core.Alarm{{Name: "a", Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.NotEqual, Value: 9}}}})
				}
				if err == nil {
					_, _, err = w.SaveZone(t.Context(), editor, core.Zone{ID: z.ID, Name: "y", Coords: core.Rect(0, 0, 19, 19)}, nil)
				}
				if err == nil {
					err = w.DeleteStream(t.Context(), editor, s.Number)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	if snap, _ := w.Statuses(t.Context(), viewer); len(snap.Streams) != 1 {
		t.Errorf("%d streams in the snapshot, want 1", len(snap.Streams))
	}
	before := w.zone(steady, core.ScreenZone).PTS
	until(t, "the steady stream going on", func() bool { return w.zone(steady, core.ScreenZone).PTS > before })
	if n := detector.OpenStreams(); n != 1 {
		t.Errorf("the capsule knows %d streams, want 1", n)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "blobs", "??", "*")); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}
