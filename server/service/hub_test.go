package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/capstan-video/capstan/core"
)

// BenchmarkPublish has 100 streams and so many subscribers, of whom half take nothing.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHub(time.Now)
			for s := range 100 {
				h.publish(core.StreamNumber(s), make([]ZoneStatus, 3), false)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var readers sync.WaitGroup
			for i := range n {
				ch, err := h.subscribe(ctx)
				if err != nil {
					b.Fatal(err)
				}
				if i%2 == 0 {
					readers.Go(func() {
						for range ch {
						}
					})
				}
			}
			list := make([]ZoneStatus, 3)
			b.ResetTimer()
			for i := range b.N {
				h.publish(core.StreamNumber(i%100), list, false)
			}
			b.StopTimer()
			h.close()
			readers.Wait()
		})
	}
}

// TestLatestWins has subscribers that read late: they find the newest snapshot, and it alone.
func TestLatestWins(t *testing.T) {
	t.Parallel()
	h := newHub(time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := h.subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		h.publish(core.StreamNumber(n), nil, false)
	}
	if s := <-ch; len(s.Streams) != 10 || s.Streams[9] == nil {
		t.Errorf("%v, want ten streams with empty lists", s.Streams)
	}
	h.publish(3, nil, true)
	if s := <-ch; len(s.Streams) != 9 {
		t.Errorf("%d streams, want 9", len(s.Streams))
	}
	cancel()
	if _, ok := <-ch; ok {
		t.Error("something came after the end")
	}
	h.publish(1, nil, false)
	h.close()
	if _, err := h.subscribe(t.Context()); core.KindOf(err) != core.Closed {
		t.Errorf("%v, want Closed", err)
	}
}

// zoned is one status of zone 7 with these alerts.
func zoned(alerts ...core.Alert) []ZoneStatus {
	z := ZoneStatus{Alerts: alerts}
	z.Zone.ID = 7
	return []ZoneStatus{z}
}

func alertsIn(s *Snapshot, n core.StreamNumber) (ids []core.AlertID) {
	for _, z := range s.Streams[n] {
		for _, a := range z.Alerts {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestAnEndIsToldOnce has a reader that is fast, one that misses snapshots, and one who asks.
func TestAnEndIsToldOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	at := time.Unix(1000, 0)
	h := newHub(func() time.Time { mu.Lock(); defer mu.Unlock(); return at })
	fast, err := h.subscribe(t.Context())
	slow, err2 := h.subscribe(t.Context())
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	over := func(id core.AlertID) core.Alert { return core.Alert{ID: id, Zone: 7, Stream: 1, End: at} }
	on := core.Alert{ID: 9, Zone: 7, Stream: 1}
	counts := map[core.AlertID]int{}
	for _, list := range [][]ZoneStatus{zoned(on), zoned(on, over(1)), zoned(on, over(2)), zoned(on), zoned(on)} {
		h.publish(1, list, false)
		h.publish(2, nil, false) // another stream, which says nothing of alerts
		for _, id := range alertsIn(<-fast, 1) {
			counts[id]++
		}
	}
	if counts[1] != 1 || counts[2] != 1 || counts[9] != 5 {
		t.Errorf("the fast one was told of the alerts %v times", counts)
	}
	if got := alertsIn(<-slow, 1); !slices.Equal(got, []core.AlertID{1, 2, 9}) {
		t.Errorf("the slow one was told of alerts %v", got)
	}
	h.publish(1, zoned(on), false)
	for name, ch := range map[string]<-chan *Snapshot{"fast": fast, "slow": slow} {
		if got := alertsIn(<-ch, 1); !slices.Equal(got, []core.AlertID{9}) {
			t.Errorf("%s: told again of %v", name, got)
		}
	}
	if got := alertsIn(h.snapshot(), 1); !slices.Equal(got, []core.AlertID{1, 2, 9}) {
		t.Errorf("who asks at once hears of %v", got)
	}
	mu.Lock()
	at = at.Add(endedFor)
	mu.Unlock()
	if got := alertsIn(h.snapshot(), 1); !slices.Equal(got, []core.AlertID{9}) {
		t.Errorf("who asks later hears of %v", got)
	}
	// What ends in a stream that is gone, or in a zone that is, has no place any more.
	h.publish(1, zoned(over(3)), false)
	h.publish(1, nil, true)
	if s := <-slow; s.Streams[1] != nil {
		t.Errorf("a stream that is gone is told: %v", s.Streams)
	}
	for id := range core.AlertID(2 * maxEndings) {
		h.publish(1, zoned(over(10+id)), false)
	}
	if got := alertsIn(<-slow, 1); len(got) > maxEndings+1 || got[len(got)-1] != 2*maxEndings+9 {
		t.Errorf("who does not read is told of %d ends", len(got))
	}
	h.close()
}
