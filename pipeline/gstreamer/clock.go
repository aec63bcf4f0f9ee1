package gstreamer

import (
	"time"

	"github.com/capstan-video/capstan/core"
)

// defaultPeriod stands between frames of a source that has neither time stamps nor a rate.
const defaultPeriod = 40 * time.Millisecond

// jump is how far back a time stamp must go to be a new beginning and not a muddle.
const jump = time.Second

// clock makes PTS from what a source says: the first is 0, and each is above the one before.
type clock struct {
	begun  bool
	offset time.Duration // PTS - source time
	last   time.Duration
}

// next gives the PTS of a frame with the source's time raw, below 0 if it has none, period
// after the frame before if that must be guessed.
func (c *clock) next(raw, period time.Duration) core.PTS {
	if period <= 0 {
		period = defaultPeriod
	}
	switch {
	case !c.begun:
		c.begun = true
		c.offset = -max(raw, 0)
	case raw < 0:
		c.last += period
	case raw+c.offset <= c.last-jump:
		c.last += period
		c.offset = c.last - raw
	default:
		c.last = max(raw+c.offset, c.last+time.Microsecond)
	}
	return core.PTS(c.last)
}
