package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// RunAlertPages holds pages all over lists of alerts against a plain reference, while alerts come, end,
// are verified, move in time and go, with their alarms, zones and streams too. It is for a Store that
// cuts its lists into small parts; fresh is as in Run.
func RunAlertPages(t *testing.T, fresh func(testing.TB) func() store.Store) {
	for name, run := range map[string]func(*bench){"random": randomPages, "one moment": sameMoment, "writers": pagesBesideWriters} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, open: fresh(t)}
			b.s = b.open()
			t.Cleanup(func() {
				if err := b.s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			run(b)
		})
	}
}

// pageWorld is the plain reference: all alerts by ID.
type pageWorld struct {
	*bench
	chance *rand.Rand
	alarms []core.Alarm
	all    map[core.AlertID]core.Alert
	clock  int // of new alerts, in microseconds
	names  int
}

func newPageWorld(b *bench, seed uint64) *pageWorld {
	return &pageWorld{bench: b, chance: rand.New(rand.NewPCG(seed, 1)), all: map[core.AlertID]core.Alert{}} // #nosec G404 -- test data
}

// grow adds a stream with a few zones and alarms.
func (w *pageWorld) grow() {
	var made []core.Alarm
	w.names++
	w.update(func(tx store.Tx) {
		made = nil
		n := w.addStream(tx, fmt.Sprint("cam", w.names), 0)
		for z := range 1 + w.chance.IntN(2) {
			zone := w.addZone(tx, n, fmt.Sprint("zone", z))
			for range 1 + w.chance.IntN(3) {
				made = append(made, w.addAlarm(tx, zone, "alarm"))
			}
		}
	})
	w.alarms = append(w.alarms, made...)
}

// begin adds alerts of random alarms: mostly one after the other, some at the same time, some after
// the clock has jumped.
func (w *pageWorld) begin(n int) {
	var made []core.Alert
	w.update(func(tx store.Tx) {
		made = nil
		for range n {
			switch w.chance.IntN(40) {
			case 0:
				w.clock += w.chance.IntN(2_000_000) - 1_000_000
			case 1, 2, 3, 4, 5:
			default:
				w.clock += w.chance.IntN(50)
			}
			of := w.alarms[w.chance.IntN(len(w.alarms))]
			a := core.Alert{Alarm: of.ID, Zone: of.Zone, Stream: of.Stream, Start: at(w.clock), Verified: w.verdict()}
			a.ID = must[core.AlertID](w.bench)(tx.SaveAlert(a))
			made = append(made, a)
		}
	})
	for _, a := range made {
		w.all[a.ID] = a
	}
}

func (w *pageWorld) verdict() *bool { return []*bool{nil, nil, nil, yes(), no()}[w.chance.IntN(5)] }

// someone gives a random alert.
func (w *pageWorld) someone() core.Alert {
	ids := slices.Sorted(maps.Keys(w.all))
	return w.all[ids[w.chance.IntN(len(ids))]]
}

// change ends, verifies or moves some alerts.
func (w *pageWorld) change(n int) {
	if len(w.all) == 0 {
		return
	}
	changed := map[core.AlertID]core.Alert{}
	for range n {
		a := w.someone()
		switch w.chance.IntN(4) {
		case 0:
			a.End = at(w.clock + 1)
		case 1, 2:
			a.Verified = w.verdict()
		case 3:
			a.Start = at(w.chance.IntN(w.clock + 1_000_000))
		}
		changed[a.ID] = a
	}
	w.update(func(tx store.Tx) {
		for _, a := range changed {
			must[core.AlertID](w.bench)(tx.SaveAlert(a))
		}
	})
	maps.Copy(w.all, changed)
}

// drop deletes an alarm, or its zone, or its stream, with their alerts.
func (w *pageWorld) drop() {
	of := w.alarms[w.chance.IntN(len(w.alarms))]
	gone := func(a core.Alarm) bool { return a.ID == of.ID }
	remove := func(tx store.Tx) error { return tx.DeleteAlarm(of.ID) }
	switch w.chance.IntN(3) {
	case 0:
		gone = func(a core.Alarm) bool { return a.Zone == of.Zone }
		remove = func(tx store.Tx) error { return tx.DeleteZone(of.Zone) }
	case 1:
		gone = func(a core.Alarm) bool { return a.Stream == of.Stream }
		remove = func(tx store.Tx) error { return tx.DeleteStream(of.Stream) }
	}
	w.ok(w.try(remove))
	w.alarms = slices.DeleteFunc(w.alarms, gone)
	maps.DeleteFunc(w.all, func(_ core.AlertID, a core.Alert) bool {
		return gone(core.Alarm{ID: a.Alarm, Zone: a.Zone, Stream: a.Stream})
	})
	if len(w.alarms) < 4 {
		w.grow()
	}
}

