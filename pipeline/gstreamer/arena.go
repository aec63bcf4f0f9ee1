package gstreamer

// #include "bus.h"
import "C"

import (
	"os"
	"runtime/cgo"
	"sync"
	"unsafe"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
	"github.com/hashicorp/go-hclog"
)

// Slots of an arena. What decoders write: 16 reference pictures at most, 2 threads, 3 in the
// sink, and what the session has in flight. Memory is taken only when a slot is first written,
// and the slot freed last is used first, so a stream takes what it uses.
const (
	nativeSlots  = 32
	variantSlots = 16
	extraSlots   = 8
	maxExtras    = 8

	// Very large pictures get fewer slots: address space is not without end.
	nativeLimit, fewestNatives   = 1 << 30, 12
	variantLimit, fewestVariants = 1 << 29, 4
)

// slotsFor gives how many slots of size bytes there are: most, or what the limit allows.
func slotsFor(most, fewest int, limit, size int64) int {
	return max(fewest, min(most, int(limit/size)))
}

// arena is one shared block and its slots. C counts who uses it: the stream, the decoder's
// pool, every frame and every slot. The last of them closes the block, by busArenaGone.
type arena struct {
	block *shm.Arena
	c     *C.bus_arena
	log   hclog.Logger
}

func newArena(log hclog.Logger, natives int, nativeSize int64, variants int, variantSize int64) (*arena, error) {
	block, err := shm.Create(int64(natives)*nativeSize + int64(variants)*variantSize)
	if err != nil {
		return nil, err
	}
	a := &arena{block: block, log: log}
	a.c = C.bus_arena_new(unsafe.Pointer(&block.Bytes()[0]), C.int(natives), C.int64_t(nativeSize),
		C.int(variants), C.int64_t(variantSize), C.uintptr_t(cgo.NewHandle(a)))
	return a, nil
}

//export busArenaGone
func busArenaGone(handle C.uintptr_t) {
	h := cgo.Handle(handle)
	a := h.Value().(*arena)
	h.Delete()
	if err := a.block.Close(); err != nil {
		a.log.Error("close arena", "arena", a.block.ID(), "error", err)
	}
}

// arenaOf finds the arena of a frame; the frame keeps it alive.
func arenaOf(handle C.uintptr_t) *arena { return cgo.Handle(handle).Value().(*arena) }

// slot is a place for one picture. It keeps its arena alive until it is given back.
type slot struct {
	arena  *arena
	set    C.int
	offset int64
}

func (s slot) give() { C.bus_slot_give(s.arena.c, s.set, C.int64_t(s.offset)) }

func (a *arena) take(set C.int, size int64) (slot, bool) {
	at := C.bus_slot_take(a.c, set, C.int64_t(size))
	return slot{arena: a, set: set, offset: int64(at)}, at >= 0
}

// arenas is the memory of one stream: the current arena, which grows by being replaced (an
// epoch), and extra ones for when its slots are all in use.
type arenas struct {
	log hclog.Logger

	mu      sync.Mutex
	current *arena
	native  int64 // bytes of a native slot of current
	extras  []*arena
	epochs  int
	closed  bool
}

// need gives an arena whose native slots hold a picture of w by h that takes size bytes
// without padding. The caller owns one reference.
func (s *arenas) need(w, h int, size int64) (*arena, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, core.Faultf(core.Closed, "arena", "", "the stream is closed")
	}
	native := slotBytes(w, h, size)
	if s.current != nil && native <= s.native {
		C.gst_object_ref(C.gpointer(unsafe.Pointer(s.current.c)))
		return s.current, nil
	}
	variant := roundUp(3*int64(w)*int64(h), pageSize)
	a, err := newArena(s.log, slotsFor(nativeSlots, fewestNatives, nativeLimit, native), native,
		slotsFor(variantSlots, fewestVariants, variantLimit, variant), variant)
	if err != nil {
		return nil, err
	}
	s.dropLocked()
	s.current, s.native = a, native
	s.epochs++
	s.log.Debug("new arena", "arena", a.block.ID(), "epoch", s.epochs, "width", w, "height", h, "bytes", len(a.block.Bytes()))
	C.gst_object_ref(C.gpointer(unsafe.Pointer(a.c)))
	return a, nil
}

var pageSize = int64(os.Getpagesize())

// slotBytes leaves room for what decoders pad: width and height to 64, and 32 more on each.
func slotBytes(w, h int, size int64) int64 {
	padded := roundUp(int64(w)+32, 64) * roundUp(int64(h)+32, 64) * 3 / 2
	return roundUp(max(padded, size)+4096, pageSize)
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

//export busNeedArena
func busNeedArena(handle C.uintptr_t, w, h C.int, size C.int64_t) unsafe.Pointer {
	s := cgo.Handle(handle).Value().(*arenas)
	a, err := s.need(int(w), int(h), int64(size))
	if err != nil {
		s.log.Error("no shared memory for frames: they will be dropped", "error", err)
		return nil
	}
	return unsafe.Pointer(a.c)
}

// forCopy gives a slot for a frame that came in plain memory.
func (s *arenas) forCopy(size int64) (slot, bool) { return s.take(C.BUS_NATIVE, size) }

// forVariant gives a slot for a picture made of another one, with extra arenas up to their limit.
func (s *arenas) forVariant(size int64) (slot, bool) {
	if v, ok := s.take(C.BUS_VARIANT, size); ok {
		return v, true
	}
	if s.grow(size) != nil {
		return slot{}, false
	}
	return s.take(C.BUS_VARIANT, size)
}

func (s *arenas) take(set C.int, size int64) (slot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		if v, ok := s.current.take(set, size); ok {
			return v, true
		}
	}
	for _, a := range s.extras {
		if v, ok := a.take(C.BUS_VARIANT, size); ok {
			return v, true
		}
	}
	return slot{}, false
}

// grow adds an arena of a few slots of size bytes.
func (s *arenas) grow(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return core.Faultf(core.Closed, "arena", "", "the stream is closed")
	}
	if len(s.extras) >= maxExtras {
		return core.Faultf(core.Exhausted, "arena", "", "all slots and %d extra ones are held", maxExtras*extraSlots)
	}
	a, err := newArena(s.log, 0, pageSize, extraSlots, roundUp(size, pageSize))
	if err != nil {
		return err
	}
	s.extras = append(s.extras, a)
	s.log.Debug("extra arena", "arena", a.block.ID(), "slots", extraSlots, "bytes", size)
	return nil
}

// close lets go of the memory: each block is closed when the last picture in it is released.
func (s *arenas) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.dropLocked()
}

func (s *arenas) dropLocked() {
	if s.current != nil {
		C.bus_arena_unref(s.current.c)
		s.current = nil
	}
	for _, a := range s.extras {
		C.bus_arena_unref(a.c)
	}
	s.extras = nil
}

// unref gives back a reference that need gave.
func unref(a *arena) { C.bus_arena_unref(a.c) }
