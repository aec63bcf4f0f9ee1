package service

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
)

const (
	// trackGone is for how long a track is not seen until it is over.
	trackGone = 3 * time.Second
	// seenAgain is how often it is told at most that something without a track is there.
	seenAgain = 10 * time.Second
	// mostTracks bounds the tracks that are followed on a stream, and the classes and zones.
	mostTracks = 4096
	// mostNotices bounds what waits to be written; more is dropped and counted.
	mostNotices = 10_000
	// noticesAtOnce is how many are written in one transaction, of which there is one each noticeEvery.
	noticesAtOnce = 2000
	noticeEvery   = time.Second
)

// notices are detections on their way to the outbox: once a second in one transaction, so that
// the database is not written to for each object.
type notices struct {
	mu      sync.Mutex
	list    []events.Event
	dropped uint64
}

func (n *notices) add(e events.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) >= mostNotices {
		n.dropped++
		return
	}
	n.list = append(n.list, e)
}

// take gives those that are next; they stay until done.
func (n *notices) take() []events.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list[:min(len(n.list), noticesAtOnce)])
}

// done takes the first ones out, and gives how many were dropped since the last time.
func (n *notices) done(written int) (dropped uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = slices.Delete(n.list, 0, written)
	dropped, n.dropped = n.dropped, 0
	return dropped
}

// writeNotices writes what is noticed until the service ends.
func (s *Service) writeNotices() {
	t := time.NewTicker(noticeEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.flushNotices()
		case <-s.life.Done():
			return
		}
	}
}

// flushNotices writes some of what was noticed, and says whether there may be more.
func (s *Service) flushNotices() (more bool) {
	list := s.notices.take()
	if len(list) == 0 {
		return false
	}
	err := s.writeDetections(list)
	if core.KindOf(err) == core.Invalid { // one of them cannot be kept: the others can
		for i := range list {
			if err = s.writeDetections(list[i : i+1]); core.KindOf(err) == core.Invalid {
				s.log.Error("a detection could not be told", "stream", list[i].Stream, "err", err)
				err = nil
			}
			if err != nil {
				s.notices.done(i)
				return false
			}
		}
	}
	if err != nil {
		s.log.Error("detections could not be kept to be told; they will be tried again", "detections", len(list), "err", err)
		return false
	}
	if dropped := s.notices.done(len(list)); dropped > 0 {
		s.log.Warn("more was detected than can be told", "dropped", dropped)
	}
	s.cfg.Events.Wake()
	return len(list) == noticesAtOnce
}

// writeDetections keeps detections in one transaction, with the names that their streams have.
func (s *Service) writeDetections(list []events.Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		streams, err := tx.Streams(0)
		if err != nil {
			return err
		}
		names := map[core.StreamNumber]string{}
		for _, each := range streams {
			names[each.Number] = each.Name
		}
		for i := range list {
			d := list[i].Data.(events.DetectionData)
			d.Stream.Name = names[list[i].Stream]
			list[i].Data = d
		}
		return s.cfg.Events.Write(tx, list...)
	})
}

// tracked is a track that is told of.
type tracked struct {
	class       string
	first, last time.Time
	frames      int
	node        *core.Node // of the last frame that it was seen on
	zones       []events.Named
}

// tracks are the objects of one stream. The watcher's mutex guards them.
type tracks struct {
	of   map[core.TrackID]*tracked
	seen map[place]time.Time // without a track: when it was last told
}

// place is a class in a zone; zone 0 is outside of all.
type place struct {
	class string
	zone  core.ZoneID
}

// notice tells of tracks that are new or over, and of what has no track. w.last is that of the
// result.
func (w *watcher) notice(now time.Time, nodes []*core.Node) {
	if !w.svc.cfg.Events.Detections() {
		return
	}
	if w.tracks.of == nil {
		w.tracks = tracks{of: map[core.TrackID]*tracked{}, seen: map[place]time.Time{}}
	}
	var bare []*core.Node
	var fresh []*tracked
	walk(nodes, func(n *core.Node) {
		if n.TrackID == "" {
			bare = append(bare, n)
		} else if t := w.follow(now, n); t != nil {
			fresh = append(fresh, t)
		}
	})
	places := w.locate(bare)
	for _, t := range fresh {
		w.tell(events.DetectionBegan, t.first, t)
	}
	for _, n := range bare {
		w.seeBare(now, n, places[n])
	}
	for id, t := range w.tracks.of {
		if now.Sub(t.last) >= trackGone {
			delete(w.tracks.of, id)
			w.tell(events.DetectionEnded, t.last, t)
		}
	}
}

