package service

import (
	"context"
	"fmt"
	"testing"

	"github.com/capstan-video/capstan/core"
)

// TestLive follows what a reader is told from the updates of two streams.
func TestLive(t *testing.T) {
	t.Parallel()
	var l live
	l.tell(2, nil, false)
	l.tell(1, nil, false)
	l.tell(3, nil, true)
	for _, c := range []struct {
		stream core.StreamNumber
		since  uint64
		want   string // streams with the numbers of their updates
	}{
		{0, 0, "1:2 2:1"}, {0, 1, "1:2"}, {0, 2, ""}, {2, 0, "2:1"}, {2, 1, ""}, {3, 0, ""}, {0, 99, ""},
	} {
		w, err := l.join(c.stream, c.since)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, n := range w.order {
			got += fmt.Sprintf(" %d:%d", n, w.pending[n].Seq)
		}
		if c.want != "" {
			c.want = " " + c.want
		}
		if got != c.want {
			t.Errorf("stream %d after %d: %q, want %q", c.stream, c.since, got, c.want)
		}
		l.leave(w)
	}
	if len(l.watches) != 0 {
		t.Errorf("%d readers are left", len(l.watches))
	}
}

// BenchmarkTell publishes to 500 readers, of whom one in ten reads.
func BenchmarkTell(b *testing.B) {
	var l live
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range 500 {
		w, err := l.join(0, 0)
		if err != nil {
			b.Fatal(err)
		}
		if i%10 == 0 {
			go func() {
				for {
					if _, _, err := w.Next(ctx); err != nil {
						return
					}
				}
			}()
		}
	}
	for b.Loop() {
		l.tell(1, nil, false)
	}
}
