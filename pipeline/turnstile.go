package pipeline

import (
	"context"
	"sync"
)

// turnstile lets tickets through one at a time, in order, so that a stateful capsule sees the
// frames of a stream one after the other although many are under way. Every ticket from the
// first must enter and leave, or the ones behind it wait for ever.
type turnstile struct {
	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan struct{}
}

func newTurnstile(first uint64) *turnstile {
	return &turnstile{next: first, waiting: map[uint64]chan struct{}{}}
}

// enter waits for ticket's turn. When ctx ends first it returns its cause, and the ticket
// must leave all the same.
func (t *turnstile) enter(ctx context.Context, ticket uint64) error {
	t.mu.Lock()
	if t.next >= ticket {
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

// leave lets the next ticket in.
func (t *turnstile) leave(ticket uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = max(t.next, ticket+1)
	for n, turn := range t.waiting {
		if n <= t.next {
			close(turn)
			delete(t.waiting, n)
		}
	}
}
