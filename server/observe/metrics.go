// Package observe lets people see how a server does: health, metrics, profiles and traces.
package observe

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/service"
)

// scrapeTimeout bounds what a scrape waits for the database.
const scrapeTimeout = 5 * time.Second

// metric is one that we name. The list is the only one: docs/reference/metrics.md is held against it.
type metric struct {
	name, kind, help string
	labels           []string
}

var metricList = []metric{
	{"capstan_build_info", "gauge", "1, with the version", []string{"version", "go"}},
	{"capstan_scrape_failed", "gauge", "1 when the database could not be asked; what comes from there is then missing", nil},
	{"capstan_streams", "gauge", "streams, by state; idle ones are not analysed", []string{"state"}},
	{"capstan_stream_state", "gauge", "1 for the state that the stream is in: connecting, running, stalled, failed, ended", []string{"stream", "state"}},
	{"capstan_stream_fps", "gauge", "results a second, of the last ones", []string{"stream"}},
	{"capstan_stream_frames_total", "counter", "results", []string{"stream"}},
	{"capstan_stream_dropped_frames_total", "counter", "what is missing in results, by reason: late, no_slot, every, or a capsule and what it failed with", []string{"stream", "reason"}},
	{"capstan_stream_latency_seconds", "histogram", "from a frame's arrival to the end of its last stage", []string{"stream"}},
	{"capstan_capsule_state", "gauge", "1 for the state that the capsule is in: running, restarting, broken, closed", []string{"capsule", "state"}},
	{"capstan_capsule_calls_total", "counter", "frames that it was called for", []string{"capsule"}},
	{"capstan_capsule_failures_total", "counter", "calls that gave nothing, by kind of fault", []string{"capsule", "kind"}},
	{"capstan_capsule_violations_total", "counter", "nodes refused because they break its declaration", []string{"capsule"}},
	{"capstan_capsule_call_seconds", "histogram", "of a call, without waiting for its turn", []string{"capsule"}},
	{"capstan_capsule_queue_seconds_total", "counter", "waiting for its turn", []string{"capsule"}},
	{"capstan_capsule_convert_seconds_total", "counter", "making its pictures", []string{"capsule"}},
	{"capstan_capsule_handoff_seconds_total", "counter", "to its process and back", []string{"capsule"}},
	{"capstan_capsule_compute_seconds_total", "counter", "inside the capsule", []string{"capsule"}},
	{"capstan_capsule_restarts_total", "counter", "times that its process was started again", []string{"capsule"}},
	{"capstan_capsule_memory_bytes", "gauge", "resident memory of its process", []string{"capsule"}},
	{"capstan_alerts_open", "gauge", "alerts that are on", nil},
	{"capstan_alerts_begun_total", "counter", "alerts that began since the start", nil},
	{"capstan_alerts_ended_total", "counter", "alerts that ended since the start", nil},
	{"capstan_alerts_unsaved_total", "counter", "attempts to save an alert that failed", nil},
	{"capstan_subscribers", "gauge", "who follows the statuses", nil},
	{"capstan_data_bytes", "gauge", "size of the database, where it is SQLite", nil},
	{"capstan_disk_free_bytes", "gauge", "free on the disk of the data folder", nil},
	{"capstan_store_seconds", "histogram", "of a transaction of the database, by kind: view, update", []string{"kind"}},
	{"capstan_store_failures_total", "counter", "transactions that failed for the database's sake", []string{"kind"}},
	{"capstan_events_delivered_total", "counter", "events that a destination took", []string{"destination"}},
	{"capstan_events_failed_total", "counter", "attempts to deliver that failed", []string{"destination"}},
	{"capstan_events_died_total", "counter", "events that were given up", []string{"destination"}},
	{"capstan_events_waiting", "gauge", "events that are to be delivered", []string{"destination"}},
	{"capstan_events_dead", "gauge", "events that were given up and are kept", []string{"destination"}},
	{"capstan_http_requests_total", "counter", "requests that ended, by route, method and status", []string{"route", "method", "status"}},
	{"capstan_http_request_seconds", "histogram", "of requests; endless ones are left out", []string{"route"}},
}

