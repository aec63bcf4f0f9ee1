package service

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/events"
	"github.com/capstan-video/capstan/server/store"
	"github.com/capstan-video/capstan/server/store/sqlstore"
)

// noticing is a watcher that tells of detections, and the store where they end; nobody takes them.
func noticing(t testing.TB) (*watcher, store.Store) {
	t.Helper()
	db, err := sqlstore.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "capstan.db"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := events.Open(context.Background(), events.Config{Store: db, Detections: true, AllowLocal: true, FirstPause: time.Hour, MostPause: time.Hour,
		Destinations: []store.Destination{{Name: "nobody", Kind: events.NATS, URL: "nats://127.0.0.1:1", Enabled: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = o.Close(), db.Close() })
	s := &Service{cfg: Config{Store: db, Events: o, Now: time.Now}, log: hclog.NewNullLogger()}
	w := &watcher{svc: s, stream: 1, on: map[core.AlarmID]*alarming{}}
	for i := range 5 {
		w.zones = append(w.zones, core.Zone{ID: core.ZoneID(i + 1), Stream: 1, Name: fmt.Sprint("zone ", i), Coords: core.Rect(float64(100*i), 0, float64(100*i+150), 400)})
	}
	w.watch = zones.New(w.zones, nil, nil)
	return w, db
}

// people are so many tracked persons side by side, and a bag.
func people(n int) []*core.Node {
	list := []*core.Node{{ID: 1, Class: "bag", Coords: core.Rect(10, 10, 20, 20)}}
	for i := range n {
		list = append(list, &core.Node{ID: core.NodeID(i + 2), Class: "person", TrackID: core.TrackID(fmt.Sprint("t", i)), Coords: core.Rect(float64(10*i), 10, float64(10*i+8), 50)})
	}
	return list
}

// frame is one result.
func (w *watcher) frame(now time.Time, pts core.PTS, nodes []*core.Node) {
	w.last = w.watch.Update(pts, nodes)
	w.notice(now, nodes)
}

// TestNotices: each track is told of twice, however long it is there, an identity stays known, and
// the bag is told of once in ten seconds; what is too much is dropped and counted, and what cannot
// be kept holds nothing up.
func TestNotices(t *testing.T) {
	t.Parallel()
	w, db := noticing(t)
	now := time.Now()
	for i := range 300 { // 12 s
		list := people(20)
		if i < 100 {
			list[1].Identity = &core.Identity{ID: 5, UniqueName: "anna"}
		}
		w.frame(now.Add(time.Duration(i)*40*time.Millisecond), core.PTS(i)*core.PTS(40*time.Millisecond), list)
	}
	w.endTracks()
	w.endTracks() // nothing is left
	if n := len(w.svc.notices.list); n != 42 {
		t.Errorf("%d notices, want 20 that began, 20 that ended and 2 of the bag", n)
	}
	for _, e := range w.svc.notices.list {
		d := e.Data.(events.DetectionData)
		if named := d.Identity != nil && d.Identity.UniqueName == "anna"; named != (d.Track == "t0") {
			t.Errorf("%s of %q is %+v", e.Kind, d.Track, d.Identity)
		}
		if e.Kind == events.DetectionEnded && (d.Frames != 300 || *d.Seconds < 11.9 || *d.Seconds > 12) {
			t.Errorf("%q was there for %d frames, %v s", d.Track, d.Frames, *d.Seconds)
		}
	}
	w.svc.notices.list[3].Kind = "no\xff" // cannot be kept
	w.svc.flushNotices()
	var waiting []store.Delivery
	if err := db.View(t.Context(), func(tx store.Tx) (err error) { waiting, err = tx.Waiting(1, 1, 0); return err }); err != nil || len(waiting) != 41 || len(w.svc.notices.list) != 0 {
		t.Errorf("%d wait (%v), %d are not written", len(waiting), err, len(w.svc.notices.list))
	}
	for range mostNotices + 5 {
		w.svc.notices.add(events.Event{})
	}
	if got := w.svc.notices.done(0); got != 5 || len(w.svc.notices.take()) != noticesAtOnce {
		t.Errorf("%d were dropped, want 5", got)
	}
}

// BenchmarkNotice is what telling of detections adds to a frame with 50 tracks in 5 zones.
func BenchmarkNotice(b *testing.B) {
	w, _ := noticing(b)
	list, now := people(50), time.Now()
	w.last = w.watch.Update(0, list)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.notice(now.Add(time.Duration(i%3000)*time.Millisecond), list)
	}
}

// BenchmarkWriteNotices is the writing of what a second brings: 100 detections in one transaction.
func BenchmarkWriteNotices(b *testing.B) {
	w, _ := noticing(b)
	list := people(100)[1:]
	for b.Loop() {
		for _, n := range list {
			w.tell(events.DetectionBegan, time.Now(), &tracked{class: n.Class, node: n})
		}
		w.svc.flushNotices()
	}
}
