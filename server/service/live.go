package service

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
)

const (
	maxWatches = 1000            // readers of results at one time
	shotWait   = 5 * time.Second // for a stream's next picture
	// maxMissedEnds bounds the ends of alerts that are kept for a reader that does not read.
	maxMissedEnds = 256
)

// Found is what capsules have found on one frame of a stream. It is shared: nobody changes it.
type Found struct {
	Seq      uint64 // within the session
	PTS      core.PTS
	Captured time.Time
	Nodes    []*core.Node
	Drops    map[string]uint64 // since the frame before, by reason
}

// Update is what is new of a stream. It is shared: nobody changes it.
type Update struct {
	Seq      uint64 // of all updates of this service, from 1
	Stream   core.StreamNumber
	Statuses []ZoneStatus
	Found    *Found // nil: it is not a frame that has changed the statuses
	Gone     bool   // the stream is no more
}

// Watch is one reader of updates. Who publishes never waits for it: an update that it has not
// taken is replaced by the stream's next one, and counted.
type Watch struct {
	live   *live
	stream core.StreamNumber // 0: all
	stop   func() bool
	ready  chan struct{} // has one while something is pending, closed at the end

	// The lock of live is held for these.
	pending map[core.StreamNumber]*Update
	order   []core.StreamNumber // of pending
	missed  Missed
}

// Missed is what a reader was too slow for.
type Missed struct {
	Skipped uint64       // updates that were replaced because nobody took them
	Ended   []core.Alert // ends of alerts that only those have told, the newest of them
}

// Next waits for updates, at most one of each stream, and gives what was missed since the last
// call. It fails when ctx ends, and as Closed when the watch or the service does.
func (w *Watch) Next(ctx context.Context) ([]*Update, Missed, error) {
	select {
	case _, ok := <-w.ready:
		if !ok {
			return nil, Missed{}, core.Faultf(core.Closed, "results", "", "the server is stopping")
		}
	case <-ctx.Done():
		return nil, Missed{}, core.Faultf(core.Cancelled, "results", "", "%w", context.Cause(ctx))
	}
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	list := make([]*Update, 0, len(w.order))
	for _, n := range w.order {
		list = append(list, w.pending[n])
	}
	clear(w.pending)
	missed := w.missed
	w.order, w.missed = w.order[:0], Missed{}
	return list, missed, nil
}

// Close ends the watch. It is safe to call twice.
func (w *Watch) Close() {
	w.stop()
	w.live.leave(w)
}

// live gives every change of a stream's statuses, with the frame that made it, to those who watch.
// Its zero value is ready.
type live struct {
	mu      sync.Mutex
	seq     uint64
	last    map[core.StreamNumber]*Update
	found   map[core.StreamNumber]*Found // of the frame whose statuses come next
	watches map[*Watch]bool
	shots   map[core.StreamNumber][]chan []byte // who waits for a picture
}

// see takes a frame's nodes before its statuses are told, and makes a picture of it when one is
// asked for. The caller has the result's picture yet.
func (l *live) see(n core.StreamNumber, r *pipeline.Result, picture func(*pipeline.Result) ([]byte, error)) {
	f := &Found{Seq: r.Frame.Seq, PTS: r.Frame.PTS, Captured: r.Frame.Captured, Nodes: r.Nodes, Drops: r.Drops}
	l.mu.Lock()
	if l.found == nil {
		l.found = map[core.StreamNumber]*Found{}
	}
	l.found[n] = f
	waiting := l.shots[n]
	delete(l.shots, n)
	l.mu.Unlock()
	if len(waiting) == 0 {
		return
	}
	jpeg, err := picture(r)
	for _, ch := range waiting {
		if err == nil {
			ch <- jpeg // it has room for one
		}
		close(ch)
	}
}

// tell takes a stream's statuses. The hub's lock is held.
func (l *live) tell(n core.StreamNumber, list []ZoneStatus, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	u := &Update{Seq: l.seq, Stream: n, Statuses: list, Found: l.found[n], Gone: gone}
	delete(l.found, n)
	if l.last == nil {
		l.last = map[core.StreamNumber]*Update{}
	}
	calm := *u // who comes later is not told of what has ended
	calm.Statuses = withoutEnded(list)
	if l.last[n] = &calm; gone {
		delete(l.last, n)
	}
	for w := range l.watches {
		if w.stream == 0 || w.stream == n {
			w.put(u)
		}
	}
}

