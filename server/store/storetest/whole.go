package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/core/zones"
	"github.com/capstan-video/capstan/server/store"
)

// left says what there is of a world.
func (b *bench) left(w world) (what string) {
	b.Helper()
	b.view(func(tx store.Tx) {
		what = ""
		note := func(noun string, err error) {
			if err == nil {
				what += noun + " "
			} else {
				wantFault(b, noun, err, core.NotFound, noun)
			}
		}
		_, err := tx.OnePremises(w.premises)
		note("premises", err)
		_, err = tx.Stream(w.stream)
		note("stream", err)
		_, err = tx.Zone(w.zone)
		note("zone", err)
		_, err = tx.Alarm(w.alarm.ID)
		note("alarm", err)
		_, err = tx.Alert(w.alert)
		note("alert", err)
	})
	return strings.TrimSpace(what)
}

const everything = "premises stream zone alarm alert"

func cascadePremises(b *bench) {
	w, other := b.makeWorld("1"), b.makeWorld("2")
	b.update(func(tx store.Tx) {
		b.ok(tx.SaveTotals(map[core.ZoneID]zones.Totals{w.zone: {}}))
		b.ok(tx.SaveSetting(core.CapsuleSetting{Capsule: "a", Stream: w.stream, Active: yes()}))
		b.ok(tx.DeletePremises(w.premises))
	})
	same(b, "left", b.left(w), "")
	same(b, "left of the other", b.left(other), everything)
	b.view(func(tx store.Tx) {
		same(b, "totals", len(must[map[core.ZoneID]zones.Totals](b)(tx.Totals(0))), 0)
		same(b, "settings", len(must[[]core.CapsuleSetting](b)(tx.Settings(""))), 0)
		_, n, err := tx.Alerts(store.AlertFilter{})
		b.ok(err)
		same(b, "alerts", n, 1)
	})
	b.update(func(tx store.Tx) { b.ok(tx.DeleteStream(other.stream)) })
	same(b, "left without the stream", b.left(other), "premises")
}

func cascadeZone(b *bench) {
	w, other := b.makeWorld("1"), b.makeWorld("2")
	b.update(func(tx store.Tx) { b.ok(tx.DeleteZone(w.zone)); b.ok(tx.DeleteAlarm(other.alarm.ID)) })
	same(b, "left without the zone", b.left(w), "premises stream")
	same(b, "left without the alarm", b.left(other), "premises stream zone")
}

// frames looks that an alert's frame goes with the last alert that shows it.
func frames(b *bench) {
	w := b.makeWorld("1")
	var own, shared, enrolled core.BlobID
	b.update(func(tx store.Tx) {
		own, shared, enrolled = b.addBlob(tx, "own"), b.addBlob(tx, "shared"), b.addBlob(tx, "enrolled")
		second := b.addAlarm(tx, w.zone, "second")
		for _, a := range []core.Alert{
			{Alarm: w.alarm.ID, Frame: own}, {Alarm: w.alarm.ID, Frame: shared}, {Alarm: second.ID, Frame: shared}, {Alarm: w.alarm.ID, Frame: enrolled},
		} {
			must[core.AlertID](b)(tx.SaveAlert(a))
		}
		must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: b.addIdentity(tx, "anna"), Class: "face", Blob: enrolled, Values: core.Encoding{1}}))
		b.ok(tx.DeleteAlarm(w.alarm.ID))
	})
	names := func() (names []string) {
		b.view(func(tx store.Tx) {
			names = nil
			for _, blob := range must[[]core.Blob](b)(tx.Blobs(store.Page{})) {
				names = append(names, blob.Type)
			}
		})
		return names
	}
	same(b, "after one alarm", names(), []string{"shared", "enrolled"})
	b.update(func(tx store.Tx) { b.ok(tx.DeletePremises(w.premises)) })
	same(b, "after all", names(), []string{"enrolled"})
}

