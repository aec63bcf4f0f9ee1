package rtsp

import (
	"time"

	"github.com/capstan-video/capstan/pipeline"
)

// timeline lays the times of a file that is played over and over behind each other.
type timeline struct {
	offset uint32    // of RTP's time stamps
	began  time.Time // when the first picture was due

	base   time.Duration // when this round began
	first  time.Duration // DTS of its first picture
	last   time.Duration // DTS of the picture before, from first
	period time.Duration // between the last two
}

// start begins with a picture.
func (t *timeline) start(now time.Time, u pipeline.AccessUnit) {
	t.began, t.first, t.period = now, u.DTS, 40*time.Millisecond
}

// again begins another round with a picture, one period after the last of the round before.
func (t *timeline) again(u pipeline.AccessUnit) {
	t.base += max(t.last+t.period, shortest)
	t.first, t.last = u.DTS, 0
}

// at gives when a picture is due, and its RTP time stamp: of when it is shown.
func (t *timeline) at(u pipeline.AccessUnit) (time.Time, uint32) {
	d := u.DTS - t.first
	if d > t.last {
		t.period = d - t.last
	}
	t.last = d
	shown := t.base + u.PTS - t.first
	return t.began.Add(t.base + d), t.offset + uint32(int64(shown)*9/100_000) // 90 kHz; it wraps around
}

// slip puts off everything to come.
func (t *timeline) slip(d time.Duration) { t.began = t.began.Add(d) }
