package service

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// BenchmarkPublish has 100 streams and so many subscribers, of whom half take nothing.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHub()
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
	h := newHub()
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
