package native

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
)

// event is one server-sent event.
type event struct {
	name, id string
	data     map[string]any
	comment  bool
}

// listener reads events of a server that really listens.
type listener struct {
	t testing.TB
	*bufio.Scanner
	close func()
}

func (w *world) listen(path, last string) *listener {
	w.t.Helper()
	s := httptest.NewServer(w)
	w.t.Cleanup(s.Close)
	return follow(w.t, s.URL, path, last)
}

func follow(t testing.TB, address, path, last string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", address+Base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", password)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Body.Close() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	scanner := bufio.NewScanner(a.Body)
	scanner.Buffer(nil, 1<<20)
	return &listener{t, scanner, cancel}
}

// told reads on to an event that is more than a sign of life.
func (l *listener) told() event {
	l.t.Helper()
	for {
		if e := l.next(); !e.comment || e.name != "" {
			return e
		}
	}
}

// next reads an event; the zero one is the end.
func (l *listener) next() (e event) {
	l.t.Helper()
	for l.Scan() {
		name, value, _ := strings.Cut(l.Text(), ": ")
		switch {
		case l.Text() == "" && (e.name != "" || e.comment):
			return e
		case strings.HasPrefix(l.Text(), ":"):
			e.comment = true
		case name == "event":
			e.name = value
		case name == "id":
			e.id = value
		case name == "data":
			if err := json.Unmarshal([]byte(value), &e.data); err != nil {
				l.t.Fatalf("%v in %s", err, value)
			}
		}
	}
	return event{}
}

// line is the schema of a frame's line of "capstan run".
func line(t testing.TB) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile("../../../docs/reference/results.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	l, schema := w.listen("/streams/1/results?detections=true", ""), line(t)
	last := 0.0
	for range 5 {
		e := l.told()
		if e.name != "result" || e.id == "" || at(e.data, "stream") != 1.0 || at(e.data, "zones.0.name") != "Screen" || at(e.data, "zones.1.within.0.class_name") != "face" {
			t.Fatalf("%+v", e)
		}
		f := e.data["frame"]
		if err := schema.Validate(f); err != nil {
			t.Errorf("a frame is no line of the program: %v: %v", err, f)
		}
		seq, _ := at(f, "seq").(float64)
		if seq <= last || at(f, "detections.0.with_identity.unique_name") != "ada" || at(f, "detections.0.id") != at(e.data, "zones.1.within.0.id") {
			t.Errorf("frame %v after %v: %v", seq, last, f)
		}
		last = seq
	}
	if e := w.listen("/results", "").told(); e.data["frame"] != nil || at(e.data, "zones.1.alerts.0.id") != 1.0 {
		t.Errorf("without detections: %v", e.data)
	}
	problemIs(t, w.ask("GET", "/streams/7/results", nil), 404, "not_found")
}

// TestEventsGoOn reads on after the last event: nothing is told of what has not changed.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{KeepAlive: 10 * time.Millisecond})
	for _, url := range []string{"rtsp://10.0.0.1", "rtsp://10.0.0.2"} {
		w.must(201, "POST", "/streams", `{"name":"x","connection":{"kind":"ip_camera","url":"`+url+`"}}`)
	}
	l := w.listen("/results", "")
	first, second := l.told(), l.told()
	if at(first.data, "stream") != 1.0 || at(second.data, "stream") != 2.0 {
		t.Fatalf("%+v, %+v", first, second)
	}
	if e := l.next(); !e.comment {
		t.Errorf("no sign of life: %+v", e)
	}
	if e := w.listen("/results", second.id).next(); !e.comment {
		t.Errorf("told again: %+v", e)
	}
	if e := w.listen("/results", first.id).told(); at(e.data, "stream") != 2.0 {
		t.Errorf("not told: %+v", e)
	}
	for _, odd := range []string{"x", "1.2", ".", "0.99999999999999999999"} {
		if e := w.listen("/results", odd).told(); at(e.data, "stream") != 1.0 {
			t.Errorf("%q: %+v", odd, e)
		}
	}
	w.must(204, "DELETE", "/streams/2", nil)
	if e := w.listen("/results", second.id).next(); !e.comment {
		t.Errorf("a stream that is gone: %+v", e)
	}
	for e := l.next(); ; e = l.next() {
		if e.data != nil {
			if at(e.data, "gone") != true || at(e.data, "stream") != 2.0 {
				t.Errorf("gone: %+v", e)
			}
			break
		}
	}
}

// TestEventsEnd closes the service: who reads is told, and let go.
func TestEventsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	l := w.listen("/results", "")
	if e := l.told(); e.name != "result" {
		t.Fatalf("%+v", e)
	}
	if err := w.svc.Close(); err != nil {
		t.Fatal(err)
	}
	for e := l.next(); e.name != "end"; e = l.next() {
		if e.name == "" {
			t.Fatal("it broke off")
		}
	}
	if e := l.next(); e.name != "" {
		t.Errorf("after the end: %+v", e)
	}
	problemIs(t, w.ask("GET", "/streams", nil), 503, "closed")
}