// put leaves an update for the reader. The lock is held.
func (w *Watch) put(u *Update) {
	if old := w.pending[u.Stream]; old != nil {
		w.missed.Skipped++
		w.missed.Ended = append(w.missed.Ended, old.ends()...)
		w.missed.Ended = w.missed.Ended[max(0, len(w.missed.Ended)-maxMissedEnds):]
	} else {
		w.order = append(w.order, u.Stream)
	}
	w.pending[u.Stream] = u
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// ends gives the alerts that have ended with the update.
func (u *Update) ends() []core.Alert {
	var list []core.Alert
	for i := range u.Statuses {
		for _, a := range u.Statuses[i].Alerts {
			if !a.End.IsZero() {
				list = append(list, a)
			}
		}
	}
	return list
}

// join begins with what is known now, but for what came not after the update since.
func (l *live) join(n core.StreamNumber, since uint64) (*Watch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.watches) >= maxWatches {
		f := core.Faultf(core.Exhausted, "results", "", "%d readers are connected, which is the most", maxWatches)
		f.Hint = "close those that are not needed"
		return nil, f
	}
	w := &Watch{live: l, stream: n, ready: make(chan struct{}, 1), pending: map[core.StreamNumber]*Update{}}
	if l.watches == nil {
		l.watches = map[*Watch]bool{}
	}
	l.watches[w] = true
	var known []*Update
	for _, u := range l.last {
		if (n == 0 || n == u.Stream) && u.Seq > since {
			known = append(known, u)
		}
	}
	slices.SortFunc(known, func(a, b *Update) int { return int(a.Stream - b.Stream) })
	for _, u := range known {
		w.put(u)
	}
	return w, nil
}

func (l *live) leave(w *Watch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watches[w] {
		delete(l.watches, w)
		close(w.ready)
	}
}

// Watch gives what is new of a stream, or of all (0), beginning with what is known now, until the
// watch is closed or ctx or the service ends. Of streams without an update after since (its Seq;
// 0: any) nothing is told at first. Exhausted when too many watch.
func (s *Service) Watch(ctx context.Context, c Caller, n core.StreamNumber, since uint64) (*Watch, error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	if n != 0 {
		if _, err := s.Stream(ctx, c, n); err != nil {
			return nil, err
		}
	}
	if s.life.Err() != nil {
		return nil, core.Faultf(core.Closed, "results", "", "the server is stopping")
	}
	w, err := s.hub.live.join(n, since)
	if err != nil {
		return nil, err
	}
	ended := context.AfterFunc(ctx, func() { s.hub.live.leave(w) })
	closed := context.AfterFunc(s.life, func() { s.hub.live.leave(w) })
	w.stop = func() bool { return ended() && closed() }
	return w, nil
}

// Shot gives the next picture of a stream that is analysed, as a JPEG with what is found on it
// (see Boxes). SourceStalled when none comes within five seconds, NotFound on "frame" when the
// stream is not analysed.
func (s *Service) Shot(ctx context.Context, c Caller, n core.StreamNumber) ([]byte, error) {
	if _, err := s.Stream(ctx, c, n); err != nil {
		return nil, err
	}
	if s.runner(n) == nil {
		f := core.Faultf(core.NotFound, "", "frame", "stream %d is not analysed, so that there is no picture of it", n)
		f.Hint = "start its analysis"
		return nil, f
	}
	ch := s.hub.live.ask(n)
	defer s.hub.live.unask(n, ch)
	limited, cancel := context.WithTimeout(ctx, shotWait)
	defer cancel()
	select {
	case jpeg, ok := <-ch:
		if !ok {
			return nil, core.Faultf(core.Internal, "", "frame", "the picture of stream %d cannot be made", n)
		}
		return jpeg, nil
	case <-s.life.Done():
		return nil, core.Faultf(core.Closed, "", "stream", "the server is stopping")
	case <-limited.Done():
		if ctx.Err() != nil {
			return nil, core.Faultf(core.Cancelled, "", "frame", "%w", context.Cause(ctx))
		}
		return nil, core.Faultf(core.SourceStalled, "", "stream", "stream %d has given no picture for %s", n, shotWait)
	}
}

// ask waits in the line for the stream's next picture.
func (l *live) ask(n core.StreamNumber) chan []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shots == nil {
		l.shots = map[core.StreamNumber][]chan []byte{}
	}
	ch := make(chan []byte, 1)
	l.shots[n] = append(l.shots[n], ch)
	return ch
}

func (l *live) unask(n core.StreamNumber, ch chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shots[n] = slices.DeleteFunc(l.shots[n], func(c chan []byte) bool { return c == ch })
	if len(l.shots[n]) == 0 {
		delete(l.shots, n)
	}
}