// walk goes over nodes and their children.
func walk(nodes []*core.Node, f func(*core.Node)) {
	for _, n := range nodes {
		f(n)
		walk(n.Children, f)
	}
}

// follow takes a sight of a track, and gives the track when it is new.
func (w *watcher) follow(now time.Time, n *core.Node) *tracked {
	t, fresh := w.tracks.of[n.TrackID], false
	if t == nil {
		if len(w.tracks.of) >= mostTracks {
			return nil
		}
		t, fresh = &tracked{class: n.Class, first: now}, true
		w.tracks.of[n.TrackID] = t
	}
	if n.Identity == nil && t.node != nil && t.node.Identity != nil { // who it was stays known
		named := *n
		named.Identity = t.node.Identity
		n = &named
	}
	t.last, t.node = now, n
	t.frames++
	if !fresh {
		return nil
	}
	return t
}

// locate notes the zones that tracks are within, and gives those of nodes without a track.
func (w *watcher) locate(bare []*core.Node) map[*core.Node][]events.Named {
	var out map[*core.Node][]events.Named
	if len(bare) > 0 {
		out = map[*core.Node][]events.Named{}
	}
	for i := range w.last {
		z := &w.last[i].Zone
		if z.IsScreen() {
			continue
		}
		for _, n := range w.last[i].Within {
			named := events.Named{ID: int64(z.ID), Name: z.Name}
			if n.TrackID == "" {
				if out != nil {
					out[n] = append(out[n], named)
				}
			} else if t := w.tracks.of[n.TrackID]; t != nil && !slices.Contains(t.zones, named) {
				t.zones = append(t.zones, named)
			}
		}
	}
	return out
}

// seeBare tells of something without a track: once for each class and zone in a while.
func (w *watcher) seeBare(now time.Time, n *core.Node, zones []events.Named) {
	if len(w.tracks.seen) >= mostTracks {
		maps.DeleteFunc(w.tracks.seen, func(_ place, at time.Time) bool { return now.Sub(at) >= seenAgain })
		if len(w.tracks.seen) >= mostTracks {
			return
		}
	}
	places := zones
	if len(places) == 0 {
		places = []events.Named{{}}
	}
	due := false
	for _, z := range places {
		p := place{n.Class, core.ZoneID(z.ID)}
		if at, told := w.tracks.seen[p]; !told || now.Sub(at).Abs() >= seenAgain {
			w.tracks.seen[p] = now
			due = true
		}
	}
	if due {
		w.tell(events.DetectionSeen, now, &tracked{class: n.Class, first: now, last: now, node: n, zones: zones})
	}
}

// endTracks tells that all tracks are over: the session is.
func (w *watcher) endTracks() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, t := range w.tracks.of {
		delete(w.tracks.of, id)
		w.tell(events.DetectionEnded, t.last, t)
	}
}

// tell puts a track among what is written next.
func (w *watcher) tell(kind string, at time.Time, t *tracked) {
	b := t.node.Coords.Box()
	for _, side := range []*float64{&b.X1, &b.Y1, &b.X2, &b.Y2} {
		if math.IsNaN(*side) || math.IsInf(*side, 0) { // JSON has no such numbers
			*side = 0
		}
	}
	d := events.DetectionData{
		Stream: events.Named{ID: int64(w.stream)}, Class: t.class, Track: string(t.node.TrackID), Began: t.first.UTC(),
		Box: [4]float64{b.X1, b.Y1, b.X2, b.Y2}, Attributes: maps.Clone(t.node.Attributes), Zones: slices.Clone(t.zones),
	}
	if i := t.node.Identity; i != nil {
		d.Identity = &events.Identity{ID: i.ID, UniqueName: i.UniqueName, Nickname: i.Nickname}
	}
	if kind == events.DetectionEnded {
		ended, seconds := t.last.UTC(), t.last.Sub(t.first).Seconds()
		d.Ended, d.Seconds, d.Frames = &ended, &seconds, t.frames
	}
	e := events.Event{Kind: kind, At: at, Stream: w.stream, Subject: fmt.Sprintf("streams/%d", w.stream), Data: d}
	if d.Track != "" {
		e.Subject += "/tracks/" + d.Track
	}
	if len(t.zones) > 0 {
		e.Zone = core.ZoneID(t.zones[len(t.zones)-1].ID)
	}
	w.svc.notices.add(e)
}
