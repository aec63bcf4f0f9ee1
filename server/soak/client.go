package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

func lockThread() { runtime.LockOSThread() }

// callLimit is how long a request may take on a machine that is busy. One that takes longer hangs.
const callLimit = 30 * time.Second

// client asks a server, as the administrator. It is safe for use by several goroutines.
type client struct {
	url  string
	http *http.Client
}

func newClient(url string) *client {
	jar, _ := cookiejar.New(nil) // it never fails without options
	return &client{url: url, http: &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: callLimit}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answer is what a server said.
type answer struct {
	status int
	body   []byte
}

// failure is the contract's body of what failed.
type failure struct {
	Title       string `json:"title"`
	Description string `json:"description"`
}

// refused gives the body of a failure; an error when it is not as the contract wants it.
func (a answer) refused() (failure, error) {
	var f failure
	if err := json.Unmarshal(a.body, &f); err != nil || f.Title == "" || f.Description == "" {
		return f, fmt.Errorf("status %d with a body that says nothing: %.200q", a.status, a.body)
	}
	return f, nil
}

// send asks; it fails when there is no answer.
func (c *client) send(ctx context.Context, method, path string, body []byte, change func(*http.Request)) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if change != nil {
		change(r)
	}
	w, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	return answer{w.StatusCode, text}, err
}

// signIn asks for a session.
func (c *client) signIn(ctx context.Context) error {
	a, err := c.send(ctx, "GET", "/api/version", nil, func(r *http.Request) { r.SetBasicAuth("admin", password) })
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("sign in: status %d %s", a.status, a.body)
	}
	return err
}

// call asks with a JSON body, and reads the answer into out unless that is nil. It fails on every
// status but 200.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	switch in := in.(type) {
	case nil:
	case []byte:
		body = in
	default:
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	a, err := c.send(ctx, method, path, body, nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return &statusError{method + " " + path, a}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(a.body, out)
}

// statusError is an answer that is no success.
type statusError struct {
	what string
	answer
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s: status %d %.300s", e.what, e.status, e.body)
}

// addStream makes a stream of a URL, and gives its number.
func (c *client) addStream(ctx context.Context, name, url string) (int64, error) {
	var made struct{ ID int64 }
	err := c.call(ctx, "POST", "/api/streams", map[string]any{
		"id": nil, "name": name, "premises_id": nil, "connection_type": "ip_camera", "connection_options": map[string]any{"url": url},
		"runtime_options": map[string]any{}, "metadata": map[string]any{},
	}, &made)
	return made.ID, err
}

func (c *client) analyze(ctx context.Context, n int64, on bool) error {
	return c.call(ctx, "PUT", fmt.Sprintf("/api/streams/%d/analyze", n), on, nil)
}

func (c *client) deleteStream(ctx context.Context, n int64) error {
	return c.call(ctx, "DELETE", fmt.Sprintf("/api/streams/%d", n), nil, nil)
}

// addAlarm makes a zone with an alarm that is on while there is a thing.
func (c *client) addAlarm(ctx context.Context, stream int64, name string) error {
	alarm := map[string]any{
		"id": nil, "name": "a thing", "zone_id": nil, "stream_id": nil, "use_active_time": false, "active_start_time": "00:00:00", "active_end_time": "23:59:59",
		"rate_conditions": []any{}, "count_conditions": []any{map[string]any{
			"id": nil, "test": ">", "check_value": 0, "with_class_name": "thing", "with_attribute": nil, "window_duration": 0, "window_threshold": 0, "intersection_point": "center",
		}},
	}
	return c.call(ctx, "POST", "/api/zones", map[string]any{
		"id": nil, "name": name, "stream_id": stream, "coords": [][]int{{0, 0}, {4000, 0}, {4000, 4000}, {0, 4000}}, "alarms": []any{alarm},
	}, nil)
}

// watched makes a stream that is analysed and whose alarm goes on and off.
func (c *client) watched(ctx context.Context, name, url string) (int64, error) {
	n, err := c.addStream(ctx, name, url)
	if err == nil {
		err = c.addAlarm(ctx, n, name)
	}
	if err == nil {
		err = c.analyze(ctx, n, true)
	}
	return n, err
}

// alert is one as a client is told of it.
type alert struct {
	ID     int64    `json:"id"`
	Stream int64    `json:"stream_id"`
	Alarm  int64    `json:"alarm_id"`
	Start  float64  `json:"start_time"`
	End    *float64 `json:"end_time"`
}

