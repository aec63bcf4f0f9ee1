package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/crypto/bcrypt"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// newTelling is newWorld with an outbox. Its one destination takes nothing: events stay in the
// store, where tests read them.
func newTelling(t *testing.T, m media, detections bool, change func(*service.Config), capsules ...pipeline.Capsule) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), tells: &events.Config{
		AllowLocal: true, Detections: detections, FirstPause: time.Hour, MostPause: time.Hour,
		Destinations: []store.Destination{{Name: "nobody", Kind: events.MQTT, URL: "mqtt://127.0.0.1:1", Enabled: true}},
	}}
	w.cfg = service.Config{Cost: bcrypt.MinCost, NoAuth: true, FirstPause: 20 * time.Millisecond, MostPause: 100 * time.Millisecond,
		Silence: 5 * time.Second, Keep: time.Hour}
	if change != nil {
		change(&w.cfg)
	}
	w.start(m, capsules...)
	t.Cleanup(w.stop)
	return w
}

// event is one as it is told.
type event struct {
	ID, Type, Subject string
	Time              time.Time
	Data              struct {
		Stream, Zone, Alarm events.Named
		Alert               *struct {
			ID         core.AlertID
			Start, End time.Time
			Verified   *bool
			Frame      core.BlobID
		}
		By, Reason, State, Error, Class, Track string
		Frames                                 int
		Seconds                                float64
		Identity                               *events.Identity
		Zones                                  []events.Named
	}
}

var eventSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(filepath.Join("..", "..", "docs", "reference", "events.schema.json"))
})

// told gives the events that wait on a stream, each held against the schema.
func (w *world) told(n core.StreamNumber) (out []event) {
	w.t.Helper()
	schema, err := eventSchema()
	if err != nil {
		w.t.Fatal(err)
	}
	var list []store.Delivery
	err = w.store.View(context.Background(), func(tx store.Tx) (err error) { list, err = tx.Waiting(1, n, 0); return err })
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range list {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.Event.Payload))
		if err == nil {
			err = schema.Validate(v)
		}
		var e event
		if err = errors.Join(err, json.Unmarshal(d.Event.Payload, &e)); err != nil {
			w.t.Fatalf("%s is not as documented: %v", d.Event.Payload, err)
		}
		if e.Type != "capstan."+d.Event.Kind || e.ID != d.Event.Key || !e.Time.Equal(d.Event.At) && !e.Time.Truncate(time.Microsecond).Equal(d.Event.At) {
			w.t.Errorf("kept as %s %s %v, told as %s", d.Event.Kind, d.Event.Key, d.Event.At, d.Event.Payload)
		}
		out = append(out, e)
	}
	return out
}

// types gives the types of events, shortly.
func types(list []event, which string) string {
	var out []string
	for _, e := range list {
		if strings.HasPrefix(e.Type, "capstan."+which) {
			out = append(out, strings.TrimPrefix(e.Type, "capstan."))
		}
	}
	return strings.Join(out, " ")
}

