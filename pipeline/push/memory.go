package push

import (
	"os"
	"slices"
	"sync"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// blockSlots is how many pictures share an arena: fewer would cost a descriptor each, more would
// take longer to be given back after a change of size.
const blockSlots = 8

// memory is slots of any size in arenas, up to a limit. It lives until it is closed and every
// slot was given back.
type memory struct {
	limit int64

	mu     sync.Mutex
	blocks []*block
	used   int64 // bytes of blocks
	slots  int   // in use
	closed bool
}

// block is one arena with slots of one size.
type block struct {
	arena   *shm.Arena
	size    int64 // of a slot
	free    []int // a stack: the slot that was freed last is still in the cache
	slots   int
	retired bool // gives no more slots, and goes when the last one is back
}

// slot is a place for one picture. A nil slot can be given back.
type slot struct {
	memory *memory
	block  *block
	index  int
	offset int64
}

func (s *slot) bytes() []byte { return s.block.arena.Bytes() }

func newMemory(limit int64) *memory { return &memory{limit: limit} }

var pageSize = int64(os.Getpagesize())

// take gives a slot of at least size bytes, nil when all memory is in use. A picture that could
// never fit is a fault of kind Exhausted, and so is memory that the system does not give.
func (m *memory) take(size int64) (*slot, error) {
	size = (size + pageSize - 1) / pageSize * pageSize
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.limit {
		f := core.Faultf(core.Exhausted, "push", "", "a picture of %d bytes does not fit into %d bytes of memory", size, m.limit)
		f.Hint = "raise Config.Memory, of which this is one half"
		return nil, f
	}
	for _, b := range m.blocks {
		if b.size == size && !b.retired && len(b.free) > 0 {
			return m.popLocked(b), nil
		}
	}
	b, err := m.growLocked(size)
	if b == nil || err != nil {
		return nil, err
	}
	return m.popLocked(b), nil
}

func (m *memory) popLocked(b *block) *slot {
	i := b.free[len(b.free)-1]
	b.free = b.free[:len(b.free)-1]
	m.slots++
	return &slot{memory: m, block: b, index: i, offset: int64(i) * b.size}
}

// growLocked adds a block, in place of idle ones of other sizes when there is no room beside them.
func (m *memory) growLocked(size int64) (*block, error) {
	if m.limit-m.used < size*blockSlots {
		for _, b := range slices.Clone(m.blocks) {
			if b.idle() && b.size != size {
				m.dropLocked(b)
			}
		}
	}
	n := int(min(blockSlots, (m.limit-m.used)/size))
	if n == 0 {
		return nil, nil
	}
	a, err := shm.Create(int64(n) * size)
	if err != nil {
		return nil, err
	}
	b := &block{arena: a, size: size, slots: n}
	for i := n - 1; i >= 0; i-- {
		b.free = append(b.free, i)
	}
	m.blocks = append(m.blocks, b)
	m.used += int64(n) * size
	return b, nil
}

func (b *block) idle() bool { return len(b.free) == b.slots }

func (m *memory) dropLocked(b *block) {
	_ = b.arena.Close() // unmapping our own memory cannot fail
	m.used -= int64(b.slots) * b.size
	m.blocks = slices.DeleteFunc(m.blocks, func(x *block) bool { return x == b })
}

// give gives the slot back.
func (s *slot) give() {
	if s == nil {
		return
	}
	m, b := s.memory, s.block
	m.mu.Lock()
	defer m.mu.Unlock()
	b.free = append(b.free, s.index)
	m.slots--
	if b.retired && b.idle() {
		m.dropLocked(b)
	}
	m.endLocked()
}

// retire has every block go as soon as its slots are back: pictures have another size from now on.
func (m *memory) retire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range slices.Clone(m.blocks) {
		if b.retired = true; b.idle() {
			m.dropLocked(b)
		}
	}
}

// close lets go of the memory when its last slot is back. Until then slots can be taken, for the
// views of pictures that are still held.
func (m *memory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.endLocked()
}

func (m *memory) endLocked() {
	if !m.closed || m.slots > 0 {
		return
	}
	for _, b := range slices.Clone(m.blocks) {
		m.dropLocked(b)
	}
}
