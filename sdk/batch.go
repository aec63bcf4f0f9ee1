package sdk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// DefaultBatch is the largest batch where none is given.
const DefaultBatch = 40

// Batcher runs single requests together, for models that are faster on several inputs at once.
// An idle one runs what comes at once, unless Gather says to wait, and while it runs the next
// batch gathers. Make one in Load, share it between all processors, call Do in Process.
type Batcher[In, Out any] struct {
	max int
	run func(context.Context, []In) ([]Out, error)

	window  func() time.Duration // nil: none
	full    chan struct{}        // ends the wait of a window; capacity 1
	mu      sync.Mutex
	queue   []*batched[In, Out] // no longer than there are goroutines in Do
	running bool
	closed  bool
	idle    sync.Cond
}

type batched[In, Out any] struct {
	in   In
	out  Out
	err  error
	done chan struct{}
}

// NewBatcher makes a batcher of at most max inputs a batch, DefaultBatch where max is below 1.
// run gets the inputs in the order in which they came and gives as many outputs in the same
// order. Fewer outputs with an error are those of the first inputs, and the others get the
// error; fewer without one are an error for the others; surplus ones are ignored. run is never
// called twice at once.
func NewBatcher[In, Out any](max int, run func(ctx context.Context, in []In) ([]Out, error)) *Batcher[In, Out] {
	if max < 1 {
		max = DefaultBatch
	}
	b := &Batcher[In, Out]{max: max, run: run, full: make(chan struct{}, 1)}
	b.idle.L = &b.mu
	return b
}

// Gather has an idle batcher wait for window() before it runs what has come, or until a batch is
// full. Inputs that come close together then share the first batch too. Call it before Do.
func (b *Batcher[In, Out]) Gather(window func() time.Duration) { b.window = window }

// Do gives the output for one input. It returns a fault of kind Closed after Close, and ctx's
// cause when ctx ends first; an input that is running then is run to its end.
func (b *Batcher[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	item := &batched[In, Out]{in: in, done: make(chan struct{})}
	var none Out
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return none, errBatcherClosed()
	}
	b.queue = append(b.queue, item)
	if !b.running {
		b.running = true
		go b.work()
	}
	b.fullLocked(len(b.queue) >= b.max)
	b.mu.Unlock()
	select {
	case <-item.done:
		return item.out, item.err
	case <-ctx.Done():
		b.withdraw(item)
		return none, context.Cause(ctx)
	}
}

func errBatcherClosed() error {
	return core.Faultf(core.Closed, "batch", "", "the batcher is closed")
}

func (b *Batcher[In, Out]) withdraw(item *batched[In, Out]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, q := range b.queue {
		if q == item {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			return
		}
	}
}

// fullLocked ends the wait of gather, if so.
func (b *Batcher[In, Out]) fullLocked(full bool) {
	if !full {
		return
	}
	select {
	case b.full <- struct{}{}:
	default:
	}
}

// gather waits for the window, a full batch or Close.
func (b *Batcher[In, Out]) gather() {
	if b.window == nil {
		return
	}
	d := b.window()
	if d <= 0 {
		return
	}
	b.mu.Lock()
	select {
	case <-b.full: // of an earlier batch
	default:
	}
	b.fullLocked(len(b.queue) >= b.max || b.closed)
	b.mu.Unlock()
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-b.full:
	}
}

// work runs batches until there is nothing to do.
func (b *Batcher[In, Out]) work() {
	b.gather()
	for {
		b.mu.Lock()
		n := min(b.max, len(b.queue))
		if n == 0 {
			b.running = false
			b.idle.Broadcast()
			b.mu.Unlock()
			return
		}
		batch := append([]*batched[In, Out](nil), b.queue[:n]...)
		b.queue = append(b.queue[:0], b.queue[n:]...)
		b.mu.Unlock()
		b.runBatch(batch)
	}
}

func (b *Batcher[In, Out]) runBatch(batch []*batched[In, Out]) {
	in := make([]In, len(batch))
	for i, item := range batch {
		in[i] = item.in
	}
	var out []Out
	err := guard("batch", func() (err error) {
		out, err = b.run(context.Background(), in)
		return err
	})
	if err == nil && len(out) < len(in) {
		err = core.Faultf(core.CapsuleFailed, "batch", "", "%d inputs gave %d outputs", len(in), len(out))
	}
	for i, item := range batch {
		if i < len(out) {
			item.out = out[i]
		} else {
			item.err = fmt.Errorf("input %d of a batch of %d: %w", i+1, len(in), err)
		}
		close(item.done)
	}
}

// Pending gives the number of inputs that wait for a batch.
func (b *Batcher[In, Out]) Pending() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// Close fails what is queued with a fault of kind Closed and waits for the batch that runs. It
// is safe to call twice.
func (b *Batcher[In, Out]) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, item := range b.queue {
		item.err = errBatcherClosed()
		close(item.done)
	}
	b.queue = nil
	b.fullLocked(true)
	for b.running {
		b.idle.Wait()
	}
	return nil
}