// crowd puts an alarm on the right half of a stream.
func (w *world) crowd(n core.StreamNumber) (core.Zone, core.Alarm) {
	w.t.Helper()
	z, a, err := w.SaveZone(w.t.Context(), admin, core.Zone{Stream: n, Name: "right", Coords: core.Rect(30, 0, 64, 48)},
		[]core.Alarm{{Name: "somebody", Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater, Value: 0}}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return z, a[0]
}

func TestAlertsAreTold(t *testing.T) {
	t.Parallel()
	w := newTelling(t, media{"rtsp://a": live}, false, nil, walker())
	s := w.camera("rtsp://a")
	z, a := w.crowd(s.Number)
	w.analyze(s.Number, true)
	until(t, "an alert began and ended", func() bool { return strings.Contains(types(w.told(s.Number), "alert"), "alert.began alert.ended") })
	list := w.told(s.Number)
	if first := types(list, "")[:strings.Index(types(list, ""), " alert.ended")]; first != "stream.running alert.began" && first != "alert.began stream.running" {
		t.Errorf("told %s", types(list, ""))
	}
	i := slices.IndexFunc(list, func(e event) bool { return e.Type == "capstan.alert.began" })
	began := list[i].Data
	if began.Stream != (events.Named{ID: int64(s.Number), Name: "rtsp://a"}) || began.Zone != (events.Named{ID: int64(z.ID), Name: "right"}) ||
		began.Alarm != (events.Named{ID: int64(a.ID), Name: "somebody"}) || began.Alert.Frame == 0 || !began.Alert.End.IsZero() {
		t.Errorf("began as %+v", began)
	}
	yes := true
	if err := w.VerifyAlert(t.Context(), editor, began.Alert.ID, &yes); err != nil {
		t.Fatal(err)
	}
	list = w.told(s.Number)
	i = slices.IndexFunc(list, func(e event) bool { return e.Type == "capstan.alert.verified" })
	if i < 0 || list[i].Data.By != "eve" || list[i].Data.Alert.ID != began.Alert.ID || !*list[i].Data.Alert.Verified {
		t.Errorf("verified as %+v", list)
	}
	// What is deleted while it is on has an end too.
	until(t, "an alert is on", func() bool {
		open, _, err := w.Alerts(t.Context(), viewer, store.AlertFilter{Open: true})
		return err == nil && len(open) == 1
	})
	if err := w.DeleteZone(t.Context(), editor, z.ID); err != nil {
		t.Fatal(err)
	}
	list = w.told(s.Number)
	if got := types(list, "alert"); strings.Count(got, "began") != strings.Count(got, "ended") {
		t.Errorf("told %s", got)
	}
	if e := list[len(list)-1].Data; e.Reason != "deleted" && e.Reason != "" {
		t.Errorf("ended as %+v", e)
	}
	if err := w.VerifyAlert(t.Context(), editor, 999, &yes); core.KindOf(err) != core.NotFound {
		t.Errorf("%v", err)
	}
}

// failing is a store whose transactions fail at the end, now and then: all of them is undone.
type failing struct {
	store.Store
	on atomic.Bool
}

func (f *failing) Update(ctx context.Context, do func(store.Tx) error) error {
	return f.Store.Update(ctx, func(tx store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		if f.on.Load() && rand.IntN(3) == 0 {
			return core.Faultf(core.Internal, "store", "", "the test undoes this")
		}
		return nil
	})
}

// TestNoEventWithoutAnAlert: and no alert without its event, whatever fails.
func TestNoEventWithoutAnAlert(t *testing.T) {
	t.Parallel()
	w := newTelling(t, media{"rtsp://a": live, "rtsp://b": live}, false, nil, walker())
	// The service goes on with a store that fails.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	bad := &failing{Store: w.store}
	cfg := w.cfg
	cfg.Store = bad
	var err error
	if w.Service, _, err = service.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	var streams []core.StreamNumber
	for _, url := range []string{"rtsp://a", "rtsp://b"} {
		s := w.camera(url)
		w.crowd(s.Number)
		w.analyze(s.Number, true)
		streams = append(streams, s.Number)
	}
	bad.on.Store(true)
	until(t, "many alerts", func() bool {
		_, n, err := w.Alerts(t.Context(), viewer, store.AlertFilter{})
		for id := range n { // some of it fails
			yes := id%2 == 0
			_ = w.VerifyAlert(t.Context(), editor, core.AlertID(id+1), &yes)
		}
		return err == nil && n >= 6
	})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, n := range streams {
		var alerts []core.Alert
		if err := w.store.View(t.Context(), func(tx store.Tx) (err error) { alerts, _, err = tx.Alerts(store.AlertFilter{Stream: n}); return err }); err != nil {
			t.Fatal(err)
		}
		began, ended, verified := map[core.AlertID]int{}, map[core.AlertID]int{}, map[core.AlertID]*bool{}
		for _, e := range w.told(n) {
			switch e.Type {
			case "capstan.alert.began":
				began[e.Data.Alert.ID]++
			case "capstan.alert.ended":
				ended[e.Data.Alert.ID]++
			case "capstan.alert.verified":
				verified[e.Data.Alert.ID] = e.Data.Alert.Verified
			}
		}
		if len(began) != len(alerts) || len(alerts) == 0 {
			t.Errorf("stream %d: %d alerts, and %d that were told to begin", n, len(alerts), len(began))
		}
		for _, a := range alerts {
			if began[a.ID] != 1 || (ended[a.ID] == 1) == a.End.IsZero() {
				t.Errorf("alert %+v was told to begin %d times and to end %d times", a, began[a.ID], ended[a.ID])
			}
			if (a.Verified == nil) != (verified[a.ID] == nil) || a.Verified != nil && *a.Verified != *verified[a.ID] {
				t.Errorf("alert %d is verified as %v and was told to be %v", a.ID, a.Verified, verified[a.ID])
			}
		}
	}
}

func TestStreamsAreTold(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	m := media{"rtsp://a": func() (pipeline.MediaStream, error) {
		if broken.Load() {
			return nil, core.Faultf(core.SourceOpen, "media", "rtsp://a", "the camera is away")
		}
		return pipelinetest.Script{Frames: 5, Every: 5 * time.Millisecond, Live: true, Err: core.Faultf(core.SourceBroken, "media", "rtsp://a", "cut")}.Open()
	}}
	w := newTelling(t, m, false, func(c *service.Config) { c.Silence = 200 * time.Millisecond }, walker())
	s := w.camera("rtsp://a").Number
	w.analyze(s, true)
	until(t, "it runs", func() bool { return types(w.told(s), "stream") != "" })
	broken.Store(true)
	until(t, "it fails", func() bool { return strings.HasSuffix(types(w.told(s), "stream"), "stream.failed") })
	broken.Store(false)
	until(t, "it runs again", func() bool { return strings.HasSuffix(types(w.told(s), "stream"), "stream.failed stream.running") })
	broken.Store(true)
	until(t, "it fails again", func() bool { return strings.HasSuffix(types(w.told(s), "stream"), "stream.running stream.failed") })
	time.Sleep(300 * time.Millisecond) // and again
	list := w.told(s)
	got := types(list, "stream")
	if strings.Contains(got, "failed stream.failed") || strings.Contains(got, "running stream.running") || !strings.HasPrefix(got, "stream.running stream.failed") {
		t.Errorf("told %s", got)
	}
	if e := list[len(list)-1].Data; e.Error == "" || e.State != "failed" || e.Stream.Name != "rtsp://a" {
		t.Errorf("failed as %+v", e)
	}
}

// visitor is a detector of a tracked person who is there for the first 30 frames.
func visitor() *pipelinetest.Capsule {
	d := core.Declaration{Name: "visitor", Version: "1", API: core.APIVersion, Entry: "visitor", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}, Tracked: true}}
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(seq uint64) []*core.Node {
		if seq >= 30 {
			return nil
		}
		return []*core.Node{{Class: "person", TrackID: "track-0", Coords: core.Rect(40, 10, 48, 30)}}
	})}
}

