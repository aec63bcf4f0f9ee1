package service

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// hub has the present snapshot and gives it to subscribers. Publishing never waits: a subscriber
// that has not taken its snapshot finds a newer one in its place. The end of an alert is told to
// each subscriber once, however slow it is; to those who ask, for endedFor.
type hub struct {
	clock  func() time.Time
	mu     sync.Mutex
	now    *Snapshot // without alerts that have ended
	ended  []ending  // of the last endedFor
	subs   map[chan *Snapshot]bool
	closed bool
	live   live // told of every change
}

// ending is an alert that has ended, and when that was told.
type ending struct {
	alert core.Alert
	at    time.Time
}

func newHub(clock func() time.Time) *hub {
	return &hub{clock: clock, now: &Snapshot{Streams: map[core.StreamNumber][]ZoneStatus{}}, subs: map[chan *Snapshot]bool{}}
}

// publish puts a stream's statuses in; gone takes the stream out.
func (h *hub) publish(n core.StreamNumber, list []ZoneStatus, gone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := maps.Clone(h.now.Streams)
	if gone {
		delete(next, n)
	} else {
		if list == nil {
			list = []ZoneStatus{}
		}
		next[n] = list
	}
	told := &Snapshot{Streams: next, ended: endings(list)}
	h.now = told
	if len(told.ended) > 0 {
		h.now = &Snapshot{Streams: maps.Clone(next)}
		h.now.Streams[n] = withoutEnded(list)
		for _, a := range told.ended {
			h.ended = newest(append(h.ended, ending{a, h.clock()}))
		}
	}
	h.live.tell(n, list, gone)
	h.give(told)
}

// give leaves a snapshot for every subscriber, with the ends of alerts in the one that it missed.
func (h *hub) give(told *Snapshot) {
	caught := map[*Snapshot]*Snapshot{} // by the one that was missed
	for ch := range h.subs {
		next := told
		select {
		case missed := <-ch:
			if len(missed.ended) > 0 {
				if caught[missed] == nil {
					caught[missed] = told.with(missed.ended)
				}
				next = caught[missed]
			}
		default:
		}
		ch <- next // it has room for one, and only this sends
	}
}

// snapshot gives what is now, with the alerts that ended a short time ago.
func (h *hub) snapshot() *Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock()
	h.ended = slices.DeleteFunc(h.ended, func(e ending) bool { return since(now, e.at) >= endedFor })
	if len(h.ended) == 0 {
		return h.now
	}
	var ended []core.Alert
	for _, e := range h.ended {
		ended = append(ended, e.alert)
	}
	return h.now.with(ended)
}

// subscribe gives a channel that is closed when ctx or the hub ends.
func (h *hub) subscribe(ctx context.Context) (<-chan *Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, core.Faultf(core.Closed, "statuses", "", "the server is stopping")
	}
	ch := make(chan *Snapshot, 1)
	h.subs[ch] = true
	context.AfterFunc(ctx, func() { h.drop(ch) })
	return ch, nil
}

func (h *hub) drop(ch chan *Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[ch] {
		delete(h.subs, ch)
		close(ch)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for ch := range h.subs {
		delete(h.subs, ch)
		close(ch)
	}
}

// Statuses gives the present snapshot.
func (s *Service) Statuses(_ context.Context, c Caller) (*Snapshot, error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	return s.hub.snapshot(), nil
}

// Subscribe gives every later snapshot, the newest only when the reader is slow.
func (s *Service) Subscribe(ctx context.Context, c Caller) (<-chan *Snapshot, error) {
	if err := may(c, core.Viewer); err != nil {
		return nil, err
	}
	return s.hub.subscribe(ctx)
}