// filter is a random one, which names what there is.
func (w *pageWorld) filter() (f store.AlertFilter) {
	of := w.alarms[w.chance.IntN(len(w.alarms))]
	switch w.chance.IntN(8) {
	case 0, 1:
		f.Stream = of.Stream
	case 2:
		f.Zone = of.Zone
	case 3:
		f.Alarm = of.ID
	case 4:
		f.Stream, f.Zone, f.Alarm = of.Stream, of.Zone, of.ID
	case 5:
		f.Stream, f.Alarm = of.Stream, w.alarms[w.chance.IntN(len(w.alarms))].ID // of another stream, perhaps
	}
	for _, v := range []store.Verification{store.Unverified, store.VerifiedTrue, store.VerifiedFalse} {
		if w.chance.IntN(3) == 0 {
			f.Verification = append(f.Verification, v)
		}
	}
	f.Open = w.chance.IntN(10) == 0
	return f
}

// check compares pages at random places.
func (w *pageWorld) check(pages int) {
	w.Helper()
	sorted := slices.SortedFunc(maps.Values(w.all), func(x, y core.Alert) int {
		return cmp.Or(y.Start.Compare(x.Start), cmp.Compare(y.ID, x.ID))
	})
	w.view(func(tx store.Tx) {
		for range pages {
			f := w.filter()
			_, count := chosen(sorted, f)
			f.Page = store.Page{Limit: w.chance.IntN(20), Offset: w.chance.IntN(count + 3)}
			got, total, err := tx.Alerts(f)
			w.ok(err)
			want, _ := chosen(sorted, f)
			same(w, fmt.Sprintf("%+v", f), got, want)
			same(w, fmt.Sprintf("total of %+v", f), total, count)
		}
	})
}

func randomPages(b *bench) {
	w := newPageWorld(b, 7)
	w.grow()
	w.grow()
	for round := range 30 {
		switch do := w.chance.IntN(20); {
		case do < 11:
			w.begin(1 + w.chance.IntN(60))
		case do < 17:
			w.change(1 + w.chance.IntN(20))
		case do < 18:
			w.drop()
		case do < 19:
			w.grow()
		default:
			w.ok(w.s.Close())
			w.s = w.open()
		}
		w.check(8)
		if w.Failed() {
			b.Fatalf("in round %d, with %d alerts of %d alarms", round, len(w.all), len(w.alarms))
		}
	}
}

// sameMoment: all alerts begin at once, so that only their IDs order them.
func sameMoment(b *bench) {
	w := newPageWorld(b, 8)
	w.grow()
	for range 6 {
		made := map[core.AlertID]core.Alert{}
		b.update(func(tx store.Tx) {
			clear(made)
			for range 50 {
				of := w.alarms[w.chance.IntN(len(w.alarms))]
				a := core.Alert{Alarm: of.ID, Zone: of.Zone, Stream: of.Stream, Start: at(5)}
				a.ID = must[core.AlertID](b)(tx.SaveAlert(a))
				made[a.ID] = a
			}
		})
		maps.Copy(w.all, made)
		w.check(30)
	}
}

// pagesBesideWriters: several write at once, each on a stream of its own, and two on the same one; none
// fails, no alert is lost, and readers see pages that fit their total. There are few writers: in a
// table of a few rows PostgreSQL finds them in each other's way more often than in a long one.
func pagesBesideWriters(b *bench) {
	const writers = writers / 2
	w := newPageWorld(b, 9)
	for range writers {
		w.grow()
	}
	first := slices.CompactFunc(slices.Clone(w.alarms), func(x, y core.Alarm) bool { return x.Stream == y.Stream }) // of each stream
	var mu sync.Mutex
	var wait sync.WaitGroup
	done := make(chan struct{})
	for g := range writers {
		of := first[max(g-1, 0)]
		wait.Go(func() {
			for i := range 5 * rounds {
				a := core.Alert{Alarm: of.ID, Zone: of.Zone, Stream: of.Stream, Start: at(i * 100)}
				for range 2 { // it begins and ends
					var id core.AlertID // apart from a: the transaction may run again
					err := b.try(func(tx store.Tx) (err error) { id, err = tx.SaveAlert(a); return err })
					if err != nil {
						b.Errorf("writer %d: %v", g, err)
						return
					}
					mu.Lock()
					a.ID = id
					w.all[id] = a
					mu.Unlock()
					a.End, a.Verified = at(i*100+50), []*bool{nil, yes(), no()}[i%3]
				}
			}
		})
	}
	var readers sync.WaitGroup
	readers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			if err := b.s.View(context.Background(), func(tx store.Tx) error { return fits(b, tx, i) }); err != nil {
				b.Errorf("reader: %v", err)
				return
			}
		}
	})
	wait.Wait()
	close(done)
	readers.Wait()
	same(b, "alerts", len(w.all), writers*5*rounds)
	w.check(60)
}

// fits looks that a page is what it is of the whole list.
func fits(b *bench, tx store.Tx, i int) error {
	whole, total, err := tx.Alerts(store.AlertFilter{})
	if err != nil || len(whole) == 0 && total == 0 {
		return err
	}
	same(b, "total", total, len(whole))
	f := store.AlertFilter{Page: store.Page{Limit: 10, Offset: i * 37 % len(whole)}}
	got, _, err := tx.Alerts(f)
	if err == nil {
		same(b, fmt.Sprintf("%+v beside writers", f), got, cut(whole, f.Page))
	}
	return err
}
