package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

// someAlerts makes alerts of two streams, in no order of time, and gives them newest first.
func (b *bench) someAlerts(n int) []core.Alert {
	worlds := []world{b.makeWorld("1"), b.makeWorld("2")}
	chance := rand.New(rand.NewPCG(1, 2)) // #nosec G404 -- test data
	var all []core.Alert
	b.update(func(tx store.Tx) {
		all = nil
		more := b.addAlarm(tx, worlds[0].zone, "second")
		for _, w := range worlds {
			all = append(all, must[core.Alert](b)(tx.Alert(w.alert)))
		}
		for range n - 2 {
			w := worlds[chance.IntN(2)]
			a := core.Alert{Alarm: w.alarm.ID, Zone: w.zone, Stream: w.stream, Start: at(chance.IntN(n / 2))} // some at the same time
			if w.stream == worlds[0].stream && chance.IntN(2) == 0 {
				a.Alarm = more.ID
			}
			if chance.IntN(3) > 0 {
				a.End = at(n + chance.IntN(n))
			}
			a.Verified = []*bool{nil, nil, yes(), no()}[chance.IntN(4)]
			a.ID = must[core.AlertID](b)(tx.SaveAlert(a))
			all = append(all, a)
		}
	})
	slices.SortFunc(all, func(x, y core.Alert) int {
		return cmp.Or(y.Start.Compare(x.Start), cmp.Compare(y.ID, x.ID))
	})
	return all
}

func verification(a core.Alert) store.Verification {
	switch {
	case a.Verified == nil:
		return store.Unverified
	case *a.Verified:
		return store.VerifiedTrue
	}
	return store.VerifiedFalse
}

// chosen is what a filter has to give, slowly.
func chosen(all []core.Alert, f store.AlertFilter) ([]core.Alert, int) {
	out := []core.Alert{}
	for _, a := range all {
		if (f.Stream == 0 || a.Stream == f.Stream) && (f.Zone == 0 || a.Zone == f.Zone) && (f.Alarm == 0 || a.Alarm == f.Alarm) &&
			(!f.Open || a.End.IsZero()) && (len(f.Verification) == 0 || slices.Contains(f.Verification, verification(a))) {
			out = append(out, a)
		}
	}
	return cut(out, f.Page), len(out)
}

func cut[V any](all []V, p store.Page) []V {
	all = all[min(p.Offset, len(all)):]
	if p.Limit > 0 {
		all = all[:min(p.Limit, len(all))]
	}
	return all
}

func alertLists(b *bench) {
	all := b.someAlerts(120)
	verifications := [][]store.Verification{
		nil, {store.Unverified}, {store.VerifiedTrue}, {store.VerifiedFalse}, {store.VerifiedTrue, store.VerifiedFalse},
		{store.Unverified, store.VerifiedTrue}, {store.VerifiedFalse, store.Unverified, store.VerifiedFalse},
		{store.Unverified, store.VerifiedTrue, store.VerifiedFalse},
	}
	pages := []store.Page{{}, {Limit: 7}, {Limit: 7, Offset: 5}, {Offset: 11}, {Limit: 1000, Offset: 1000}}
	b.view(func(tx store.Tx) {
		for _, f := range []store.AlertFilter{
			{}, {Stream: all[0].Stream}, {Zone: all[1].Zone}, {Alarm: all[2].Alarm}, {Alarm: all[3].Alarm}, {Alarm: all[4].Alarm, Zone: all[4].Zone, Stream: all[4].Stream},
			{Stream: hugeID}, {Zone: hugeID}, {Alarm: hugeID},
		} {
			for i := range verifications {
				for k := range 2 * len(pages) {
					f.Verification, f.Page, f.Open = verifications[i], pages[k/2], k%2 == 1
					got, total, err := tx.Alerts(f)
					b.ok(err)
					want, wantTotal := chosen(all, f)
					same(b, fmt.Sprintf("%+v", f), got, want)
					same(b, fmt.Sprintf("total of %+v", f), total, wantTotal)
				}
			}
		}
	})
}

