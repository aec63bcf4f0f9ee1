// Package storetest is the conformance run that every store.Store has to pass.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// patience bounds each transaction of the run, so that a hanging database fails it.
const patience = 30 * time.Second

// Run runs the conformance tests. fresh makes an empty database that is gone after the test; the
// function that it gives opens this database, and may be called again once the Store is closed.
func Run(t *testing.T, fresh func(testing.TB) func() store.Store) {
	cases := []struct {
		name string
		run  func(*bench)
	}{
		{"premises", premises}, {"streams", streams}, {"streams refused", streamsRefused}, {"zones", zonesKept},
		{"zones refused", zonesRefused}, {"totals", totals}, {"alarms", alarms}, {"alarms refused", alarmsRefused},
		{"alerts", alerts}, {"alert lists", alertLists}, {"alert counts", alertCounts}, {"alerts refused", alertsRefused},
		{"blobs", blobs}, {"identities", identities}, {"identity lists", identityLists}, {"vectors", vectors},
		{"vectors refused", vectorsRefused}, {"settings", settings}, {"users and sessions", users}, {"tokens", tokens}, {"signed out", signedOut}, {"places in lists", places}, {"destinations", destinations}, {"deliveries", deliveries}, {"dead letters", deadLetters},
		{"audit", audit}, {"values", values}, {"pages refused", pagesRefused}, {"missing", missing}, {"empty lists", emptyLists},
		{"cascade of premises", cascadePremises}, {"cascade of a zone", cascadeZone}, {"frames", frames}, {"blobs let go", blobsLetGo},
		{"IDs are not given twice", freshIDs}, {"odd text", oddText}, {"refused text", refusedText}, {"limits", limits}, {"metadata", metadata},
		{"times", times}, {"atomic", atomic}, {"faults inside", faultsInside}, {"views", views}, {"concurrent", concurrent},
		{"race for a name", raceForName}, {"cancelled", cancelled}, {"closed", closed}, {"reopened", reopened}, {"random text", randomText},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, open: fresh(t)}
			b.s = b.open()
			t.Cleanup(func() {
				if err := b.s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			c.run(b)
		})
	}
}

// bench is one test and its store.
type bench struct {
	*testing.T
	open func() store.Store
	s    store.Store
}

// update runs f in a transaction that must be kept.
func (b *bench) update(f func(tx store.Tx)) {
	b.Helper()
	if err := b.try(func(tx store.Tx) error { f(tx); return nil }); err != nil {
		b.Fatalf("update: %v", err)
	}
}

// view runs f in a transaction that only reads.
func (b *bench) view(f func(tx store.Tx)) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.s.View(ctx, func(tx store.Tx) error { f(tx); return nil }); err != nil {
		b.Fatalf("view: %v", err)
	}
}

// try runs f in a transaction, and gives its error.
func (b *bench) try(f func(tx store.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.s.Update(ctx, f)
}

// refuse runs f in a transaction of its own, and wants a fault of this kind on this noun.
func (b *bench) refuse(kind core.Kind, noun, what string, f func(tx store.Tx) error) {
	b.Helper()
	wantFault(b, what, b.try(f), kind, noun)
}

func wantFault(t testing.TB, what string, err error, kind core.Kind, noun string) {
	t.Helper()
	var f *core.Fault
	switch {
	case err == nil:
		t.Errorf("%s: no error, want %v on %q", what, kind, noun)
	case !errors.As(err, &f):
		t.Errorf("%s: %v is no fault", what, err)
	case f.Kind != kind || f.On != noun:
		t.Errorf("%s: %v on %q (%v), want %v on %q", what, f.Kind, f.On, err, kind, noun)
	}
}

// must gives a value, and fails the test when there is an error.
func must[V any](b *bench) func(V, error) V {
	return func(v V, err error) V {
		b.Helper()
		b.ok(err)
		return v
	}
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", what, show(got), show(want))
	}
}

func show(v any) string {
	s := fmt.Sprintf("%+v", v)
	if len(s) > 2000 {
		s = s[:2000] + "…"
	}
	return s
}

// at is a time of the tests: so many microseconds after noon.
func at(us int) time.Time {
	return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC).Add(time.Duration(us) * time.Microsecond)
}

// The parts of a small world; each is saved and comes back with its ID.

func (b *bench) addStream(tx store.Tx, name string, of core.PremisesID) core.StreamNumber {
	return must[core.StreamNumber](b)(tx.SaveStream(core.StreamConfig{
		Name: name, Premises: of, Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://host/" + name},
	}))
}

func (b *bench) addZone(tx store.Tx, n core.StreamNumber, name string) core.ZoneID {
	return must[core.ZoneID](b)(tx.SaveZone(core.Zone{Stream: n, Name: name, Coords: core.Rect(0, 0, 10, 10)}))
}

func (b *bench) addAlarm(tx store.Tx, z core.ZoneID, name string) core.Alarm {
	return must[core.Alarm](b)(tx.SaveAlarm(core.Alarm{
		Zone: z, Name: name, Counts: []core.CountCondition{{Objects: core.Objects{Class: "person", Anchor: core.AnchorBottom}, Test: core.Greater, Value: 1, Threshold: 0.5}},
	}))
}

func (b *bench) addAlert(tx store.Tx, a core.Alarm, start time.Time) core.AlertID {
	return must[core.AlertID](b)(tx.SaveAlert(core.Alert{Alarm: a.ID, Zone: a.Zone, Stream: a.Stream, Start: start}))
}

func (b *bench) addBlob(tx store.Tx, name string) core.BlobID {
	return must[core.BlobID](b)(tx.SaveBlob(core.Blob{Type: name, Size: 3, SHA256: "abc", Created: at(0)}))
}

func (b *bench) addIdentity(tx store.Tx, name string) int64 {
	return must[int64](b)(tx.SaveIdentity(core.Identity{UniqueName: name}))
}

// world is one of everything that hangs together.
type world struct {
	premises core.PremisesID
	stream   core.StreamNumber
	zone     core.ZoneID
	alarm    core.Alarm
	alert    core.AlertID
}

// makeWorld makes one; its names end in tag.
func (b *bench) makeWorld(tag string) (w world) {
	b.update(func(tx store.Tx) {
		w.premises = must[core.PremisesID](b)(tx.SavePremises(core.Premises{Name: "site" + tag}))
		w.stream = b.addStream(tx, "cam"+tag, w.premises)
		w.zone = b.addZone(tx, w.stream, "door"+tag)
		w.alarm = b.addAlarm(tx, w.zone, "crowd"+tag)
		w.alert = b.addAlert(tx, w.alarm, at(1))
	})
	return w
}

func yes() *bool { v := true; return &v }
func no() *bool  { v := false; return &v }

// hugeID is never given.
const hugeID = math.MaxInt64 - 5
