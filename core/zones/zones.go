// Package zones tells which objects of a stream are within its zones, and which come and go.
//
// It is pure: frames go in with their times, statuses come out, and the same frames give the
// same statuses.
package zones

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
)

const (
	// jitter is how far from an edge an object has to be before it counts as having gone over it,
	// as a share of the smaller side of its box: detectors are about that exact.
	jitter = 0.05
	// forget is how long a track may be away and still be taken up where it was.
	forget = 30 * time.Second
	// maxTracks bounds what is remembered of a stream; the tracks away for longest give way.
	maxTracks = 4096
	// sameBox is the overlap (IoU) at which a detection without a track is taken for that of the
	// frame before.
	sameBox = 0.3
)

// Totals count objects by class since the zone was made.
type Totals struct{ Entered, Exited map[string]uint64 }

func (t Totals) clone() Totals { return Totals{maps.Clone(t.Entered), maps.Clone(t.Exited)} }

// Status is what a frame shows of a zone. The nodes are the frame's; statuses share their totals,
// which nobody changes.
type Status struct {
	Zone     core.Zone
	PTS      core.PTS
	Totals   Totals // by the bottom anchor, this frame included
	Within   []*core.Node
	Since    []core.PTS // of each in Within: when it came in, or was first seen
	Entering []*core.Node
	Exiting  []*core.Node

	others map[core.Anchor]*seen // by the anchors other than the bottom
}

// seen is what one anchor shows.
type seen struct{ within, entering, exiting []*core.Node }

// Dwell gives how long the i-th object of Within has been there.
func (s *Status) Dwell(i int) time.Duration { return time.Duration(s.PTS - s.Since[i]) }

func (s *Status) by(a core.Anchor) seen {
	if o := s.others[a]; o != nil {
		return *o
	}
	return seen{s.Within, s.Entering, s.Exiting}
}

// Count gives how many of the objects are within the zone. Their anchor is one that an alarm
// given to New or Set asks for; any other counts as the bottom.
func (s *Status) Count(o core.Objects) int { return count(s.by(o.Anchor).within, o) }

// Moved gives how many of the objects came or went in this frame.
func (s *Status) Moved(o core.Objects, m core.Movement) int {
	by, n := s.by(o.Anchor), 0
	if m != core.Exiting {
		n += count(by.entering, o)
	}
	if m != core.Entering {
		n += count(by.exiting, o)
	}
	return n
}

func count(nodes []*core.Node, o core.Objects) int {
	n := 0
	for _, node := range nodes {
		if o.Include(node) {
			n++
		}
	}
	return n
}

// Watch follows the objects of one stream through its zones. It is not safe for use by several
// goroutines.
type Watch struct {
	zones   []*zone
	places  int // states of a track: one a zone and anchor
	tracks  map[core.TrackID]*track
	unnamed []*track // those of the last frame that have no track ID
	last    core.PTS
}

// zone is a watched zone.
type zone struct {
	core.Zone
	box     core.Box
	margin  float64 // no edge is thicker than this
	anchors []core.Anchor
	first   int // the place of its first anchor
	totals  Totals
	told    Totals // a copy for statuses
	stale   bool   // told is old
}

// track is an object on its way.
type track struct {
	class string
	box   core.Box
	at    core.PTS // last seen
	state []presence
}

// presence is an object's relation to one zone, by one anchor.
type presence struct {
	known  bool
	inside bool       // regions: as last sure
	over   int        // lines: times gone over to the right, less times to the left, not yet sure
	point  core.Point // lines: the last one; regions: the last one outside, clear of the edges
	since  core.PTS
}

// New watches zones, with the anchors that the alarms need. totals are those of an earlier
// watch, by zone; nil when there are none. Outlines have passed Check.
func New(list []core.Zone, alarms []core.Alarm, totals map[core.ZoneID]Totals) *Watch {
	w := &Watch{tracks: map[core.TrackID]*track{}}
	w.Set(list, alarms)
	for _, z := range w.zones {
		if t, ok := totals[z.ID]; ok {
			maps.Copy(z.totals.Entered, t.Entered)
			maps.Copy(z.totals.Exited, t.Exited)
		}
	}
	return w
}

