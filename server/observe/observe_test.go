package observe

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

var writeDocs = flag.Bool("write", false, "write docs/reference/metrics.md anew")

// scripted is a service that does as it is told.
type scripted struct {
	o      service.Observation
	err    error
	open   bool
	signed int
}

func (s *scripted) Observe(context.Context) (service.Observation, error) { return s.o, s.err }

func (s *scripted) Authenticate(_ context.Context, name, password string) (service.Caller, string, error) {
	if s.signed++; password != "right" {
		return service.Caller{}, "", core.Faultf(core.Denied, "", "credentials", "wrong")
	}
	return service.Caller{Name: name, Role: core.Role(name)}, "session of " + name, nil
}

func (s *scripted) Resume(_ context.Context, token string) (service.Caller, error) {
	name, ok := strings.CutPrefix(token, "session of ")
	if !ok {
		return service.Caller{}, core.Faultf(core.Denied, "", "session", "unknown")
	}
	return service.Caller{Name: name, Role: core.Role(name)}, nil
}

func (s *scripted) Bearer(_ context.Context, secret string) (service.Caller, error) {
	if secret == "down" {
		return service.Caller{}, core.Faultf(core.Internal, "", "", "database")
	}
	return s.Resume(context.Background(), "session of "+secret)
}

func (s *scripted) Anonymous() (service.Caller, error) {
	if s.open {
		return service.Caller{Role: core.Admin}, nil
	}
	return service.Caller{}, core.Faultf(core.Denied, "", "credentials", "who?")
}

// busy is an observation in which everything has a value.
func busy() service.Observation {
	var h pipeline.Histogram
	for _, ms := range []int{1, 4, 15, 800, 9000} {
		h.Add(time.Duration(ms) * time.Millisecond)
	}
	return service.Observation{
		Idle: 3, Subscribers: 2, OpenAlerts: 1, Begun: 7, Ended: 6, Unsaved: 5,
		Streams: []service.StreamObservation{
			{StreamState: service.StreamState{Number: 4, State: "running", FPS: 12.5}, Frames: 99, Drops: map[string]uint64{"late": 8}, Latency: h},
			{StreamState: service.StreamState{Number: 5, State: "failed"}},
		},
		Capsules: []service.CapsuleObservation{{
			Name: "detector_\xff", CapsuleStats: pipeline.CapsuleStats{Restarts: 2, State: "running", PID: os.Getpid()}, Calls: 98, Violations: 4,
			Failures: map[string]uint64{"capsule deadline": 3}, Times: pipeline.CapsuleTimes{Total: h, Queue: h, Convert: h, Handoff: h, Compute: h},
		}},
	}
}

func siteOf(s *scripted, data string) (*Site, *Metrics) {
	m := NewMetrics("v1.2.3", data, func() Source { return s }, hclog.NewNullLogger())
	site := NewSite(m, "users", true)
	site.Open(func(context.Context) (_, _ map[string]string) { return nil, nil }, s)
	return site, m
}

// scrape reads /metrics by Prometheus's own parser.
func scrape(t *testing.T, site *Site) map[string]*dto.MetricFamily {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Authorization", "Bearer viewer")
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	return families
}

