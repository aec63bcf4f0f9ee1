package gallery

import (
	"math"
	"slices"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/match"
)

const (
	// enough is how many frames of a track have to show one person before the track is that
	// person: one frame alone may be an accident.
	enough = 3
	// Hold is how long a track keeps its name without a frame that is near enough to a photo: a
	// head turns away or a hand is before the mouth for about as long.
	Hold = 2 * time.Second
	// reach is how much farther away than the threshold an encoding of a known track may be.
	reach = 2
	// forget is how long a track that is not seen is remembered.
	forget = 10 * time.Second
)

// Follower names nodes as a Gallery does and remembers who the tracks of a session are. It
// belongs to one session and one goroutine.
type Follower struct {
	gallery *Gallery
	tracks  map[core.TrackID]*followed
	swept   core.PTS
}

// followed is what is known of a track.
type followed struct {
	votes    map[int]int // frames that were near enough to a person's photo
	sure     core.PTS    // the last of them
	seen     core.PTS
	distance float64 // that was last measured
}

// Follow gives a follower for a session.
func (g *Gallery) Follow() *Follower {
	return &Follower{gallery: g, tracks: map[core.TrackID]*followed{}}
}

// Recognise names the nodes of a frame as Gallery.Recognise does. Beyond that, a node of a
// track that three frames or more have shown to be one person keeps this name for Hold where
// it is turned away, covered or not encoded in this frame, as long as its encoding is at most
// twice the threshold away from the person's photos. The distance is that of its own encoding,
// without one the last of the track. Frames come in order. It gives the number of nodes named.
func (f *Follower) Recognise(pts core.PTS, nodes []*core.Node) int {
	named := f.gallery.Recognise(nodes)
	carried := f.follow(pts, nodes)
	f.gallery.carried.Add(uint64(carried))
	f.sweep(pts)
	return named + carried
}

// Tracks gives the number of tracks that are remembered.
func (f *Follower) Tracks() int { return len(f.tracks) }

func (f *Follower) follow(pts core.PTS, nodes []*core.Node) int {
	carried := 0
	for _, n := range nodes {
		carried += f.follow(pts, n.Children)
		if n.TrackID == "" {
			continue
		}
		t := f.tracks[n.TrackID]
		if n.Identity != nil {
			if t == nil {
				t = &followed{votes: map[int]int{}}
				f.tracks[n.TrackID] = t
			}
			t.votes[int(n.Identity.ID)-1]++ // IDs count from 1, places from 0
			t.distance, _ = n.ExtraData.Float(DistanceKey)
			t.sure, t.seen = pts, pts
			continue
		}
		if t == nil {
			continue
		}
		t.seen = pts
		if person, ok := t.person(); ok && time.Duration(pts-t.sure) <= Hold && f.couldBe(n, person, t) {
			f.gallery.name(n, person, t.distance)
			carried++
		}
	}
	return carried
}

// person gives who a track is: whom most of its frames showed, if these are enough and
// nobody else comes near.
func (t *followed) person() (int, bool) {
	most, all := -1, 0
	for p, n := range t.votes {
		all += n
		if most < 0 || n > t.votes[most] {
			most = p
		}
	}
	return most, most >= 0 && t.votes[most] >= enough && t.votes[most]*4 >= all*3
}

// couldBe says whether the node's encoding allows it to be the person, and keeps its distance.
func (f *Follower) couldBe(n *core.Node, person int, t *followed) bool {
	s := f.gallery.shelves[n.Encoder]
	if n.Encoding == nil || s == nil {
		return n.Encoding == nil
	}
	distance := math.Inf(1)
	for _, id := range s.photos[person] {
		photo, _ := s.index.Vector(id)
		if d, err := match.Distance(s.metric, n.Encoding, photo); err == nil {
			distance = min(distance, d)
		}
	}
	if !(distance <= s.threshold*reach) {
		return false
	}
	t.distance = distance
	return true
}

// sweep forgets tracks that are gone, every now and then.
func (f *Follower) sweep(pts core.PTS) {
	if time.Duration(pts-f.swept) < forget {
		return
	}
	f.swept = pts
	for id, t := range f.tracks {
		if time.Duration(pts-t.seen) > forget {
			delete(f.tracks, id)
		}
	}
}

// photosOf lists the photos of each person of a shelf, in the order of their IDs.
func photosOf(person map[match.ID]int) map[int][]match.ID {
	all := map[int][]match.ID{}
	for id, p := range person {
		all[p] = append(all[p], id)
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all
}
