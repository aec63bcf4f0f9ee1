package track

import (
	"math"

	"github.com/capstan-video/capstan/core"
)

// axis is a Kalman filter of one coordinate with constant velocity: position in pixels,
// velocity in pixels a second, and their covariance. The four coordinates of a box do not
// mix, so four of these are the usual filter of eight dimensions at a tenth of its price.
type axis struct {
	pos, vel   float64
	pp, pv, vv float64 // covariance
}

// motion is where a box is going: centre, width and height.
type motion struct{ x, y, w, h axis }

// The noise of the model, relative to the height of the box, tuned over all test sequences
// together.
const (
	walk      = 0.2   // position: standard deviation after one second, beside that from the velocity
	swerve    = 0.6   // velocity: standard deviation of its change in one second, heights a second
	firstGo   = 1.2   // velocity of a box seen once
	unsure    = 0.055 // of a measured position
	unsureLow = 2     // so much more for a detection of no confidence
)

func startMotion(b core.Box) motion {
	h := math.Max(b.Height(), 1)
	start := func(pos float64) axis {
		return axis{pos: pos, pp: sq(2 * unsure * h), vv: sq(firstGo * h)}
	}
	c := b.Center()
	return motion{x: start(c.X), y: start(c.Y), w: start(b.Width()), h: start(b.Height())}
}

func sq(x float64) float64 { return x * x }

// predict moves the filter on by dt seconds.
func (a *axis) predict(dt, height float64) {
	a.pos += a.vel * dt
	q := sq(swerve*height) * dt
	a.pp += 2*dt*a.pv + dt*dt*a.vv + q*dt*dt/3 + sq(walk*height)*dt
	a.pv += dt*a.vv + q*dt/2
	a.vv += q
}

// correct takes in a measured position with a variance.
func (a *axis) correct(measured, variance float64) {
	s := a.pp + variance
	kp, kv := a.pp/s, a.pv/s
	d := measured - a.pos
	a.pos += kp * d
	a.vel += kv * d
	a.vv -= kv * a.pv
	a.pv -= kp * a.pv
	a.pp -= kp * a.pp
}

// predict moves the box on by dt seconds. A box that was not seen keeps its size: what its
// size did last is no guide for longer than a frame or two.
func (m *motion) predict(dt float64, seen bool) {
	h := math.Max(m.h.pos, 1)
	if !seen {
		m.w.vel, m.h.vel = 0, 0
	}
	for _, a := range []*axis{&m.x, &m.y, &m.w, &m.h} {
		a.predict(dt, h)
	}
}

// correct takes in a measured box; score is the detector's confidence in it.
func (m *motion) correct(b core.Box, score float64) {
	h := math.Max(m.h.pos, 1)
	v := sq(unsure * h * (1 + (unsureLow-1)*(1-score)))
	c := b.Center()
	m.x.correct(c.X, v)
	m.y.correct(c.Y, v)
	m.w.correct(b.Width(), v)
	m.h.correct(b.Height(), v)
}

// box gives the expected box; it has at least one pixel each way.
func (m *motion) box() core.Box {
	w, h := math.Max(m.w.pos, 1), math.Max(m.h.pos, 1)
	return core.Box{X1: m.x.pos - w/2, Y1: m.y.pos - h/2, X2: m.x.pos + w/2, Y2: m.y.pos + h/2}
}
