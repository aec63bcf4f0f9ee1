package storetest

import (
	"encoding/json"
	"math"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/store"
)

func premises(b *bench) {
	var first, second core.PremisesID
	b.update(func(tx store.Tx) {
		first = must[core.PremisesID](b)(tx.SavePremises(core.Premises{Name: "harbour"}))
		second = must[core.PremisesID](b)(tx.SavePremises(core.Premises{Name: "depot"}))
		must[core.PremisesID](b)(tx.SavePremises(core.Premises{ID: first, Name: "port"}))
	})
	if first < 1 || second <= first {
		b.Errorf("IDs %d and %d, want them from 1 and growing", first, second)
	}
	b.view(func(tx store.Tx) {
		same(b, "list", must[[]core.Premises](b)(tx.Premises()), []core.Premises{{ID: first, Name: "port"}, {ID: second, Name: "depot"}})
		same(b, "one", must[core.Premises](b)(tx.OnePremises(second)), core.Premises{ID: second, Name: "depot"})
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeletePremises(first)) })
	b.view(func(tx store.Tx) {
		same(b, "list", must[[]core.Premises](b)(tx.Premises()), []core.Premises{{ID: second, Name: "depot"}})
	})
}

func streams(b *bench) {
	var want []core.StreamConfig
	b.update(func(tx store.Tx) {
		site := must[core.PremisesID](b)(tx.SavePremises(core.Premises{Name: "harbour"}))
		clip := b.addBlob(tx, "video/mp4")
		want = []core.StreamConfig{
			{Name: "gate", Premises: site, Connection: core.Connection{Kind: core.IPCamera, URL: "rtsp://host/1?a=b&c=%20", Pipeline: "rtspsrc location={url} ! appsink name=main_sink"}, KeyframesOnly: true, Metadata: map[string]any{"floor": 2.0, "tags": []any{"a", nil, true}}, Analyze: true},
			{Name: "gate", Connection: core.Connection{Kind: core.Webcam, Device: 3}, Metadata: map[string]any{}},
			{Name: "", Connection: core.Connection{Kind: core.FileClip, Blob: clip, Transcode: true}, Metadata: map[string]any{}},
			{Name: "second device", Connection: core.Connection{Kind: core.Webcam, Device: 4}, Metadata: map[string]any{}, Said: core.Said{Keyframes: true}},
			{Name: "said", Connection: core.Connection{Kind: core.Webcam, Device: 5}, Metadata: map[string]any{}, Said: core.Said{Transcode: true, Other: map[string]any{"a": nil, "ü": []any{json.Number("1.0"), "<"}}}},
		}
		for i := range want {
			want[i].Number = must[core.StreamNumber](b)(tx.SaveStream(want[i]))
		}
	})
	check := func(what string) {
		b.view(func(tx store.Tx) {
			same(b, what, must[[]core.StreamConfig](b)(tx.Streams(0)), want)
			for _, w := range want {
				same(b, what, must[core.StreamConfig](b)(tx.Stream(w.Number)), w)
			}
		})
	}
	check("made")
	b.view(func(tx store.Tx) {
		same(b, "of premises", must[[]core.StreamConfig](b)(tx.Streams(want[0].Premises)), want[:1])
		same(b, "of no premises", must[[]core.StreamConfig](b)(tx.Streams(hugeID)), []core.StreamConfig{})
	})
	want[1].Name, want[1].Analyze, want[1].Premises = "renamed", true, want[0].Premises
	want[0].Premises, want[0].KeyframesOnly, want[0].Metadata = 0, false, map[string]any{}
	want[0].Said, want[4].Said = want[4].Said, core.Said{}
	b.update(func(tx store.Tx) {
		for _, w := range want {
			same(b, "number", must[core.StreamNumber](b)(tx.SaveStream(w)), w.Number)
		}
	})
	check("changed")
	b.update(func(tx store.Tx) { b.ok(tx.DeleteStream(want[0].Number)) })
	want = want[1:]
	check("one deleted")
}

