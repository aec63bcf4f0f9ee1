package track

import (
	"slices"

	"github.com/capstan-video/capstan/core"
)

// fewest is the number of tracks that must move alike before it is the camera that moves.
const fewest = 4

// steady moves all tracks by what the camera moved since the frame before, as far as the
// tracks' own velocities do not tell: the median way from where tracks that were just seen are
// expected to the detections that overlap them.
func (t *Tracker) steady(detections []Detection, high []int) {
	var dx, dy []float64
	t.grown = t.grown[:0]
	for _, d := range high {
		t.grown = append(t.grown, grown(detections[d].Box, 0.2))
	}
	for _, o := range t.tracks {
		if !o.confirmed || !o.fresh {
			continue
		}
		best, overlap := -1, 0.0
		box := grown(o.box, 0.2)
		for i, d := range high {
			if v := IoU(box, t.grown[i]); v > overlap && detections[d].Class == o.class {
				best, overlap = d, v
			}
		}
		if best < 0 || overlap < 0.15 {
			continue
		}
		a, b := o.box.Center(), detections[best].Box.Center()
		dx, dy = append(dx, b.X-a.X), append(dy, b.Y-a.Y)
	}
	if len(dx) < fewest {
		return
	}
	slices.Sort(dx)
	slices.Sort(dy)
	x, y := dx[len(dx)/2], dy[len(dy)/2]
	for _, o := range t.tracks {
		o.motion.x.pos += x
		o.motion.y.pos += y
		o.box = core.Box{X1: o.box.X1 + x, Y1: o.box.Y1 + y, X2: o.box.X2 + x, Y2: o.box.Y2 + y}
	}
}
