package service

import (
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// clockWindow is over how long the earliest frame says where a file stands: frames come late now and
// then, and never early.
const clockWindow = 2 * time.Second

// Round is one time that a file is played that is analysed.
type Round struct {
	Number uint64    // no two rounds have the same, of whichever streams
	Zero   time.Time // when the beginning of the file was due
	Over   bool      // the file is at its end; another round is about to begin
}

// Clocks tell where the files stand that are analysed, so that they can be shown in step. They may be
// used from several goroutines. Their zero value is ready.
type Clocks struct {
	Now func() time.Time // nil: time.Now

	mu     sync.Mutex
	rounds uint64
	all    map[core.StreamID]*clock
}

// clock is that of one opened file.
type clock struct {
	of *Clocks
	id core.StreamID

	// The lock of of is held.
	opened time.Time // for the round; its first frame was there
	round  uint64
	frames int // of the round
	over   bool
	now    time.Time // the earliest that the round can have begun, by the frames since turned
	before time.Time // and by those of the window before
	turned time.Time
}

// Round gives the round that a stream is in. False when it is not analysed, is no file, or has not
// begun.
func (c *Clocks) Round(n core.StreamNumber) (Round, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.all[streamID(n)]
	if k == nil || k.frames == 0 {
		return Round{}, false
	}
	zero := k.now
	if k.before.Before(zero) {
		zero = k.before
	}
	return Round{Number: k.round, Zero: zero, Over: k.over}, true
}

// open gives the clock of a file that is opened. It takes the place of the one of its stream.
func (c *Clocks) open(id core.StreamID) *clock {
	k := &clock{of: c, id: id, opened: c.time()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[core.StreamID]*clock{}
	}
	c.all[id] = k
	return k
}

func (c *Clocks) time() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// frame notes that the frame at a place in the file has come.
func (k *clock) frame(at core.PTS) {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	now := k.of.time()
	zero := now.Add(-time.Duration(at))
	switch {
	case k.frames == 0 || k.over:
		if k.opened.Before(zero) { // the first frame has waited for the session to begin
			zero = k.opened
		}
		k.of.rounds++
		k.round, k.frames, k.over = k.of.rounds, 0, false
		k.now, k.before, k.turned = zero, zero, now
	case now.Sub(k.turned) >= clockWindow:
		k.before, k.now, k.turned = k.now, zero, now
	case zero.Before(k.now):
		k.now = zero
	}
	k.frames++
}

// again notes that the file was opened anew.
func (k *clock) again() {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	k.opened = k.of.time()
}

// end notes that the file is at its end.
func (k *clock) end() {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	k.over = true
}

// close takes the clock away.
func (k *clock) close() {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	if k.of.all[k.id] == k {
		delete(k.of.all, k.id)
	}
}