// Set changes the zones. One of the same ID keeps its totals and, when its outline is the same,
// what is known of the objects.
func (w *Watch) Set(list []core.Zone, alarms []core.Alarm) {
	old := w.zones
	w.zones, w.places = nil, 0
	from := []int{} // of each new place, the old one or -1
	for _, z := range list {
		n := newZone(z, anchorsOf(z.ID, alarms), w.places)
		w.places += len(n.anchors)
		i := slices.IndexFunc(old, func(o *zone) bool { return o.ID == z.ID })
		if i >= 0 {
			n.totals = old[i].totals
		}
		for _, a := range n.anchors {
			place := -1
			if i >= 0 && slices.Equal(old[i].Coords, z.Coords) {
				if k := slices.Index(old[i].anchors, a); k >= 0 {
					place = old[i].first + k
				}
			}
			from = append(from, place)
		}
		w.zones = append(w.zones, n)
	}
	for _, t := range w.tracks {
		t.move(from)
	}
	for _, t := range w.unnamed {
		t.move(from)
	}
}

func (t *track) move(from []int) {
	state := make([]presence, len(from))
	for i, old := range from {
		if old >= 0 {
			state[i] = t.state[old]
		}
	}
	t.state = state
}

func newZone(z core.Zone, anchors []core.Anchor, first int) *zone {
	n := &zone{Zone: z, box: z.Coords.Box(), anchors: anchors, first: first, margin: maxCoordinate, stale: true,
		totals: Totals{Entered: map[string]uint64{}, Exited: map[string]uint64{}}}
	if len(z.Coords) > 2 {
		around := 0.0
		for i, a := range z.Coords {
			b := z.Coords[(i+1)%len(z.Coords)]
			around += distance(a, a, b)
		}
		n.margin = max(area(z.Coords), -area(z.Coords)) / around / 2 // a quarter of a strip's width
	}
	return n
}

