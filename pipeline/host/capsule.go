package host

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/capstan-video/capstan/core"
	"github.com/capstan-video/capstan/pipeline"
	"github.com/capstan-video/capstan/sdk/wire"
	"github.com/hashicorp/go-hclog"
)

var _ pipeline.Capsule = (*Capsule)(nil)

// Capsule is a capsule with a process, or between two.
type Capsule struct {
	host     *Host
	spec     Spec
	name     string
	log      hclog.Logger
	decl     core.Declaration
	values   core.Values
	counters counters

	// control is held while streams are opened and closed, and while a new process is told of
	// them. It is taken before mu.
	control sync.Mutex

	mu       sync.Mutex
	changed  chan struct{} // closed when state changes
	state    string
	process  *process // nil while restarting
	lastErr  error
	pid      int
	restarts uint64
	streams  map[core.StreamID]*stream
	number   uint32
	crashes  []time.Time // without a good answer between them

	confined sync.Once // what its cage lacks was said

	closing   context.Context
	close     context.CancelFunc
	supervise sync.WaitGroup
}

type stream struct {
	number uint32
	values core.Values
}

// counters count over all processes of a capsule.
type counters struct {
	calls, sent, received, copied              atomic.Uint64
	oversizeCalls, oversizeAnswers, suppressed atomic.Uint64
}

// Counters count since the launch, over all processes.
type Counters struct {
	Calls           uint64
	BytesSent       uint64 // messages, with pixels where they are copied
	BytesReceived   uint64
	BytesCopied     uint64 // of pixels
	OversizeCalls   uint64 // that went by gRPC, because they did not fit into a packet
	OversizeAnswers uint64 // that were fetched by gRPC
	Suppressed      uint64 // lines of output that were left out
}

func newCapsule(h *Host, spec Spec) *Capsule {
	c := &Capsule{
		host: h, spec: spec, name: or(spec.Declaration.Name, filepath.Base(spec.Path)), decl: spec.Declaration,
		state: pipeline.CapsuleRestarting, changed: make(chan struct{}), streams: map[core.StreamID]*stream{},
	}
	c.log = h.cfg.Log.Named(c.name)
	c.closing, c.close = context.WithCancel(context.Background())
	c.supervise.Add(1) // for launch, then for watch
	return c
}

func (c *Capsule) launch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	p, err := c.start(ctx)
	if err != nil {
		c.supervise.Done()
		return err
	}
	go c.watch(p)
	return nil
}

// start brings up a process that knows its options and the open streams, and puts it to work.
func (c *Capsule) start(ctx context.Context) (*process, error) {
	p, err := c.startProcess(ctx)
	if err != nil {
		return nil, err
	}
	c.control.Lock()
	defer c.control.Unlock()
	if err := c.prepare(ctx, p); err != nil {
		p.discard()
		return nil, err
	}
	c.mu.Lock()
	if c.state == pipeline.CapsuleClosed {
		c.mu.Unlock()
		p.discard()
		return nil, c.closedFault()
	}
	c.process, c.pid = p, p.runner.pid()
	c.setLocked(pipeline.CapsuleRunning)
	c.mu.Unlock()
	return p, nil
}

func (c *Capsule) prepare(ctx context.Context, p *process) error {
	decl, err := p.describe(ctx, c.decl)
	if err != nil {
		return err
	}
	values, err := decl.Complete(c.spec.Options)
	if err != nil {
		return err
	}
	if _, err := decl.Resolve(values); err != nil {
		return core.Faultf(core.Invalid, "launch capsule", c.name, "%w", err)
	}
	c.mu.Lock()
	c.decl, c.values = decl, values
	streams := make(map[core.StreamID]*stream, len(c.streams))
	for id, s := range c.streams {
		streams[id] = s
	}
	c.mu.Unlock()
	err = c.configure(ctx, p, values)
	for id, s := range streams {
		if err == nil {
			err = c.tell(ctx, p, id, s)
		}
	}
	if err != nil {
		return p.startFailed("", err)
	}
	return nil
}

// tell opens a stream on one process.
func (c *Capsule) tell(ctx context.Context, p *process, id core.StreamID, s *stream) error {
	if err := c.allowed(p, s.values); err != nil {
		return err
	}
	text, err := wire.EncodeValues(s.values)
	if err != nil {
		return err
	}
	return p.control(ctx, "open stream "+string(id), c.host.cfg.LoadTimeout, func(ctx context.Context) error {
		_, err := p.rpc.OpenStream(ctx, &wire.OpenStreamRequest{Stream: s.number, Id: string(id), OptionsJson: text})
		return err
	})
}

