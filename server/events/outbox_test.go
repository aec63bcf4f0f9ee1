package events_test

import (
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
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

const secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"

// told is a message that a receiver has taken.
type told struct {
	key, kind string
	stream    int64
	n         int // which one of its stream it is, from 1
	body      string
}

// inbox is what receivers have taken.
type inbox struct {
	mu   sync.Mutex
	list []told
}

func (i *inbox) add(body []byte) error {
	var e struct {
		ID, Type string
		Data     struct {
			Stream struct{ ID int64 }
			Alert  struct{ ID int }
		}
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.list = append(i.list, told{e.ID, strings.TrimPrefix(e.Type, "capstan."), e.Data.Stream.ID, e.Data.Alert.ID, string(body)})
	return nil
}

func (i *inbox) all() []told {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.list)
}

// once gives what was taken without repetitions, which must be the same as the first time.
func (i *inbox) once(t *testing.T) (out []told, repeated int) {
	t.Helper()
	seen := map[string]told{}
	for _, m := range i.all() {
		if before, again := seen[m.key]; again {
			repeated++
			if before != m {
				t.Errorf("repeated as %v, and was %v", m, before)
			}
			continue
		}
		seen[m.key] = m
		out = append(out, m)
	}
	return out, repeated
}

// inOrder looks that each stream's messages are 1 to n, in this order.
func (i *inbox) inOrder(t *testing.T, streams, n int) {
	t.Helper()
	list, repeated := i.once(t)
	last := map[int64]int{}
	for _, m := range list {
		if m.n != last[m.stream]+1 {
			t.Errorf("stream %d: %d came after %d", m.stream, m.n, last[m.stream])
		}
		last[m.stream] = m.n
	}
	for s := 1; s <= streams; s++ {
		if last[int64(s)] != n {
			t.Errorf("stream %d: the last one is %d, want %d", s, last[int64(s)], n)
		}
	}
	t.Logf("%d messages, %d of them repeated", len(list), repeated)
}

// world is an outbox on a store of its own.
type world struct {
	t     testing.TB
	store store.Store
	cfg   events.Config
	*events.Outbox
}

// quick are settings with which nothing waits for long.
func quick() events.Config {
	return events.Config{AllowLocal: true, FirstPause: time.Millisecond, MostPause: 5 * time.Millisecond, Timeout: 2 * time.Second}
}

func openStore(t testing.TB, path string) store.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorld(t testing.TB, cfg events.Config, list ...store.Destination) *world {
	t.Helper()
	w := &world{t: t, store: openStore(t, filepath.Join(t.TempDir(), "capstan.db")), cfg: cfg}
	w.cfg.Store, w.cfg.Destinations = w.store, list
	t.Cleanup(func() {
		if err := errors.Join(w.Close(), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.Outbox, err = events.Open(context.Background(), w.cfg); err != nil {
		w.t.Fatal(err)
	}
}

// alert is the n-th event of a stream.
func alert(stream, n int) events.Event {
	kind, start, end := events.AlertBegan, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), (*time.Time)(nil)
	if n%2 == 0 {
		kind, end = events.AlertEnded, &start
	}
	return events.Event{Kind: kind, At: time.Now(), Stream: core.StreamNumber(stream), Zone: 3, Alarm: 4, Subject: fmt.Sprintf("streams/%d/alerts/%d", stream, n),
		Data: events.AlertData{Stream: events.Named{ID: int64(stream), Name: "gate"}, Zone: events.Named{ID: 3, Name: "door"}, Alarm: events.Named{ID: 4, Name: "crowd"},
			Alert: events.Alert{ID: int64(n), Start: start, End: end}}}
}

// write keeps events in one transaction.
func (w *world) write(list ...events.Event) {
	w.t.Helper()
	if err := w.store.Update(context.Background(), func(tx store.Tx) error { return w.Write(tx, list...) }); err != nil {
		w.t.Fatal(err)
	}
	w.Wake()
}

func (w *world) stat(name string) events.Stats {
	w.t.Helper()
	list, err := w.Stats(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	w.t.Fatalf("there is no destination %q", name)
	return events.Stats{}
}

// empty waits until nothing waits for a destination.
func (w *world) empty(name string) {
	w.t.Helper()
	until(w.t, "nothing waits for "+name, func() bool { return w.stat(name).Waiting == 0 })
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func hook(name, url string, kinds ...string) store.Destination {
	return store.Destination{Name: name, Kind: events.Webhook, URL: url, Secret: secret, Events: kinds, Enabled: true}
}

// receive is a webhook that takes what is signed; before may answer instead.
func receive(t testing.TB, in *inbox, before func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = events.Verify(secret, r.Header, body, time.Now(), time.Minute)
		}
		if err != nil {
			t.Errorf("a message that is not signed as it should be: %v", err)
		}
		if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents+json") || !strings.Contains(string(body), r.Header.Get("Webhook-Id")) {
			t.Errorf("%s of %q with ID %q", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Webhook-Id"))
		}
		if before != nil && before(w, r) {
			return
		}
		if err := in.add(body); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	var in inbox
	w := newWorld(t, quick(), hook("site", receive(t, &in, nil).URL))
	for n := 1; n <= 20; n++ {
		w.write(alert(1, n), alert(2, n), alert(3, n))
	}
	w.empty("site")
	in.inOrder(t, 3, 20)
	if s := w.stat("site"); s.Delivered != 60 || s.Failed != 0 || s.LastError != "" || s.LastSuccess.IsZero() || s.DeadLetters != 0 {
		t.Errorf("%+v", s)
	}
	// Nothing is left, of events neither.
	err := w.store.Update(t.Context(), func(tx store.Tx) error {
		id, err := tx.SaveEvent(store.Event{Kind: "x"}, 1)
		if err == nil && id != 61 {
			t.Errorf("the next event has ID %d, want 61", id)
		}
		list, err2 := tx.Waiting(1, 0, 0)
		if len(list) != 1 {
			t.Errorf("%d wait", len(list))
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWanted: each destination is told what it wants, and what nobody wants is not kept.
func TestWanted(t *testing.T) {
	t.Parallel()
	in := make([]inbox, 6)
	one := hook("streams", receive(t, &in[2], nil).URL)
	one.Streams = []core.StreamNumber{2}
	zone := hook("zones", receive(t, &in[3], nil).URL)
	zone.Zones, zone.Alarms = []core.ZoneID{9}, []core.AlarmID{4}
	off := hook("off", receive(t, &in[4], nil).URL)
	off.Enabled = false
	w := newWorld(t, quick(), hook("all", receive(t, &in[0], nil).URL), hook("began", receive(t, &in[1], nil).URL, events.AlertBegan), one, zone, off,
		hook("streams only", receive(t, &in[5], nil).URL, "stream"))
	other := alert(2, 2)
	other.Zone = 9
	w.write(alert(1, 1), other, events.Event{Kind: events.StreamFailed, At: time.Now(), Stream: 1, Data: events.StreamData{State: "failed"}})
	for _, name := range []string{"all", "began", "streams", "zones", "streams only"} {
		w.empty(name)
	}
	for i, want := range []string{"alert.began alert.ended stream.failed", "alert.began", "alert.ended", "alert.ended", "", "stream.failed"} {
		var got []string
		for _, m := range in[i].all() {
			got = append(got, m.kind)
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("destination %d was told %v, want %q", i, got, want)
		}
	}
	w.write(events.Event{Kind: events.Test, Data: events.TestData{}}) // "all" wants it
	w.empty("all")
	if s := w.stat("off"); s.Waiting != 0 || s.Enabled {
		t.Errorf("a destination that is off has %+v", s)
	}
}

// TestFlaky: a webhook that fails in every way there is, for most of the time, is told everything,
// in order, and what is repeated is the same.
func TestFlaky(t *testing.T) {
	t.Parallel()
	const streams, each = 6, 25
	var in inbox
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(1, 2))
	cfg := quick()
	cfg.Timeout = 100 * time.Millisecond
	server := receive(t, &in, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		way := chance.IntN(8)
		mu.Unlock()
		switch way {
		case 0:
			http.Error(w, "no", http.StatusInternalServerError)
		case 1:
			http.Error(w, "later", http.StatusTooManyRequests)
		case 2: // it hangs
			select {
			case <-r.Context().Done():
			case <-time.After(time.Second):
			}
		case 3: // it is cut
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = c.Close()
			}
		case 4: // it sends us away
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		default:
			return false
		}
		return true
	})
	// One that takes a message and then says that it did not.
	var twice inbox
	liar := receive(t, &twice, nil)
	lies := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		liar.Config.Handler.ServeHTTP(httptest.NewRecorder(), r)
		mu.Lock()
		defer mu.Unlock()
		if chance.IntN(3) == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer lies.Close()
	w := newWorld(t, cfg, hook("flaky", server.URL), hook("liar", lies.URL))
	for n := 1; n <= each; n++ {
		for s := 1; s <= streams; s++ {
			w.write(alert(s, n))
		}
	}
	w.empty("flaky")
	w.empty("liar")
	in.inOrder(t, streams, each)
	twice.inOrder(t, streams, each)
	if _, repeated := twice.once(t); repeated == 0 {
		t.Error("nothing was repeated: the test shows nothing")
	}
	if s := w.stat("flaky"); s.Failed == 0 || s.Delivered != streams*each || s.Died != 0 {
		t.Errorf("%+v", s)
	}
}

// TestHeadOfLine: a message that is not taken holds up its own stream at this destination, and
// nothing else.
func TestHeadOfLine(t *testing.T) {
	t.Parallel()
	var in, other inbox
	var mu sync.Mutex
	stuck := true
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if stuck && strings.Contains(string(body), `"subject":"streams/1/`) {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if err := in.add(body); err != nil {
			t.Error(err)
		}
	}))
	defer refuse.Close()
	w := newWorld(t, quick(), hook("picky", refuse.URL), hook("well", receive(t, &other, nil).URL))
	for n := 1; n <= 5; n++ {
		w.write(alert(1, n), alert(2, n))
	}
	w.empty("well")
	other.inOrder(t, 2, 5)
	until(t, "the other stream goes on", func() bool { return len(in.all()) == 5 })
	until(t, "only stream 1 waits", func() bool { return w.stat("picky").Waiting == 5 })
	mu.Lock()
	stuck = false
	mu.Unlock()
	w.empty("picky")
	in.inOrder(t, 2, 5)
}

// TestDeadLetters: what is refused for too long is given up, the next one goes, and a replay brings
// it back.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	var in inbox
	var mu sync.Mutex
	bad := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if bad && strings.Contains(string(body), `"id":2,`) {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		if err := in.add(body); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	w := newWorld(t, quick(), hook("site", server.URL))
	w.write(alert(1, 1), alert(1, 2), alert(1, 3))
	w.empty("site")
	if s := w.stat("site"); s.Died != 1 || s.DeadLetters != 1 || s.Failed != 5 || s.Delivered != 2 {
		t.Errorf("%+v", s)
	}
	var dead []store.Delivery
	err := w.store.View(t.Context(), func(tx store.Tx) (err error) { dead, _, err = tx.DeadLetters(0, store.Page{}); return err })
	if err != nil || len(dead) != 1 || dead[0].Attempts != 5 || !strings.Contains(dead[0].Error, "422") || dead[0].Ended.IsZero() {
		t.Fatalf("dead letters %+v, %v", dead, err)
	}
	mu.Lock()
	bad = false
	mu.Unlock()
	err = w.store.Update(t.Context(), func(tx store.Tx) error { _, err := tx.Replay(0, time.Now()); return err })
	if err != nil {
		t.Fatal(err)
	}
	w.Wake()
	w.empty("site")
	list, _ := in.once(t)
	if len(list) != 3 || list[2].n != 2 || list[2].key != dead[0].Event.Key {
		t.Errorf("after the replay: %v", list)
	}
}

// TestGivenUp: attempts and age end a delivery; number and age end dead letters; too many that wait
// are given up.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	no := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer no.Close()
	t.Run("attempts", func(t *testing.T) {
		cfg := quick()
		cfg.MaxAttempts, cfg.MostDead, cfg.Sweep = 3, 4, 5*time.Millisecond
		w := newWorld(t, cfg, hook("site", no.URL))
		for n := range 10 {
			w.write(alert(1, n+1))
		}
		w.empty("site")
		until(t, "dead letters are few", func() bool { s := w.stat("site"); return s.DeadLetters == 4 && s.Dropped == 6 })
		if s := w.stat("site"); s.Failed != 30 || s.Died != 10 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("age", func(t *testing.T) {
		cfg := quick()
		cfg.MaxAge = time.Hour
		w := newWorld(t, cfg, hook("site", no.URL))
		old := alert(1, 1)
		old.At = time.Now().Add(-2 * time.Hour)
		w.write(old)
		w.empty("site")
		if s := w.stat("site"); s.Failed != 1 || s.DeadLetters != 1 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("retained", func(t *testing.T) {
		cfg := quick()
		cfg.MaxAttempts, cfg.Retain, cfg.Sweep = 1, time.Millisecond, 5*time.Millisecond
		w := newWorld(t, cfg, hook("site", no.URL))
		w.write(alert(1, 1))
		until(t, "it is dropped", func() bool { s := w.stat("site"); return s.Dropped == 1 && s.DeadLetters == 0 })
	})
	t.Run("too many", func(t *testing.T) {
		cfg := quick()
		cfg.MostWaiting, cfg.Sweep, cfg.FirstPause, cfg.MostPause = 5, 5*time.Millisecond, time.Hour, time.Hour
		w := newWorld(t, cfg, hook("site", no.URL))
		for n := range 12 {
			w.write(alert(1+n%3, n+1))
		}
		until(t, "few wait", func() bool { s := w.stat("site"); return s.Waiting == 5 && s.DeadLetters == 7 })
	})
}

// TestGone: 410 switches a destination off, with what waits kept.
func TestGone(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }))
	defer gone.Close()
	w := newWorld(t, quick(), hook("site", gone.URL))
	w.write(alert(1, 1))
	until(t, "it is off", func() bool { return !w.stat("site").Enabled })
	w.write(alert(1, 2)) // not for it
	var d store.Destination
	if err := w.store.View(t.Context(), func(tx store.Tx) (err error) { d, err = tx.Destination(1); return err }); err != nil || !strings.Contains(d.Problem, "410") {
		t.Errorf("problem %q, %v", d.Problem, err)
	}
	// It is put right and switched on: what waited goes.
	var in inbox
	d.URL, d.Enabled, d.Problem = receive(t, &in, nil).URL, true, ""
	if err := w.store.Update(t.Context(), func(tx store.Tx) error { _, err := tx.SaveDestination(d); return err }); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.empty("site")
	in.inOrder(t, 1, 1)
}

// TestRetryAfter: a destination that asks to be left alone is, for all streams.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []time.Time
	var in inbox
	server := receive(t, &in, func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, time.Now())
		if len(calls) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	cfg := quick()
	cfg.AtOnce = 1
	w := newWorld(t, cfg, hook("site", server.URL))
	w.write(alert(1, 1), alert(2, 1), alert(3, 1))
	w.empty("site")
	in.inOrder(t, 3, 1)
	mu.Lock()
	defer mu.Unlock()
	if apart := calls[1].Sub(calls[0]); apart < time.Second {
		t.Errorf("it was called again after %v", apart)
	}
}

// TestRollback: a transaction that fails leaves no event, and one that is kept leaves its own.
func TestRollback(t *testing.T) {
	t.Parallel()
	var in inbox
	w := newWorld(t, quick(), hook("site", receive(t, &in, nil).URL))
	kept, boom := 0, errors.New("boom")
	for i := range 200 {
		fail := rand.IntN(2) == 0
		err := w.store.Update(t.Context(), func(tx store.Tx) error {
			if err := tx.SaveValue("n", fmt.Append(nil, kept+1)); err != nil {
				return err
			}
			if err := w.Write(tx, alert(1, kept+1)); err != nil {
				return err
			}
			if fail {
				return boom
			}
			return nil
		})
		if (err != nil) != fail {
			t.Fatalf("transaction %d: %v", i, err)
		}
		if !fail {
			kept++
		}
		w.Wake()
	}
	w.empty("site")
	in.inOrder(t, 1, kept)
}

// TestClose ends attempts that hang, counts them for nothing, and goes on after the next start.
func TestClose(t *testing.T) {
	t.Parallel()
	var in inbox
	var mu sync.Mutex
	hang := true
	inside := make(chan struct{}, 100)
	server := receive(t, &in, func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		hangs := hang
		mu.Unlock()
		if hangs {
			inside <- struct{}{}
			<-r.Context().Done()
		}
		return hangs
	})
	cfg := quick()
	cfg.Timeout = time.Hour
	w := newWorld(t, cfg, hook("site", server.URL))
	w.write(alert(1, 1), alert(2, 1), alert(1, 2), alert(2, 2))
	<-inside
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	hang = false
	mu.Unlock()
	w.Wake() // does nothing
	w.open()
	w.empty("site")
	in.inOrder(t, 2, 2)
	if s := w.stat("site"); s.Failed > 0 || s.Delivered != 4 {
		t.Errorf("%+v", s)
	}
}

// TestConfigured: destinations of the configuration come, change and go with it.
func TestConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, quick(), hook("a", "http://127.0.0.1:1/x"), hook("b", "http://127.0.0.1:1/y"))
	again := func(list ...store.Destination) error {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		w.cfg.Destinations = list
		var err error
		w.Outbox, err = events.Open(t.Context(), w.cfg)
		return err
	}
	if err := again(hook("c", "http://127.0.0.1:1/z"), hook("b", "http://127.0.0.1:1/new")); err != nil {
		t.Fatal(err)
	}
	var list []store.Destination
	err := w.store.View(t.Context(), func(tx store.Tx) (err error) { list, err = tx.Destinations(); return err })
	if err != nil || len(list) != 2 || list[0].Name != "b" || list[0].ID != 2 || !strings.HasSuffix(list[0].URL, "/new") || list[1].Name != "c" || !list[1].Configured {
		t.Errorf("destinations %+v, %v", list, err)
	}
	err = w.store.Update(t.Context(), func(tx store.Tx) error { _, err := tx.SaveDestination(hook("mine", "http://127.0.0.1:1")); return err })
	if err != nil {
		t.Fatal(err)
	}
	for name, list := range map[string][]store.Destination{
		"name taken": {hook("mine", "http://127.0.0.1:1")}, "twice": {hook("a", "http://127.0.0.1:1"), hook("a", "http://127.0.0.1:1")},
		"no URL": {hook("a", "")}, "short secret": {{Name: "a", Kind: events.Webhook, URL: "http://127.0.0.1:1", Secret: "short"}},
	} {
		if err := again(list...); core.KindOf(err) != core.Invalid && core.KindOf(err) != core.Exists {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.cfg.AllowLocal = false
	if err := again(hook("b", "http://127.0.0.1:1")); core.KindOf(err) != core.Denied {
		t.Errorf("a destination on this machine: %v", err)
	}
	w.cfg.AllowLocal = true
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if s := w.stat("mine"); s.Kind != events.Webhook {
		t.Errorf("%+v", s)
	}
}

// TestTry sends past the queues.
func TestTry(t *testing.T) {
	t.Parallel()
	var in inbox
	w := newWorld(t, quick())
	if err := w.Try(t.Context(), hook("x", receive(t, &in, nil).URL), "eve"); err != nil {
		t.Error(err)
	}
	if list := in.all(); len(list) != 1 || list[0].kind != "test" || !strings.Contains(list[0].body, `"by":"eve"`) {
		t.Errorf("%v", list)
	}
	no := httptest.NewServer(http.NotFoundHandler())
	defer no.Close()
	if err := w.Try(t.Context(), hook("x", no.URL+"/token-123"), "eve"); err == nil || !strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "token-123") {
		t.Errorf("%v", err)
	}
	if err := w.Try(t.Context(), hook("x", "http://127.0.0.1:1/token-123"), "eve"); err == nil || strings.Contains(err.Error(), "token-123") {
		t.Errorf("%v", err)
	}
}