// blobsLetGo looks that deleting a blob leaves what named it.
func blobsLetGo(b *bench) {
	w := b.makeWorld("1")
	b.update(func(tx store.Tx) {
		blob := b.addBlob(tx, "x")
		clip := must[core.StreamNumber](b)(tx.SaveStream(core.StreamConfig{Connection: core.Connection{Kind: core.FileClip, Blob: blob}}))
		alert := must[core.AlertID](b)(tx.SaveAlert(core.Alert{Alarm: w.alarm.ID, Frame: blob}))
		vector := must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: b.addIdentity(tx, "anna"), Class: "face", Blob: blob, Values: core.Encoding{1}}))
		b.ok(tx.DeleteBlob(blob))
		same(b, "stream's", must[core.StreamConfig](b)(tx.Stream(clip)).Connection.Blob, core.BlobID(0))
		same(b, "alert's", must[core.Alert](b)(tx.Alert(alert)).Frame, core.BlobID(0))
		same(b, "vector's", must[core.Vector](b)(tx.Vector(vector)).Blob, core.BlobID(0))
	})
}

func freshIDs(b *bench) {
	var first, second int64
	b.update(func(tx store.Tx) { first = b.addIdentity(tx, "a") })
	b.update(func(tx store.Tx) { b.ok(tx.DeleteIdentity(first)) })
	b.update(func(tx store.Tx) { second = b.addIdentity(tx, "a") })
	if second <= first {
		b.Errorf("ID %d after %d, which was deleted", second, first)
	}
}

// oddTexts can all be kept.
var oddTexts = []string{
	"", " ", "'", "''", `"`, `\`, `\'`, `\\`, "?", "?0", "$1", "%", "_", ";--", "/*", "\n\r\t", "\x01\x1f\x7f", "Ärger", "\u0301e", "日本語", "🎥👩‍👩‍👧", "\u2028", "\uFEFF", "\uFFFD", "null", "NULL",
	"{}", "[1]", "<b>&amp;", "\\u0000", "'); DROP TABLE streams; --", "\U0010FFFF", strings.Repeat("é", store.MaxName/2),
}

// keep saves a text wherever one can stand, and looks that it comes back.
func (b *bench) keep(text string) {
	b.Helper()
	b.update(func(tx store.Tx) {
		i := core.Identity{UniqueName: text, Nickname: text, Metadata: map[string]any{text: []any{text}}}
		i.ID = must[int64](b)(tx.SaveIdentity(i))
		same(b, "identity", must[core.Identity](b)(tx.Identity(i.ID)), i)
		found, n, err := tx.Identities(store.IdentityFilter{UniqueName: text, Search: text})
		b.ok(err)
		if text != "" {
			same(b, "found", found, []core.Identity{i})
			same(b, "number found", n, 1)
		}
		v := core.Vector{Identity: i.ID, Class: text, Encoder: core.EncoderID(text), Values: core.Encoding{1}}
		v.ID = must[core.VectorID](b)(tx.SaveVector(v))
		same(b, "vector", must[[]core.Vector](b)(tx.Vectors(store.VectorFilter{Identity: i.ID, Class: text})), []core.Vector{v})
		s := core.StreamConfig{Name: text, Connection: core.Connection{Kind: "x", URL: text, Pipeline: text}, Metadata: map[string]any{"x": text}}
		s.Number = must[core.StreamNumber](b)(tx.SaveStream(s))
		same(b, "stream", must[core.StreamConfig](b)(tx.Stream(s.Number)), s)
		z := core.Zone{Stream: s.Number, Name: text}
		z.ID = must[core.ZoneID](b)(tx.SaveZone(z))
		same(b, "zone", must[core.Zone](b)(tx.Zone(z.ID)), z)
		a := must[core.Alarm](b)(tx.SaveAlarm(core.Alarm{Zone: z.ID, Name: text, Counts: []core.CountCondition{{Objects: core.Objects{Class: text, Attribute: &core.AttributeValue{Name: text, Value: text}}}}}))
		same(b, "alarm", []string{a.Name, a.Counts[0].Objects.Class, a.Counts[0].Objects.Attribute.Value}, []string{text, text, text})
		u := core.User{Name: text, Role: core.Admin, Hash: text}
		u.ID = must[core.UserID](b)(tx.SaveUser(u))
		same(b, "user", must[core.User](b)(tx.UserNamed(text)), u)
		b.ok(tx.SaveValue(text, []byte(text)))
		same(b, "value", string(must[[]byte](b)(tx.Value(text))), text)
		b.ok(tx.SaveSetting(core.CapsuleSetting{Capsule: text, Options: map[string]any{text: text}}))
		b.ok(tx.SaveAudit(core.AuditEntry{User: text, Action: text, Object: text}))
		same(b, "audit", must[[]core.AuditEntry](b)(tx.Audit(store.Page{Limit: 1}))[0].Object, text)
		// Gone again, for the next text.
		b.ok(tx.DeleteStream(s.Number))
		b.ok(tx.DeleteIdentity(i.ID))
		b.ok(tx.DeleteUser(u.ID))
	})
}

