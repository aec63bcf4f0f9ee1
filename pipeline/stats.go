package pipeline

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
)

// CapsuleReport is what one capsule did in a session.
type CapsuleReport struct {
	Name       string
	Calls      uint64            // of Process, one a frame
	Nodes      uint64            // added or patched
	Failures   map[string]uint64 // calls and runs that gave nothing, by kind of fault
	Retries    uint64            // calls made a second time
	Skipped    map[string]uint64 // frames not called for, by reason: SkipEveryN, SkipGate
	Violations uint64            // nodes refused, because they break the declaration
	Conflicts  uint64            // values that replaced one of another capsule of the same stage
	Starved    map[string]uint64 // nodes of a class it takes, by what they lacked
	P50, P99   time.Duration     // of a call, from the engine's side, without waiting for its turn
	Queue      time.Duration     // mean: waiting for its turn, here and in its process
	Convert    time.Duration     // mean: making its picture
	Handoff    time.Duration     // mean: there and back
	Compute    time.Duration     // mean: inside the capsule
	HandoffP50 time.Duration
	HandoffP99 time.Duration
	Times      CapsuleTimes // the same, whole
	Restarts   uint64       // of all capsules that had this name
	Replaced   uint64       // times that another one took its place
	State      string
	PID        int // of its present process; 0: none
}

// CapsuleTimes tells where the time of a capsule's calls went. Total is Convert, Handoff and
// Compute together; Queue comes before; Whole is all four.
type CapsuleTimes struct {
	Whole   Histogram
	Total   Histogram
	Queue   Histogram
	Convert Histogram
	Handoff Histogram
	Compute Histogram
}

// Merge adds the times of another session.
func (t *CapsuleTimes) Merge(o *CapsuleTimes) {
	t.Whole.Merge(&o.Whole)
	t.Total.Merge(&o.Total)
	t.Queue.Merge(&o.Queue)
	t.Convert.Merge(&o.Convert)
	t.Handoff.Merge(&o.Handoff)
	t.Compute.Merge(&o.Compute)
}

// SessionStats is what a session did so far.
type SessionStats struct {
	Frames   uint64 // results given
	Nodes    uint64
	Elapsed  time.Duration // since the session opened
	PTS      core.PTS      // of the last result
	Drops    map[string]uint64
	Latency  Histogram
	Media    MediaStats
	Source   SourceStatus
	Capsules []CapsuleReport // by name

	// What bounds the session: the time that its reader waited for the source, and for frames
	// under way to be done.
	SourceWait, WindowWait time.Duration
}

// CapsuleWork is how often a capsule was called in a session, and how long it worked.
type CapsuleWork struct {
	Name    string
	Calls   uint64
	Compute time.Duration // inside the capsule, all calls together
}

// Work gives what the capsules of the session did so far, by name. It costs far less than Stats.
func (s *Session) Work() []CapsuleWork {
	s.mu.Lock()
	seen := maps.Clone(s.seen)
	s.mu.Unlock()
	out := make([]CapsuleWork, 0, len(seen))
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t := seen[name].tally
		t.mu.Lock()
		out = append(out, CapsuleWork{Name: name, Calls: t.calls, Compute: t.times.Compute.Sum()})
		t.mu.Unlock()
	}
	return out
}

// Source gives how the session's source is.
func (s *Session) Source() SourceStatus { return s.source.Status() }

// capsuleTally gathers a CapsuleReport; its methods may be called from several goroutines.
type capsuleTally struct {
	mu                         sync.Mutex
	calls, nodes, retries      uint64
	violations, conflicts      uint64
	failures, starved, skipped map[string]uint64
	replaced, restarts         uint64 // restarts: of those that were replaced
	times                      CapsuleTimes
	said                       throttle
	hungry                     atomic.Bool // starvation was said
}

func newTally() *capsuleTally {
	return &capsuleTally{failures: map[string]uint64{}, starved: map[string]uint64{}, skipped: map[string]uint64{}}
}

func (t *capsuleTally) called(total, queue, convert time.Duration, a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	t.times.Whole.Add(queue + a.Queued + total)
	t.times.Total.Add(total)
	t.times.Queue.Add(queue + a.Queued)
	t.times.Convert.Add(convert)
	t.times.Handoff.Add(a.Handoff)
	t.times.Compute.Add(a.Compute)
}

// follow notes that another capsule goes on with the counts of one that was like this.
func (t *capsuleTally) follow(old CapsuleStats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replaced++
	t.restarts += old.Restarts
	t.hungry.Store(false)
}

func (t *capsuleTally) skip(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped[reason]++
}

func (t *capsuleTally) failed(err error) (reason string) {
	reason = core.KindOf(err).String()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures[reason]++
	return reason
}

// count adds to one of the plain counters under the lock.
func (t *capsuleTally) count(which *uint64, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*which += n
}

// maxStarvedReasons bounds the reasons that are told apart: class names are the capsules' own.
const maxStarvedReasons = 64

func (t *capsuleTally) starve(lacks map[string]int) {
	if len(lacks) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for what, n := range lacks {
		if _, ok := t.starved[what]; !ok && len(t.starved) >= maxStarvedReasons {
			what = "others"
		}
		t.starved[what] += uint64(n)
	}
}

func (t *capsuleTally) report(name string, st CapsuleStats) CapsuleReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return CapsuleReport{
		Name: name, Calls: t.calls, Nodes: t.nodes, Failures: maps.Clone(t.failures), Retries: t.retries,
		Skipped: maps.Clone(t.skipped), Violations: t.violations, Conflicts: t.conflicts, Starved: maps.Clone(t.starved),
		P50: t.times.Total.Quantile(0.5), P99: t.times.Total.Quantile(0.99),
		Queue: t.times.Queue.Mean(), Convert: t.times.Convert.Mean(), Handoff: t.times.Handoff.Mean(), Compute: t.times.Compute.Mean(),
		HandoffP50: t.times.Handoff.Quantile(0.5), HandoffP99: t.times.Handoff.Quantile(0.99),
		Times: t.times, Restarts: t.restarts + st.Restarts, Replaced: t.replaced, State: st.State, PID: st.PID,
	}
}

// throttle lets one message a second through and counts the others.
type throttle struct {
	mu   sync.Mutex
	last time.Time
	held uint64
}

// ready says whether to speak now, and how many messages were held back before.
func (t *throttle) ready(now time.Time) (held uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.last.IsZero() && now.Sub(t.last) < time.Second {
		t.held++
		return 0, false
	}
	held, t.held, t.last = t.held, 0, now
	return held, true
}