// TestEventsOfTheRevoked ends what a token reads that is revoked.
func TestEventsOfTheRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{KeepAlive: 5 * time.Millisecond, Recheck: time.Millisecond})
	w.must(201, "POST", "/users", `{"name":"vic","role":"viewer","password":"p"}`)
	secret := w.must(201, "POST", "/tokens", `{"name":"wall","role":"viewer"}`, "vic:p")["secret"].(string)
	s := httptest.NewServer(w)
	defer s.Close()
	c, _, err := dial(t, s.URL, http.Header{"Authorization": {"Bearer " + secret}})
	if err != nil {
		t.Fatal(err)
	}
	w.must(204, "DELETE", "/users/2", nil)
	for err == nil {
		_, _, err = c.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("it ended by %v", err)
	}
}

func TestUnsecret(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"stream-1: rtsp://eve:s3cr/et@10.0.0.7/1: refused": "stream-1: rtsp://eve:xxxxx@10.0.0.7/1: refused",
		"http://a:b@c and rtsps://d:e@f":                   "http://a:xxxxx@c and rtsps://d:xxxxx@f", "rtsp://10.0.0.7:554/1": "rtsp://10.0.0.7:554/1", "12:30 a@b": "12:30 a@b",
	} {
		if got := unsecret(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func dial(t testing.TB, address string, header http.Header) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	if header.Get("Authorization") == "" {
		header.Set("Authorization", "Basic YWRtaW46YSB0ZXN0J3Mgb3du")
	}
	c, a, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(address, "http")+Base+"/results?detections=1", &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { _ = c.CloseNow() })
		c.SetReadLimit(1 << 20)
	}
	return c, a, err
}

func TestSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{KeepAlive: 20 * time.Millisecond})
	w.furnish()
	s := httptest.NewServer(w)
	defer s.Close()
	for _, origin := range []string{"http://evil", "null", "http://127.0.0.1:1"} {
		if _, a, err := dial(t, s.URL, http.Header{"Origin": {origin}}); err == nil || a.StatusCode != http.StatusForbidden {
			t.Errorf("a page of %s: %v", origin, err)
		}
	}
	if _, a, err := dial(t, s.URL, http.Header{"Authorization": {"Bearer cap_x"}}); err == nil || a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token that is none: %v", err)
	}
	problemIs(t, w.send("GET", "/results", "", "Authorization: Basic YWRtaW46YSB0ZXN0J3Mgb3du", "Upgrade: websocket"), 400, "invalid")
	c, _, err := dial(t, s.URL, http.Header{"Origin": {s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		kind, b, err := c.Read(t.Context())
		var m map[string]any
		if err != nil || kind != websocket.MessageText || json.Unmarshal(b, &m) != nil || at(m, "frame.detections.0.class_name") != "face" && at(m, "frame") != nil {
			t.Fatalf("%v %s", err, b)
		}
	}
	if err := w.svc.Close(); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, _, err = c.Read(t.Context())
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("it ended by %v", err)
	}
	w.Wait(t.Context())
}

// TestSlowReaders publishes to many readers of whom some do not read: nobody waits for them, and
// they are told what they have missed.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	w.furnish()
	who := service.Caller{User: 1, Name: "admin", Role: core.Admin}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow, err := w.svc.Watch(ctx, who, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := w.svc.Watch(ctx, who, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	for got := 0; got < 20; got++ {
		if _, _, err := quick.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.must(200, "PATCH", "/streams/1", `{"analyze":false}`)
	list, missed, err := slow.Next(ctx)
	if err != nil || len(list) != 1 || missed.Skipped < 19 || len(missed.Ended) != 1 || missed.Ended[0].End.IsZero() {
		t.Errorf("%d updates, %+v, %v", len(list), missed, err)
	}
	slow.Close()
	slow.Close()
	if _, _, err := slow.Next(ctx); core.KindOf(err) != core.Closed {
		t.Errorf("after Close: %v", err)
	}
	limited, stop := context.WithTimeout(ctx, 10*time.Millisecond)
	defer stop()
	for err = nil; err == nil; {
		_, _, err = quick.Next(limited)
	}
	if core.KindOf(err) != core.Cancelled || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}
}

// TestManyReaders bounds them.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Options{})
	who := service.Caller{User: 1, Name: "admin", Role: core.Admin}
	var err error
	n := 0
	for ; err == nil && n <= 1000; n++ {
		_, err = w.svc.Watch(t.Context(), who, 0, 0)
	}
	if n != 1001 || core.KindOf(err) != core.Exhausted {
		t.Errorf("reader %d: %v", n, err)
	}
	problemIs(t, w.ask("GET", "/results", nil), 503, "exhausted")
}
