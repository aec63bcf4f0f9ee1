package storetest

import (
	"fmt"
	"strings"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/server/store"
)

func destinations(b *bench) {
	want := []store.Destination{
		{Name: "hook ü", Kind: "webhook", URL: "https://host/x?y='1'", Secret: "whsec_x", Events: []string{"alert", "stream.failed"}, Streams: []core.StreamNumber{3, 1},
			Zones: []core.ZoneID{7}, Alarms: []core.AlarmID{2}, Enabled: true},
		{Name: "broker", Kind: "mqtt", URL: "mqtts://host:8883", Topic: "a/{stream}", User: "u", CA: "pem", Configured: true, Problem: "gone \uFFFD"},
	}
	b.update(func(tx store.Tx) {
		for i := range want {
			want[i].ID = must[int64](b)(tx.SaveDestination(want[i]))
		}
		want[1].Name, want[1].Enabled = "broker 2", true
		given := want[1]
		given.Problem = "gone \x00"
		same(b, "ID", must[int64](b)(tx.SaveDestination(given)), want[1].ID)
		_, err := tx.SaveDestination(store.Destination{Name: "hook ü"})
		wantFault(b, "name of another", err, core.Exists, "destination")
		_, err = tx.SaveDestination(store.Destination{Name: "long", URL: strings.Repeat("u", store.MaxText+1)})
		wantFault(b, "long URL", err, core.Invalid, "destination")
	})
	b.view(func(tx store.Tx) {
		same(b, "list", must[[]store.Destination](b)(tx.Destinations()), want)
		same(b, "one", must[store.Destination](b)(tx.Destination(want[0].ID)), want[0])
		_, err := tx.SaveDestination(want[0])
		wantFault(b, "write in a view", err, core.Internal, "")
	})
}

// post saves destinations and events for them; streams says on which stream each event is.
func (b *bench) post(n int, streams ...core.StreamNumber) (to []int64, list []store.Event) {
	b.update(func(tx store.Tx) {
		to, list = nil, nil
		for i := range n {
			to = append(to, must[int64](b)(tx.SaveDestination(store.Destination{Name: fmt.Sprint("d", i)})))
		}
		for i, stream := range streams {
			e := store.Event{Key: fmt.Sprint("k", i), Stream: stream, Kind: "alert.began", At: at(i), Payload: []byte(`{"a":"` + "\\u0000 ü'" + `"}`)}
			e.ID = must[int64](b)(tx.SaveEvent(e, to...))
			if i > 0 && e.ID <= list[i-1].ID {
				b.Errorf("event %d has ID %d after %d", i, e.ID, list[i-1].ID)
			}
			list = append(list, e)
		}
	})
	return to, list
}

// waits gives the keys that wait in a queue.
func (b *bench) waits(destination int64, stream core.StreamNumber, most int) string {
	b.Helper()
	var keys []string
	b.view(func(tx store.Tx) {
		keys = nil
		for _, d := range must[[]store.Delivery](b)(tx.Waiting(destination, stream, most)) {
			keys = append(keys, d.Event.Key)
		}
	})
	return strings.Join(keys, " ")
}

