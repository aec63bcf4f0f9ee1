package sdk

import (
	"context"
	"sync"
	"testing"
	"time"
)

func TestGatherJoinsWhatComesClose(t *testing.T) {
	for _, c := range []struct {
		name   string
		window time.Duration
		max    int
	}{
		{"full before the window ends", time.Hour, 4},
		{"window ends first", 50 * time.Millisecond, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var sizes []int
			b := NewBatcher(c.max, func(_ context.Context, in []int) ([]int, error) {
				mu.Lock()
				sizes = append(sizes, len(in))
				mu.Unlock()
				return in, nil
			})
			b.Gather(func() time.Duration { return c.window })
			var wait sync.WaitGroup
			for i := range 4 {
				wait.Go(func() {
					if got, err := b.Do(t.Context(), i); err != nil || got != i {
						t.Errorf("input %d: %d, %v", i, got, err)
					}
				})
			}
			wait.Wait()
			if err := b.Close(); err != nil || len(sizes) != 1 || sizes[0] != 4 {
				t.Errorf("batches of %v (%v), want one of 4", sizes, err)
			}
		})
	}
}

func TestCloseEndsTheWindow(t *testing.T) {
	b := NewBatcher(10, func(_ context.Context, in []int) ([]int, error) { return in, nil })
	b.Gather(func() time.Duration { return time.Hour })
	done := make(chan error, 1)
	go func() {
		_, err := b.Do(context.Background(), 1)
		done <- err
	}()
	for b.Pending() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("an input that had not run was answered")
	}
}