// anchorsOf gives the bottom anchor and those that a zone's alarms ask for.
func anchorsOf(id core.ZoneID, alarms []core.Alarm) []core.Anchor {
	out := []core.Anchor{core.AnchorBottom}
	add := func(a core.Anchor) {
		if slices.Contains(core.Anchors, a) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, a := range alarms {
		if a.Zone != id {
			continue
		}
		for _, c := range a.Counts {
			add(c.Objects.Anchor)
		}
		for _, c := range a.Rates {
			add(c.Objects.Anchor)
		}
	}
	return out
}

// Totals gives the totals of every zone, as a copy.
func (w *Watch) Totals() map[core.ZoneID]Totals {
	out := make(map[core.ZoneID]Totals, len(w.zones))
	for _, z := range w.zones {
		out[z.ID] = z.totals.clone()
	}
	return out
}

// Update takes a frame's nodes and gives the status of every zone, in the order of New or Set.
// Children of nodes are not looked at. A PTS before the last one is a source that began again:
// no object is taken for one from before.
func (w *Watch) Update(pts core.PTS, nodes []*core.Node) []Status {
	if pts < w.last {
		clear(w.tracks)
		w.unnamed = nil
	}
	w.last = pts
	out := make([]Status, len(w.zones))
	for i, z := range w.zones {
		out[i] = z.status(pts, len(nodes))
	}
	before := w.unnamed
	w.unnamed = nil
	for _, n := range nodes {
		t := w.trackOf(n, &before)
		box := n.Coords.Box()
		for i, z := range w.zones {
			z.see(&out[i], t, n, box, pts)
		}
		t.box, t.at, t.class = box, pts, n.Class
	}
	w.forget(pts)
	for i, z := range w.zones {
		if z.stale {
			z.told, z.stale = z.totals.clone(), false
		}
		out[i].Totals = z.told
	}
	return out
}

func (z *zone) status(pts core.PTS, nodes int) Status {
	s := Status{Zone: z.Zone, PTS: pts}
	for _, a := range z.anchors[1:] {
		if s.others == nil {
			s.others = map[core.Anchor]*seen{}
		}
		s.others[a] = &seen{}
	}
	if z.IsScreen() {
		s.Within = make([]*core.Node, 0, nodes)
	}
	return s
}

// trackOf finds a node's track: by its ID, or the unnamed one of the frame before that it
// overlaps most.
func (w *Watch) trackOf(n *core.Node, before *[]*track) *track {
	if n.TrackID != "" {
		t := w.tracks[n.TrackID]
		if t == nil {
			t = &track{state: make([]presence, w.places)}
			w.tracks[n.TrackID] = t
		}
		return t
	}
	box, best, at := n.Coords.Box(), sameBox, -1
	for i, t := range *before {
		if o := overlap(t.box, box); t.class == n.Class && o >= best {
			best, at = o, i
		}
	}
	t := &track{state: make([]presence, w.places)}
	if at >= 0 {
		t = (*before)[at]
		*before = slices.Delete(*before, at, at+1)
	}
	w.unnamed = append(w.unnamed, t)
	return t
}

func overlap(a, b core.Box) float64 {
	width := min(a.X2, b.X2) - max(a.X1, b.X1)
	height := min(a.Y2, b.Y2) - max(a.Y1, b.Y1)
	if width <= 0 || height <= 0 {
		return 0
	}
	return width * height / (a.Area() + b.Area() - width*height)
}

func (w *Watch) forget(pts core.PTS) {
	maps.DeleteFunc(w.tracks, func(_ core.TrackID, t *track) bool { return time.Duration(pts-t.at) > forget })
	if len(w.tracks) <= maxTracks {
		return
	}
	ids := slices.SortedFunc(maps.Keys(w.tracks), func(a, b core.TrackID) int {
		return cmp.Or(cmp.Compare(w.tracks[a].at, w.tracks[b].at), cmp.Compare(a, b))
	})
	for _, id := range ids[:len(ids)-maxTracks] {
		delete(w.tracks, id)
	}
}

// see notes one object in the status of a zone.
func (z *zone) see(s *Status, t *track, n *core.Node, box core.Box, pts core.PTS) {
	if z.IsScreen() {
		p := &t.state[z.first]
		if !p.known {
			p.known, p.since = true, pts
		}
		s.Within, s.Since = append(s.Within, n), append(s.Since, p.since)
		return
	}
	margin := min(z.margin, jitter*min(box.Width(), box.Height()))
	for i, a := range z.anchors {
		p := &t.state[z.first+i]
		within, in, out := z.step(p, a.Of(box), box, margin, pts)
		if i == 0 {
			s.note(z, n, p.since, within, in, out)
			continue
		}
		o := s.others[a]
		if within {
			o.within = append(o.within, n)
		}
		if in {
			o.entering = append(o.entering, n)
		}
		if out {
			o.exiting = append(o.exiting, n)
		}
	}
}

func (s *Status) note(z *zone, n *core.Node, since core.PTS, within, in, out bool) {
	if within {
		s.Within, s.Since = append(s.Within, n), append(s.Since, since)
	}
	if in {
		s.Entering = append(s.Entering, n)
		z.totals.Entered[n.Class]++
		z.stale = true
	}
	if out {
		s.Exiting = append(s.Exiting, n)
		z.totals.Exited[n.Class]++
		z.stale = true
	}
}

// step moves an object to a point.
func (z *zone) step(p *presence, to core.Point, box core.Box, margin float64, pts core.PTS) (within, in, out bool) {
	if z.IsLine() {
		return z.overLine(p, to, box, margin, pts)
	}
	inside := z.holds(to)
	switch {
	case !p.known:
		p.known, p.inside, p.since, p.point = true, inside, pts, to
	case inside && p.inside:
	case !inside && !p.inside && !z.near(p.point, to):
		p.point = to
	case clears(z.Coords, to, margin):
		if inside != p.inside {
			in, out = inside, !inside
			p.inside, p.since = inside, pts
		} else if passes(z.Coords, p.point, to) >= 2 { // in and out again since it was seen clear of the zone
			in, out = true, true
		}
		p.point = to
	}
	return p.inside, in, out
}

// holds is contains with a quick way for points that are far away.
func (z *zone) holds(at core.Point) bool {
	return at.X >= z.box.X1 && at.X <= z.box.X2 && at.Y >= z.box.Y1 && at.Y <= z.box.Y2 && contains(z.Coords, at)
}

// near says whether a step may go over the zone.
func (z *zone) near(from, to core.Point) bool {
	return from != to && max(from.X, to.X) >= z.box.X1 && min(from.X, to.X) <= z.box.X2 &&
		max(from.Y, to.Y) >= z.box.Y1 && min(from.Y, to.Y) <= z.box.Y2
}

// overLine counts the way from the left of a line to its right as in. What goes over and back
// before it is clear of the line has not gone over it.
func (z *zone) overLine(p *presence, to core.Point, box core.Box, margin float64, pts core.PTS) (within, in, out bool) {
	a, b := z.Coords[0], z.Coords[1]
	within = touches(a, b, box)
	if within != p.inside || !p.known {
		p.inside, p.since = within, pts
	}
	if p.known && z.near(p.point, to) {
		p.over += crosses(a, b, p.point, to)
	}
	p.known, p.point = true, to
	if p.over != 0 && distance(a, b, to) >= margin {
		in, out = p.over > 0, p.over < 0
		p.over = 0
	}
	return within, in, out
}