func deliveries(b *bench) {
	to, list := b.post(2, 8, 7, 8, 0, 7)
	b.update(func(tx store.Tx) {
		same(b, "ID of an event for nobody", must[int64](b)(tx.SaveEvent(store.Event{Kind: "x"})), int64(0))
		_, err := tx.SaveEvent(list[0], to...)
		wantFault(b, "event changed", err, core.Invalid, "event")
	})
	var head store.Delivery
	b.view(func(tx store.Tx) {
		same(b, "queues", must[[]store.Queue](b)(tx.Queues(to[0])), []store.Queue{{Stream: 8, Next: at(0)}, {Stream: 7, Next: at(1)}, {Stream: 0, Next: at(3)}})
		head = must[[]store.Delivery](b)(tx.Waiting(to[0], 8, 1))[0]
		same(b, "head", head, store.Delivery{ID: head.ID, Destination: to[0], Event: list[0], Next: at(0)})
		same(b, "the same", must[store.Delivery](b)(tx.Delivery(head.ID)), head)
	})
	same(b, "queue", b.waits(to[0], 8, 0)+", "+b.waits(to[0], 7, 5)+", "+b.waits(to[0], 0, 5)+", "+b.waits(to[0], 9, 5), "k0 k2, k1 k4, k3, ")
	head.Attempts, head.Next, head.Error = 3, at(100), "refused \uFFFD"
	given := head
	given.Error = "refused \x00"
	b.update(func(tx store.Tx) { b.ok(tx.SaveDelivery(given)) })
	b.view(func(tx store.Tx) {
		same(b, "after an attempt", must[store.Delivery](b)(tx.Delivery(head.ID)), head)
		same(b, "queue after it", must[[]store.Queue](b)(tx.Queues(to[0]))[0], store.Queue{Stream: 8, Next: at(100)})
		same(b, "queue of the other", must[[]store.Queue](b)(tx.Queues(to[1]))[0], store.Queue{Stream: 8, Next: at(0)})
	})
	b.update(func(tx store.Tx) {
		same(b, "deleted", must[int](b)(tx.DeleteDeliveries(head.ID, hugeID)), 1)
		same(b, "deleted of none", must[int](b)(tx.DeleteDeliveries()), 0)
		waiting, dead, err := tx.CountDeliveries(to[0])
		b.ok(err)
		same(b, "counts", []int{waiting, dead}, []int{4, 0})
		b.ok(tx.DeleteDestination(to[0]))
	})
	same(b, "queue of the other", b.waits(to[1], 8, 0)+", "+b.waits(to[1], 7, 0), "k0 k2, k1 k4")
	same(b, "queue of the deleted", b.waits(to[0], 7, 0), "")
}

func deadLetters(b *bench) {
	to, _ := b.post(2, 1, 1, 2, 2)
	bury := func(destination int64, ended int) {
		b.update(func(tx store.Tx) {
			for _, stream := range []core.StreamNumber{1, 2} {
				for _, d := range must[[]store.Delivery](b)(tx.Waiting(destination, stream, 0)) {
					d.Dead, d.Ended, d.Error, d.Attempts = true, at(ended), "gone", 5
					b.ok(tx.SaveDelivery(d))
					same(b, "dead", must[store.Delivery](b)(tx.Delivery(d.ID)), d)
				}
			}
		})
	}
	letters := func(destination int64, p store.Page) string {
		out := ""
		b.view(func(tx store.Tx) {
			list, n, err := tx.DeadLetters(destination, p)
			b.ok(err)
			out = fmt.Sprint(n)
			for _, d := range list {
				out += fmt.Sprintf(" %s@%d", d.Event.Key, d.Destination-to[0])
			}
		})
		return out
	}
	bury(to[0], 10)
	same(b, "queue", b.waits(to[0], 1, 0)+b.waits(to[0], 2, 0), "")
	same(b, "queue of the other", b.waits(to[1], 1, 0), "k0 k1")
	same(b, "all", letters(0, store.Page{}), "4 k3@0 k2@0 k1@0 k0@0")
	same(b, "a page", letters(to[0], store.Page{Limit: 2, Offset: 1}), "4 k2@0 k1@0")
	same(b, "from an offset", letters(to[0], store.Page{Offset: 3}), "4 k0@0")
	same(b, "of the other", letters(to[1], store.Page{}), "0")
	b.update(func(tx store.Tx) {
		same(b, "replayed of the other", must[int](b)(tx.Replay(to[1], at(50))), 0)
		same(b, "replayed", must[int](b)(tx.Replay(to[0], at(50))), 4)
		d := must[[]store.Delivery](b)(tx.Waiting(to[0], 1, 1))[0]
		same(b, "replayed one", []any{d.Event.Key, d.Attempts, d.Next, d.Dead, d.Ended.IsZero()}, []any{"k0", 0, at(50), false, true})
	})
	bury(to[0], 10)
	bury(to[1], 20)
	same(b, "all of two", letters(0, store.Page{}), "8 k3@1 k3@0 k2@1 k2@0 k1@1 k1@0 k0@1 k0@0")
	b.update(func(tx store.Tx) {
		same(b, "trimmed by number", must[int](b)(tx.TrimDeadLetters(to[0], at(0), 3)), 1)
		same(b, "trimmed by none", must[int](b)(tx.TrimDeadLetters(to[0], at(10), 3)), 0)
		same(b, "trimmed by age", must[int](b)(tx.TrimDeadLetters(to[0], at(11), 3)), 3)
		same(b, "replayed of all", must[int](b)(tx.Replay(0, at(60))), 4)
	})
	same(b, "left", letters(0, store.Page{})+" "+b.waits(to[1], 1, 0)+" "+b.waits(to[1], 2, 0), "0 k0 k1 k2 k3")
}
