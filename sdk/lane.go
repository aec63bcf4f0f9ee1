package sdk

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/capstan-video/capstan/core"
)

// queueBound is how many requests of one stream may wait. Engines keep one or two in flight, so
// that a full queue means an engine that does not wait for answers.
const queueBound = 64

// Where a run takes no longer than shortRun, and the last manyShort were as short, waking another
// goroutine for the next one costs more than it is worth: the reader of frames runs it itself.
// A run that takes longer after all keeps other frames waiting once.
const (
	shortRun  = 200 * time.Microsecond
	manyShort = 8
)

// lanes are the processors of one stream, as many goroutines, and the queue before them.
type lanes struct {
	rt  *Runtime
	id  core.StreamID
	end context.CancelFunc
	ctx context.Context // the stream's life

	mu      sync.Mutex
	wake    sync.Cond
	queue   []*task
	waiting int     // requests that have a task in queue or running
	idle    int     // goroutines that sleep
	free    []*lane // that run no task; the last one was used last
	count   int     // goroutines, and lanes
	max     int
	short   int // runs of at most shortRun since the last longer one
	config  *config
	closed  bool
	working sync.WaitGroup
}

// config is one set of options; a new one is a new pointer.
type config struct{ values Values }

// pending is a request whose runs are not all done.
type pending struct {
	Request
	ctx     context.Context
	arrived time.Time
	config  *config
	done    func(Result)

	mu      sync.Mutex
	left    int
	started time.Time
	returns []core.Return
}

// task is one run: of one node of the request, or of the whole of it (node -1).
type task struct {
	*pending
	node int
}

func openLanes(r *Runtime, id core.StreamID, values Values) (*lanes, error) {
	l := &lanes{rt: r, id: id, max: r.concurrency(), config: &config{values}}
	l.wake.L = &l.mu
	l.ctx, l.end = context.WithCancel(context.Background())
	first := &lane{lanes: l}
	if err := first.become(l.config); err != nil {
		l.end()
		return nil, err
	}
	l.count = 1
	l.free = []*lane{first}
	l.working.Add(1)
	go l.work()
	return l, nil
}

func (l *lanes) configure(values Values) {
	l.mu.Lock()
	l.config = &config{values}
	l.mu.Unlock()
}

// close answers what is queued, waits for what runs and closes the processors.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	left := l.queue
	l.queue = nil
	l.mu.Unlock()
	l.end()
	l.wake.Broadcast()
	for _, t := range left {
		l.finish(t, core.Return{Err: l.rt.closedFault()}, time.Now())
	}
	l.working.Wait()
	for _, n := range l.free {
		n.close()
	}
}

// submit queues a request; or, if here is true and that is quicker, runs it.
func (l *lanes) submit(ctx context.Context, req Request, here bool, done func(Result)) {
	p := &pending{Request: req, ctx: ctx, arrived: time.Now(), done: done}
	runs := 1
	if l.rt.decl.Input.Size == Single {
		runs = len(req.Nodes)
	}
	if runs == 0 {
		done(Result{Returns: []core.Return{}})
		return
	}
	p.left, p.returns = runs, make([]core.Return, runs)
	scale := req.scaling()
	for _, n := range req.Nodes {
		scale.toPicture(n)
	}
	n, err := l.enqueue(p, here)
	switch {
	case err != nil:
		done(Result{Err: err})
	case n != nil:
		defer l.working.Done()
		n.run(&task{p, l.node(0)})
	}
}

// enqueue gives a lane when the caller is to run the request in it.
func (l *lanes) enqueue(p *pending, here bool) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.rt.closedFault()
	}
	if l.waiting >= queueBound {
		n := l.rt.refused.Add(1)
		return nil, core.Faultf(core.Exhausted, "capsule "+l.rt.decl.Name, string(l.id), "%d frames are waiting; %d refused so far", l.waiting, n)
	}
	l.waiting++
	p.config = l.config
	if here && p.left == 1 && l.short >= manyShort {
		if n := l.readyLocked(); n != nil {
			l.working.Add(1)
			return n, nil
		}
	}
	for i := range p.left {
		l.queue = append(l.queue, &task{p, l.node(i)})
	}
	l.wakeLocked()
	return nil, nil
}

// node is the i-th run's: of one node, or -1 of the whole request.
func (l *lanes) node(i int) int {
	if l.rt.decl.Input.Size == Single {
		return i
	}
	return -1
}

// readyLocked takes a lane that needs not be opened or configured, when nothing is queued.
func (l *lanes) readyLocked() *lane {
	if len(l.queue) > 0 || len(l.free) == 0 {
		return nil
	}
	n := l.free[len(l.free)-1]
	if n.processor == nil || n.config != l.config {
		return nil
	}
	l.free = l.free[:len(l.free)-1]
	return n
}

// wakeLocked has enough goroutines awake for the queue, starting new ones, up to max, when all
// others are busy: a processor may be expensive.
func (l *lanes) wakeLocked() {
	for need := len(l.queue) - len(l.free); need > 0 && l.count < l.max; need-- {
		l.count++
		l.free = append([]*lane{{lanes: l}}, l.free...)
		l.working.Add(1)
		go l.work()
	}
	for range min(l.idle, len(l.queue)) {
		l.wake.Signal()
	}
}

