package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/wire/shm"
)

// Reasons why frames, or a capsule's share of them, are missing from results.
const (
	DropLate   = "late"    // live: a newer frame replaced it
	DropNoSlot = "no_slot" // no memory was free for it
	DropEvery  = "every"   // the job asked for every n-th frame only
	// A capsule that failed on a frame is counted as "<capsule>: <kind of fault>".
)

// Result is one frame when every capsule is done with it. It holds the picture until Release.
type Result struct {
	Frame   core.Frame
	Nodes   []*core.Node      // in the order in which they were found
	Drops   map[string]uint64 // what was dropped since the result before, by reason
	Latency time.Duration     // from the frame's arrival in the session to the end of its last stage
	Times   []CallTime        // of capsules' calls, by stage, where Job.Times asks for them

	picture  Picture
	released atomic.Bool
}

// CallTime says when a capsule was called for a frame, and where the time went. Took is without
// Queue; it is Convert, the hand-off and Compute together.
type CallTime struct {
	Capsule string
	Stage   int       // from 0
	Began   time.Time // when the capsule was to be called; Queue comes first
	Queue   time.Duration
	Convert time.Duration
	Compute time.Duration
	Took    time.Duration
	Nodes   int // that it was given
	Err     error
}

// View gives the frame's pixels, valid until Release.
func (r *Result) View(formats []core.PixelFormat, size core.PictureSize) (shm.View, error) {
	if r.picture == nil || r.released.Load() {
		return shm.View{}, core.Faultf(core.Closed, "result", "", "the pixels of frame %d were given back", r.Frame.Seq)
	}
	return r.picture.View(formats, size)
}

// Release gives the picture's memory back. It is safe to call twice.
func (r *Result) Release() {
	if r.picture != nil && r.released.CompareAndSwap(false, true) {
		r.picture.Release()
	}
}