// bag is a detector of a bag, without a track.
func bag() *pipelinetest.Capsule {
	d := core.Declaration{Name: "bag", Version: "1", API: core.APIVersion, Entry: "bag", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"bag"}}}
	return &pipelinetest.Capsule{Decl: d, ProcessFunc: pipelinetest.Finding(func(uint64) []*core.Node {
		return []*core.Node{{Class: "bag", Coords: core.Rect(40, 10, 44, 20)}}
	})}
}

func TestDetectionsAreTold(t *testing.T) {
	t.Parallel()
	now := newClock()
	w := newTelling(t, media{"rtsp://a": live}, true, func(c *service.Config) { c.Now = now.now }, visitor(), bag())
	s := w.camera("rtsp://a").Number
	z, _ := w.crowd(s)
	w.analyze(s, true)
	until(t, "a track began", func() bool { return strings.Contains(types(w.told(s), "detection"), "began") })
	until(t, "the track is left", func() bool { states, err := w.States(t.Context(), viewer); return err == nil && states[0].Frames > 40 })
	now.move(4 * time.Second)
	until(t, "the track ended", func() bool { return strings.Contains(types(w.told(s), "detection"), "ended") })
	list := w.told(s)
	if got := types(list, "detection"); strings.Count(got, "began") != 1 || strings.Count(got, "ended") != 1 || strings.Count(got, "seen") != 1 {
		t.Errorf("told %s", got)
	}
	for _, e := range list {
		switch e.Type {
		case "capstan.detection.ended":
			if e.Data.Class != "person" || e.Data.Track != "track-0" || e.Data.Frames < 5 || e.Data.Frames > 30 || e.Data.Stream.Name != "rtsp://a" || len(e.Data.Zones) != 1 || e.Data.Zones[0].ID != int64(z.ID) {
				t.Errorf("ended as %+v", e.Data)
			}
		case "capstan.detection.seen":
			if e.Data.Class != "bag" || e.Data.Track != "" || len(e.Data.Zones) != 1 {
				t.Errorf("seen as %+v", e.Data)
			}
		}
	}
	now.move(7 * time.Second)
	until(t, "the bag is told of again", func() bool { return strings.Count(types(w.told(s), "detection"), "seen") == 2 })
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var bodies []string
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, string(body))
		w.WriteHeader(status)
	}))
	defer server.Close()
	w := newTelling(t, media{}, false, nil)
	ctx := t.Context()
	for _, c := range []service.Caller{viewer, editor} {
		_, err := w.Destinations(ctx, c)
		kindOn(t, err, core.Denied, "role")
		_, err = w.Destination(ctx, c, 1)
		kindOn(t, err, core.Denied, "role")
		_, err = w.SaveDestination(ctx, c, service.Destination{})
		kindOn(t, err, core.Denied, "role")
		kindOn(t, w.DeleteDestination(ctx, c, 1), core.Denied, "role")
		kindOn(t, w.TestDestination(ctx, c, 1), core.Denied, "role")
		_, _, err = w.DeadLetters(ctx, c, 0, store.Page{})
		kindOn(t, err, core.Denied, "role")
		kindOn(t, w.Replay(ctx, c, 1), core.Denied, "role")
		kindOn(t, w.DiscardDeadLetter(ctx, c, 1), core.Denied, "role")
		_, err = w.ReplayAll(ctx, c, 0)
		kindOn(t, err, core.Denied, "role")
	}
	for name, bad := range map[string]service.Destination{
		"no name": {Kind: "webhook", URL: server.URL}, "no kind": {Name: "x", URL: server.URL}, "no URL": {Name: "x", Kind: "webhook"},
		"scheme": {Name: "x", Kind: "webhook", URL: "file:///etc/passwd"}, "user in the URL": {Name: "x", Kind: "webhook", URL: "http://u:p@host"},
		"short key": {Name: "x", Kind: "webhook", URL: server.URL, Secret: "short"}, "event": {Name: "x", Kind: "webhook", URL: server.URL, Events: []string{"alarm"}},
		"certificate": {Name: "x", Kind: "webhook", URL: server.URL, CA: "x"}, "topic": {Name: "x", Kind: "mqtt", URL: "mqtt://host", Topic: "a/#"}, "path": {Name: "x", Kind: "nats", URL: "nats://host/x"},
	} {
		if _, err := w.SaveDestination(ctx, admin, bad); core.KindOf(err) != core.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := w.SaveDestination(ctx, admin, service.Destination{Name: "site", Kind: "webhook", URL: server.URL, Enabled: true})
	if err != nil || d.ID == 0 || !strings.HasPrefix(d.Secret, "whsec_") || !d.HasSecret {
		t.Fatalf("%+v, %v", d, err)
	}
	key := d.Secret
	_, err = w.SaveDestination(ctx, admin, service.Destination{Name: "site", Kind: "webhook", URL: server.URL})
	kindOn(t, err, core.Exists, "destination")
	shown, err := w.Destination(ctx, admin, d.ID)
	if err != nil || shown.Secret != "" || !shown.HasSecret || shown.Stats == nil || shown.Events == nil || shown.Streams == nil {
		t.Errorf("%+v, %v", shown, err)
	}
	list, err := w.Destinations(ctx, admin)
	if err != nil || len(list) != 2 || !list[0].Configured || list[1].Secret != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if text, _ := json.Marshal(list); strings.Contains(string(text), key) {
		t.Error("the secret comes back")
	}
	// The secret stays, but is not sent to somebody else.
	shown.Events = []string{"alert"}
	if d, err = w.SaveDestination(ctx, admin, shown); err != nil || d.Secret != "" || !d.HasSecret {
		t.Fatalf("%+v, %v", d, err)
	}
	moved := shown
	moved.URL = "http://192.0.2.1/x"
	_, err = w.SaveDestination(ctx, admin, moved)
	kindOn(t, err, core.Invalid, "destination")
	// The configuration's is changed there.
	conf := list[0]
	_, err = w.SaveDestination(ctx, admin, conf)
	kindOn(t, err, core.Denied, "destination")
	kindOn(t, w.DeleteDestination(ctx, admin, conf.ID), core.Denied, "destination")
	kindOn(t, w.DeleteDestination(ctx, admin, 99), core.NotFound, "destination")
	kindOn(t, w.TestDestination(ctx, admin, 99), core.NotFound, "destination")
	if err := w.TestDestination(ctx, admin, d.ID); err != nil {
		t.Error(err)
	}
	mu.Lock()
	if len(bodies) != 1 || !strings.Contains(bodies[0], `"type":"capstan.test"`) || !strings.Contains(bodies[0], `"by":"admin"`) {
		t.Errorf("%q", bodies)
	}
	status = http.StatusTeapot
	mu.Unlock()
	if err := w.TestDestination(ctx, admin, d.ID); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("%v", err)
	}
	w.deadLetters(d.ID)
	if err := w.DeleteDestination(ctx, admin, d.ID); err != nil {
		t.Error(err)
	}
	var log []core.AuditEntry
	if err := w.store.View(ctx, func(tx store.Tx) (err error) { log, err = tx.Audit(store.Page{}); return err }); err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range log {
		if strings.Contains(e.Action, "destination") || strings.Contains(e.Action, "dead") {
			actions = append(actions, e.Action)
		}
	}
	if got := strings.Join(actions, ", "); got != "delete destination, discard dead letter, replay dead letters, replay dead letter, test destination, test destination, save destination, save destination" {
		t.Errorf("audit: %s", got)
	}
}