// watch starts the capsule again whenever its process is gone, until it is closed or broken.
func (c *Capsule) watch(p *process) {
	defer c.supervise.Done()
	pause := c.host.cfg.Restart.First
	for {
		<-p.gone
		c.mu.Lock()
		c.lostLocked(p)
		c.mu.Unlock()
		<-p.cleaned
		if time.Since(p.started) >= c.host.cfg.Restart.Stable || p.good.Load() >= c.host.cfg.Restart.Good {
			pause = c.host.cfg.Restart.First
		}
		for next := (*process)(nil); next == nil; p = next {
			if c.over() || !c.sleep(pause) {
				return
			}
			pause = min(2*pause, c.host.cfg.Restart.Most)
			next = c.again()
		}
	}
}

// again tries to start one more process; nil when that failed.
func (c *Capsule) again() *process {
	c.mu.Lock()
	c.restarts++
	c.mu.Unlock()
	p, err := c.start(c.closing)
	if err != nil {
		c.mu.Lock()
		c.crashedLocked(err, false)
		c.mu.Unlock()
		return nil
	}
	c.log.Info("the capsule runs again", "pid", p.runner.pid())
	return p
}

// lostLocked notes that a process is gone, unless that is known. Whoever sees it first calls
// it, so that a call that failed finds the capsule restarting.
func (c *Capsule) lostLocked(p *process) {
	if c.process == p {
		c.crashedLocked(p.end(), p.good.Load() > 0)
	}
}

// crashedLocked notes that a process ended or could not be started.
func (c *Capsule) crashedLocked(err error, good bool) {
	r := c.host.cfg.Restart
	c.process, c.pid = nil, 0
	if c.state == pipeline.CapsuleClosed {
		return
	}
	c.lastErr = err
	if good {
		c.crashes = nil
	}
	now := time.Now()
	c.crashes = append(c.crashes, now)
	if len(c.crashes) > r.Breaker {
		c.crashes = c.crashes[1:]
	}
	if len(c.crashes) == r.Breaker && now.Sub(c.crashes[0]) <= r.Window {
		f := core.Faultf(core.CapsuleExited, "capsule "+c.name, "", "it died %d times within %s without one good answer and is not started again: %w",
			r.Breaker, r.Window, err)
		f.Hint = "mend or remove the capsule"
		c.lastErr = f
		c.setLocked(pipeline.CapsuleBroken)
		c.log.Error("the capsule is given up", "error", f)
		return
	}
	c.setLocked(pipeline.CapsuleRestarting)
	c.log.Warn("the capsule is started again", "error", err)
}

func (c *Capsule) setLocked(state string) {
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Capsule) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == pipeline.CapsuleBroken || c.state == pipeline.CapsuleClosed
}

// sleep pauses, a quarter more or less, so that capsules that died together do not start
// together. It is false when the capsule was closed.
func (c *Capsule) sleep(d time.Duration) bool {
	t := time.NewTimer(d*3/4 + rand.N(d/2+1)) // #nosec G404 -- a pause, no secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closing.Done():
		return false
	}
}

func (c *Capsule) closedFault() error {
	return core.Faultf(core.Closed, "capsule "+c.name, "", "it is closed")
}

// Declaration gives the declaration as the manifest has it.
func (c *Capsule) Declaration() core.Declaration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decl
}

// Values gives the complete settings for streams that have none of their own.
func (c *Capsule) Values() core.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values
}

// current gives the running process, or why there is none.
func (c *Capsule) current() (*process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.currentLocked()
}

func (c *Capsule) currentLocked() (*process, error) {
	if c.process != nil && c.process.isGone() {
		c.lostLocked(c.process)
	}
	switch {
	case c.state == pipeline.CapsuleClosed:
		return nil, c.closedFault()
	case c.state == pipeline.CapsuleBroken:
		return nil, c.lastErr
	case c.process == nil:
		return nil, core.Faultf(core.CapsuleExited, "capsule "+c.name, "", "it is being started again: %w", c.lastErr)
	}
	return c.process, nil
}

// Configure changes Values, also for processes that are started again later; open streams keep
// what they were opened with. It waits for a capsule that is being started again. values are
// complete. When it fails the old ones stay.
func (c *Capsule) Configure(ctx context.Context, values core.Values) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	c.control.Lock()
	defer c.control.Unlock()
	p, err := c.current()
	if err != nil {
		return err
	}
	if err := c.configure(ctx, p, values); err != nil {
		return err
	}
	c.mu.Lock()
	c.values, c.spec.Options = values, values
	c.mu.Unlock()
	return nil
}

