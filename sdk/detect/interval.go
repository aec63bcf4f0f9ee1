package detect

import (
	"runtime"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk"
)

// Interval picks the frames of a stream that are at least a time apart, for a capsule whose
// processors each see some of them: the first frame of every span of that length. Where that one
// was dropped, a later frame of the span stands in for it.
type Interval struct {
	every time.Duration

	mu   sync.Mutex
	done int64 // the last span that a frame was taken for
}

var intervals sync.Map // of *Interval by intervalKey; one for each stream and length that was ever used

type intervalKey struct {
	stream core.StreamID
	every  time.Duration
}

// IntervalOf gives the interval that all processors of a stream share. Every frame is due where
// every is 0.
func IntervalOf(stream core.StreamID, every time.Duration) *Interval {
	i, _ := intervals.LoadOrStore(intervalKey{stream, every}, &Interval{every: every, done: -1})
	return i.(*Interval)
}

// Due says whether f is to be looked at.
func (i *Interval) Due(f *sdk.Frame) bool {
	if i.every <= 0 {
		return true
	}
	fps := f.Caps().FPS()
	if fps <= 0 {
		fps = 25
	}
	pts, frame := time.Duration(f.PTS()), time.Duration(float64(time.Second)/fps)
	span := int64(pts / i.every)
	late := int((pts - time.Duration(span)*i.every) / max(frame, 1))
	i.mu.Lock()
	defer i.mu.Unlock()
	// The frames that may be in work at once are not yet known to be missing their first.
	if late > 0 && (span == i.done || late < runtime.GOMAXPROCS(0)) {
		return false
	}
	i.done = span
	return true
}
