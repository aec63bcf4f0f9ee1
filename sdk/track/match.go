package track

import (
	"slices"

	"github.com/capstan-video/capstan/core"
)

// rule says how tracks and detections are paired.
type rule struct {
	least    float64 // overlap that a pair must have
	last     bool    // overlap with where the track was seen last, not with where it is expected
	directed bool    // detections in the direction of the track are preferred
	looks    bool    // encodings count
}

// edge is a pair that may be one; both are places in the lists that are matched.
type edge struct {
	track, detection int
	cost             float64
	next             int // another edge of the same detection, -1 for none
}

// placed is a detection's box, made larger, and its place in the list that is matched.
type placed struct {
	box   core.Box
	left  float64 // edge of the box as it was detected
	place int
}

// started is where a detection begins from the left.
type started struct {
	left      float64
	detection int
}

// row holds boxes sorted by their left edges, so that a box is compared with those beside it alone.
type row struct {
	order  []started // all detections of the frame
	places []int     // of a detection: its place in the list that is matched and 1, 0 for none
	boxes  []placed
	widest float64 // of the boxes
	share  float64 // by which they were made larger on each side
}

// sort takes the detections of a frame that have a place.
func (r *row) sort(detections []Detection, lists ...[]int) {
	r.order, r.places = r.order[:0], zeroed(r.places, len(detections))
	for _, chosen := range lists {
		for _, d := range chosen {
			r.order = append(r.order, started{detections[d].Box.X1, d})
		}
	}
	slices.SortFunc(r.order, func(a, b started) int {
		switch {
		case a.left < b.left:
			return -1
		case a.left > b.left:
			return 1
		}
		return a.detection - b.detection
	})
}

// set takes those detections that are matched now.
func (r *row) set(detections []Detection, chosen []int, share float64) {
	r.boxes, r.widest, r.share = r.boxes[:0], 0, share
	for i, d := range chosen {
		r.places[d] = i + 1
	}
	for _, s := range r.order {
		if r.places[s.detection] == 0 {
			continue
		}
		b := grown(detections[s.detection].Box, share)
		r.boxes = append(r.boxes, placed{b, s.left, r.places[s.detection] - 1})
		r.widest = max(r.widest, b.Width())
		r.places[s.detection] = 0
	}
}

// beside gives the boxes that may overlap b.
func (r *row) beside(b core.Box) []placed {
	from := r.search(b.X1 - r.widest)
	to := from
	for limit := b.X2 + r.share*r.widest; to < len(r.boxes) && r.boxes[to].left <= limit; {
		to++
	}
	return r.boxes[from:to]
}