func streamsRefused(b *bench) {
	w := b.makeWorld("1")
	other := b.makeWorld("2")
	cam := core.Connection{Kind: core.IPCamera, URL: "rtsp://host/cam1"}
	save := func(s core.StreamConfig) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := tx.SaveStream(s); return err }
	}
	piped := cam
	piped.Pipeline, piped.Transcode = "another way to play it", true
	b.refuse(core.Invalid, "stream", "options that cannot be kept", save(core.StreamConfig{Connection: core.Connection{Kind: core.Webcam}, Said: core.Said{Other: map[string]any{"a": "\x00"}}}))
	b.refuse(core.Exists, "stream", "same URL", save(core.StreamConfig{Name: "x", Connection: cam}))
	b.refuse(core.Exists, "stream", "same URL, played otherwise", save(core.StreamConfig{Name: "x", Connection: piped}))
	b.refuse(core.Exists, "stream", "changed to another one's URL", save(core.StreamConfig{Number: other.stream, Name: "x", Connection: cam}))
	free := core.Connection{Kind: core.Webcam, Device: 9}
	b.refuse(core.NotFound, "premises", "premises that are not there", save(core.StreamConfig{Premises: hugeID, Connection: free}))
	b.refuse(core.NotFound, "blob", "file that is not there", save(core.StreamConfig{Connection: core.Connection{Kind: core.FileClip, Blob: hugeID}}))
	b.refuse(core.NotFound, "stream", "change of what is not there", save(core.StreamConfig{Number: hugeID, Connection: free}))
	b.refuse(core.NotFound, "stream", "negative number", save(core.StreamConfig{Number: -1, Connection: free}))
	b.view(func(tx store.Tx) {
		all := must[[]core.StreamConfig](b)(tx.Streams(0))
		if len(all) != 2 || all[0].Number != w.stream || all[1].Connection.URL != "rtsp://host/cam2" {
			b.Errorf("streams after refusals: %+v", all)
		}
	})
}

func zonesKept(b *bench) {
	var one, two core.StreamNumber
	var want []core.Zone
	b.update(func(tx store.Tx) {
		one, two = b.addStream(tx, "1", 0), b.addStream(tx, "2", 0)
		want = []core.Zone{
			{Stream: one, Name: core.ScreenZone},
			{Stream: one, Name: "line", Coords: core.Polygon{{X: 0.1, Y: 1e-9}, {X: 1919.999999999, Y: -3}}},
			{Stream: two, Name: "line", Coords: core.Polygon{{X: 1, Y: 2}, {X: 3, Y: 4}, {X: 5, Y: 60000000}}},
		}
		for i := range want {
			want[i].ID = must[core.ZoneID](b)(tx.SaveZone(want[i]))
		}
		want[1].Name, want[1].Coords = "door", core.Rect(1, 2, 3, 4)
		same(b, "ID", must[core.ZoneID](b)(tx.SaveZone(want[1])), want[1].ID)
	})
	b.view(func(tx store.Tx) {
		same(b, "all", must[[]core.Zone](b)(tx.Zones(0)), want)
		same(b, "of a stream", must[[]core.Zone](b)(tx.Zones(one)), want[:2])
		same(b, "one", must[core.Zone](b)(tx.Zone(want[2].ID)), want[2])
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeleteZone(want[0].ID)) })
	b.view(func(tx store.Tx) { same(b, "after deleting", must[[]core.Zone](b)(tx.Zones(0)), want[1:]) })
}

func zonesRefused(b *bench) {
	w, other := b.makeWorld("1"), b.makeWorld("2")
	var second core.ZoneID
	b.update(func(tx store.Tx) { second = b.addZone(tx, w.stream, "window") })
	save := func(z core.Zone) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := tx.SaveZone(z); return err }
	}
	b.refuse(core.Exists, "zone", "same name", save(core.Zone{Stream: w.stream, Name: "door1"}))
	b.refuse(core.Exists, "zone", "renamed to another one's", save(core.Zone{ID: second, Stream: w.stream, Name: "door1"}))
	b.refuse(core.NotFound, "stream", "stream that is not there", save(core.Zone{Stream: hugeID, Name: "x"}))
	b.refuse(core.NotFound, "stream", "no stream", save(core.Zone{Name: "x"}))
	b.refuse(core.NotFound, "zone", "change of what is not there", save(core.Zone{ID: hugeID, Stream: w.stream, Name: "x"}))
	b.refuse(core.Invalid, "zone", "moved to another stream", save(core.Zone{ID: second, Stream: other.stream, Name: "x"}))
	b.refuse(core.Invalid, "zone", "no number", save(core.Zone{Stream: w.stream, Name: "x", Coords: core.Polygon{{X: math.NaN()}, {Y: 1}}}))
	b.update(func(tx store.Tx) { // the same name in another stream, and its own again, are fine
		b.addZone(tx, other.stream, "door1")
		must[core.ZoneID](b)(tx.SaveZone(core.Zone{ID: second, Stream: w.stream, Name: "window"}))
	})
}