// deadLetters looks at dead letters of a destination, which is left without any.
func (w *world) deadLetters(id int64) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	err := w.store.Update(ctx, func(tx store.Tx) error {
		for i := range 3 {
			e := store.Event{Key: fmt.Sprint(i), Stream: 5, Kind: "alert.began", At: time.Now(), Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
			if _, err := tx.SaveEvent(e, id); err != nil {
				return err
			}
		}
		list, err := tx.Waiting(id, 5, 0)
		for _, d := range list {
			d.Dead, d.Ended, d.Error, d.Attempts = true, time.Now(), "no", 7
			err = errors.Join(err, tx.SaveDelivery(d))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	list, n, err := w.DeadLetters(ctx, admin, id, store.Page{Limit: 2})
	if err != nil || n != 3 || len(list) != 2 || string(list[0].Event) != `{"n":2}` || list[0].Attempts != 7 || list[0].Error != "no" || list[0].Destination != id {
		t.Fatalf("%+v, %d, %v", list, n, err)
	}
	_, _, err = w.DeadLetters(ctx, admin, 99, store.Page{})
	kindOn(t, err, core.NotFound, "destination")
	_, _, err = w.DeadLetters(ctx, admin, 0, store.Page{Limit: 1001})
	kindOn(t, err, core.Invalid, "delivery")
	if err := w.Replay(ctx, admin, list[0].ID); err != nil {
		t.Error(err)
	}
	kindOn(t, w.Replay(ctx, admin, list[0].ID), core.NotFound, "delivery")
	kindOn(t, w.DiscardDeadLetter(ctx, admin, 9999), core.NotFound, "delivery")
	if n, err := w.ReplayAll(ctx, admin, id); err != nil || n != 2 {
		t.Errorf("replayed %d, %v", n, err)
	}
	_, err = w.ReplayAll(ctx, admin, 99)
	kindOn(t, err, core.NotFound, "destination")
	err = w.store.Update(ctx, func(tx store.Tx) error {
		d := store.Delivery{ID: list[1].ID, Dead: true}
		return tx.SaveDelivery(d)
	})
	if err == nil {
		err = w.DiscardDeadLetter(ctx, admin, list[1].ID)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestNothingIsTold where there is no outbox: everything else goes on.
func TestNothingIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, media{"rtsp://a": live}, nil, walker())
	_, err := w.SaveDestination(t.Context(), admin, service.Destination{Name: "x", Kind: "webhook", URL: "http://host"})
	kindOn(t, err, core.Unsupported, "destination")
	if list, err := w.Destinations(t.Context(), admin); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	s := w.camera("rtsp://a").Number
	w.crowd(s)
	w.analyze(s, true)
	until(t, "an alert", func() bool {
		_, n, err := w.Alerts(t.Context(), viewer, store.AlertFilter{})
		return err == nil && n > 0
	})
}