// alertCounts looks that the numbers of alerts stay right whatever happens to them.
func alertCounts(b *bench) {
	all := b.someAlerts(40)
	chance := rand.New(rand.NewPCG(3, 4)) // #nosec G404 -- test data
	for range 10 {
		b.update(func(tx store.Tx) {
			for range 5 {
				a := &all[chance.IntN(len(all))]
				a.Verified = []*bool{nil, yes(), no()}[chance.IntN(3)]
				a.End = at(1000)
				must[core.AlertID](b)(tx.SaveAlert(*a))
			}
		})
	}
	check := func() {
		b.Helper()
		b.view(func(tx store.Tx) {
			for _, f := range []store.AlertFilter{{}, {Open: true}, {Verification: []store.Verification{store.VerifiedTrue}}, {Stream: all[0].Stream, Verification: []store.Verification{store.Unverified}}} {
				got, total, err := tx.Alerts(f)
				b.ok(err)
				want, wantTotal := chosen(all, f)
				same(b, fmt.Sprintf("%+v", f), got, want)
				same(b, fmt.Sprintf("total of %+v", f), total, wantTotal)
			}
		})
	}
	check()
	gone := all[0].Alarm
	b.update(func(tx store.Tx) { b.ok(tx.DeleteAlarm(gone)) })
	all = slices.DeleteFunc(all, func(a core.Alert) bool { return a.Alarm == gone })
	check()
}

func identityLists(b *bench) {
	list := []core.Identity{
		{UniqueName: "anna.k", Nickname: "Änne", Metadata: map[string]any{"city": "Zürich"}},
		{UniqueName: "Bert_1", Nickname: "b", Metadata: map[string]any{"badge": 4711.0, "deep": map[string]any{"list": []any{"Ölberg", nil}}}},
		{UniqueName: "carl%2", Nickname: "Änne", Metadata: map[string]any{}},
		{UniqueName: "dora", Nickname: "", Metadata: map[string]any{"quote": "say \"hi\"\n\\o/", "r": json.Number("1.5e3")}},
	}
	b.update(func(tx store.Tx) {
		for i := range list {
			list[i].ID = must[int64](b)(tx.SaveIdentity(list[i]))
		}
		for _, v := range []core.Vector{
			{Identity: list[0].ID, Class: "face", Values: core.Encoding{1}}, {Identity: list[0].ID, Class: "face", Values: core.Encoding{2}},
			{Identity: list[2].ID, Class: "car", Values: core.Encoding{1}},
		} {
			must[core.VectorID](b)(tx.SaveVector(v))
		}
	})
	cases := map[string]struct {
		f    store.IdentityFilter
		want []int // places in list
		all  int   // 0: as many as wanted
	}{
		"all":                    {store.IdentityFilter{}, []int{0, 1, 2, 3}, 0},
		"by ID, descending":      {store.IdentityFilter{SortBy: "id", Descending: true}, []int{3, 2, 1, 0}, 0},
		"by unique name":         {store.IdentityFilter{SortBy: "unique_name"}, []int{1, 0, 2, 3}, 0}, // by bytes
		"by unique name, down":   {store.IdentityFilter{SortBy: "unique_name", Descending: true}, []int{3, 2, 0, 1}, 0},
		"by nickname":            {store.IdentityFilter{SortBy: "nickname"}, []int{3, 1, 0, 2}, 0},
		"by nickname, down":      {store.IdentityFilter{SortBy: "nickname", Descending: true}, []int{0, 2, 1, 3}, 0},
		"by metadata":            {store.IdentityFilter{SortBy: "metadata"}, []int{2, 1, 0, 3}, 0}, // none first
		"by metadata, down":      {store.IdentityFilter{SortBy: "metadata", Descending: true}, []int{3, 0, 1, 2}, 0},
		"a page":                 {store.IdentityFilter{Page: store.Page{Limit: 2, Offset: 1}}, []int{1, 2}, 4},
		"the rest":               {store.IdentityFilter{Page: store.Page{Offset: 3}}, []int{3}, 4},
		"unique name":            {store.IdentityFilter{UniqueName: "dora"}, []int{3}, 0},
		"unique name, its case":  {store.IdentityFilter{UniqueName: "Dora"}, nil, 0},
		"encoded":                {store.IdentityFilter{EncodedFor: "face"}, []int{0}, 0},
		"encoded for nothing":    {store.IdentityFilter{EncodedFor: "FACE"}, nil, 0},
		"search in unique name":  {store.IdentityFilter{Search: "ANNA"}, []int{0}, 0},
		"search in nickname":     {store.IdentityFilter{Search: "äNN"}, []int{0, 2}, 0},
		"search in metadata":     {store.IdentityFilter{Search: "ZÜRI"}, []int{0}, 0},
		"search deep":            {store.IdentityFilter{Search: "ölb"}, []int{1}, 0},
		"search for a number":    {store.IdentityFilter{Search: "471"}, []int{1}, 0},
		"search for a float":     {store.IdentityFilter{Search: "1500"}, []int{3}, 0},
		"search for a key":       {store.IdentityFilter{Search: "Badge"}, []int{1}, 0},
		"search with percent":    {store.IdentityFilter{Search: "%"}, []int{2}, 0},
		"search with underscore": {store.IdentityFilter{Search: "_"}, []int{1}, 0},
		"search with quotes":     {store.IdentityFilter{Search: "\"HI\"\n\\"}, []int{3}, 0},
		"search for nothing":     {store.IdentityFilter{Search: "{"}, nil, 0},
		"search for NUL":         {store.IdentityFilter{Search: "\x00"}, nil, 0},
		"name that is no text":   {store.IdentityFilter{UniqueName: "\xff"}, nil, 0},
		"search and class":       {store.IdentityFilter{Search: "änne", EncodedFor: "car"}, []int{2}, 0},
	}
	b.view(func(tx store.Tx) {
		for what, c := range cases {
			want := []core.Identity{}
			for _, i := range c.want {
				want = append(want, list[i])
			}
			got, total, err := tx.Identities(c.f)
			b.ok(err)
			same(b, what, got, want)
			same(b, what+": total", total, cmp.Or(c.all, len(want)))
		}
	})
	b.refuse(core.Invalid, "identity", "unknown order", func(tx store.Tx) error {
		_, _, err := tx.Identities(store.IdentityFilter{SortBy: "id; DROP TABLE identities"})
		return err
	})
}

