package sdk

import (
	"context"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// arenas are the engine's arenas that are mapped here.
type arenas struct {
	mu     sync.Mutex
	known  map[uint64]*arena
	change chan struct{} // closed at the next offer; nil while nobody waits
}

type arena struct {
	mapping *shm.Mapping
	frames  int  // that are being worked on
	gone    bool // the engine has no more use for it
}

// add maps are idempotent: an arena that is known already stays as it is.
func (a *arenas) add(id uint64, m *shm.Mapping) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil {
		a.known = map[uint64]*arena{}
	}
	if a.known[id] != nil {
		m.Close()
		return
	}
	a.known[id] = &arena{mapping: m}
	if a.change != nil {
		close(a.change)
		a.change = nil
	}
}

// use gives the memory of an arena, which stays until release; it waits for one that is not
// there yet, at most as long as said.
func (a *arenas) use(ctx context.Context, id uint64, wait time.Duration) (mem []byte, release func(), err error) {
	if k, _ := a.find(id); k != nil {
		return k.mapping.Bytes(), func() { a.release(id, k) }, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		k, change := a.find(id)
		if k != nil {
			return k.mapping.Bytes(), func() { a.release(id, k) }, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, nil, core.Faultf(core.NotFound, "process", "", "arena %d is not known here", id)
		}
	}
}

// find counts a frame to the arena, or gives what is closed at the next offer.
func (a *arenas) find(id uint64) (*arena, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.known[id]; k != nil && !k.gone {
		k.frames++
		return k, nil
	}
	if a.change == nil {
		a.change = make(chan struct{})
	}
	return nil, a.change
}

func (a *arenas) release(id uint64, k *arena) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k.frames--
	a.unmapLocked(id, k)
}

func (a *arenas) gone(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.known[id]; k != nil {
		k.gone = true
		a.unmapLocked(id, k)
	}
}

func (a *arenas) unmapLocked(id uint64, k *arena) {
	if k.gone && k.frames == 0 {
		k.mapping.Close()
		delete(a.known, id)
	}
}

// Bounds of the answers that wait to be fetched.
const (
	maxAnswers     = 64
	maxAnswerBytes = 2 * wire.MessageLimit
)

// answers are those that did not fit into a packet.
type answers struct {
	mu      sync.Mutex
	order   []uint64
	waiting map[uint64]largeAnswer
	bytes   int
	dropped int
}

type largeAnswer struct {
	answer *wire.FrameAnswer
	bytes  int
}

// put keeps an answer until it is taken. The oldest ones give way when there are too many; it
// returns how many have so far, 0 when this call dropped none.
func (a *answers) put(m *wire.FrameAnswer, bytes int) (dropped int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[uint64]largeAnswer{}
	}
	before := a.dropped
	for len(a.order) > 0 && (len(a.order) >= maxAnswers || a.bytes+bytes > maxAnswerBytes) {
		a.removeLocked(a.order[0])
		a.dropped++
	}
	a.order = append(a.order, m.GetCall())
	a.waiting[m.GetCall()] = largeAnswer{m, bytes}
	a.bytes += bytes
	if a.dropped == before {
		return 0
	}
	return a.dropped
}

func (a *answers) take(call uint64) (*wire.FrameAnswer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.waiting[call]
	if ok {
		a.removeLocked(call)
	}
	return l.answer, ok
}

func (a *answers) removeLocked(call uint64) {
	a.bytes -= a.waiting[call].bytes
	delete(a.waiting, call)
	for i, c := range a.order {
		if c == call {
			a.order = append(a.order[:i], a.order[i+1:]...)
			return
		}
	}
}