func oddText(b *bench) {
	for _, text := range oddTexts {
		b.keep(text)
	}
}

// randomText tries texts of any characters, a different lot each time; a failure shows the text.
func randomText(b *bench) {
	alphabet := []rune("ab'\"\\?$%_;\n\u00e9\u0130\u1e9e\u4e2d\U0001F600{}[]:,0")
	for range 40 {
		text := make([]rune, rand.IntN(30)) // #nosec G404 -- test data
		for i := range text {
			text[i] = alphabet[rand.IntN(len(alphabet))] // #nosec G404 -- test data
		}
		b.keep(string(text))
	}
}

// refused gives what each Save method says about a text.
func refused(tx store.Tx, text string) map[string][]error {
	one := func(_ any, err error) error { return err }
	deep := map[string]any{"a": []any{map[string]any{"b": text}}}
	return map[string][]error{
		"premises": {one(tx.SavePremises(core.Premises{Name: text}))},
		"stream": {
			one(tx.SaveStream(core.StreamConfig{Name: text})), one(tx.SaveStream(core.StreamConfig{Connection: core.Connection{URL: text}})),
			one(tx.SaveStream(core.StreamConfig{Connection: core.Connection{Pipeline: text}})), one(tx.SaveStream(core.StreamConfig{Metadata: deep})),
		},
		"zone":        {one(tx.SaveZone(core.Zone{Name: text})), tx.SaveTotals(map[core.ZoneID]zones.Totals{1: {Exited: map[string]uint64{text: 1}}})},
		"alarm":       {one(tx.SaveAlarm(core.Alarm{Name: text})), one(tx.SaveAlarm(core.Alarm{Rates: []core.RateCondition{{Objects: core.Objects{Class: text}}}}))},
		"blob":        {one(tx.SaveBlob(core.Blob{Type: text}))},
		"identity":    {one(tx.SaveIdentity(core.Identity{UniqueName: text})), one(tx.SaveIdentity(core.Identity{Nickname: text})), one(tx.SaveIdentity(core.Identity{Metadata: map[string]any{text: 1}}))},
		"encoding":    {one(tx.SaveVector(core.Vector{Class: text, Values: core.Encoding{1}}))},
		"setting":     {tx.SaveSetting(core.CapsuleSetting{Capsule: text}), tx.SaveSetting(core.CapsuleSetting{Options: deep})},
		"user":        {one(tx.SaveUser(core.User{Name: text}))},
		"session":     {tx.SaveSession(store.Session{Token: text})},
		"event":       {one(tx.SaveEvent(store.Event{Kind: text})), one(tx.SaveEvent(store.Event{Key: text}))},
		"destination": {one(tx.SaveDestination(store.Destination{Name: text})), one(tx.SaveDestination(store.Destination{Secret: text})), one(tx.SaveDestination(store.Destination{Events: []string{text}}))},
		"value":       {tx.SaveValue(text, nil)},
	}
}

// refusedText: what cannot be kept is refused, and the transaction goes on.
func refusedText(b *bench) {
	w := b.makeWorld("1")
	if w.zone != 1 {
		b.Fatalf("the first zone has ID %d", w.zone)
	}
	for _, text := range []string{"\x00", "a\x00b", "\xff", "ok\xc3", "\xed\xa0\x80", strings.Repeat("x", 1<<20)} {
		b.update(func(tx store.Tx) {
			for noun, errs := range refused(tx, text) {
				for i, err := range errs {
					wantFault(b, fmt.Sprintf("%s %d with %.20q", noun, i, text), err, core.Invalid, noun)
				}
			}
			b.ok(tx.SaveValue("after", []byte(text)))
		})
		b.view(func(tx store.Tx) { same(b, "kept after", string(must[[]byte](b)(tx.Value("after"))), text) })
	}
}