// TestLocalRefused: what names stand for is looked at when it is called.
func TestLocalRefused(t *testing.T) {
	t.Parallel()
	var in inbox
	url := strings.Replace(receive(t, &in, nil).URL, "127.0.0.1", "localtest.invalid", 1)
	cfg := quick()
	cfg.AllowLocal = false
	w := newWorld(t, cfg)
	if err := w.Try(t.Context(), hook("x", url), "eve"); err == nil {
		t.Error("an unknown name was called")
	}
	for _, kind := range []string{"http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://169.254.169.254/", "http://0.0.0.0/"} {
		if err := w.Try(t.Context(), hook("x", kind), "eve"); core.KindOf(err) != core.Denied {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestNil: an outbox that is not there does nothing.
func TestNil(t *testing.T) {
	t.Parallel()
	var o *events.Outbox
	o.Wake()
	list, err := o.Stats(t.Context())
	if err != nil || len(list) != 0 || o.Detections() || o.Write(nil, alert(1, 1)) != nil || o.Close() != nil || o.Reload(t.Context()) != nil {
		t.Error("it does something")
	}
	if _, err := events.Open(t.Context(), events.Config{Log: hclog.NewNullLogger()}); core.KindOf(err) != core.Invalid {
		t.Errorf("without a store: %v", err)
	}
}