// search gives the first box that begins at x or behind it.
func (r *row) search(x float64) int {
	lo, hi := 0, len(r.boxes)
	for lo < hi {
		if mid := (lo + hi) / 2; r.boxes[mid].left < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// pairing is the memory of match between calls.
type pairing struct {
	row   row
	edges []edge
	first []int // of a track: its first edge, they stand together; one more at the end
	head  []int // of a detection: its first edge, -1 for none

	trackDone, detectionDone []bool // they belong to a group already
	takenTrack, taken        []bool // they are paired
	slot                     []int  // of a detection: its column in the group
	rows, cols               []int  // of the group
	cost                     []float64
}

// match pairs tracks with detections by a rule and gives back what is left of both. Pairs are
// looked for within groups of tracks and detections that touch each other: the best pairs of
// all groups are the best pairs, and groups are small where a frame is large.
func (t *Tracker) match(detections []Detection, tracks []*one, chosen []int, r rule) (restTracks []*one, rest []int) {
	if len(tracks) == 0 || len(chosen) == 0 {
		return tracks, chosen
	}
	p := &t.pairing
	limit := t.consider(detections, tracks, chosen, r)
	p.takenTrack, p.taken = zeroed(p.takenTrack, len(tracks)), zeroed(p.taken, len(chosen))
	p.trackDone, p.detectionDone = zeroed(p.trackDone, len(tracks)), zeroed(p.detectionDone, len(chosen))
	p.slot = zeroed(p.slot, len(chosen))
	for i := range tracks {
		if p.trackDone[i] || p.first[i] == p.first[i+1] {
			continue
		}
		p.gather(i)
		p.price(limit)
		for _, pair := range t.solver.Within(p.cost, len(p.rows), len(p.cols), limit) {
			a, b := p.rows[pair.Row], p.cols[pair.Col]
			p.takenTrack[a], p.taken[b] = true, true
			t.hit(tracks[a], detections[chosen[b]], chosen[b])
		}
	}
	return left(tracks, p.takenTrack), left(chosen, p.taken)
}

// consider lists the pairs that the rule allows and gives the cost that is above all of them.
func (t *Tracker) consider(detections []Detection, tracks []*one, chosen []int, r rule) (limit float64) {
	p := &t.pairing
	p.row.set(detections, chosen, t.config.Buffer)
	p.edges, p.first, p.head = p.edges[:0], p.first[:0], zeroed(p.head, len(chosen))
	for i := range p.head {
		p.head[i] = -1
	}
	limit = 1 - max(r.least, 0)
	for i, o := range tracks {
		p.first = append(p.first, len(p.edges))
		box := o.box
		if r.last {
			box = o.lastBox()
		}
		box = grown(box, t.config.Buffer)
		for _, c := range p.row.beside(box) {
			overlap := IoU(box, c.box)
			if overlap == 0 || overlap < r.least-1e-9 {
				continue
			}
			d := chosen[c.place]
			cost, ok := t.cost(o, detections, d, overlap, r)
			if !ok {
				continue
			}
			p.edges = append(p.edges, edge{track: i, detection: c.place, cost: cost, next: p.head[c.place]})
			p.head[c.place] = len(p.edges) - 1
			limit = max(limit, cost)
		}
	}
	p.first = append(p.first, len(p.edges))
	return limit + 1e-9
}

// cost gives what a pair with an overlap costs, false where it can not be one.
func (t *Tracker) cost(o *one, detections []Detection, d int, overlap float64, r rule) (float64, bool) {
	det := &detections[d]
	if o.class != det.Class && !t.config.ClassAgnostic {
		return 0, false
	}
	cost := 1 - overlap
	if r.looks && t.config.Appearance > 0 {
		if far, ok := o.distance(det.Encoding, t.norms[d]); ok {
			if far > t.config.AppearanceDistance {
				return 0, false
			}
			w := t.config.Appearance
			cost = (1-w)*cost + w*far/max(t.config.AppearanceDistance, 1e-9)
		}
	}
	if r.directed {
		cost -= t.config.Inertia * det.Score * o.ahead(det.Box)
	}
	return cost, true
}

// gather finds the group of a track: all tracks and detections that edges join to it.
func (p *pairing) gather(track int) {
	p.rows, p.cols = append(p.rows[:0], track), p.cols[:0]
	p.trackDone[track] = true
	for at := 0; at < len(p.rows); at++ {
		a := p.rows[at]
		for _, e := range p.edges[p.first[a]:p.first[a+1]] {
			if p.detectionDone[e.detection] {
				continue
			}
			p.detectionDone[e.detection] = true
			p.slot[e.detection] = len(p.cols)
			p.cols = append(p.cols, e.detection)
			for k := p.head[e.detection]; k >= 0; k = p.edges[k].next {
				if b := p.edges[k].track; !p.trackDone[b] {
					p.trackDone[b] = true
					p.rows = append(p.rows, b)
				}
			}
		}
	}
}

// price writes the costs of the group, limit where there is no edge.
func (p *pairing) price(limit float64) {
	n := len(p.cols)
	p.cost = zeroed(p.cost, len(p.rows)*n)
	for i := range p.cost {
		p.cost[i] = limit
	}
	for i, a := range p.rows {
		for _, e := range p.edges[p.first[a]:p.first[a+1]] {
			p.cost[i*n+p.slot[e.detection]] = e.cost
		}
	}
}

// left gives those that are not taken.
func left[T any](all []T, taken []bool) (rest []T) {
	for i, v := range all {
		if !taken[i] {
			rest = append(rest, v)
		}
	}
	return rest
}

// zeroed gives n zero values, in the memory of s if that is enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/2)
	}
	s = s[:n]
	clear(s)
	return s
}