func limits(b *bench) {
	name := strings.Repeat("n", store.MaxName)
	fill := func(n int) map[string]any { return map[string]any{"k": strings.Repeat("m", n-len(`{"k":""}`))} }
	b.update(func(tx store.Tx) {
		must[int64](b)(tx.SaveIdentity(core.Identity{UniqueName: name, Nickname: name, Metadata: fill(store.MaxJSON)}))
		must[core.StreamNumber](b)(tx.SaveStream(core.StreamConfig{Name: name, Connection: core.Connection{URL: strings.Repeat("u", store.MaxText)}}))
		must[int64](b)(tx.SaveEvent(store.Event{Payload: make([]byte, store.MaxPayload)}))
		_, err := tx.SaveIdentity(core.Identity{UniqueName: name + "n"})
		wantFault(b, "name", err, core.Invalid, "identity")
		_, err = tx.SaveIdentity(core.Identity{Metadata: fill(store.MaxJSON + 1)})
		wantFault(b, "metadata", err, core.Invalid, "identity")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(store.MaxJSON)) {
			b.Errorf("%v does not state the limit", err)
		}
		_, err = tx.SaveIdentity(core.Identity{Metadata: fill(1 << 20)})
		wantFault(b, "metadata of 1 MB", err, core.Invalid, "identity")
		_, err = tx.SaveIdentity(core.Identity{Metadata: map[string]any{"f": func() {}}})
		wantFault(b, "no JSON", err, core.Invalid, "identity")
		_, err = tx.SaveStream(core.StreamConfig{Connection: core.Connection{URL: strings.Repeat("u", store.MaxText+1)}})
		wantFault(b, "URL", err, core.Invalid, "stream")
		_, err = tx.SaveEvent(store.Event{Payload: make([]byte, store.MaxPayload+1)})
		wantFault(b, "payload", err, core.Invalid, "event")
	})
}

// metadata of users comes back as it was given, its numbers too.
func metadata(b *bench) {
	for given, want := range map[string]map[string]any{
		`{}`: {},
		`{"a":null,"b":true,"c":"x","d":[1,2.5,-0.0,1e-7,1e300],"e":{"f":{}}}`:  {"a": nil, "b": true, "c": "x", "d": []any{1.0, 2.5, json.Number("-0.0"), 1e-7, json.Number("1e300")}, "e": map[string]any{"f": map[string]any{}}},
		`{"n":9007199254740993,"m":-12345678901234567890,"o":9007199254740991}`: {"n": json.Number("9007199254740993"), "m": json.Number("-12345678901234567890"), "o": 9007199254740991.0},
		`{"n":1e999,"a":1.0,"b":0.12345678901234567890}`:                        {"n": json.Number("1e999"), "a": json.Number("1.0"), "b": json.Number("0.12345678901234567890")},
	} {
		d := json.NewDecoder(strings.NewReader(given))
		d.UseNumber()
		m := map[string]any{}
		b.ok(d.Decode(&m))
		b.update(func(tx store.Tx) {
			id := must[int64](b)(tx.SaveIdentity(core.Identity{UniqueName: given, Metadata: m}))
			same(b, given, must[core.Identity](b)(tx.Identity(id)).Metadata, want)
		})
	}
}

func times(b *bench) {
	zone := time.FixedZone("", 5*3600+1800)
	for given, want := range map[time.Time]time.Time{
		time.Date(2026, 3, 4, 5, 6, 7, 123456789, zone): time.Date(2026, 3, 3, 23, 36, 7, 123456000, time.UTC),
		{}: {},
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC): time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Unix(0, 0): time.Unix(0, 0).UTC(),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC): time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		b.update(func(tx store.Tx) {
			id := must[core.BlobID](b)(tx.SaveBlob(core.Blob{Created: given}))
			same(b, given.String(), must[core.Blob](b)(tx.Blob(id)).Created, want)
		})
	}
}

