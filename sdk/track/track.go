// Package track follows boxes from frame to frame and says which are the same object: ByteTrack
// and OC-SORT with a Kalman filter in seconds, so that dropped frames and odd frame rates do not
// matter.
package track

import (
	"math"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/sdk/assign"
	"github.com/google/uuid"
)

// Config says how boxes become tracks. Default gives values that do for most.
type Config struct {
	High float64 // detections with at least this confidence are matched first
	Low  float64 // those between Low and High only continue tracks; weaker ones are not looked at
	New  float64 // least confidence of a detection that begins a track
	Sure float64 // a new detection with at least this confidence is a confirmed track at once

	// The least overlap of a detection with where a track is expected to be.
	Match          float64 // of a sure detection with a confirmed track
	MatchLow       float64 // of a weak detection with a confirmed track
	MatchTentative float64 // of a sure detection with a track that is not confirmed yet
	Buffer         float64 // boxes are made larger by this share on each side before overlaps are measured

	MaxAge        time.Duration // a confirmed track that is not seen for longer ends
	TentativeAge  time.Duration // a track that is not confirmed and not seen for longer ends
	Confirm       int           // a track is confirmed when it was seen this often
	ClassAgnostic bool          // detections may continue tracks of another class

	// Observed makes it OC-SORT: directions are taken from sights, a track that is not met where
	// it is expected is looked for where it was seen last, and after a gap the filter relives it.
	Observed bool
	DeltaT   time.Duration // the direction of a track is what it did in this time
	Inertia  float64       // weight of the direction beside the overlap, 0..1

	// Where a detection and a track have encodings, how alike they are counts beside the overlap.
	Appearance         float64 // its weight, 0..1; 0: encodings are not looked at
	AppearanceDistance float64 // cosine distance beyond which a detection above High is never the track's
}

// Default gives the settings that the tests hold to.
func Default() Config {
	return Config{
		High: 0.7, Low: 0.05, New: 0.6, Sure: 0.8,
		Match: 0.2, MatchLow: 0.4, MatchTentative: 0.3, Buffer: 0.05,
		MaxAge: 2 * time.Second, TentativeAge: 100 * time.Millisecond, Confirm: 3,
		Appearance: 0.4, AppearanceDistance: 0.4,
	}
}

// Detection is one box to be followed.
type Detection struct {
	Box   core.Box
	Score float64 // confidence 0..1
	Class string

	Encoding core.Encoding // how it looks, nil when that is not known; read during the call only
}

// one is the state of a track.
type one struct {
	id        core.TrackID
	class     string
	motion    motion
	box       core.Box // expected in this frame
	hits      int
	confirmed bool
	seen      core.PTS // last
	fresh     bool     // seen in the frame before this one
	missed    int      // frames since, before this one

	past  []sight // OC-SORT: sights of the last DeltaT, at least two
	saved motion  // OC-SORT: the filter after the last of them

	look     core.Encoding // mean of the encodings, nil without any
	lookNorm float64       // its length
	looks    int           // how many are in it, up to memory
}

// Tracker follows the boxes of one stream. It is for one goroutine at a time.
type Tracker struct {
	config Config
	newID  func() core.TrackID
	tracks []*one
	now    core.PTS
	begun  bool
	solver assign.Solver
	ids    []core.TrackID

	pairing  pairing
	norms    []float64 // lengths of the detections' encodings
	anyLooks bool      // some are above 0
}

// New makes a tracker without tracks. Track IDs are random UUIDs, unique over streams.
func New(c Config) *Tracker {
	return &Tracker{config: c, newID: func() core.TrackID { return core.TrackID(uuid.NewString()) }}
}

// Configure changes the settings and keeps the tracks.
func (t *Tracker) Configure(c Config) { t.config = c }

// Len gives the number of tracks that are alive, confirmed or not.
func (t *Tracker) Len() int { return len(t.tracks) }