func totals(b *bench) {
	w, other := b.makeWorld("1"), b.makeWorld("2")
	counted := zones.Totals{Entered: map[string]uint64{"person": math.MaxUint64, "Übergröße \"x\"": 2}, Exited: map[string]uint64{"person": 1}}
	empty := zones.Totals{Entered: map[string]uint64{}, Exited: map[string]uint64{}}
	b.update(func(tx store.Tx) {
		b.ok(tx.SaveTotals(nil))
		b.ok(tx.SaveTotals(map[core.ZoneID]zones.Totals{w.zone: counted, other.zone: {}, hugeID: counted}))
	})
	b.view(func(tx store.Tx) {
		get := must[map[core.ZoneID]zones.Totals](b)
		same(b, "of a stream", get(tx.Totals(w.stream)), map[core.ZoneID]zones.Totals{w.zone: counted})
		same(b, "all", get(tx.Totals(0)), map[core.ZoneID]zones.Totals{w.zone: counted, other.zone: empty})
		same(b, "of none", get(tx.Totals(hugeID)), map[core.ZoneID]zones.Totals{})
	})
	counted.Exited = map[string]uint64{"person": 7}
	b.update(func(tx store.Tx) {
		b.ok(tx.SaveTotals(map[core.ZoneID]zones.Totals{w.zone: counted}))
		b.ok(tx.DeleteZone(other.zone))
		b.ok(tx.SaveTotals(map[core.ZoneID]zones.Totals{other.zone: counted}))
	})
	b.view(func(tx store.Tx) {
		same(b, "changed", must[map[core.ZoneID]zones.Totals](b)(tx.Totals(0)), map[core.ZoneID]zones.Totals{w.zone: counted})
	})
}

func alarms(b *bench) {
	w := b.makeWorld("1")
	red := &core.AttributeValue{Name: "color", Value: ""}
	want := core.Alarm{
		Zone: w.zone, Stream: w.stream, Name: "night",
		Hours: &core.ActiveHours{Start: 22 * time.Hour, End: 6*time.Hour + time.Nanosecond, Off: true},
		Counts: []core.CountCondition{
			{Objects: core.Objects{Class: "person", Attribute: red, Anchor: core.AnchorTop}, Test: core.NotEqual, Value: 2.5, Window: 5 * time.Second, Threshold: 0.3},
			{Objects: core.Objects{Class: "car", Anchor: core.AnchorBottom}, Test: core.Less, Value: -1, Window: time.Nanosecond, Given: 1.1e-9},
		},
		Rates: []core.RateCondition{{Objects: core.Objects{Class: "bus", Anchor: core.AnchorLeft}, Test: core.LessEqual, Change: 1e100, Window: time.Hour, Given: 1.0 / 3, Movement: core.EnteringOrExiting}},
	}
	b.update(func(tx store.Tx) {
		saved := must[core.Alarm](b)(tx.SaveAlarm(want))
		want.ID = saved.ID
		ids := map[int64]bool{}
		for i := range want.Counts {
			want.Counts[i].ID = saved.Counts[i].ID
			ids[saved.Counts[i].ID] = true
		}
		want.Rates[0].ID = saved.Rates[0].ID
		ids[want.Rates[0].ID] = true
		if len(ids) != 3 || ids[0] {
			b.Errorf("IDs of conditions: %v", ids)
		}
		same(b, "saved", saved, want)
	})
	b.view(func(tx store.Tx) {
		same(b, "one", must[core.Alarm](b)(tx.Alarm(want.ID)), want)
		all := must[[]core.Alarm](b)(tx.Alarms(0, 0))
		same(b, "all", all, []core.Alarm{w.alarm, want})
		same(b, "of the stream", must[[]core.Alarm](b)(tx.Alarms(w.stream, 0)), all)
		same(b, "of the zone", must[[]core.Alarm](b)(tx.Alarms(0, w.zone)), all)
		same(b, "of both", must[[]core.Alarm](b)(tx.Alarms(w.stream, w.zone)), all)
		same(b, "of two that differ", must[[]core.Alarm](b)(tx.Alarms(hugeID, w.zone)), []core.Alarm{})
	})
	want.Hours = &core.ActiveHours{Start: 22 * time.Hour, End: 6*time.Hour + time.Nanosecond}
	b.update(func(tx store.Tx) { same(b, "hours switched on", must[core.Alarm](b)(tx.SaveAlarm(want)), want) })
	// One condition goes, one stays in another place, one is new; the hours go.
	kept, fresh := want.Counts[1], core.CountCondition{Objects: core.Objects{Class: "dog"}, Test: core.Equal}
	want.Counts, want.Rates, want.Hours, want.Stream = []core.CountCondition{fresh, kept}, nil, nil, 0
	b.update(func(tx store.Tx) {
		saved := must[core.Alarm](b)(tx.SaveAlarm(want))
		want.Stream, want.Counts[0].ID = w.stream, saved.Counts[0].ID
		same(b, "changed", saved, want)
		b.ok(tx.DeleteAlarm(w.alarm.ID))
	})
	b.view(func(tx store.Tx) {
		same(b, "after changes", must[[]core.Alarm](b)(tx.Alarms(0, 0)), []core.Alarm{want})
	})
}