// work runs tasks until the stream is closed.
func (l *lanes) work() {
	defer l.working.Done()
	for {
		t, n := l.next()
		if t == nil {
			return
		}
		if err := n.become(t.config); err != nil && l.giveBack(t, err) {
			return
		} else if err != nil {
			l.release(n, shortRun)
			l.finish(t, core.Return{Err: err}, time.Now())
			continue
		}
		n.run(t)
	}
}

// release has a lane count as free before its task is answered, so that the request that
// follows an answer finds it.
func (l *lanes) release(n *lane, took time.Duration) {
	l.mu.Lock()
	l.free = append(l.free, n)
	if l.short++; took > shortRun {
		l.short = 0
	}
	if l.idle > 0 && len(l.queue) > 0 {
		l.wake.Signal()
	}
	l.mu.Unlock()
}

// next waits for a task and a lane to run it in; nil when the stream is closed.
func (l *lanes) next() (*task, *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for (len(l.queue) == 0 || len(l.free) == 0) && !l.closed {
		l.idle++
		l.wake.Wait()
		l.idle--
	}
	if l.closed {
		return nil, nil
	}
	t := l.queue[0]
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	last := len(l.free) - 1
	n := l.free[last]
	l.free = l.free[:last]
	return t, n
}

// giveBack leaves the task to the other goroutines when this one's processor cannot be opened:
// the capsule then works with fewer. The last one keeps the task and its error.
func (l *lanes) giveBack(t *task, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == 1 || l.closed {
		return false
	}
	l.count--
	l.max = l.count
	l.queue = append([]*task{t}, l.queue...)
	l.wake.Signal()
	l.rt.log.Warn("a further processor cannot be opened; working with fewer", "stream", l.id, "processors", l.max, "error", err)
	return true
}

// finish notes the return of one run, and answers the request after the last.
func (l *lanes) finish(t *task, r core.Return, started time.Time) {
	if t.node >= 0 {
		r.Node = t.Nodes[t.node].ID
	}
	if r.Err != nil {
		l.rt.failed.Add(1)
	}
	t.mu.Lock()
	t.returns[max(t.node, 0)] = r
	if t.started.IsZero() || started.Before(t.started) {
		t.started = started
	}
	t.left--
	last := t.left == 0
	t.mu.Unlock()
	if !last {
		return
	}
	l.mu.Lock()
	l.waiting--
	l.mu.Unlock()
	t.done(Result{Returns: t.returns, Queued: t.started.Sub(t.arrived), Compute: time.Since(t.started)})
}

// lane is one processor of a stream; only the goroutine that took it from free uses it.
type lane struct {
	*lanes
	processor Processor
	config    *config
}

// become has the processor open with these options.
func (n *lane) become(c *config) error {
	if n.processor != nil && n.config == c {
		return nil
	}
	if p, ok := n.processor.(Configurable); ok {
		err := guard("Configure", func() error { return p.Configure(c.values) })
		if err == nil {
			n.config = c
			return nil
		}
		n.rt.log.Warn("new options need a new processor", "stream", n.id, "error", err)
	}
	n.close()
	return n.open(c)
}

func (n *lane) open(c *config) error {
	err := guard("Open", func() (err error) {
		n.processor, err = n.rt.capsule.Open(n.ctx, Stream{ID: n.id, Options: c.values, Log: n.rt.log.With("stream", string(n.id))})
		if err == nil && n.processor == nil {
			err = errors.New("no processor was given")
		}
		return err
	})
	if err != nil {
		n.processor = nil
		n.logPanic(err)
		return n.rt.blame("open stream "+string(n.id), err)
	}
	n.config = c
	return nil
}

func (n *lane) close() {
	c, ok := n.processor.(io.Closer)
	n.processor = nil
	if !ok {
		return
	}
	if err := guard("Close", c.Close); err != nil {
		n.logPanic(err)
		n.rt.log.Warn("closing a processor", "stream", n.id, "error", err)
	}
}

func (n *lane) run(t *task) {
	started := time.Now()
	ret, err := n.process(t)
	if err != nil {
		ret = core.Return{Err: n.rt.blame("stream "+string(n.id), err)}
		var p *panicked
		if errors.As(err, &p) {
			n.rt.panics.Add(1)
			n.logPanic(err)
			n.close()
		} else {
			n.rt.log.Debug("a frame failed", "stream", n.id, "seq", t.Frame.Seq, "error", err)
		}
	}
	n.release(n, time.Since(started))
	n.finish(t, ret, started)
}

func (n *lane) process(t *task) (core.Return, error) {
	nodes := t.Nodes
	switch {
	case t.node >= 0:
		nodes = t.Nodes[t.node : t.node+1]
	case n.rt.decl.Input.Size == None:
		nodes = nil
	}
	f, err := NewFrame(t.Frame, t.Layout, t.Memory, nodes)
	if err != nil {
		return core.Return{}, err
	}
	ctx, cancel := withLife(t.ctx, n.ctx)
	defer cancel()
	if err := guard("Process", func() error { return n.processor.Process(ctx, f) }); err != nil {
		return core.Return{}, err
	}
	return f.result(n.rt.decl)
}

func (n *lane) logPanic(err error) {
	var p *panicked
	if errors.As(err, &p) {
		n.rt.log.Error("the capsule's code panicked", "stream", string(n.id), "in", p.in, "panic", p.value, "stack", string(p.stack))
	}
}

// withLife ends ctx also when the stream ends.
func withLife(ctx, life context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return life, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(life, cancel)
	return ctx, func() { stop(); cancel() }
}