// find gives the sample with these labels, "name=value".
func sample(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	t.Helper()
	f := families[name]
	if f == nil {
		t.Fatalf("there is no %s", name)
	}
	for _, m := range f.Metric {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetName()+"="+l.GetValue())
		}
		slices.Sort(have)
		if slices.Equal(have, labels) {
			return m
		}
	}
	t.Fatalf("%s has no %v: %v", name, labels, f.Metric)
	return nil
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "capstan.db"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &scripted{o: busy()}
	site, m := siteOf(s, dir)
	m.Deliveries(func(context.Context) ([]events.Stats, error) {
		return []events.Stats{{Name: "webhook 1", Delivered: 5, Failed: 4, Died: 3, Waiting: 2, DeadLetters: 1}}, nil
	})
	m.Request("/api/streams/:id", "GET", 200, time.Millisecond)
	m.Request("/api/streams/statuses", "GET", 200, time.Hour)
	m.Request("", "BREW", 405, time.Millisecond)
	_ = m.Store(failing{}).View(t.Context(), nil)
	families := scrape(t, site)
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"capstan_scrape_failed", nil, 0},
		{"capstan_streams", []string{"state=idle"}, 3}, {"capstan_streams", []string{"state=running"}, 1}, {"capstan_streams", []string{"state=failed"}, 1},
		{"capstan_stream_state", []string{"state=failed", "stream=5"}, 1}, {"capstan_stream_fps", []string{"stream=4"}, 12.5}, {"capstan_data_bytes", nil, 4096},
		{"capstan_capsule_state", []string{"capsule=detector_?", "state=running"}, 1}, {"capstan_alerts_open", nil, 1}, {"capstan_subscribers", nil, 2},
	} {
		if got := sample(t, families, c.name, c.labels...).GetGauge().GetValue(); got != c.want {
			t.Errorf("%s %v: %g, want %g", c.name, c.labels, got, c.want)
		}
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"capstan_stream_frames_total", []string{"stream=4"}, 99}, {"capstan_stream_dropped_frames_total", []string{"reason=late", "stream=4"}, 8},
		{"capstan_capsule_calls_total", []string{"capsule=detector_?"}, 98}, {"capstan_capsule_failures_total", []string{"capsule=detector_?", "kind=capsule deadline"}, 3},
		{"capstan_capsule_restarts_total", []string{"capsule=detector_?"}, 2}, {"capstan_capsule_compute_seconds_total", []string{"capsule=detector_?"}, 9.82},
		{"capstan_alerts_begun_total", nil, 7}, {"capstan_events_delivered_total", []string{"destination=webhook 1"}, 5}, {"capstan_events_failed_total", []string{"destination=webhook 1"}, 4}, {"capstan_http_requests_total", []string{"method=GET", "route=/api/streams/:id", "status=200"}, 1},
		{"capstan_http_requests_total", []string{"method=other", "route=other", "status=405"}, 1}, {"capstan_store_failures_total", []string{"kind=view"}, 1},
	} {
		if got := sample(t, families, c.name, c.labels...).GetCounter().GetValue(); got != c.want {
			t.Errorf("%s %v: %g, want %g", c.name, c.labels, got, c.want)
		}
	}
	h := sample(t, families, "capstan_stream_latency_seconds", "stream=4").GetHistogram()
	if h.GetSampleCount() != 5 || h.GetSampleSum() != 9.82 {
		t.Errorf("latency: %v", h)
	}
	for _, b := range h.Bucket {
		if want, known := map[float64]uint64{0.01: 2, 0.05: 3, 1: 4, 5: 4}[b.GetUpperBound()]; known && b.GetCumulativeCount() != want {
			t.Errorf("up to %g s: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
		}
	}
	for _, endless := range families["capstan_http_request_seconds"].Metric {
		if endless.Label[0].GetValue() == "/api/streams/statuses" {
			t.Error("the endless stream has a time")
		}
	}
	if got := sample(t, families, "capstan_capsule_memory_bytes", "capsule=detector_?").GetGauge().GetValue(); got < 1<<20 {
		t.Errorf("memory: %g", got)
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	everyNamed(t, families)
	s.err = errors.New("no database")
	if got := sample(t, scrape(t, site), "capstan_scrape_failed").GetGauge().GetValue(); got != 1 {
		t.Error("a scrape without a database does not say so")
	}
}

type failing struct{ store.Store }

func (failing) View(context.Context, func(store.Tx) error) error {
	return core.Faultf(core.Internal, "", "", "gone")
}

// everyNamed wants every metric of the list, with its labels, and no others of ours.
func everyNamed(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	kinds := map[dto.MetricType]string{dto.MetricType_COUNTER: "counter", dto.MetricType_GAUGE: "gauge", dto.MetricType_HISTOGRAM: "histogram"}
	for _, m := range metricList {
		f := families[m.name]
		if f == nil || kinds[f.GetType()] != m.kind || len(f.Metric[0].Label) != len(m.labels) {
			t.Errorf("%s is not the %s with %v that it should be: %v", m.name, m.kind, m.labels, f)
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "capstan_") && !slices.ContainsFunc(metricList, func(m metric) bool { return m.name == name }) {
			t.Errorf("%s is not in the list", name)
		}
	}
}

// TestReference holds docs/reference/metrics.md against the list.
func TestReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Reference(&b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "reference", "metrics.md")
	if *writeDocs {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what the list says (%v): go test ./server/observe -run TestReference -write", file, err)
	}
}