func alarmsRefused(b *bench) {
	w, other := b.makeWorld("1"), b.makeWorld("2")
	save := func(a core.Alarm) func(store.Tx) error {
		return func(tx store.Tx) error { _, err := tx.SaveAlarm(a); return err }
	}
	change := func(f func(*core.Alarm)) core.Alarm {
		a := w.alarm
		a.Counts = append([]core.CountCondition{}, a.Counts...)
		f(&a)
		return a
	}
	b.refuse(core.NotFound, "zone", "zone that is not there", save(change(func(a *core.Alarm) { a.Zone = hugeID })))
	b.refuse(core.NotFound, "alarm", "alarm that is not there", save(change(func(a *core.Alarm) { a.ID = hugeID })))
	b.refuse(core.Invalid, "alarm", "zone of another stream", save(change(func(a *core.Alarm) { a.Zone = other.zone })))
	b.refuse(core.NotFound, "condition", "condition of another alarm", save(change(func(a *core.Alarm) { a.Counts[0].ID = other.alarm.Counts[0].ID })))
	b.refuse(core.NotFound, "condition", "condition given twice", save(change(func(a *core.Alarm) { a.Counts = append(a.Counts, a.Counts[0]) })))
	b.refuse(core.NotFound, "condition", "condition of the other kind", save(change(func(a *core.Alarm) {
		a.Rates = []core.RateCondition{{ID: a.Counts[0].ID}}
		a.Counts = nil
	})))
	b.refuse(core.NotFound, "condition", "new alarm with a condition's ID", save(change(func(a *core.Alarm) { a.ID = 0 })))
	b.refuse(core.Invalid, "alarm", "no number", save(change(func(a *core.Alarm) { a.Counts[0].Value = math.Inf(1) })))
	b.refuse(core.Invalid, "alarm", "no seconds", save(change(func(a *core.Alarm) { a.Counts[0].Given = math.NaN() })))
	b.view(func(tx store.Tx) {
		same(b, "untouched", must[[]core.Alarm](b)(tx.Alarms(0, 0)), []core.Alarm{w.alarm, other.alarm})
	})
}

func alerts(b *bench) {
	w := b.makeWorld("1")
	want := core.Alert{Alarm: w.alarm.ID, Zone: w.zone, Stream: w.stream, Start: at(123456)}
	b.update(func(tx store.Tx) {
		want.Frame = b.addBlob(tx, "image/jpeg")
		want.ID = must[core.AlertID](b)(tx.SaveAlert(core.Alert{Alarm: w.alarm.ID, Start: want.Start, Frame: want.Frame}))
		same(b, "begun", must[core.Alert](b)(tx.Alert(want.ID)), want)
		for _, v := range []*bool{yes(), no(), nil} {
			want.Verified = v
			must[core.AlertID](b)(tx.SaveAlert(want))
			same(b, "verified", must[core.Alert](b)(tx.Alert(want.ID)), want)
		}
		want.End = at(7654321)
		must[core.AlertID](b)(tx.SaveAlert(want))
	})
	b.view(func(tx store.Tx) { same(b, "ended", must[core.Alert](b)(tx.Alert(want.ID)), want) })
}

func alertsRefused(b *bench) {
	w := b.makeWorld("1")
	good := core.Alert{Alarm: w.alarm.ID, Zone: w.zone, Stream: w.stream, Start: at(0)}
	cases := map[string]struct {
		noun string
		f    func(*core.Alert)
	}{
		"no alarm": {"alarm", func(a *core.Alert) { a.Alarm = 0 }}, "no such alarm": {"alarm", func(a *core.Alert) { a.Alarm = hugeID }},
		"no such zone": {"zone", func(a *core.Alert) { a.Zone = hugeID }}, "no such stream": {"stream", func(a *core.Alert) { a.Stream = hugeID }},
		"no such frame": {"blob", func(a *core.Alert) { a.Frame = hugeID }}, "no such alert": {"alert", func(a *core.Alert) { a.ID = hugeID }},
	}
	for what, c := range cases {
		a := good
		c.f(&a)
		b.refuse(core.NotFound, c.noun, what, func(tx store.Tx) error { _, err := tx.SaveAlert(a); return err })
	}
	b.refuse(core.Invalid, "alert", "no verification", func(tx store.Tx) error {
		_, _, err := tx.Alerts(store.AlertFilter{Verification: []store.Verification{"maybe"}})
		return err
	})
}