// alerts lists all of a stream's.
func (c *client) alerts(ctx context.Context, stream int64) ([]alert, error) {
	var list []alert
	err := c.call(ctx, "GET", fmt.Sprintf("/api/alerts?stream_id=%d&limit=100000", stream), nil, &list)
	return list, err
}

// state is how a stream does.
type state struct {
	Stream   int64   `json:"stream"`
	State    string  `json:"state"`
	Error    string  `json:"error"`
	Attempts int     `json:"attempts"`
	Frames   uint64  `json:"frames"`
	FPS      float64 `json:"fps"`
}

func (c *client) state(ctx context.Context, n int64) (state, error) {
	var s state
	err := c.call(ctx, "GET", fmt.Sprintf("/capstan/v1/streams/%d/state", n), nil, &s)
	return s, err
}

// runs waits until a stream gives results.
func (c *client) runs(ctx context.Context, n int64, limit time.Duration) bool {
	first := uint64(0)
	return until(ctx, limit, func() bool {
		s, err := c.state(ctx, n)
		if err != nil || s.State != "running" {
			return false
		}
		if first == 0 {
			first = s.Frames
		}
		return s.Frames > first
	})
}

// metric reads a metric without labels.
func (c *client) metric(ctx context.Context, name string) (float64, error) {
	a, err := c.send(ctx, "GET", "/metrics", nil, nil)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(a.body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("status %d: there is no metric %s", a.status, name)
}

// ready asks whether the server is ready, and why not.
func (c *client) ready(ctx context.Context) (bool, map[string]string, error) {
	a, err := c.send(ctx, "GET", "/readyz", nil, nil)
	var body struct{ Reasons map[string]string }
	if err == nil {
		err = json.Unmarshal(a.body, &body)
	}
	return err == nil && a.status == http.StatusOK, body.Reasons, err
}

// told is what the status stream has told so far.
type told struct {
	mu      sync.Mutex
	alerts  map[int64]alert   // as they were told last
	packets map[int64]int     // of a stream, each with a later time than the one before
	last    map[int64]float64 // time of the last packet of a stream
	err     error             // what was wrong in them
	done    chan struct{}
}

// follow reads the status stream until ctx ends or the server goes.
func (c *client) follow(ctx context.Context) (*told, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", c.url+"/api/streams/statuses", nil)
	if err != nil {
		return nil, err
	}
	endless := &http.Client{Jar: c.http.Jar, Transport: c.http.Transport}
	w, err := endless.Do(r)
	if err != nil {
		return nil, err
	}
	if w.StatusCode != http.StatusOK {
		_ = w.Body.Close()
		return nil, fmt.Errorf("the status stream: status %d", w.StatusCode)
	}
	t := &told{alerts: map[int64]alert{}, packets: map[int64]int{}, last: map[int64]float64{}, done: make(chan struct{})}
	go func() { // ends with ctx, or with the server
		defer close(t.done)
		defer w.Body.Close()
		for lines := bufio.NewReader(w.Body); ; {
			line, err := lines.ReadBytes('\n')
			if err != nil { // what was cut off by a kill is no packet
				return
			}
			if text := bytes.TrimSpace(line); len(text) > 0 {
				t.take(text)
			}
		}
	}()
	return t, nil
}

// take reads a packet.
func (t *told) take(text []byte) {
	var packet map[int64]map[string]struct {
		Time   float64 `json:"tstamp"`
		Alerts []alert `json:"alerts"`
	}
	err := json.Unmarshal(text, &packet)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.err = fmt.Errorf("a packet that is none: %w in %.100q", err, text)
		return
	}
	for stream, zones := range packet {
		for _, z := range zones {
			if z.Time > t.last[stream] {
				t.last[stream] = z.Time
				t.packets[stream]++
			}
			for _, a := range z.Alerts {
				if a.ID < 1 || a.End != nil && *a.End < a.Start {
					t.err = fmt.Errorf("alert %+v", a)
				}
				t.alerts[a.ID] = a
			}
		}
	}
}

// count gives how many packets had something new of a stream.
func (t *told) count(stream int64) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.packets[stream]
}

// seen gives the alerts that were told of, and what was wrong.
func (t *told) seen() (map[int64]alert, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(map[int64]alert, len(t.alerts))
	for id, a := range t.alerts {
		out[id] = a
	}
	return out, t.err
}