var errStop = errors.New("stop")

// atomic: an update that does not end well leaves nothing behind.
func atomic(b *bench) {
	w := b.makeWorld("1")
	spoil := func(tx store.Tx) {
		b.addIdentity(tx, "anna")
		b.addStream(tx, "new", 0)
		b.ok(tx.SaveValue("key", []byte("x")))
		b.ok(tx.DeletePremises(w.premises))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ends := map[string]func(){
		"error": func() {
			err := b.try(func(tx store.Tx) error { spoil(tx); return errStop })
			if !errors.Is(err, errStop) {
				b.Errorf("error of f: %v", err)
			}
		},
		"panic": func() {
			defer func() { same(b, "panic", recover(), "oh") }()
			_ = b.try(func(tx store.Tx) error { spoil(tx); panic("oh") })
		},
		"goroutine left": func() {
			var done sync.WaitGroup
			done.Go(func() {
				_ = b.try(func(tx store.Tx) error { spoil(tx); runtime.Goexit(); return nil })
			})
			done.Wait()
		},
		"cancelled": func() {
			err := b.s.Update(ctx, func(tx store.Tx) error { spoil(tx); cancel(); return nil })
			wantFault(b, "cancelled", err, core.Cancelled, "")
		},
	}
	for how, end := range ends {
		end()
		same(b, how+": left", b.left(w), everything)
		b.view(func(tx store.Tx) {
			_, n, err := tx.Identities(store.IdentityFilter{})
			b.ok(err)
			same(b, how+": identities", n, 0)
			same(b, how+": streams", len(must[[]core.StreamConfig](b)(tx.Streams(0))), 1)
			same(b, how+": value", must[[]byte](b)(tx.Value("key")), []byte(nil))
		})
	}
	b.update(func(tx store.Tx) { b.addIdentity(tx, "anna") }) // and the database goes on
}

// faultsInside: after a refusal the transaction goes on, on every database.
func faultsInside(b *bench) {
	b.update(func(tx store.Tx) {
		b.addIdentity(tx, "anna")
		_, err := tx.SaveIdentity(core.Identity{UniqueName: "anna"})
		wantFault(b, "taken", err, core.Exists, "identity")
		_, err = tx.Identity(hugeID)
		wantFault(b, "missing", err, core.NotFound, "identity")
		wantFault(b, "missing", tx.DeleteZone(hugeID), core.NotFound, "zone")
		b.addIdentity(tx, "bert")
	})
	b.view(func(tx store.Tx) {
		_, n, err := tx.Identities(store.IdentityFilter{})
		b.ok(err)
		same(b, "kept", n, 2)
	})
}

// views do not write, and see one state from beginning to end.
func views(b *bench) {
	b.update(func(tx store.Tx) { b.addIdentity(tx, "anna") })
	one := func(_ any, err error) error { return err }
	for what, f := range map[string]func(tx store.Tx) error{
		"save":       func(tx store.Tx) error { return one(tx.SaveIdentity(core.Identity{UniqueName: "x"})) },
		"delete":     func(tx store.Tx) error { return tx.DeleteIdentity(1) },
		"delete all": func(tx store.Tx) error { return one(tx.DeleteVectors(store.VectorFilter{})) },
		"value":      func(tx store.Tx) error { return tx.SaveValue("k", []byte("x")) },
		"setting":    func(tx store.Tx) error { return tx.SaveSetting(core.CapsuleSetting{Capsule: "x", Active: yes()}) },
		"session":    func(tx store.Tx) error { return tx.SaveSession(store.Session{}) },
		"stream":     func(tx store.Tx) error { return tx.DeleteStream(1) },
	} {
		err := b.s.View(context.Background(), f)
		if core.KindOf(err) != core.Internal {
			b.Errorf("%s in a view: %v, want a fault", what, err)
		}
	}
	b.view(func(tx store.Tx) {
		_, before, err := tx.Identities(store.IdentityFilter{})
		b.ok(err)
		b.update(func(tx store.Tx) { b.addIdentity(tx, "bert") })
		_, after, err := tx.Identities(store.IdentityFilter{})
		b.ok(err)
		same(b, "seen in one view", []int{before, after}, []int{1, 1})
	})
	b.view(func(tx store.Tx) {
		_, n, err := tx.Identities(store.IdentityFilter{})
		b.ok(err)
		same(b, "seen later", n, 2)
	})
	if err := b.s.View(context.Background(), func(store.Tx) error { return errStop }); !errors.Is(err, errStop) {
		b.Errorf("error of a view: %v", err)
	}
}

const (
	writers   = 8
	rounds    = 12
	countedAs = "counter"
)

// concurrent: many add to one number, and to lists of their own; nothing is lost.
func concurrent(b *bench) {
	w := b.makeWorld("1")
	to, _ := b.post(1)
	var wait sync.WaitGroup
	for g := range writers {
		wait.Go(func() {
			for i := range rounds {
				err := b.try(func(tx store.Tx) error { return addOne(tx, w, to[0], g*rounds+i) })
				if err != nil {
					b.Errorf("writer %d: %v", g, err)
				}
			}
		})
		wait.Go(func() {
			for range rounds {
				err := b.s.View(context.Background(), func(tx store.Tx) error { return bothAgree(b, tx) })
				if err != nil {
					b.Errorf("reader %d: %v", g, err)
				}
			}
		})
	}
	wait.Wait()
	b.view(func(tx store.Tx) {
		same(b, "counter", string(must[[]byte](b)(tx.Value(countedAs))), fmt.Sprint(writers*rounds))
		list, n, err := tx.Alerts(store.AlertFilter{})
		b.ok(err)
		same(b, "alerts", []int{len(list), n}, []int{writers*rounds + 1, writers*rounds + 1})
		same(b, "events", len(must[[]store.Delivery](b)(tx.Waiting(to[0], w.stream, 0))), writers*rounds)
	})
}

// addOne adds one to a number, and an alert and an event in the same transaction.
func addOne(tx store.Tx, w world, to int64, i int) error {
	raw, err := tx.Value(countedAs)
	if err != nil {
		return err
	}
	n := 0
	if raw != nil {
		if _, err := fmt.Sscan(string(raw), &n); err != nil {
			return err
		}
	}
	if err := tx.SaveValue(countedAs, fmt.Append(nil, n+1)); err != nil {
		return err
	}
	if _, err := tx.SaveAlert(core.Alert{Alarm: w.alarm.ID, Start: at(i)}); err != nil {
		return err
	}
	_, err = tx.SaveEvent(store.Event{Stream: w.stream, Kind: "x", Payload: fmt.Append(nil, i)}, to)
	return err
}

// bothAgree looks that a view sees as many alerts as the number says.
func bothAgree(b *bench, tx store.Tx) error {
	raw, err := tx.Value(countedAs)
	if err != nil {
		return err
	}
	list, n, err := tx.Alerts(store.AlertFilter{})
	if err != nil {
		return err
	}
	counted := "0"
	if raw != nil {
		counted = string(raw)
	}
	if fmt.Sprint(n-1) != counted || len(list) != n {
		b.Errorf("a view sees %d alerts, counted %d, and the number %s", len(list)-1, n-1, counted)
	}
	return nil
}

// raceForName: of several who take a name at once, one gets it and the others hear why not.
func raceForName(b *bench) {
	for round := range 5 {
		var got, refusals int
		var mu sync.Mutex
		var wait sync.WaitGroup
		for range writers {
			wait.Go(func() {
				err := b.try(func(tx store.Tx) error {
					_, err := tx.SaveIdentity(core.Identity{UniqueName: fmt.Sprint("name", round)})
					return err
				})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got++
					return
				}
				refusals++
				wantFault(b, "who came late", err, core.Exists, "identity")
			})
		}
		wait.Wait()
		same(b, "got it, refused", []int{got, refusals}, []int{1, writers - 1})
	}
}

