package track

import (
	"math"
	"time"

	"github.com/capstan-video/capstan/core"
)

// sight is where a track was seen, and when.
type sight struct {
	at  core.PTS
	box core.Box
}

// remembered bounds the sights that a track keeps; DeltaT bounds them too.
const remembered = 128

// mostSteps bounds the frames that a track relives after a gap.
const mostSteps = 64

// DefaultObserved gives the settings of OC-SORT that the tests hold to.
func DefaultObserved() Config {
	c := Default()
	c.Observed, c.DeltaT, c.Inertia = true, 200*time.Millisecond, 0.2
	return c
}

// remember keeps a sight, and the filter as it is after it.
func (o *one) remember(b core.Box, now core.PTS, span time.Duration) {
	o.past = append(o.past, sight{now, b})
	drop := 0
	for len(o.past)-drop > 2 && (time.Duration(now-o.past[drop].at) > span || len(o.past)-drop > remembered) {
		drop++
	}
	o.past = append(o.past[:0], o.past[drop:]...)
	o.saved = o.motion
}

// lastBox gives where the track was seen last.
func (o *one) lastBox() core.Box {
	if len(o.past) == 0 {
		return o.box
	}
	return o.past[len(o.past)-1].box
}

// ahead says how well a box lies in the direction in which the track was seen to go: from -0.5
// behind to 0.5 ahead, as the cosine of the angle, and nearer to 0 the less the track moved.
func (o *one) ahead(b core.Box) float64 {
	if len(o.past) < 2 {
		return 0
	}
	from, to := o.past[0].box.Center(), o.lastBox().Center()
	c := b.Center()
	vx, vy, dx, dy := to.X-from.X, to.Y-from.Y, c.X-from.X, c.Y-from.Y
	v, d := math.Sqrt(vx*vx+vy*vy), math.Sqrt(dx*dx+dy*dy)
	if v == 0 || d == 0 {
		return 0
	}
	clear := min(1, v/(moved*max(o.lastBox().Height(), 1)))
	return clear * 0.5 * (vx*dx + vy*dy) / (v * d)
}

// moved is the way, in heights of the box, from which a direction is beyond doubt.
const moved = 0.2

// relive runs the filter again over a gap, as if the track had been seen on the straight line
// from its last sight to b: what the filter made up in the gap is forgotten.
func (o *one) relive(b core.Box, now core.PTS) {
	if len(o.past) == 0 || o.missed == 0 {
		return
	}
	last := o.past[len(o.past)-1]
	gap := (now - last.at).Seconds()
	if gap <= 0 {
		return
	}
	steps := min(o.missed+1, mostSteps)
	o.motion = o.saved
	for i := 1; i <= steps; i++ {
		o.motion.predict(gap/float64(steps), true)
		if i < steps {
			o.motion.correct(between(last.box, b, float64(i)/float64(steps)), 1)
		}
	}
}

// between gives the box at a share of the way from a to b.
func between(a, b core.Box, share float64) core.Box {
	mix := func(x, y float64) float64 { return x + share*(y-x) }
	return core.Box{X1: mix(a.X1, b.X1), Y1: mix(a.Y1, b.Y1), X2: mix(a.X2, b.X2), Y2: mix(a.Y2, b.Y2)}
}

// shift moves all that is known of the track's place.
func (o *one) shift(x, y float64) {
	for _, m := range []*motion{&o.motion, &o.saved} {
		m.x.pos += x
		m.y.pos += y
	}
	o.box = shifted(o.box, x, y)
	for i := range o.past {
		o.past[i].box = shifted(o.past[i].box, x, y)
	}
}

func shifted(b core.Box, x, y float64) core.Box {
	return core.Box{X1: b.X1 + x, Y1: b.Y1 + y, X2: b.X2 + x, Y2: b.Y2 + y}
}
