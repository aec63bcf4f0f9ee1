package pipeline

import (
	"context"
	"slices"
	"sync"
)

// turnstile lets tickets through one at a time, in the order in which they joined, so that a
// stateful capsule sees the frames of a stream one after the other although many are under way.
// Every ticket that joins must leave, or the ones behind it wait for ever.
type turnstile struct {
	mu      sync.Mutex
	queue   []uint64 // joined and not left; as long as the session's window at most
	waiting map[uint64]chan struct{}
}

func newTurnstile() *turnstile { return &turnstile{waiting: map[uint64]chan struct{}{}} }

// join takes a place behind all tickets that are there.
func (t *turnstile) join(ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, ticket)
}

// enter waits for ticket's turn. When ctx ends first it returns its cause, and the ticket
// must leave all the same.
func (t *turnstile) enter(ctx context.Context, ticket uint64) error {
	t.mu.Lock()
	if len(t.queue) > 0 && t.queue[0] == ticket {
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	t.waiting[ticket] = turn
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave lets the next ticket in. A ticket may leave before its turn, and twice.
func (t *turnstile) leave(ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.queue, ticket); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	}
	delete(t.waiting, ticket)
	if len(t.queue) == 0 {
		return
	}
	if turn, ok := t.waiting[t.queue[0]]; ok {
		close(turn)
		delete(t.waiting, t.queue[0])
	}
}
