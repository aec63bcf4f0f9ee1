package track

import (
	"math"

	"github.com/capstan-video/capstan/core"
)

// memory is the number of encodings over which a track's mean runs: about a second of video.
const memory = 25

// surely is the share of AppearanceDistance within which a detection is a lost track by its
// looks alone.
const surely = 0.75

// norm gives the length of an encoding; 0 when it has none that could be compared.
func norm(e core.Encoding) float64 {
	sum := 0.0
	for _, v := range e {
		sum += float64(v) * float64(v)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0
	}
	return math.Sqrt(sum)
}

// distance gives the cosine distance, 0 to 2, between an encoding of a length and the mean of
// the track; false where either is missing or they are of different encoders.
func (o *one) distance(e core.Encoding, length float64) (float64, bool) {
	if length == 0 || o.lookNorm == 0 || len(e) != len(o.look) {
		return 0, false
	}
	dot := 0.0
	for i, v := range e {
		dot += float64(v) * float64(o.look[i])
	}
	return max(0, 1-dot/(length*o.lookNorm)), true
}

// learn takes an encoding into the mean of the track.
func (o *one) learn(e core.Encoding, length float64) {
	if length == 0 {
		return
	}
	if len(e) != len(o.look) {
		o.look, o.looks = make([]float32, len(e)), 0
	}
	o.looks = min(o.looks+1, memory)
	share := 1 / float64(o.looks)
	for i, v := range e {
		o.look[i] += float32(share * (float64(v)/length - float64(o.look[i])))
	}
	o.lookNorm = norm(o.look)
}

// encoded measures the encodings of the detections.
func (t *Tracker) encoded(detections []Detection) {
	t.norms = zeroed(t.norms, len(detections))
	t.anyLooks = false
	if t.config.Appearance <= 0 {
		return
	}
	for i := range detections {
		t.norms[i] = norm(detections[i].Encoding)
		t.anyLooks = t.anyLooks || t.norms[i] > 0
	}
}

// recognise pairs detections with tracks that are lost by their looks alone, within reach of
// where they were expected.
func (t *Tracker) recognise(detections []Detection, tracks []*one, chosen []int) (rest []int) {
	if !t.anyLooks {
		return chosen
	}
	_, lost := seenLast(tracks)
	if len(lost) == 0 || len(chosen) == 0 {
		return chosen
	}
	limit := surely*t.config.AppearanceDistance + 1e-9
	cost := make([]float64, 0, len(lost)*len(chosen))
	for _, o := range lost {
		for _, d := range chosen {
			far, ok := o.distance(detections[d].Encoding, t.norms[d])
			if !ok || !o.reaches(detections[d].Box, t.now) || (o.class != detections[d].Class && !t.config.ClassAgnostic) {
				far = limit
			}
			cost = append(cost, far)
		}
	}
	taken := make([]bool, len(chosen))
	for _, p := range t.solver.Within(cost, len(lost), len(chosen), limit) {
		taken[p.Col] = true
		t.hit(lost[p.Row], detections[chosen[p.Col]], chosen[p.Col])
	}
	return left(chosen, taken)
}

// reaches says whether the track can have come to b: by its own size, and three times that for
// each second in which it was not seen.
func (o *one) reaches(b core.Box, now core.PTS) bool {
	from, to := o.box.Center(), b.Center()
	size := max(o.box.Width(), o.box.Height())
	return math.Hypot(to.X-from.X, to.Y-from.Y) <= size*(1+3*(now-o.seen).Seconds())
}