func cancelled(b *bench) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	note := func(store.Tx) error { ran = true; return nil }
	wantFault(b, "update", b.s.Update(gone, note), core.Cancelled, "")
	wantFault(b, "view", b.s.View(gone, note), core.Cancelled, "")
	if ran {
		b.Error("f ran though the context had ended")
	}
	for what, run := range map[string]func(context.Context, func(store.Tx) error) error{"update": b.s.Update, "view": b.s.View} {
		ctx, cancel := context.WithCancel(context.Background())
		err := run(ctx, func(tx store.Tx) error {
			cancel()
			<-ctx.Done()
			_, err := tx.Streams(0)
			return err
		})
		wantFault(b, what+" in the middle", err, core.Cancelled, "")
	}
	// Who waits for another one's update stops waiting.
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	b.update(func(tx store.Tx) {
		b.ok(tx.SaveValue("key", []byte("x")))
		err := b.s.Update(short, func(tx store.Tx) error {
			if err := tx.SaveValue("key", []byte("y")); err != nil {
				return err
			}
			return nil
		})
		wantFault(b, "waiting", err, core.Cancelled, "")
	})
}

func closed(b *bench) {
	inside, wait := make(chan struct{}), sync.WaitGroup{}
	wait.Go(func() {
		err := b.try(func(tx store.Tx) error {
			close(inside)
			time.Sleep(50 * time.Millisecond) // Close is likely to be waiting by then
			return tx.SaveValue("last", []byte("x"))
		})
		if err != nil {
			b.Errorf("update while it is closed: %v", err)
		}
	})
	<-inside
	b.ok(b.s.Close())
	wait.Wait()
	b.ok(b.s.Close())
	wantFault(b, "update", b.try(func(store.Tx) error { return nil }), core.Closed, "")
	wantFault(b, "view", b.s.View(context.Background(), func(store.Tx) error { return nil }), core.Closed, "")
	b.s = b.open()
	b.view(func(tx store.Tx) { same(b, "last value", string(must[[]byte](b)(tx.Value("last"))), "x") })
}

