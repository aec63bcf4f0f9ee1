package service

import (
	"context"
	"maps"
	"sync"

	"github.com/capstan-video/capstan/core"
)

// hub has the present snapshot and gives it to subscribers. Publishing never waits: a subscriber
// that has not taken its snapshot finds a newer one in its place.
type hub struct {
	mu     sync.Mutex
	now    *Snapshot
	subs   map[chan *Snapshot]bool
	closed bool
	live   live // told of every change
}

func newHub() *hub {
	return &hub{now: &Snapshot{Streams: map[core.StreamNumber][]ZoneStatus{}}, subs: map[chan *Snapshot]bool{}}
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
	h.now = &Snapshot{Streams: next}
	h.live.tell(n, list, gone)
	for ch := range h.subs {
		select {
		case <-ch:
		default:
		}
		ch <- h.now // it has room for one, and only publish sends
	}
}

func (h *hub) snapshot() *Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
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