// TestWhoSeesWhat asks every page as everybody.
func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	as := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	nobody := func(*http.Request) {}
	bearer := func(token string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	}
	for _, c := range []struct {
		path string
		who  func(*http.Request)
		want int
	}{
		{"/healthz", nobody, 200}, {"/readyz", nobody, 200}, {"/metrics", nobody, 401}, {"/metrics", as("viewer", "wrong"), 401}, {"/metrics", as("viewer", "right"), 200},
		{"/metrics", bearer("viewer"), 200}, {"/metrics", bearer("nobody"), 403}, {"/metrics", bearer("down"), 503},
		{"/debug/pprof/", nobody, 401}, {"/debug/pprof/", as("editor", "right"), 403}, {"/debug/pprof/", as("admin", "right"), 200}, {"/debug/pprof/goroutine?debug=1", bearer("admin"), 200},
		{"/debug/pprof/cmdline", bearer("admin"), 404}, {"/debug/pprof/nonsense", bearer("admin"), 404}, {"/metrics/x", bearer("admin"), 404},
		{"/metrics", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "session_id", Value: "session of viewer"}) }, 200},
	} {
		site, _ := siteOf(&scripted{o: busy()}, t.TempDir())
		r := httptest.NewRequest("GET", c.path, nil)
		c.who(r)
		w := httptest.NewRecorder()
		if site.ServeHTTP(w, r); w.Code != c.want {
			t.Errorf("%s: %d %s, want %d", c.path, w.Code, w.Body, c.want)
		}
	}
	site, _ := siteOf(&scripted{}, t.TempDir())
	w := httptest.NewRecorder()
	if site.ServeHTTP(w, httptest.NewRequest("POST", "/metrics", nil)); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestSignInOnce wants one sign-in for many scrapes.
func TestSignInOnce(t *testing.T) {
	t.Parallel()
	s := &scripted{o: busy()}
	site, _ := siteOf(s, t.TempDir())
	for range 5 {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.SetBasicAuth("viewer", "right")
		w := httptest.NewRecorder()
		if site.ServeHTTP(w, r); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	if s.signed != 1 {
		t.Errorf("%d sign-ins", s.signed)
	}
	for i := range 2 * maxRemembered {
		site.door.remember([32]byte{byte(i)}, "x")
	}
	if n := len(site.door.sessions); n > maxRemembered {
		t.Errorf("%d sessions are remembered", n)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	down := func(context.Context) error { return errors.New("secret reason") }
	up := func(context.Context) error { return nil }
	for name, c := range map[string]struct {
		h    Health
		want string
	}{
		"all well":     {Health{up, func() map[string]string { return nil }, func() bool { return true }}, `200 {"ready":true}`},
		"no database":  {Health{down, func() map[string]string { return nil }, func() bool { return true }}, `503 {"ready":false,"reasons":{"database":"does not answer"}}`},
		"two reasons":  {Health{down, func() map[string]string { return map[string]string{"a": "broken"} }, func() bool { return true }}, `503 {"degraded":{"capsule a":"broken"},"ready":false,"reasons":{"database":"does not answer"}}`},
		"a capsule":    {Health{up, func() map[string]string { return map[string]string{"a": "broken"} }, func() bool { return true }}, `200 {"degraded":{"capsule a":"broken"},"ready":true}`},
		"it is ending": {Health{nil, nil, func() bool { return false }}, `503 {"ready":false,"reasons":{"server":"stopping"}}`},
	} {
		site, m := siteOf(&scripted{}, t.TempDir())
		site.Open(c.h.Check, &scripted{})
		if got := ask(site, "/readyz"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		fresh := NewSite(m, "users", true)
		fresh.Starting("capsules are launched")
		if got := ask(fresh, "/readyz"); got != `503 {"ready":false,"reasons":{"server":"capsules are launched"}}` {
			t.Errorf("while starting: %s", got)
		}
		if got := ask(fresh, "/healthz"); got != `200 {"status":"alive"}` {
			t.Errorf("while starting: %s", got)
		}
		if got := ask(fresh, "/metrics"); !strings.HasPrefix(got, "503 ") {
			t.Errorf("while starting: %s", got)
		}
	}
}

func ask(h http.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	body, _ := io.ReadAll(w.Body)
	return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(string(body)))
}