// of gives a metric's descriptor.
func of(name string) *prometheus.Desc {
	for _, m := range metricList {
		if m.name == name {
			return prometheus.NewDesc(m.name, m.help, m.labels, nil)
		}
	}
	panic("observe: no metric " + name) // a mistake of the program
}

// spec gives what client_golang's own vectors want.
func spec(name string) (help string, labels []string) {
	for _, m := range metricList {
		if m.name == name {
			return m.help, m.labels
		}
	}
	panic("observe: no metric " + name)
}

var bounds = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
}

func boundsInSeconds() []float64 {
	out := make([]float64, len(bounds))
	for i, d := range bounds {
		out[i] = d.Seconds()
	}
	return out
}

// Source is what metrics are read from: the service.
type Source interface {
	Observe(context.Context) (service.Observation, error)
}

// Metrics gathers what a server counts.
type Metrics struct {
	registry *prometheus.Registry
	log      hclog.Logger
	version  string
	data     string

	source   func() Source
	told     func(context.Context) ([]events.Stats, error) // nil: nothing is
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	store    *prometheus.HistogramVec
	failures *prometheus.CounterVec
}

// NewMetrics gives the metrics of a server. data is its folder; source gives the service, nil while
// there is none.
func NewMetrics(version, data string, source func() Source, log hclog.Logger) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), log: log, version: version, data: data, source: source}
	counter := func(name string) *prometheus.CounterVec {
		help, labels := spec(name)
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name string) *prometheus.HistogramVec {
		help, labels := spec(name)
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: boundsInSeconds()}, labels)
	}
	m.requests, m.took = counter("capstan_http_requests_total"), histogram("capstan_http_request_seconds")
	m.store, m.failures = histogram("capstan_store_seconds"), counter("capstan_store_failures_total")
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.took, m.store, m.failures, m)
	return m
}

// Deliveries has the metrics tell how events are delivered. Call it before the first scrape.
func (m *Metrics) Deliveries(told func(context.Context) ([]events.Stats, error)) { m.told = told }

// Register adds the metrics of another part. It fails when one of them is there already.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// endless is how long a request may take to count as one that ends.
const endless = time.Minute

var methods = map[string]bool{"GET": true, "HEAD": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true, "OPTIONS": true}

// Request counts a request. A route that is empty, and a method that nobody knows, is "other": what
// clients make up does not make metrics.
func (m *Metrics) Request(route, method string, status int, took time.Duration) {
	if route == "" {
		route = "other"
	}
	if !methods[method] {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if took < endless && status != http.StatusSwitchingProtocols {
		m.took.WithLabelValues(route).Observe(took.Seconds())
	}
}

// Describe implements prometheus.Collector: unchecked, because streams come and go.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	out := sender{ch}
	out.gauge("capstan_build_info", 1, m.version, runtime.Version())
	out.data(m.data)
	source := m.source()
	if source == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	o, err := source.Observe(ctx)
	if err != nil {
		m.log.Warn("metrics are not complete", "err", err)
		out.gauge("capstan_scrape_failed", 1)
		return
	}
	if m.told != nil {
		told, err := m.told(ctx)
		if err != nil {
			out.gauge("capstan_scrape_failed", 1)
			return
		}
		out.deliveries(told)
	}
	out.gauge("capstan_scrape_failed", 0)
	out.streams(o)
	out.capsules(o)
	out.gauge("capstan_alerts_open", float64(o.OpenAlerts))
	out.counter("capstan_alerts_begun_total", float64(o.Begun))
	out.counter("capstan_alerts_ended_total", float64(o.Ended))
	out.counter("capstan_alerts_unsaved_total", float64(o.Unsaved))
	out.gauge("capstan_subscribers", float64(o.Subscribers))
}

