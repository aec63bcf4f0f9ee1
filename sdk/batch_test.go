package sdk

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/capstan-video/capstan/core"
)

var errBatch = errors.New("the batch failed")

// gather has n inputs, 0 to n-1, in exactly one batch, and gives outputs and errors by input.
func gather(t *testing.T, n int, run func([]int) ([]int, error)) ([]int, []error) {
	t.Helper()
	first, release := make(chan struct{}), make(chan struct{})
	b := NewBatcher(0, func(_ context.Context, in []int) ([]int, error) {
		if in[0] < 0 {
			close(first)
			<-release
			return in, nil
		}
		if len(in) != n {
			t.Errorf("batch of %d, want %d", len(in), n)
		}
		return run(in)
	})
	defer b.Close()
	var wg sync.WaitGroup
	wg.Go(func() { b.Do(context.Background(), -1) })
	<-first
	outs, errs := make([]int, n), make([]error, n)
	for i := range n {
		wg.Go(func() { outs[i], errs[i] = b.Do(context.Background(), i) })
		for b.Pending() != i+1 { // keeps the order
		}
	}
	close(release)
	wg.Wait()
	return outs, errs
}

func hundredfold(in []int) []int {
	out := make([]int, len(in))
	for i, v := range in {
		out[i] = 100 * v
	}
	return out
}

func TestBatchErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		n    int
		run  func([]int) ([]int, error)
		good int // so many of the first succeed
		err  error
	}{
		{"all", 10, func(in []int) ([]int, error) { return hundredfold(in), nil }, 10, nil},
		{"partial", 10, func(in []int) ([]int, error) { return hundredfold(in[:5]), errBatch }, 5, errBatch},
		{"error", 10, func([]int) ([]int, error) { return nil, errBatch }, 0, errBatch},
		{"fewer", 4, func(in []int) ([]int, error) { return hundredfold(in[:2]), nil }, 2, &core.Fault{Kind: core.CapsuleFailed}},
		{"more", 4, func(in []int) ([]int, error) { return append(hundredfold(in), 7), nil }, 4, nil},
		{"none", 3, func([]int) ([]int, error) { return nil, nil }, 0, &core.Fault{Kind: core.CapsuleFailed}},
		{"panic", 3, func([]int) ([]int, error) { panic("boom") }, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			outs, errs := gather(t, tt.n, tt.run)
			for i := range tt.n {
				switch {
				case i < tt.good && (errs[i] != nil || outs[i] != 100*i):
					t.Errorf("input %d: %d, %v; want %d", i, outs[i], errs[i], 100*i)
				case i >= tt.good && errs[i] == nil:
					t.Errorf("input %d: no error", i)
				case i >= tt.good && tt.err != nil && !errors.Is(errs[i], tt.err):
					t.Errorf("input %d: %v, want %v", i, errs[i], tt.err)
				}
			}
		})
	}
}

func TestBatchTenThousandShuffledInputs(t *testing.T) {
	t.Parallel()
	b := NewBatcher(0, func(_ context.Context, in []int) ([]int, error) { return hundredfold(in), nil })
	inputs := rand.Perm(10_000)
	got := make([]int, len(inputs))
	var wg sync.WaitGroup
	for _, v := range inputs {
		wg.Go(func() { got[v], _ = b.Do(context.Background(), v) })
	}
	wg.Wait()
	for i, v := range got {
		if v != 100*i {
			t.Fatalf("input %d gave %d", i, v)
		}
	}
	if b.Pending() != 0 {
		t.Errorf("%d pending", b.Pending())
	}
	b.Close()
}

func TestBatchGrowsWithLoad(t *testing.T) {
	t.Parallel()
	var sizes []int
	started, release := make(chan struct{}, 10), make(chan struct{})
	b := NewBatcher(40, func(_ context.Context, in []int) ([]int, error) {
		started <- struct{}{}
		<-release
		sizes = append(sizes, len(in))
		return in, nil
	})
	var wg sync.WaitGroup
	wg.Go(func() { b.Do(context.Background(), 0) })
	<-started
	for i := range 130 {
		wg.Go(func() { b.Do(context.Background(), i) })
	}
	for b.Pending() != 130 {
	}
	close(release)
	wg.Wait()
	b.Close()
	if want := []int{1, 40, 40, 40, 10}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v, want %v", sizes, want)
	}
}

func TestBatchClose(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	b := NewBatcher(1, func(_ context.Context, in []int) ([]int, error) {
		close(started)
		<-release
		return in, nil
	})
	running, queued := make(chan error, 1), make(chan error, 1)
	go func() { _, err := b.Do(context.Background(), 1); running <- err }()
	<-started
	go func() { _, err := b.Do(context.Background(), 2); queued <- err }()
	for b.Pending() != 1 {
	}
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	if err := <-queued; core.KindOf(err) != core.Closed {
		t.Errorf("queued: %v, want closed", err)
	}
	select {
	case <-closed:
		t.Error("Close did not wait for the running batch")
	default:
	}
	close(release)
	if err := <-running; err != nil {
		t.Errorf("running: %v", err)
	}
	<-closed
	if _, err := b.Do(context.Background(), 3); core.KindOf(err) != core.Closed {
		t.Errorf("after Close: %v, want closed", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestBatchGivesUpWithContext(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	var seen []int
	b := NewBatcher(1, func(_ context.Context, in []int) ([]int, error) {
		if in[0] == 1 {
			close(started)
			<-release
		}
		seen = append(seen, in...)
		return in, nil
	})
	first := make(chan error, 1)
	go func() { _, err := b.Do(context.Background(), 1); first <- err }()
	<-started
	ctx, cancel := context.WithCancelCause(context.Background())
	given := make(chan error, 1)
	go func() { _, err := b.Do(ctx, 2); given <- err }()
	for b.Pending() != 1 {
	}
	cancel(errBatch)
	if err := <-given; !errors.Is(err, errBatch) {
		t.Errorf("%v, want the cause", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	b.Close()
	if !slices.Equal(seen, []int{1}) {
		t.Errorf("ran %v, want 1 alone", seen)
	}
}
