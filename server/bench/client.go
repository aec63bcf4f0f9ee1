package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

const password = "for-the-benchmark"

// program is a capstan serve of its own.
type program struct {
	cmd *exec.Cmd
	url string
	dir string
}

var answersAt = regexp.MustCompile(`http://\S+`)

// start starts the program in a new data folder, and waits for it to be ready.
func start(s settings) (*program, error) {
	dir, err := os.MkdirTemp(s.work, "serve-")
	if err != nil {
		return nil, err
	}
	p := &program{dir: dir}
	p.cmd = exec.Command(s.capstan, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--only", watched[0]+","+watched[1],
		"--admission-mode", "off", "--limits-requests-per-second", "0")
	p.cmd.Env = append(os.Environ(), "CAPSTAN_ADMIN_PASSWORD="+password)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); p.url == "" && lines.Scan(); {
		p.url = answersAt.FindString(lines.Text())
	}
	if p.url == "" {
		return nil, errors.Join(errors.New("the server does not say where it answers"), p.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return p, nil
}

// stop ends the program and removes its folder.
func (p *program) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	alarm := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer alarm.Stop()
	return errors.Join(p.cmd.Wait(), os.RemoveAll(p.dir))
}

// caller is a client with a connection and a session of its own.
type caller struct {
	url     string
	http    *http.Client
	session *http.Cookie
}

func (p *program) caller() *caller {
	return &caller{url: p.url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 30 * time.Second}}
}

// call asks and reads the answer whole; anything but 200 is an error.
func (c *caller) call(method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.session == nil {
		r.SetBasicAuth("admin", password)
	} else {
		r.AddCookie(c.session)
	}
	a, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	data, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %.200s", method, path, a.Status, data)
	}
	for _, cookie := range a.Cookies() {
		if cookie.Name == "session_id" {
			c.session = cookie
		}
	}
	return data, err
}

// set asks with a body of JSON and reads an answer of JSON.
func (c *caller) set(method, path string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	data, err := c.call(method, path, text)
	if err == nil && answer != nil {
		err = json.Unmarshal(data, answer)
	}
	return err
}

// readers is how many ask at once, each over one connection.
const readers = 16

// reads asks as fast as the server answers, over connections that stay, while four streams are
// analysed at their own speed: a list of streams, statuses, zones, alerts and capsules in turn.
func reads(s settings) ([]row, error) {
	p, err := start(s)
	if err != nil {
		return nil, err
	}
	took, analysed, err := p.reads(s)
	if err = errors.Join(err, p.stop()); err != nil {
		return nil, err
	}
	slices.Sort(took)
	rate, p99 := float64(len(took))/s.seconds.Seconds(), quantile(took, 0.99)
	return []row{{"reads a second beside four streams", "≥ 5000, p99 ≤ 20 ms",
		fmt.Sprintf("%.0f, p50 %.1f ms, p99 %.1f ms; %.0f frames a second analysed meanwhile", rate, ms(quantile(took, 0.5)), ms(p99), analysed),
		met(rate >= 5000 && p99 <= 20*time.Millisecond)}}, nil
}

func ms(d time.Duration) float64 { return 1000 * d.Seconds() }

// reads gives how long each read took, and how many frames a second were analysed meanwhile.
func (p *program) reads(s settings) ([]time.Duration, float64, error) {
	if err := p.fourStreams(s); err != nil {
		return nil, 0, err
	}
	before, err := p.frames()
	if err != nil {
		return nil, 0, err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []time.Duration
	var errs []error
	until := time.Now().Add(s.seconds)
	for i := range readers {
		wg.Go(func() {
			took, err := p.reader(i, until)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, took...), append(errs, err)
		})
	}
	wg.Wait()
	after, err := p.frames()
	if err == nil && after <= before {
		err = errors.New("no frame was analysed meanwhile")
	}
	if len(all) == 0 {
		err = errors.Join(err, errors.New("nothing was read"))
	}
	return all, (after - before) / s.seconds.Seconds(), errors.Join(append(errs, err)...)
}

var paths = []string{"/api/streams", "/api/streams/status", "/api/zones", "/api/alerts?limit=100", "/api/plugins", "/api/streams/1"}

func (p *program) reader(i int, until time.Time) (took []time.Duration, err error) {
	c := p.caller()
	if _, err := c.call("GET", paths[0], nil); err != nil { // signs in
		return nil, err
	}
	for ; time.Now().Before(until); i++ {
		began := time.Now()
		data, err := c.call("GET", paths[i%len(paths)], nil)
		if err != nil {
			return nil, err
		}
		if len(data) < 3 { // "[]"
			return nil, fmt.Errorf("%s: %q", paths[i%len(paths)], data)
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

// fourStreams makes streams of the small clip, with a zone and an alarm that is on, and waits until
// all of them give results.
func (p *program) fourStreams(s settings) error {
	c := p.caller()
	clip, err := os.ReadFile(smallClip(s))
	if err != nil {
		return fmt.Errorf("%w: run go run ./pipeline/bench first", err)
	}
	for i := range 4 {
		var blob, answer json.RawMessage
		if blob, err = c.call("POST", "/api/storage", clip); err != nil {
			return err
		}
		var stream struct{ ID int }
		err = c.set("POST", "/api/streams", map[string]any{"id": nil, "name": fmt.Sprint("clip ", i), "premises_id": nil, "connection_type": "file",
			"connection_options": map[string]any{"storage_id": blob}, "runtime_options": map[string]any{}, "metadata": map[string]any{}}, &stream)
		if err != nil {
			return err
		}
		if err = c.set("POST", "/api/zones", zoneOf(stream.ID), nil); err != nil {
			return err
		}
		if err = c.set("PUT", fmt.Sprintf("/api/streams/%d/analyze", stream.ID), true, &answer); err != nil {
			return err
		}
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var statuses map[string]map[string]json.RawMessage
		if err := c.set("GET", "/api/streams/status", nil, &statuses); err != nil {
			return err
		}
		alerts, err := c.call("GET", "/api/alerts", nil)
		if err != nil {
			return err
		}
		if len(statuses) == 4 && len(statuses["4"]) == 2 && len(alerts) > 2 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("four streams and an alert did not come within a minute")
		}
	}
}

func zoneOf(stream int) map[string]any {
	return map[string]any{"id": nil, "name": "Street", "stream_id": stream, "coords": [][]int{{0, 0}, {640, 0}, {640, 360}, {0, 360}}, "alarms": []any{
		map[string]any{"id": nil, "name": "Somebody", "zone_id": nil, "stream_id": nil, "use_active_time": false, "active_start_time": "00:00:00",
			"active_end_time": "23:59:59", "rate_conditions": []any{}, "count_conditions": []any{map[string]any{"id": nil, "test": ">", "check_value": 0,
				"with_class_name": "motion", "with_attribute": nil, "window_duration": 0, "window_threshold": 0, "intersection_point": "bottom"}}}}}
}

// frames gives how many frames of all streams were analysed.
func (p *program) frames() (float64, error) {
	c := p.caller()
	data, err := c.call("GET", "/metrics", nil)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, m := range analysedFrames.FindAllSubmatch(data, -1) {
		var n float64
		if _, err := fmt.Sscan(string(m[1]), &n); err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

var analysedFrames = regexp.MustCompile(`(?m)^capstan_stream_frames_total\{[^}]*\} (\S+)$`)

// smallClip is footage of 640x360 that pipeline/bench has made.
func smallClip(s settings) string { return filepath.Join(filepath.Dir(s.clip), "360p.mp4") }
