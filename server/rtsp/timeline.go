package rtsp

import (
	"time"

	"github.com/capstan-video/capstan/pipeline"
)

const (
	// catchUp is how long it takes to be in step from behind, by playing so many times faster.
	catchUp = 2 * time.Second
	slowest = 4.0
	fastest = 16.0
)

// timeline says when the pictures of a file are due that is played over and over. Time goes on from
// round to round, and whenever it comes to be in step with another player.
type timeline struct {
	offset uint32        // of RTP's time stamps
	epoch  time.Time     // when that was
	zero   time.Time     // when the beginning of the file is due in this round
	late   time.Duration // by which all is sent later than it says; only out of step

	begin time.Duration // where the first picture of the file is

	// Behind, pictures are due at from + (place - start) / speed, until that is before zero + place.
	from  time.Time
	start time.Duration
	speed float64

	latest  time.Time     // when the latest picture of those sent is shown
	end     time.Duration // its place in this round
	decoded time.Duration // DTS of the picture before in this round; below 0: there was none
	period  time.Duration // between the last two
}

// first begins with the first picture of the file, which is to be sent now.
func (t *timeline) first(now time.Time, u pipeline.AccessUnit) {
	t.begin, t.epoch, t.zero = u.At, now, now.Add(max(0, u.PTS-u.DTS))
	t.speed, t.period, t.decoded = 1, 40*time.Millisecond, -1
}

// again begins another round, one period after the last picture of the round before.
func (t *timeline) again() {
	next := t.latest.Add(t.period)
	if least := t.zero.Add(shortest); next.Before(least) {
		next = least
	}
	t.zero, t.speed = next, 1
	t.opened()
}

// opened notes that the next picture does not come behind the last one in the file.
func (t *timeline) opened() { t.end, t.decoded = 0, -1 }

// place gives where in the file a picture is shown, and where it is decoded.
func (t *timeline) place(u pipeline.AccessUnit) (shown, decoded time.Duration) {
	shown = u.At - t.begin
	return shown, shown - max(0, u.PTS-u.DTS)
}

// join has the file begin at another time, from a picture on that comes next. What is behind then is
// played faster; what is ahead waits. Nothing is due before what was sent.
func (t *timeline) join(now, zero time.Time, u pipeline.AccessUnit) {
	t.zero, t.late, t.from = zero, 0, now
	if after := t.latest.Add(time.Millisecond); t.from.Before(after) {
		t.from = after
	}
	_, t.start = t.place(u)
	behind := t.from.Sub(t.zero.Add(t.start))
	t.speed = min(max(slowest, behind.Seconds()/catchUp.Seconds()), fastest)
}

// due gives when a place in the file is.
func (t *timeline) due(at time.Duration) time.Time {
	steady := t.zero.Add(at)
	if t.speed > 1 {
		if hurried := t.from.Add(time.Duration(float64(at-t.start) / t.speed)); hurried.After(steady) {
			return hurried
		}
	}
	return steady
}

// at gives when a picture is to be sent, and its RTP time stamp: of when it is shown.
func (t *timeline) at(u pipeline.AccessUnit) (time.Time, uint32) {
	place, decoded := t.place(u)
	if t.decoded >= 0 && u.DTS > t.decoded {
		t.period = u.DTS - t.decoded
	}
	t.decoded = u.DTS
	shown := t.due(place)
	if shown.After(t.latest) {
		t.latest = shown
	}
	t.end = max(t.end, place)
	return t.due(decoded).Add(t.late), t.offset + uint32(int64(shown.Sub(t.epoch))*9/100_000) // 90 kHz; it wraps around
}

// slip puts off everything to come.
func (t *timeline) slip(d time.Duration) { t.late += d }
