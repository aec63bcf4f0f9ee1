package service

import (
	"context"
	"maps"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/server/store"
)

// Observation is how the service does at one time. Counts only grow while the server runs: what a
// session has counted stays when it ends.
type Observation struct {
	Streams     []StreamObservation // those that are analysed, by number
	Idle        int                 // streams that are not
	Capsules    []CapsuleObservation
	Subscribers int // of statuses
	OpenAlerts  int // alerts that are on
	Begun       uint64
	Ended       uint64
	Unsaved     uint64 // attempts to save an alert that failed
}

// StreamObservation is one stream's.
type StreamObservation struct {
	StreamState
	Frames  uint64
	Drops   map[string]uint64 // by reason
	Latency pipeline.Histogram
}

// CapsuleObservation is one capsule's, over all streams.
type CapsuleObservation struct {
	Name string
	pipeline.CapsuleStats
	Calls      uint64
	Failures   map[string]uint64 // by kind of fault
	Violations uint64
	Times      pipeline.CapsuleTimes
}

// tally keeps what ended sessions have counted. Its lock is taken before that of a runner.
type tally struct {
	mu       sync.Mutex
	streams  map[core.StreamNumber]*StreamObservation
	capsules map[string]*CapsuleObservation
}

// begin names the session that a runner plays.
func (t *tally) begin(r *runner, s *pipeline.Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session = s
}

// end takes the runner's session away and keeps its counts, at once for whoever observes.
func (t *tally) end(r *runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.mu.Lock()
	session := r.session
	r.session = nil
	r.mu.Unlock()
	if session == nil {
		return
	}
	if t.streams == nil {
		t.streams, t.capsules = map[core.StreamNumber]*StreamObservation{}, map[string]*CapsuleObservation{}
	}
	add(t.streams, t.capsules, r.number, session.Stats())
}

// add adds what a session counted.
func add(streams map[core.StreamNumber]*StreamObservation, capsules map[string]*CapsuleObservation, n core.StreamNumber, st pipeline.SessionStats) {
	s := streams[n]
	if s == nil {
		s = &StreamObservation{Drops: map[string]uint64{}}
		streams[n] = s
	}
	s.Frames += st.Frames
	s.Latency.Merge(&st.Latency)
	sum(s.Drops, st.Drops)
	for i := range st.Capsules {
		from := &st.Capsules[i]
		c := capsules[from.Name]
		if c == nil {
			c = &CapsuleObservation{Name: from.Name, Failures: map[string]uint64{}}
			capsules[from.Name] = c
		}
		c.Calls += from.Calls
		c.Violations += from.Violations
		c.Times.Merge(&from.Times)
		sum(c.Failures, from.Failures)
	}
}

func sum(to, from map[string]uint64) {
	for k, n := range from {
		to[k] += n
	}
}

// now gives the counts of ended sessions and of those that run. Streams that are gone are forgotten.
func (t *tally) now(runners map[core.StreamNumber]*runner, there map[core.StreamNumber]bool) (map[core.StreamNumber]*StreamObservation, map[string]*CapsuleObservation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.streams, func(n core.StreamNumber, _ *StreamObservation) bool { return !there[n] })
	streams, capsules := map[core.StreamNumber]*StreamObservation{}, map[string]*CapsuleObservation{}
	for n, s := range t.streams {
		c := *s
		c.Drops = maps.Clone(s.Drops)
		streams[n] = &c
	}
	for name, s := range t.capsules {
		c := *s
		c.Failures = maps.Clone(s.Failures)
		capsules[name] = &c
	}
	for n, r := range runners {
		r.mu.Lock()
		session := r.session
		r.mu.Unlock()
		if session != nil {
			add(streams, capsules, n, session.Stats())
		}
	}
	return streams, capsules
}

// Observe says how the service does.
func (s *Service) Observe(ctx context.Context) (Observation, error) {
	var o Observation
	var list []core.StreamConfig
	err := s.cfg.Store.View(ctx, func(tx store.Tx) (err error) {
		if list, err = tx.Streams(0); err != nil {
			return err
		}
		_, o.OpenAlerts, err = tx.Alerts(store.AlertFilter{Open: true, Page: store.Page{Limit: 1}})
		return err
	})
	if err != nil {
		return o, err
	}
	s.mu.Lock()
	runners := maps.Clone(s.runners)
	s.mu.Unlock()
	s.count(&o, list, runners)
	o.Subscribers = s.hub.count()
	o.Begun, o.Ended, o.Unsaved = s.begun.Load(), s.ended.Load(), s.unsaved.Load()
	return o, nil
}

// count puts in what streams and capsules have counted.
func (s *Service) count(o *Observation, list []core.StreamConfig, runners map[core.StreamNumber]*runner) {
	there := map[core.StreamNumber]bool{}
	for _, cfg := range list {
		there[cfg.Number] = true
	}
	streams, capsules := s.tally.now(runners, there)
	for _, cfg := range list {
		r := runners[cfg.Number]
		if r == nil {
			o.Idle++
			continue
		}
		st := StreamObservation{}
		if counted := streams[cfg.Number]; counted != nil {
			st = *counted
		}
		st.StreamState = r.state()
		o.Streams = append(o.Streams, st)
	}
	for _, c := range s.cfg.Engine.Capsules() {
		one := CapsuleObservation{Name: c.Declaration().Name}
		if counted := capsules[one.Name]; counted != nil {
			one = *counted
		}
		one.CapsuleStats = c.Stats()
		o.Capsules = append(o.Capsules, one)
	}
}

// Broken names the capsules that do not run, with why.
func (s *Service) Broken() map[string]string {
	out := map[string]string{}
	for _, c := range s.cfg.Engine.Capsules() {
		if st := c.Stats(); st.State != pipeline.CapsuleRunning {
			out[c.Declaration().Name] = st.State
		}
	}
	return out
}

// count gives how many subscribe.
func (h *hub) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}