// configure tells one process its options; the first time it loads its models.
func (c *Capsule) configure(ctx context.Context, p *process, values core.Values) error {
	if err := c.allowed(p, values); err != nil {
		return err
	}
	text, err := wire.EncodeValues(values)
	if err != nil {
		return err
	}
	return p.control(ctx, "configure", c.host.cfg.LoadTimeout, func(ctx context.Context) error {
		_, err := p.rpc.Configure(ctx, &wire.ConfigureRequest{OptionsJson: text})
		return err
	})
}

// OpenStream opens a stream with values, which are complete; on one that is open it changes
// them. It waits for a capsule that is being started again.
func (c *Capsule) OpenStream(ctx context.Context, id core.StreamID, values core.Values) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	c.control.Lock()
	defer c.control.Unlock()
	p, err := c.current()
	if err != nil {
		return err
	}
	c.mu.Lock()
	s := &stream{values: values}
	if old := c.streams[id]; old != nil {
		s.number = old.number
	} else {
		c.number++
		s.number = c.number
	}
	c.mu.Unlock()
	if err := c.tell(ctx, p, id, s); err != nil {
		return err
	}
	c.mu.Lock()
	c.streams[id] = s
	c.mu.Unlock()
	return nil
}

// CloseStream ends a stream and frees its state in the capsule. One that is not open is no error.
func (c *Capsule) CloseStream(ctx context.Context, id core.StreamID) error {
	c.control.Lock()
	defer c.control.Unlock()
	c.mu.Lock()
	s := c.streams[id]
	delete(c.streams, id)
	p := c.process
	c.mu.Unlock()
	if s == nil || p == nil {
		return nil
	}
	err := p.control(ctx, "close stream "+string(id), c.host.cfg.LoadTimeout, func(ctx context.Context) error {
		_, err := p.rpc.CloseStream(ctx, &wire.CloseStreamRequest{Stream: s.number})
		return err
	})
	if core.KindOf(err) == core.CapsuleExited || core.KindOf(err) == core.Closed {
		return nil // with its process the stream is gone too
	}
	return err
}

// Process gives one frame to the capsule. ctx counts until the frame is sent; then the answer
// is waited for, at most until the capsule's deadline, because the capsule reads the frame.
func (c *Capsule) Process(ctx context.Context, call pipeline.Call) (pipeline.Answer, error) {
	if ctx.Err() != nil {
		return pipeline.Answer{}, core.Faultf(core.Cancelled, "capsule "+c.name, "", "%w", context.Cause(ctx))
	}
	c.mu.Lock()
	p, err := c.currentLocked()
	s := c.streams[call.Frame.Stream]
	limit := or(c.decl.Deadline, c.host.cfg.Deadline)
	c.mu.Unlock()
	if err != nil {
		return pipeline.Answer{}, err
	}
	if s == nil {
		return pipeline.Answer{}, core.Faultf(core.NotFound, "capsule "+c.name, string(call.Frame.Stream), "the stream is not open")
	}
	return p.process(s.number, call, limit)
}

// Ready waits until the capsule is running. A broken or closed capsule is a fault at once.
func (c *Capsule) Ready(ctx context.Context) error {
	for {
		c.mu.Lock()
		_, err := c.currentLocked()
		waiting := c.state == pipeline.CapsuleRestarting
		changed := c.changed
		c.mu.Unlock()
		if !waiting {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return core.Faultf(core.Cancelled, "wait for capsule", c.name, "%w", context.Cause(ctx))
		}
	}
}

// Stats gives the capsule's state.
func (c *Capsule) Stats() pipeline.CapsuleStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := pipeline.CapsuleStats{Restarts: c.restarts, State: c.state, PID: c.pid}
	if c.lastErr != nil {
		s.LastErr = c.lastErr.Error()
	}
	return s
}

// Counters gives the counts so far; the lines left out are those of processes that have ended
// and of the one that runs.
func (c *Capsule) Counters() Counters {
	n := &c.counters
	counts := Counters{
		Calls: n.calls.Load(), BytesSent: n.sent.Load(), BytesReceived: n.received.Load(), BytesCopied: n.copied.Load(),
		OversizeCalls: n.oversizeCalls.Load(), OversizeAnswers: n.oversizeAnswers.Load(), Suppressed: n.suppressed.Load(),
	}
	if p, err := c.current(); err == nil {
		counts.Suppressed += p.runner.out.count()
	}
	return counts
}

// Close ends the capsule and waits until its process is gone; calls that wait end with a fault
// of kind Closed. It is safe to call twice.
func (c *Capsule) Close() error {
	c.mu.Lock()
	if c.state != pipeline.CapsuleClosed {
		c.setLocked(pipeline.CapsuleClosed)
	}
	p := c.process
	c.mu.Unlock()
	c.close()
	if p != nil {
		p.stop()
	}
	c.supervise.Wait()
	c.host.forget(c)
	return nil
}
