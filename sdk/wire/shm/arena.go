// Package shm is the memory that frames lie in while several processes look at them: arenas (a
// sealed memfd each) and the doorbell (a SOCK_SEQPACKET pair that carries arenas and packets).
package shm

import (
	"os"
	"sync"
	"sync/atomic"
)

// MaxArena is the largest size of an arena in bytes: whoever is offered more refuses it.
const MaxArena = 1 << 40

// lastID numbers the arenas of this process.
var lastID atomic.Uint64

// Arena is one block of shared memory, as its creator sees it: writable. Others can map it for
// reading only, and nobody can change its size.
type Arena struct {
	id    uint64
	bytes []byte
	file  *os.File

	mu     sync.Mutex
	closed bool
	hooks  map[int]func()
	next   int
}

// ID is unique within this process and never used again.
func (a *Arena) ID() uint64 { return a.id }

// Bytes gives the whole block. It must not be touched after Close.
func (a *Arena) Bytes() []byte { return a.bytes }

// File gives the memfd to be sent to others. It is closed with the arena.
func (a *Arena) File() *os.File { return a.file }

// OnClose has hook called once when the arena is closed, before its memory goes; at once when
// it is closed already. The hook must not close the arena. forget takes it back.
func (a *Arena) OnClose(hook func()) (forget func()) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		hook()
		return func() {}
	}
	if a.hooks == nil {
		a.hooks = map[int]func(){}
	}
	key := a.next
	a.next++
	a.hooks[key] = hook
	a.mu.Unlock()
	return func() {
		a.mu.Lock()
		delete(a.hooks, key)
		a.mu.Unlock()
	}
}

// Close unmaps the memory and closes the memfd; processes that have it mapped keep their view
// of it. It is safe to call twice. Nobody may touch Bytes during or after it.
func (a *Arena) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	hooks := a.hooks
	a.hooks = nil
	a.mu.Unlock()
	for _, hook := range hooks {
		hook()
	}
	return a.release()
}