func pagesRefused(b *bench) {
	for _, p := range []store.Page{{Limit: -1}, {Offset: -1}} {
		b.refuse(core.Invalid, "alert", "page", func(tx store.Tx) error { _, _, err := tx.Alerts(store.AlertFilter{Page: p}); return err })
		b.refuse(core.Invalid, "identity", "page", func(tx store.Tx) error {
			_, _, err := tx.Identities(store.IdentityFilter{Page: p})
			return err
		})
		b.refuse(core.Invalid, "blob", "page", func(tx store.Tx) error { _, err := tx.Blobs(p); return err })
		b.refuse(core.Invalid, "audit", "page", func(tx store.Tx) error { _, err := tx.Audit(p); return err })
	}
	b.refuse(core.Invalid, "delivery", "count", func(tx store.Tx) error { _, err := tx.Waiting(1, 1, -1); return err })
	b.refuse(core.Invalid, "delivery", "page", func(tx store.Tx) error { _, _, err := tx.DeadLetters(0, store.Page{Limit: -1}); return err })
	b.refuse(core.Invalid, "delivery", "number kept", func(tx store.Tx) error { _, err := tx.TrimDeadLetters(1, at(0), -1); return err })
}

// missing asks for what is not there.
func missing(b *bench) {
	for _, id := range []int64{0, -1, 1, hugeID} {
		for noun, f := range map[string][]func(store.Tx) error{
			"stream":   {func(tx store.Tx) error { _, err := tx.Stream(core.StreamNumber(id)); return err }, func(tx store.Tx) error { return tx.DeleteStream(core.StreamNumber(id)) }},
			"premises": {func(tx store.Tx) error { _, err := tx.OnePremises(core.PremisesID(id)); return err }, func(tx store.Tx) error { return tx.DeletePremises(core.PremisesID(id)) }},
			"zone":     {func(tx store.Tx) error { _, err := tx.Zone(core.ZoneID(id)); return err }, func(tx store.Tx) error { return tx.DeleteZone(core.ZoneID(id)) }},
			"alarm":    {func(tx store.Tx) error { _, err := tx.Alarm(core.AlarmID(id)); return err }, func(tx store.Tx) error { return tx.DeleteAlarm(core.AlarmID(id)) }},
			"alert":    {func(tx store.Tx) error { _, err := tx.Alert(core.AlertID(id)); return err }},
			"blob":     {func(tx store.Tx) error { _, err := tx.Blob(core.BlobID(id)); return err }, func(tx store.Tx) error { return tx.DeleteBlob(core.BlobID(id)) }},
			"identity": {func(tx store.Tx) error { _, err := tx.Identity(id); return err }, func(tx store.Tx) error { return tx.DeleteIdentity(id) }},
			"encoding": {func(tx store.Tx) error { _, err := tx.Vector(core.VectorID(id)); return err }, func(tx store.Tx) error { return tx.DeleteVector(core.VectorID(id)) }},
			"user":     {func(tx store.Tx) error { _, err := tx.User(core.UserID(id)); return err }, func(tx store.Tx) error { return tx.DeleteUser(core.UserID(id)) }},
			"destination": {func(tx store.Tx) error { _, err := tx.Destination(id); return err }, func(tx store.Tx) error { return tx.DeleteDestination(id) },
				func(tx store.Tx) error { _, err := tx.SaveEvent(store.Event{}, id); return err }},
			"delivery": {func(tx store.Tx) error { _, err := tx.Delivery(id); return err }, func(tx store.Tx) error { return tx.SaveDelivery(store.Delivery{ID: id}) }},
			"session":  {func(tx store.Tx) error { _, err := tx.Session(fmt.Sprint(id)); return err }},
		} {
			for i, each := range f {
				b.refuse(core.NotFound, noun, fmt.Sprintf("%s %d (%d)", noun, id, i), func(tx store.Tx) error { return each(tx) })
			}
		}
	}
	change := map[string]func(store.Tx) error{
		"premises":    func(tx store.Tx) error { _, err := tx.SavePremises(core.Premises{ID: 9}); return err },
		"blob":        func(tx store.Tx) error { _, err := tx.SaveBlob(core.Blob{ID: 9}); return err },
		"identity":    func(tx store.Tx) error { _, err := tx.SaveIdentity(core.Identity{ID: 9}); return err },
		"user":        func(tx store.Tx) error { _, err := tx.SaveUser(core.User{ID: 9}); return err },
		"destination": func(tx store.Tx) error { _, err := tx.SaveDestination(store.Destination{ID: 9}); return err },
	}
	for noun, f := range change {
		b.refuse(core.NotFound, noun, "change of "+noun, f)
	}
}