// Update takes the detections of the frame at pts and gives the track of each, empty for those
// that belong to none (yet). It is called for frames without detections too: tracks age by it.
// Time that runs backwards by more than a second means another stream: all tracks end. The
// result is valid until the next call.
func (t *Tracker) Update(pts core.PTS, detections []Detection) []core.TrackID {
	t.advance(pts)
	t.ids = append(t.ids[:0], make([]core.TrackID, len(detections))...)
	high, low := t.split(detections)
	t.pairing.row.sort(detections, high, low)
	t.steady(detections, high)
	t.encoded(detections)
	confirmed, tentative := t.byState()

	confirmed, high = t.match(detections, confirmed, high, rule{least: t.config.Match, directed: t.config.Observed, looks: true})
	fresh, lost := seenLast(confirmed)
	fresh, low = t.match(detections, fresh, low, rule{least: t.config.MatchLow})
	confirmed = append(fresh, lost...)
	if t.config.Observed {
		confirmed, high = t.match(detections, confirmed, high, rule{least: t.config.Match, last: true, looks: true})
	}
	high = t.recognise(detections, confirmed, high)
	for _, d := range low {
		if detections[d].Score >= t.config.New {
			high = append(high, d)
		}
	}
	_, high = t.match(detections, tentative, high, rule{least: t.config.MatchTentative, looks: true})
	for _, d := range high {
		if detections[d].Score >= t.config.New {
			t.begin(detections[d], d)
		}
	}
	t.expire()
	return t.ids
}

// advance moves every track to where it is expected at pts.
func (t *Tracker) advance(pts core.PTS) {
	dt := (pts - t.now).Seconds()
	if t.begun && dt < -1 {
		t.tracks = t.tracks[:0]
	}
	if !t.begun || dt < 0 {
		dt = 0
	}
	for _, o := range t.tracks {
		o.fresh = o.seen == t.now
		o.missed++
		if o.fresh {
			o.missed = 0
		}
		o.motion.predict(dt, o.fresh)
		o.box = o.motion.box()
	}
	t.now, t.begun = pts, true
}

func (t *Tracker) split(detections []Detection) (high, low []int) {
	for i, d := range detections {
		switch place := d.Box.X1 + d.Box.Y1 + d.Box.X2 + d.Box.Y2; {
		case math.IsNaN(place) || math.IsInf(place, 0): // no place: no track
		case d.Score >= t.config.High:
			high = append(high, i)
		case d.Score >= t.config.Low:
			low = append(low, i)
		}
	}
	return high, low
}

func (t *Tracker) byState() (confirmed, tentative []*one) {
	for _, o := range t.tracks {
		if o.confirmed {
			confirmed = append(confirmed, o)
		} else {
			tentative = append(tentative, o)
		}
	}
	return confirmed, tentative
}

func seenLast(tracks []*one) (fresh, lost []*one) {
	for _, o := range tracks {
		if o.fresh {
			fresh = append(fresh, o)
		} else {
			lost = append(lost, o)
		}
	}
	return fresh, lost
}

// grown gives the box with the share of its size added on each side.
func grown(b core.Box, share float64) core.Box {
	dx, dy := share*b.Width(), share*b.Height()
	return core.Box{X1: b.X1 - dx, Y1: b.Y1 - dy, X2: b.X2 + dx, Y2: b.Y2 + dy}
}

// IoU gives intersection over union, 0 where the union has no area.
func IoU(a, b core.Box) float64 {
	w := min(a.X2, b.X2) - max(a.X1, b.X1)
	h := min(a.Y2, b.Y2) - max(a.Y1, b.Y1)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.Area() + b.Area() - w*h)
}

// hit says that o is seen as detection number i.
func (t *Tracker) hit(o *one, d Detection, i int) {
	if t.config.Observed {
		o.relive(d.Box, t.now)
	}
	o.motion.correct(d.Box, d.Score)
	t.notice(o, d, i)
	o.hits++
	o.seen = t.now
	if o.hits >= t.config.Confirm {
		o.confirmed = true
	}
	if o.confirmed {
		t.ids[i] = o.id
	}
}

// notice keeps what detection number i says of the track beside its place.
func (t *Tracker) notice(o *one, d Detection, i int) {
	if t.config.Observed {
		o.remember(d.Box, t.now, t.config.DeltaT)
	}
	if d.Score >= t.config.High { // weak ones are half hidden and look like what hides them
		o.learn(d.Encoding, t.norms[i])
	}
}

func (t *Tracker) begin(d Detection, i int) {
	o := &one{id: t.newID(), class: d.Class, motion: startMotion(d.Box), hits: 1, seen: t.now}
	o.confirmed = d.Score >= t.config.Sure || t.config.Confirm <= 1
	if o.confirmed {
		t.ids[i] = o.id
	}
	t.notice(o, d, i)
	t.tracks = append(t.tracks, o)
}

// expire ends the tracks that were not seen for too long.
func (t *Tracker) expire() {
	kept := t.tracks[:0]
	for _, o := range t.tracks {
		age := t.config.TentativeAge
		if o.confirmed {
			age = t.config.MaxAge
		}
		if time.Duration(t.now-o.seen) <= age {
			kept = append(kept, o)
		}
	}
	clear(t.tracks[len(kept):])
	t.tracks = kept
}
