package service_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/pipeline/pipelinetest"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// leaving is a store that takes nothing while it is gone, and counts what it takes.
type leaving struct {
	store.Store
	gone  atomic.Bool
	slow  atomic.Int64 // nanoseconds until it says that it is gone
	taken atomic.Int64
	tried atomic.Int64 // while it was gone
}

func (l *leaving) Update(ctx context.Context, do func(store.Tx) error) error {
	if l.gone.Load() {
		l.tried.Add(1)
		time.Sleep(time.Duration(l.slow.Load()))
		return core.Faultf(core.Internal, "store", "", "the disk is full")
	}
	l.taken.Add(1)
	return l.Store.Update(ctx, do)
}

// faulty is a world with a stream that has an alarm for persons, and whose store may leave.
type faulty struct {
	*world
	store   *leaving
	clk     *clock
	stream  core.StreamNumber
	persons atomic.Int64 // that are seen
}

func newFaulty(t *testing.T) *faulty {
	t.Helper()
	f := &faulty{clk: newClock()}
	f.persons.Store(1)
	d := core.Declaration{Name: "seer", Version: "1", API: core.APIVersion, Entry: "seer", Input: core.Description{Size: core.SizeNone},
		Output: core.Description{Size: core.SizeAll, Detections: []string{"person"}}}
	seer := &pipelinetest.Capsule{Decl: d, ProcessFunc: func(context.Context, pipeline.Call) (pipeline.Answer, error) {
		var list []*core.Node
		for i := range f.persons.Load() {
			list = append(list, &core.Node{Class: "person", Coords: core.Rect(float64(i*10), 0, float64(i*10+8), 20)})
		}
		return pipeline.Answer{Returns: []core.Return{{Kind: core.ReturnList, Added: list}}}, nil
	}}
	f.world = newTelling(t, media{"rtsp://a": live}, false, func(c *service.Config) { c.Now = f.clk.now }, seer)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f.store = &leaving{Store: f.world.store}
	cfg := f.cfg
	cfg.Store = f.store
	var err error
	if f.Service, _, err = service.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	f.stream = f.camera("rtsp://a").Number
	zones, err := f.Zones(t.Context(), viewer, f.stream)
	if err == nil {
		_, err = f.SaveAlarm(t.Context(), admin, core.Alarm{Zone: zones[0].ID, Name: "somebody",
			Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater, Value: 0}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// see has so many persons be seen, and waits for a result that has them.
func (f *faulty) see(k int64) {
	f.t.Helper()
	f.persons.Store(k)
	until(f.t, "a result", func() bool {
		z := f.zone(f.stream, core.ScreenZone)
		return z.Zone.ID != 0 && int64(len(z.Within)) == k
	})
}

func (f *faulty) stored() []core.Alert {
	f.t.Helper()
	list, _, err := f.Alerts(f.t.Context(), viewer, store.AlertFilter{Stream: f.stream})
	if err != nil {
		f.t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b core.Alert) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// open gives the alerts that are told as on.
func (f *faulty) open() (n int) {
	for _, a := range f.zone(f.stream, core.ScreenZone).Alerts {
		if a.End.IsZero() {
			n++
		}
	}
	return n
}

// TestAlertsWhileTheStoreIsGone: alerts that begin and end while the store takes nothing are saved
// when it is back, each with its times, and told outside in order.
func TestAlertsWhileTheStoreIsGone(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.analyze(f.stream, true)
	until(t, "an alert", func() bool { return f.open() == 1 })
	f.store.gone.Store(true)
	began := f.clk.now()
	for range 3 { // the first end, and two alerts
		f.clk.move(time.Minute)
		f.see(0)
		f.clk.move(time.Minute)
		f.see(1)
	}
	if list := f.stored(); len(list) != 1 || !list[0].End.IsZero() || f.open() != 0 {
		t.Fatalf("a store that is gone has %+v, and %d are told", list, f.open())
	}
	f.store.gone.Store(false)
	f.clk.move(time.Minute)
	until(t, "all alerts", func() bool {
		f.clk.move(time.Second) // a try that began before may fail only now
		return len(f.stored()) == 4 && f.open() == 1
	})
	want := "alert.began alert.ended alert.began alert.ended alert.began alert.ended alert.began"
	if got := types(f.told(f.stream), "alert"); got != want {
		t.Errorf("told: %s\nwant: %s", got, want)
	}
	for i, a := range f.stored() {
		start, took := a.Start.Sub(began).Round(time.Second), a.End.Sub(a.Start).Round(time.Second)
		if start != time.Duration(2*i)*time.Minute || i < 3 && took != time.Minute || i == 3 && !a.End.IsZero() {
			t.Errorf("alert %d began after %v and took %v", a.ID, start, took)
		}
	}
}

// TestAStoreThatHangs is tried for a tenth of the time.
func TestAStoreThatHangs(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.analyze(f.stream, true)
	until(t, "an alert", func() bool { return f.open() == 1 })
	f.store.slow.Store(int64(300 * time.Millisecond))
	f.store.gone.Store(true)
	f.see(0)
	until(t, "a try", func() bool { return f.store.tried.Load() > 0 })
	f.calm(t)
	before := f.store.tried.Load()
	f.clk.move(2 * time.Second)
	f.calm(t)
	if n := f.store.tried.Load(); n != before {
		t.Errorf("%d tries after two seconds, of 0.3 s each", n-before)
	}
	f.clk.move(time.Minute)
	until(t, "another try", func() bool { return f.store.tried.Load() > before })
	f.store.gone.Store(false)
	until(t, "the end", func() bool { f.clk.move(time.Second); return !f.stored()[0].End.IsZero() })
}

// TestAlertsBeforeAStopAreSaved: what waits for the store is saved when the stream is stopped.
func TestAlertsBeforeAStopAreSaved(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	f.persons.Store(0)
	f.analyze(f.stream, true)
	f.see(0)
	f.store.gone.Store(true)
	f.see(1)
	f.clk.move(time.Minute)
	f.see(0)
	f.store.gone.Store(false)
	f.analyze(f.stream, false)
	if list := f.stored(); len(list) != 1 || list[0].End.Sub(list[0].Start).Round(time.Second) != time.Minute {
		t.Errorf("stored: %+v", list)
	}
}

// TestSignInWithAFullDisk: who has a password is let in, to make room.
func TestSignInWithAFullDisk(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	if _, err := f.SaveUser(t.Context(), admin, core.User{Name: "anna", Role: core.Admin}, "secret-1"); err != nil {
		t.Fatal(err)
	}
	f.store.gone.Store(true)
	who, token, err := f.Authenticate(t.Context(), "anna", "secret-1")
	if err != nil || who.Name != "anna" || token != "" {
		t.Errorf("%+v, token %q, %v", who, token, err)
	}
	if _, _, err := f.Authenticate(t.Context(), "anna", "secret-2"); core.KindOf(err) != core.Denied {
		t.Errorf("a wrong password: %v", err)
	}
}

// TestClockJumps sets the clock forward by a day and back by an hour, while an alert is on and
// between two: no alert ends before it began, none is missing, and nothing spins or stands still.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t)
			who, session, err := f.Authenticate(t.Context(), "admin", f.password)
			if err != nil {
				t.Fatal(err)
			}
			f.analyze(f.stream, true)
			until(t, "an alert", func() bool { return f.open() == 1 })
			f.clk.move(jump)
			f.see(1)
			f.see(0)
			until(t, "an end that is no longer told", func() bool {
				f.clk.move(time.Second)
				return len(f.zone(f.stream, core.ScreenZone).Alerts) == 0
			})
			f.clk.move(jump)
			f.see(1)
			until(t, "another alert", func() bool { f.clk.move(time.Second); return f.open() == 1 })
			f.store.gone.Store(true) // the end waits over a jump
			f.see(0)
			f.clk.move(jump)
			f.store.gone.Store(false)
			until(t, "two ends", func() bool {
				f.clk.move(time.Second)
				list := f.stored()
				return len(list) == 2 && !list[0].End.IsZero() && !list[1].End.IsZero()
			})
			for _, a := range f.stored() {
				if a.End.Before(a.Start) {
					t.Errorf("alert %d began at %v and ended at %v", a.ID, a.Start, a.End)
				}
			}
			if again, err := f.Resume(t.Context(), session); err != nil || again != who {
				t.Errorf("the session: %+v, %v", again, err)
			}
			f.calm(t)
		})
	}
}