func emptyLists(b *bench) {
	b.view(func(tx store.Tx) {
		same(b, "streams", must[[]core.StreamConfig](b)(tx.Streams(0)), []core.StreamConfig{})
		same(b, "premises", must[[]core.Premises](b)(tx.Premises()), []core.Premises{})
		same(b, "zones", must[[]core.Zone](b)(tx.Zones(0)), []core.Zone{})
		same(b, "alarms", must[[]core.Alarm](b)(tx.Alarms(0, 0)), []core.Alarm{})
		same(b, "blobs", must[[]core.Blob](b)(tx.Blobs(store.Page{})), []core.Blob{})
		same(b, "vectors", must[[]core.Vector](b)(tx.Vectors(store.VectorFilter{})), []core.Vector{})
		same(b, "settings", must[[]core.CapsuleSetting](b)(tx.Settings("")), []core.CapsuleSetting{})
		same(b, "users", must[[]core.User](b)(tx.Users()), []core.User{})
		same(b, "destinations", must[[]store.Destination](b)(tx.Destinations()), []store.Destination{})
		same(b, "queues", must[[]store.Queue](b)(tx.Queues(1)), []store.Queue{})
		same(b, "deliveries", must[[]store.Delivery](b)(tx.Waiting(1, 1, 0)), []store.Delivery{})
		letters, l, err := tx.DeadLetters(0, store.Page{})
		b.ok(err)
		same(b, "dead letters", letters, []store.Delivery{})
		same(b, "number of dead letters", l, 0)
		same(b, "audit", must[[]core.AuditEntry](b)(tx.Audit(store.Page{})), []core.AuditEntry{})
		a, n, err := tx.Alerts(store.AlertFilter{})
		b.ok(err)
		same(b, "alerts", a, []core.Alert{})
		i, m, err := tx.Identities(store.IdentityFilter{})
		b.ok(err)
		same(b, "identities", i, []core.Identity{})
		same(b, "totals", n+m, 0)
	})
}