func reopened(b *bench) {
	all := b.someAlerts(30)
	b.update(func(tx store.Tx) {
		b.addBlob(tx, "x")
		must[core.VectorID](b)(tx.SaveVector(core.Vector{Identity: b.addIdentity(tx, "anna"), Class: "face", Values: core.Encoding{1}}))
		b.ok(tx.SaveTotals(map[core.ZoneID]zones.Totals{all[0].Zone: {Entered: map[string]uint64{"a": 1}}}))
		b.ok(tx.SaveSetting(core.CapsuleSetting{Capsule: "a", Active: yes()}))
		id := must[core.UserID](b)(tx.SaveUser(core.User{Name: "admin"}))
		b.ok(tx.SaveSession(store.Session{Token: "t", User: id, Expires: time.Now().Add(time.Hour)}))
		must[int64](b)(tx.SaveEvent(store.Event{Kind: "x"}, must[int64](b)(tx.SaveDestination(store.Destination{Name: "d"}))))
		b.ok(tx.SaveAudit(core.AuditEntry{User: "admin"}))
		b.ok(tx.SaveValue("key", []byte("x")))
	})
	before := b.dump()
	for range 2 {
		b.ok(b.s.Close())
		b.s = b.open()
		same(b, "reopened", b.dump(), before)
	}
}

// dump gives all there is.
func (b *bench) dump() (all []any) {
	b.view(func(tx store.Tx) {
		all = nil
		add := func(v any, err error) { b.ok(err); all = append(all, v) }
		add(tx.Premises())
		add(tx.Streams(0))
		add(tx.Zones(0))
		add(tx.Totals(0))
		add(tx.Alarms(0, 0))
		add(tx.Blobs(store.Page{}))
		add(tx.Vectors(store.VectorFilter{}))
		add(tx.Settings(""))
		add(tx.Users())
		add(tx.Session("t"))
		add(tx.Destinations())
		add(tx.Waiting(1, 0, 0))
		add(tx.Audit(store.Page{}))
		add(tx.Value("key"))
		alerts, n, err := tx.Alerts(store.AlertFilter{})
		add(alerts, err)
		identities, m, err := tx.Identities(store.IdentityFilter{})
		add(identities, err)
		add([]int{n, m}, nil)
	})
	return all
}
