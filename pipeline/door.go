package pipeline

import (
	"slices"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// Reasons why a capsule was not called for a frame.
const (
	SkipEveryN = "every_n" // it wants every n-th frame only
	SkipGate   = "gate"    // its gate was shut
)

// door is the gate of a capsule in one session. Frames come to it in order, through the
// turnstile; the lock is for frames that a closing session lets through all at once.
type door struct {
	gate core.Gate

	mu        sync.Mutex
	seen, ran core.PTS // of the last frame with the class, of the last that was let through
	everSeen  bool
	everRan   bool
}

// rateSlack is how much earlier than AtLeast a frame may come: the PTS of a steady rate are rounded.
const rateSlack = core.PTS(time.Millisecond)

// open notes whether a frame has a node of the class, and says whether it may pass.
func (d *door) open(pts core.PTS, found bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found {
		d.seen, d.everSeen = pts, true
	}
	held := d.everSeen && pts-d.seen <= core.PTS(d.gate.Hold)
	due := d.gate.AtLeast > 0 && (!d.everRan || pts-d.ran >= core.PTS(d.gate.AtLeast)-rateSlack)
	return held || due
}

// pass notes that a frame was let through.
func (d *door) pass(pts core.PTS) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran, d.everRan = pts, true
}

// skips says why the capsule is not to be called for the frame; empty when it is.
func (w *walk) skips(st *station) string {
	shut := false
	if st.door != nil && w.route.plan.GateWorks(st.name) {
		shut = !st.door.open(w.frame.PTS, w.has(st.decl.Gate.Class, st.name))
	}
	switch {
	case w.ticket%uint64(st.everyN) != 0:
		return SkipEveryN
	case shut:
		return SkipGate
	}
	if st.door != nil {
		st.door.pass(w.frame.PTS)
	}
	return ""
}

// has says whether the frame has a node of the class that another capsule made.
func (w *walk) has(class, name string) bool {
	return class != "" && slices.ContainsFunc(w.nodes, func(n *core.Node) bool { return n.Class == class && n.Origin != name })
}