// sender hands samples to a scrape.
type sender struct{ ch chan<- prometheus.Metric }

func (s sender) gauge(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(of(name), prometheus.GaugeValue, v, valid(labels)...)
}

func (s sender) counter(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(of(name), prometheus.CounterValue, v, valid(labels)...)
}

// valid makes labels UTF-8: names of capsules are others'.
func valid(labels []string) []string {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "?")
	}
	return labels
}

func (s sender) histogram(name string, h *pipeline.Histogram, labels ...string) {
	buckets := make(map[float64]uint64, len(bounds))
	for _, d := range bounds {
		buckets[d.Seconds()] = h.Under(d)
	}
	s.ch <- prometheus.MustNewConstHistogram(of(name), h.Count(), h.Sum().Seconds(), buckets, valid(labels)...)
}

func (s sender) streams(o service.Observation) {
	states := map[string]int{"idle": o.Idle}
	for i := range o.Streams {
		st := &o.Streams[i]
		states[st.State]++
		n := strconv.FormatInt(int64(st.Number), 10)
		s.gauge("capstan_stream_state", 1, n, st.State)
		s.gauge("capstan_stream_fps", st.FPS, n)
		s.counter("capstan_stream_frames_total", float64(st.Frames), n)
		for reason, k := range st.Drops {
			s.counter("capstan_stream_dropped_frames_total", float64(k), n, reason)
		}
		s.histogram("capstan_stream_latency_seconds", &st.Latency, n)
	}
	for state, n := range states {
		s.gauge("capstan_streams", float64(n), state)
	}
}

func (s sender) capsules(o service.Observation) {
	for i := range o.Capsules {
		c := &o.Capsules[i]
		s.gauge("capstan_capsule_state", 1, c.Name, c.State)
		s.counter("capstan_capsule_calls_total", float64(c.Calls), c.Name)
		for kind, n := range c.Failures {
			s.counter("capstan_capsule_failures_total", float64(n), c.Name, kind)
		}
		s.counter("capstan_capsule_violations_total", float64(c.Violations), c.Name)
		s.histogram("capstan_capsule_call_seconds", &c.Times.Total, c.Name)
		for what, h := range map[string]*pipeline.Histogram{"queue": &c.Times.Queue, "convert": &c.Times.Convert, "handoff": &c.Times.Handoff, "compute": &c.Times.Compute} {
			s.counter("capstan_capsule_"+what+"_seconds_total", h.Sum().Seconds(), c.Name)
		}
		s.counter("capstan_capsule_restarts_total", float64(c.Restarts), c.Name)
		if bytes, ok := residentMemory(c.PID); ok {
			s.gauge("capstan_capsule_memory_bytes", bytes, c.Name)
		}
	}
}

func (s sender) deliveries(list []events.Stats) {
	for _, d := range list {
		s.counter("capstan_events_delivered_total", float64(d.Delivered), d.Name)
		s.counter("capstan_events_failed_total", float64(d.Failed), d.Name)
		s.counter("capstan_events_died_total", float64(d.Died), d.Name)
		s.gauge("capstan_events_waiting", float64(d.Waiting), d.Name)
		s.gauge("capstan_events_dead", float64(d.DeadLetters), d.Name)
	}
}

// residentMemory reads how much memory a process has, in bytes.
func residentMemory(pid int) (float64, bool) {
	if pid <= 0 {
		return 0, false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()), err == nil
}

func (s sender) data(dir string) {
	var size int64
	for _, name := range []string{"capstan.db", "capstan.db-wal"} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += st.Size()
		}
	}
	if size > 0 {
		s.gauge("capstan_data_bytes", float64(size))
	}
	var fs syscall.Statfs_t
	if syscall.Statfs(dir, &fs) == nil {
		s.gauge("capstan_disk_free_bytes", float64(fs.Bavail)*float64(fs.Bsize))
	}
}
