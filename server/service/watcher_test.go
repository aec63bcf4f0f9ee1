package service_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/service"
	"github.com/capstan-video/capstan/server/store"
)

// flaky is a store that does not take the ends of alerts while it is broken.
type flaky struct {
	store.Store
	broken atomic.Bool
	tries  atomic.Int32 // of ends
}

func (f *flaky) Update(ctx context.Context, do func(store.Tx) error) error {
	return f.Store.Update(ctx, func(tx store.Tx) error { return do(flakyTx{tx, f}) })
}

type flakyTx struct {
	store.Tx
	of *flaky
}

func (t flakyTx) SaveAlert(a core.Alert) (core.AlertID, error) {
	if !a.End.IsZero() {
		t.of.tries.Add(1)
		if t.of.broken.Load() {
			return 0, core.Faultf(core.Internal, "store", "alert", "the disk is gone")
		}
	}
	return t.Tx.SaveAlert(a)
}

// TestTheEndOfAnAlertIsTriedAgain breaks the store while alerts end: the end is told at once, and
// saved as soon as the store takes it, while the stream runs and when it is stopped.
func TestTheEndOfAnAlertIsTriedAgain(t *testing.T) {
	t.Parallel()
	clk := newClock()
	w := newWorld(t, media{"rtsp://a": live}, func(c *service.Config) { c.Now = clk.now }, tuned())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := &flaky{Store: w.store}
	cfg := w.cfg
	cfg.Store = f
	var err error
	if w.Service, _, err = service.New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	n := w.camera("rtsp://a").Number
	screen, err := w.Zones(t.Context(), viewer, n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.SaveAlarm(t.Context(), admin, core.Alarm{Zone: screen[0].ID, Name: "somebody",
		Counts: []core.CountCondition{{Objects: core.Objects{Class: "person"}, Test: core.Greater, Value: 0}}}); err != nil {
		t.Fatal(err)
	}
	persons := func(k float64) {
		t.Helper()
		if err := w.SetOptions(t.Context(), editor, "tuned", 0, map[string]any{"persons": k}, false); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(id core.AlertID) core.Alert {
		t.Helper()
		a, err := w.Alert(t.Context(), viewer, id)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	// began waits for an alert, and breaks the store and ends it.
	began := func() core.AlertID {
		t.Helper()
		until(t, "an alert", func() bool { return len(w.zone(n, core.ScreenZone).Alerts) == 1 })
		id := w.zone(n, core.ScreenZone).Alerts[0].ID
		f.broken.Store(true)
		f.tries.Store(0)
		persons(0)
		until(t, "an end that is told", func() bool { // the clock stands still: it is told to who asks
			a := w.zone(n, core.ScreenZone).Alerts
			return len(a) == 1 && a[0].ID == id && !a[0].End.IsZero()
		})
		return id
	}
	w.analyze(n, true)
	id := began()
	told := w.zone(n, core.ScreenZone).Alerts[0].End
	clk.move(time.Second)
	until(t, "a second try", func() bool { return f.tries.Load() == 2 })
	if a := stored(id); !a.End.IsZero() {
		t.Fatalf("stored as %+v by a store that is broken", a)
	}
	yes := true
	if err := w.VerifyAlert(t.Context(), editor, id, &yes); err != nil {
		t.Fatal(err)
	}
	f.broken.Store(false)
	clk.move(time.Second)
	until(t, "an end in the store", func() bool { return !stored(id).End.IsZero() })
	if a := stored(id); !a.End.Equal(told.Truncate(time.Microsecond)) && !a.End.Equal(told) || a.Verified == nil || !*a.Verified {
		t.Errorf("stored as %+v, told as %v", a, told)
	}
	if f.tries.Load() != 3 {
		t.Errorf("%d tries", f.tries.Load())
	}
	persons(1)
	clk.move(time.Second)
	id = began()
	f.broken.Store(false)
	w.analyze(n, false)
	if a := stored(id); a.End.IsZero() {
		t.Error("the stream was stopped, and the alert is still on in the store")
	}
}
