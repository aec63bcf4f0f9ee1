package track

import "slices"

// fewest is the number of tracks that must move alike before it is the camera that moves.
const fewest = 4

// asked is the number of tracks from which not every one is asked: their median is as good.
const asked = 64

// steady moves all tracks by what the camera moved since the frame before, as far as the
// tracks' own velocities do not tell: the median way from where tracks that were just seen are
// expected to the detections that overlap them.
func (t *Tracker) steady(detections []Detection, high []int) {
	var dx, dy []float64
	near := &t.pairing.row
	near.set(detections, high, 0.2)
	for i := 0; i < len(t.tracks); i += 1 + len(t.tracks)/asked {
		o := t.tracks[i]
		if !o.confirmed || !o.fresh {
			continue
		}
		best, overlap := -1, 0.0
		box := grown(o.box, 0.2)
		for _, c := range near.beside(box) {
			if v := IoU(box, c.box); v > overlap && detections[high[c.place]].Class == o.class {
				best, overlap = high[c.place], v
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
		o.shift(x, y)
	}
}