// calm wants frames, a sane speed, and hardly a transaction: nothing tries again without a pause.
func (f *faulty) calm(t *testing.T) {
	t.Helper()
	state := func() service.StreamState {
		list, err := f.States(t.Context(), viewer)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[0]
	}
	before, taken := state().Frames, f.store.taken.Load()
	until(t, "frames", func() bool { return state().Frames > before+20 })
	if n := f.store.taken.Load() - taken; n > 5 {
		t.Errorf("%d transactions in 20 frames of a clock that stands still", n)
	}
	if st := state(); st.FPS < 0 || st.FPS > 1e6 || st.State != "running" {
		t.Errorf("%+v", st)
	}
}

// TestLockOutWhenTheClockIsSetBack: nobody is locked out for longer than the longest time.
func TestLockOutWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	f := newFaulty(t)
	for i := range 8 {
		if _, _, err := f.Authenticate(t.Context(), "admin", fmt.Sprint("wrong", i)); core.KindOf(err) != core.Denied {
			t.Fatal(err)
		}
		f.clk.move(time.Minute)
	}
	if _, _, err := f.Authenticate(t.Context(), "admin", "wrong"); err == nil {
		t.Fatal("a wrong password is right")
	}
	f.clk.move(-time.Hour)
	if _, _, err := f.Authenticate(t.Context(), "admin", f.password); core.KindOf(err) != core.Denied {
		t.Fatalf("after a wrong password, at once: %v", err)
	}
	f.clk.move(5*time.Minute + time.Second)
	if _, _, err := f.Authenticate(t.Context(), "admin", f.password); err != nil {
		t.Errorf("five minutes later: %v", err)
	}
}
