// Package alarms tells when the alarms of a zone are on.
//
// It is pure: what is seen in the zone goes in with its time, changes come out.
package alarms

import (
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
)

// Zone is what an alarm asks of a zone in one frame; a *zones.Status is one.
type Zone interface {
	Count(core.Objects) int
	Moved(core.Objects, core.Movement) int
}

var _ Zone = (*zones.Status)(nil)

// Check says what is wrong with an alarm, as a fault of kind Invalid.
func Check(a core.Alarm) error {
	refuse := func(format string, args ...any) error {
		return core.Faultf(core.Invalid, "alarm", a.Name, format, args...)
	}
	if h := a.Hours; h != nil && (h.Start < 0 || h.Start >= day || h.End < 0 || h.End >= day) {
		return refuse("active from %s to %s after midnight; want 0s up to 24h", h.Start, h.End)
	}
	if len(a.Counts)+len(a.Rates) == 0 {
		return refuse("it has no condition, so it would never be on")
	}
	for i, c := range a.Counts {
		switch {
		case !slices.Contains([]core.Comparison{core.Greater, core.Less, core.Equal, core.NotEqual}, c.Test):
			return refuse("count condition %d: %q; want >, <, = or !=", i, c.Test)
		case !(c.Threshold >= 0 && c.Threshold <= 1):
			return refuse("count condition %d: threshold %v; want 0 to 1", i, c.Threshold)
		case c.Window < 0 || c.Window > longest:
			return refuse("count condition %d: window %s; want 0s to %s", i, c.Window, longest)
		}
	}
	for i, c := range a.Rates {
		switch {
		case c.Test != core.GreaterEqual && c.Test != core.LessEqual:
			return refuse("rate condition %d: %q; want >= or <=", i, c.Test)
		case !slices.Contains([]core.Movement{core.Entering, core.Exiting, core.EnteringOrExiting}, c.Movement):
			return refuse("rate condition %d: %q; want entering, exiting or entering_or_exiting", i, c.Movement)
		case c.Window <= 0 || c.Window > longest:
			return refuse("rate condition %d: duration %s; want more than 0s, at most %s", i, c.Window, longest)
		}
	}
	return nil
}

const (
	day = 24 * time.Hour
	// longest bounds what a watch has to remember.
	longest = day
)

// Change is what an update did to an alarm.
type Change int

// The changes.
const (
	Nothing Change = iota
	Began          // it is on from now on
	Ended          // it is off from now on
)

// Watch follows one alarm. It is not safe for use by several goroutines.
type Watch struct {
	alarm  core.Alarm
	counts []shares
	rates  []events
	first  time.Time // of what was seen; zero: nothing yet
	last   time.Time
	on     bool
}

// New watches an alarm that has passed Check. on says that it was on already, before a restart:
// it then ends, if need be, with the first update.
func New(a core.Alarm, on bool) *Watch {
	w := &Watch{alarm: a, counts: make([]shares, len(a.Counts)), rates: make([]events, len(a.Rates)), on: on}
	for i, c := range a.Counts {
		w.counts[i].window = c.Window
	}
	for i, c := range a.Rates {
		w.rates[i].window = c.Window
	}
	return w
}

// Alarm gives what is watched.
func (w *Watch) Alarm() core.Alarm { return w.alarm }

// On says whether the alarm is on.
func (w *Watch) On() bool { return w.on }

// Update takes what was seen in the zone at a time, of the wall clock. A time before the last one
// is a clock that was set back: what was seen is forgotten, as if the watch were new.
func (w *Watch) Update(at time.Time, z Zone) Change {
	if at.Before(w.last) {
		*w = *New(w.alarm, w.on)
	}
	if w.first.IsZero() {
		w.first = at
	}
	w.last = at
	all := len(w.counts)+len(w.rates) > 0
	for i, c := range w.alarm.Counts {
		holds := w.counts[i].add(at, c.Test.Holds(float64(z.Count(c.Objects)), c.Value), c.Threshold)
		all = all && holds
	}
	for i, c := range w.alarm.Rates {
		n := w.rates[i].add(at, z.Moved(c.Objects, c.Movement))
		full := at.Sub(w.first) >= c.Window // few is known after a whole window only
		all = all && c.Test.Holds(float64(n), c.Change) && (full || c.Test == core.GreaterEqual)
	}
	if w.alarm.Hours != nil && !w.alarm.Hours.Include(at) {
		all = false
	}
	return w.turn(all)
}

// Silence is for a stream that gives no frames any more: its alarms are off. What comes later is
// seen as if the watch were new.
func (w *Watch) Silence() Change {
	change := w.turn(false)
	*w = *New(w.alarm, false)
	return change
}

func (w *Watch) turn(on bool) Change {
	switch {
	case on == w.on:
		return Nothing
	case on:
		w.on = true
		return Began
	default:
		w.on = false
		return Ended
	}
}

// maxMoments bounds the memory of one condition. Beyond it the oldest ones are put together,
// which makes a day at 100 frames a second exact to seconds.
const maxMoments = 4096

// shares is the share of a window in which something was true.
type shares struct {
	window time.Duration
	spans  []span // in order; only changes are kept
}

// span is from a time to that of the next span.
type span struct {
	from time.Time
	true bool
}

// add notes what is true from now on and says whether it was so for at least the share of the
// window that ends now. What was before the first add counts as not true.
func (s *shares) add(at time.Time, now bool, share float64) bool {
	if s.window <= 0 {
		return now
	}
	if n := len(s.spans); n == 0 || s.spans[n-1].true != now {
		s.spans = append(s.spans, span{at, now})
	}
	begin := at.Add(-s.window)
	for len(s.spans) > 1 && !s.spans[1].from.After(begin) {
		s.spans = s.spans[1:]
	}
	if len(s.spans) > maxMoments {
		s.spans = slices.Delete(s.spans, 0, 2) // one true and one false
	}
	total := s.sum(begin, at)
	return (total > 0 || now) && total >= time.Duration(share*float64(s.window))
}

// sum gives how long it was true since begin.
func (s *shares) sum(begin, at time.Time) time.Duration {
	total := time.Duration(0)
	for i, p := range s.spans {
		if !p.true {
			continue
		}
		from, to := p.from, at
		if from.Before(begin) {
			from = begin
		}
		if i+1 < len(s.spans) {
			to = s.spans[i+1].from
		}
		total += to.Sub(from)
	}
	return total
}

// events counts what happened within a window.
type events struct {
	window time.Duration
	list   []event
	sum    int
}

type event struct {
	at time.Time
	n  int
}

// add notes how many happened now and gives their number in the window that ends now.
func (e *events) add(at time.Time, n int) int {
	if n > 0 {
		e.list = append(e.list, event{at, n})
		e.sum += n
	}
	begin := at.Add(-e.window)
	for len(e.list) > 0 && !e.list[0].at.After(begin) {
		e.sum -= e.list[0].n
		e.list = e.list[1:]
	}
	if len(e.list) > maxMoments {
		e.list[1].n += e.list[0].n
		e.list = e.list[1:]
	}
	return e.sum
}
